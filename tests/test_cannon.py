import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from labeltransfer.cannon.model import CannonModel, label_vector, label_vector_derivatives, scaling, terms


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n_labels", [1, 3, 5])
def test_label_vector_is_eq_6(order, n_labels):
    x = np.random.default_rng(0).normal(size=(4, n_labels))
    expected = [oracle.label_vector(row, order) for row in x]
    np.testing.assert_allclose(label_vector(x, order), expected, rtol=1e-14)


def test_five_labels_make_21_terms():
    assert len(terms(5, 2)) == 21
    assert label_vector(np.ones((1, 5)), 2).shape == (1, 21)
    with pytest.raises(ValueError, match="wanted 1, 2 or 3"):
        terms(5, 4)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_the_label_vector_agree_with_finite_differences(order):
    x = np.random.default_rng(1).normal(size=(3, 4))
    exact = label_vector_derivatives(x, order)
    for k in range(4):
        step = 1e-5 * np.eye(4)[k]
        numeric = (label_vector(x + step, order) - label_vector(x - step, order)) / 2e-5
        np.testing.assert_allclose(exact[:, k], numeric, atol=1e-8)


def test_gradient_of_the_model_agrees_with_finite_differences():
    model = oracle.known_model()
    values = model.pivots + model.scales * np.array([[0.3, -1.0, 0.7, 0.0, 2.0]])
    exact = model.gradient(values)
    for k, scale in enumerate(model.scales):
        step = 1e-5 * scale * np.eye(5)[k]
        numeric = (model.model_flux(values + step) - model.model_flux(values - step)) / (2e-5 * scale)
        np.testing.assert_allclose(exact[:, k] * scale, numeric * scale, atol=1e-9)
    np.testing.assert_allclose(model.gradient(model.pivots[None])[0], model.linear_coefficients, rtol=1e-12)


def test_the_model_flux_is_a_sum_over_terms():
    model = oracle.known_model(n_pixels=7)
    values = model.pivots + model.scales * 0.4
    x = (values - model.pivots) / model.scales
    expected = [np.dot(theta, oracle.label_vector(x)) for theta in model.coefficients]
    np.testing.assert_allclose(model.model_flux(values[None])[0], expected, rtol=1e-13)


def test_undetermined_pixels_have_no_model_flux():
    model = oracle.known_model(n_pixels=5)
    scatter = model.scatter.copy()
    scatter[2] = np.inf
    names = ("label_names", "pivots", "scales", "wavelength", "coefficients")
    partial = CannonModel(*(getattr(model, name) for name in names), scatter, model.label_range)
    assert partial.determined.tolist() == [True, True, False, True, True]
    assert np.isnan(partial.model_flux(model.pivots[None])[0, 2])
    assert "1 of them undetermined" in repr(partial)


@settings(max_examples=10, deadline=None)
@given(order=st.sampled_from([1, 2, 3]), n_labels=st.integers(1, 7))
def test_what_is_written_is_what_is_read(tmp_path_factory, order, n_labels):
    model = oracle.known_model(6, n_labels, order)
    path = tmp_path_factory.mktemp("model") / "model.npz"
    model.write(path)
    again = CannonModel.read(path)
    for name in ("pivots", "scales", "wavelength", "coefficients", "scatter", "label_range"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert (again.label_names, again.order, again.n_reference, again.training_hash) == (
        model.label_names,
        order,
        1000,
        "known",
    )


def test_arrays_of_a_model_cannot_be_changed():
    model = oracle.known_model(5)
    with pytest.raises(ValueError, match="read-only"):
        model.coefficients[0, 0] = 2.0


def test_wrong_shapes_are_refused_by_name():
    model = oracle.known_model(5)
    args = [
        getattr(model, name) for name in ("label_names", "pivots", "scales", "wavelength", "coefficients", "scatter")
    ]
    with pytest.raises(ValueError, match=r"coefficients has shape \(5, 21\), wanted \(5, 6\)"):
        CannonModel(*args, model.label_range, order=1)
    with pytest.raises(ValueError, match="scales must be positive"):
        CannonModel(args[0], args[1], -args[2], *args[3:], model.label_range)
    with pytest.raises(ValueError, match=r"wanted \(N, 5\)"):
        model.model_flux(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="coefficients must be finite"):
        CannonModel(*args[:4], np.full((5, 21), np.nan), args[5], model.label_range)


def test_scaling_is_median_and_a_quarter_of_the_inner_range():
    values = np.linspace(0, 100, 1001)[:, None]
    pivots, scales = scaling(values, ("teff",))
    assert pivots[0] == pytest.approx(50)
    assert scales[0] == pytest.approx(95 / 4)


def test_a_label_that_never_varies_is_refused_by_name():
    values = np.column_stack([np.arange(9.0), np.full(9, 2.5)])
    with pytest.raises(ValueError, match=r"'logg' is 2\.5 for every reference star"):
        scaling(values, ("teff", "logg"))
