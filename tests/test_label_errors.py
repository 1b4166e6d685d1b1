"""Training with errors of the reference labels: the corrected score against slow twins, and what it must never do."""

import logging

import numpy as np
import pytest

import oracle
from labeltransfer.cannon import coefficient_variance, label_errors, train, train_subsets
from labeltransfer.cannon.model import terms
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet


def covariances(seed, n_stars, n_labels, size):
    """Correlated ones, other for each star."""
    roots = np.random.default_rng(seed).normal(size=(n_stars, n_labels, n_labels)) * size / n_labels**0.5
    return roots @ roots.transpose(0, 2, 1) + 0.01 * size**2 * np.eye(n_labels)


def with_errors(reference, errors, seed=0, stated=1.0):
    """The labels with Gaussian errors (L,), and covariances that are `stated` times theirs."""
    labels = reference.labels
    wrong = labels.values + errors * np.random.default_rng(seed).normal(size=labels.values.shape)
    covariance = np.tile(np.diag(stated * errors**2), (len(wrong), 1, 1))
    return ReferenceSet(reference.spectra, Labels(labels.ids, labels.names, wrong, covariance))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_moments_are_those_of_a_quadrature_and_their_expectation_is_the_monomial(order):
    rng = np.random.default_rng(order)
    monomials = sorted({tuple(sorted(a + b)) for a in terms(2, order) for b in terms(2, order)})
    x, covariance = rng.normal(size=(3, 2)), covariances(order, 3, 2, 0.6)
    found = label_errors.hermite_moments(x, covariance, monomials)
    slow = [[oracle.corrected_monomial(x[n], covariance[n], one) for one in monomials] for n in range(3)]
    np.testing.assert_allclose(found, slow, rtol=1e-10, atol=1e-10)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    grid = np.array([(a, b) for a in nodes for b in nodes])
    observed = x[0] + grid @ np.linalg.cholesky(covariance[0]).T
    moments = label_errors.hermite_moments(observed, np.tile(covariance[0], (25, 1, 1)), monomials)
    expectation = np.outer(weights, weights).ravel() @ moments / (2 * np.pi)
    np.testing.assert_allclose(expectation, [np.prod(x[0][list(one)]) for one in monomials], rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_equations_are_those_of_a_slow_loop(order):
    reference = with_errors(oracle.draw(oracle.known_model(2, 2, order), 40), 0.1 * oracle.SCALES[:2])
    plain, model = train(reference, order=order), train(reference, order=order, label_errors="correct")
    x, scaled = (
        model.scaled(reference.labels.values),
        reference.labels.covariance / np.outer(model.scales, model.scales),
    )
    flux, ivar = reference.spectra.flux[:, 0], reference.spectra.ivar[:, 0]
    slow = oracle.corrected_coefficients(plain.scatter[0] ** 2, flux, ivar, x, scaled, order)
    np.testing.assert_allclose(model.coefficients[0], slow, rtol=1e-6, atol=1e-8)


def slope_ratios(truth, model):
    """Fitted over true slopes, where they are steep."""
    steep = np.abs(truth.linear_coefficients * truth.scales[:, None]) > 0.02
    return (model.gradient(truth.pivots[None])[0] / truth.linear_coefficients)[steep]


@pytest.mark.statistical
@pytest.mark.parametrize(("size", "flattened"), [(0.2, 0.96), (0.5, 0.80)])
def test_slopes_are_unbiased_and_the_check_fails_with_halved_or_ignored_covariances(size, flattened):
    truth = oracle.known_model(100, 3, scatter=(0.004, 0.01))
    drawn = oracle.draw(truth, 4000, snr=(100, 300))
    reference = with_errors(drawn, truth.scales * size)
    model = train(reference, label_errors="correct")
    assert np.median(slope_ratios(truth, model)) == pytest.approx(1.0, abs=0.01)
    assert np.median(model.scatter / truth.scatter) == pytest.approx(1.0, abs=0.2)
    ignored = np.median(slope_ratios(truth, train(reference)))
    assert ignored == pytest.approx(flattened, abs=0.015)
    halved = train(with_errors(drawn, truth.scales * size, stated=0.5), label_errors="correct")
    assert np.median(slope_ratios(truth, halved)) != pytest.approx(1.0, abs=0.01)


def test_a_strength_of_zero_ignores_and_a_strength_is_a_factor_of_the_covariances():
    reference = with_errors(oracle.draw(oracle.known_model(8, 3), 300), 0.3 * oracle.SCALES[:3])
    plain, none = train(reference), train(reference, label_errors="correct", label_error_strength=0)
    np.testing.assert_allclose(none.coefficients, plain.coefficients, atol=1e-13)
    np.testing.assert_allclose(none.scatter, plain.scatter, rtol=1e-9)
    labels = reference.labels
    halved = ReferenceSet(reference.spectra, Labels(labels.ids, labels.names, labels.values, labels.covariance / 2))
    for option in ("weight", "correct"):
        half = train(reference, label_errors=option, label_error_strength=0.5)
        expected = train(halved, label_errors=option)
        np.testing.assert_allclose(half.coefficients, expected.coefficients, rtol=1e-9, atol=1e-12)


def test_unit_of_a_label_and_order_of_stars_do_not_matter():
    reference = with_errors(oracle.draw(oracle.known_model(6, 2), 200), 0.3 * oracle.SCALES[:2])
    model, labels = train(reference, label_errors="correct"), reference.labels
    factor = np.array([1e-3, 1.0])
    other = Labels(labels.ids, labels.names, labels.values * factor, labels.covariance * np.outer(factor, factor))
    again = train(ReferenceSet(reference.spectra, other), label_errors="correct")
    np.testing.assert_allclose(again.coefficients, model.coefficients, atol=1e-8)
    turned = train(reference[np.random.default_rng(0).permutation(200)], label_errors="correct")
    np.testing.assert_allclose(turned.coefficients, model.coefficients, atol=1e-8)
    np.testing.assert_allclose(turned.scatter, model.scatter, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("option", ["weight", "correct"])
def test_folds_are_trained_as_if_alone(option):
    reference, folds = (
        with_errors(oracle.draw(oracle.known_model(20, 2), 600), 0.3 * oracle.SCALES[:2]),
        np.arange(600) % 3,
    )
    acts = np.random.default_rng(0).random((20, 2)) < 0.8
    options = {"censoring": acts, "label_errors": option}
    model = train_subsets(reference, folds != np.arange(3)[:, None], **options)[2]
    alone, values = train(reference[folds != 2], **options), reference.labels.values[:40]
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-7)
    np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-5, atol=1e-8)
    without = np.array([[not acts[p, list(term)].all() for term in terms(2, 2)] for p in range(20)])
    assert (model.coefficients[without] == 0).all()


@pytest.mark.parametrize("size", [1.0, 3.0, 1e3])
def test_errors_larger_than_the_labels_vary_are_safe(size, caplog):
    reference = with_errors(
        oracle.draw(oracle.known_model(12, 3), 60), 0.3 * oracle.SCALES[:3], stated=(size / 0.3) ** 2
    )
    with caplog.at_level(logging.INFO):
        model = train(reference, label_errors="correct")
    assert model.determined.all()
    assert f"train: 12 pixels: {label_errors.SHORTENED}" in caplog.text
    expected = train(reference).model_flux(reference.labels.values)
    assert np.abs(model.model_flux(reference.labels.values) - expected).max() < 1


def test_labels_without_covariances_are_refused():
    reference = oracle.draw(oracle.known_model(4, 2), 60)
    for option in ("weight", "correct"):
        with pytest.raises(ValueError, match="have no covariances; give `Labels` their errors"):
            train(reference, label_errors=option)
    with pytest.raises(ValueError, match="label_errors: found True, wanted 'ignore', 'weight' or 'correct'"):
        train(reference, label_errors=True)
    with pytest.raises(ValueError, match="label_error_strength: found -1"):
        train(reference, label_errors="correct", label_error_strength=-1)


@pytest.mark.statistical
@pytest.mark.parametrize("option", ["ignore", "correct"])
def test_the_variance_of_the_coefficients_is_that_of_trainings_on_other_stars(option):
    truth = oracle.known_model(60, 2, scatter=(0.005, 0.01))
    size = 0.3 if option == "correct" else 0.0
    at = truth.pivots + truth.scales * np.array([[0.0, 0.0], [1.0, -0.5]])
    found, stated = [], []
    for seed in range(12):
        reference = with_errors(oracle.draw(truth, 500, seed), size * truth.scales, seed)
        model = train(reference, label_errors=option)
        found.append(model.model_flux(at))
        v = model.label_vector(at)
        variance = coefficient_variance(reference, model, label_errors=option)
        i, j = np.triu_indices(6)
        full = np.zeros((60, 6, 6))
        full[:, i, j] = full[:, j, i] = variance
        stated.append(np.einsum("nm,pmk,nk->np", v, full, v))
    ratio = np.var(found, axis=0, ddof=1).mean() / np.mean(stated)
    assert ratio == pytest.approx(1.0, abs=0.2)
