from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from labeltransfer.cannon import train
from labeltransfer.cannon.model import label_vector, term_tree
from labeltransfer.inference import LabelFit, infer, label_fit, minimization, pixel_fit, starting_points
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra

MODEL = oracle.known_model(120)
REFERENCE = oracle.draw(MODEL, 60)
STARTS = starting_points(REFERENCE.labels, 7, rng=np.random.default_rng(0))


def with_arrays(spectra, flux=None, ivar=None):
    return replace(spectra, flux=spectra.flux if flux is None else flux, ivar=spectra.ivar if ivar is None else ivar)


def in_pixel_space(monkeypatch):
    monkeypatch.setattr(label_fit, "PRODUCTS_LIMIT", 0)


@pytest.fixture(params=["compressed", "pixels"])
def either_way(request, monkeypatch):
    if request.param == "pixels":
        in_pixel_space(monkeypatch)
    return request.param


# --- the minimum of χ²


@pytest.mark.parametrize("order", [1, 2, 3])
def test_labels_errors_and_chi2_are_those_of_curve_fit(order, either_way):
    model = oracle.known_model(80, 3, order)
    reference = oracle.draw(model, 12)
    starts = reference.labels.values[:7]
    fit = infer(model, reference.spectra, starts)
    for n in range(12):
        pixels = reference.spectra.flux[n], reference.spectra.ivar[n]
        ends = [oracle.fit_star(model, *pixels, start) for start in starts]
        values, covariance, chi2 = min(ends, key=lambda end: end[2])
        errors = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose((fit.labels.values[n] - values) / errors, 0, atol=1e-5)
        np.testing.assert_allclose((fit.labels.covariance[n] - covariance) / np.outer(errors, errors), 0, atol=1e-5)
        assert fit.chi2[n] == pytest.approx(chi2, rel=1e-9)


def test_chi2_is_the_sum_over_pixels():
    fit = infer(MODEL, REFERENCE.spectra[:8], STARTS)
    for n in range(8):
        expected = oracle.chi2(MODEL, REFERENCE.spectra.flux[n], REFERENCE.spectra.ivar[n], fit.labels.values[n])
        assert fit.chi2[n] == pytest.approx(expected, rel=1e-10)
    np.testing.assert_array_equal(fit.n_pixels, REFERENCE.spectra.good_pixels[:8])
    np.testing.assert_allclose(fit.reduced_chi2, fit.chi2 / (fit.n_pixels - 5))


def test_the_gradient_vanishes_at_the_minimum():
    fit = infer(MODEL, REFERENCE.spectra[:5], STARTS)
    for n in range(5):
        for k, error in enumerate(fit.labels.errors[n]):
            step = 1e-3 * error * np.eye(5)[k]
            args = (MODEL, REFERENCE.spectra.flux[n], REFERENCE.spectra.ivar[n])
            slope = oracle.chi2(*args, fit.labels.values[n] + step) - oracle.chi2(*args, fit.labels.values[n] - step)
            assert abs(slope / 2e-3) < 1e-4


def test_the_compressed_fit_is_the_fit_in_pixel_space(monkeypatch):
    options = {"fixed": {"a_k": REFERENCE.labels.column("a_k")}, "priors": {"logg": (2.4, 0.05)}}
    for kwargs in ({}, options):
        compressed = infer(MODEL, REFERENCE.spectra, STARTS, **kwargs)
        with monkeypatch.context() as patch:
            in_pixel_space(patch)
            direct = infer(MODEL, REFERENCE.spectra, STARTS, **kwargs)
        difference = (direct.labels.values - compressed.labels.values) / MODEL.scales
        assert np.abs(difference).max() < 1e-7
        np.testing.assert_allclose(direct.chi2, compressed.chi2, rtol=1e-9)
        np.testing.assert_allclose(direct.labels.errors, compressed.labels.errors, rtol=1e-6)
        np.testing.assert_array_equal(direct.start, compressed.start)


@pytest.mark.parametrize("order", [2, 3])
def test_hessians_are_finite_differences_of_the_gradient(order):
    model = oracle.known_model(30, 3, order)
    reference, ivar = oracle.draw(model, 2, masked=0), np.full((1, 30), 1e3)
    flux, x = reference.spectra.flux[:1], model.scaled(reference.labels.values[:1]) + 0.1
    free, nothing = np.array([True, False, True]), np.zeros((1, 3))
    weight = ivar / (1 + ivar * model.scatter**2)
    problem = pixel_fit._Problem(model, flux, weight, free, nothing, nothing)
    _, gradient, normal = problem.at(x)
    slopes = [(problem.at(x - step)[1] - problem.at(x + step)[1])[0] / 2e-5 for step in 1e-5 * np.eye(3)]
    expected = np.where(np.outer(free, free), slopes, np.eye(3))
    np.testing.assert_allclose(problem.bent(x, normal)[0], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    heights = [(problem.height(x + step) - problem.height(x - step))[0] / 2e-5 for step in 1e-5 * np.eye(3)]
    np.testing.assert_allclose(gradient[0], -np.where(free, heights, 0) / 2, rtol=1e-6)

    parents, factors = term_tree(3, order)
    theta = model.coefficients[:, 1:]
    A, b = (theta.T * weight[0]) @ theta, theta.T @ (weight[0] * (flux[0] - model.coefficients[:, 0]))
    v, jacobian = np.empty(parents.size), np.zeros((3, parents.size))
    minimization._terms(x[0], parents, factors, v, jacobian, True)
    np.testing.assert_allclose(v, label_vector(x, order)[0])
    hessian, second = normal[0].copy(), np.empty((parents.size, 3, 3))
    minimization._bend(x[0], A @ v[1:] - b, parents, factors, free, jacobian, second, hessian)
    np.testing.assert_allclose(hessian, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_single_precision_moves_labels_by_a_small_part_of_their_errors():
    spectra = REFERENCE.spectra
    single = with_arrays(spectra, spectra.flux.astype(np.float32), spectra.ivar.astype(np.float32))
    exact, rounded = infer(MODEL, single, STARTS, dtype=np.float64), infer(MODEL, single, STARTS)
    moved = np.abs(rounded.labels.values - exact.labels.values) / exact.labels.errors
    assert np.median(moved) < 3e-5
    assert moved.max() < 3e-3
    np.testing.assert_allclose(rounded.chi2, exact.chi2, rtol=1e-4)


@pytest.mark.statistical
def test_pulls_have_mean_zero_and_width_one_and_the_check_fails_with_halved_errors():
    model = oracle.known_model(200)
    reference = oracle.draw(model, 12_000, seed=7, snr=(40, 200))
    fit = infer(model, reference.spectra, reference.labels.values[:3])
    assert fit.converged.mean() > 0.999
    good = fit.converged
    pull = ((fit.labels.values - reference.labels.values) / fit.labels.errors)[good]
    np.testing.assert_allclose(pull.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.03)
    assert np.median(fit.reduced_chi2) == pytest.approx(1.0, abs=0.02)
    surer = replace(model, scatter=model.scatter / 2)
    fit = infer(surer, with_arrays(reference.spectra, ivar=4 * reference.spectra.ivar), reference.labels.values[:3])
    pull = ((fit.labels.values - reference.labels.values) / fit.labels.errors)[good]
    assert (np.abs(pull.std(axis=0) - 1) > 0.03).all()
    assert np.median(fit.reduced_chi2) != pytest.approx(1.0, abs=0.02)


def test_thirteen_labels(either_way):
    model = oracle.known_model(250, 13)
    reference = oracle.draw(model, 6, snr=(100, 200))
    fit = infer(model, reference.spectra, np.vstack([model.pivots, reference.labels.values[:1]]))
    assert fit.converged.all()
    pull = (fit.labels.values - reference.labels.values) / fit.labels.errors
    assert np.abs(pull).max() < 5


# --- starts, other minima, wandering


def two_minima():
    """Flux that depends on the square of one label: each star fits at +x and at -x."""
    model = oracle.known_model(40, 1)
    coefficients = np.zeros((40, 3))
    coefficients[:, 0], coefficients[:, 2] = 1.0, np.linspace(0.05, 0.1, 40)
    coefficients[:, 1] = 1e-3
    return replace(model, coefficients=coefficients)


def test_the_other_minimum_is_reported(either_way):
    model = two_minima()
    values = model.pivots + model.scales * np.array([[1.5]])
    spectra = Spectra(["one"], model.wavelength, model.model_flux(values), np.full((1, 40), 1e4), normalized=True)
    starts = model.pivots + model.scales * np.array([[-2.0], [1.0], [2.0]])
    fit = infer(model, spectra, starts)
    assert fit.start[0] == 1
    assert fit.labels.values[0, 0] == pytest.approx(values[0, 0])
    assert 0 < fit.rival_rise[0] < 10
    error = fit.labels.errors[0, 0] / model.scales[0]
    assert fit.rival_distance[0] == pytest.approx(3.0 / error, rel=0.05)
    alone = infer(model, spectra, starts[1:])
    assert alone.rival_rise[0] == alone.rival_distance[0] == np.inf


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("bend", [1.0, 5.0])
def test_a_star_far_from_the_model_comes_to_rest(either_way, order, bend):
    """The steps of Gauss and Newton alone overshoot for ever where the curvature exceeds twice their matrix."""
    model = oracle.known_model(40, 1, order)
    coefficients = np.zeros_like(model.coefficients)
    coefficients[:, 0], coefficients[:20, 1], coefficients[20:, 2] = 1.0, 0.1, 0.1
    model = replace(model, coefficients=coefficients)
    flux = np.where(np.arange(40) < 20, 1.0, 1.0 - 0.1 * bend)[None]
    spectra = Spectra(["one"], model.wavelength, flux, np.full((1, 40), 1e4), normalized=True)
    fit = infer(model, spectra, model.pivots + model.scales * np.array([[-1.0], [0.4], [2.0]]))
    assert fit.converged[0]
    assert fit.labels.values[0, 0] == pytest.approx(model.pivots[0], abs=1e-5 * model.scales[0])


def test_the_first_start_that_found_the_minimum_counts():
    assert (infer(MODEL, REFERENCE.spectra[:9], np.tile(MODEL.pivots, (3, 1))).start == 0).all()


def test_starts_are_reference_stars_and_reproducible():
    for row in STARTS:
        assert (REFERENCE.labels.values == row).all(axis=1).any()
    again = starting_points(REFERENCE.labels, 7, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(STARTS, again)
    with pytest.raises(ValueError, match="wanted 1 to 60"):
        starting_points(REFERENCE.labels, 61, rng=np.random.default_rng(0))


def test_a_wandering_star_is_flagged_and_the_others_are_not(either_way):
    flux = REFERENCE.spectra.flux[:4].copy()
    flux[2] = MODEL.model_flux((MODEL.pivots + 15 * MODEL.scales)[None])[0]
    fit = infer(MODEL, with_arrays(REFERENCE.spectra[:4], flux), STARTS)
    assert fit.converged.tolist() == [True, True, False, True]
    assert np.isfinite(fit.labels.values[[0, 1, 3]]).all()


def test_stars_with_too_few_pixels_are_data_not_exceptions(either_way):
    ivar = REFERENCE.spectra.ivar[:4].copy()
    ivar[0] = 0
    ivar[1, 5:] = 0
    ivar[3] = 1e-30
    fit = infer(MODEL, with_arrays(REFERENCE.spectra[:4], ivar=ivar), STARTS)
    assert fit.converged.tolist()[:3] == [False, False, True]
    assert np.isnan(fit.labels.values[:2]).all()
    assert np.isnan(fit.labels.covariance[:2]).all()
    assert np.isnan(fit.chi2[:2]).all()
    assert fit.start[:2].tolist() == [-1, -1]
    assert fit.n_pixels[0] == 0
    many = infer(MODEL, with_arrays(REFERENCE.spectra, ivar=REFERENCE.spectra.ivar * (np.arange(120) < 4)), STARTS)
    assert np.isinf(many.rival_rise).all()
    assert np.isinf(many.rival_distance).all()


def test_labels_that_the_spectrum_does_not_tell_apart_are_flagged(either_way):
    coefficients = MODEL.coefficients.copy()
    coefficients[:60, 6:], coefficients[:60, 2] = 0.0, coefficients[:60, 1]
    model = replace(MODEL, coefficients=coefficients)
    ivar = REFERENCE.spectra.ivar[:6].copy()
    ivar[::2, 60:] = 0.0  # there two labels act alike
    fit = infer(model, with_arrays(REFERENCE.spectra[:6], ivar=ivar), STARTS)
    assert fit.converged.tolist() == [False, True] * 3
    assert np.isnan(fit.labels.values[::2]).all()
    assert np.isnan(fit.labels.covariance[::2]).all()
    assert np.isnan(fit.chi2[::2]).all()
    assert np.isinf(fit.rival_rise[::2]).all()


def test_no_stars_are_no_trouble(either_way):
    assert len(infer(MODEL, REFERENCE.spectra[:0], STARTS)) == 0


def test_undetermined_pixels_have_no_weight(either_way):
    scatter, coefficients = MODEL.scatter.copy(), MODEL.coefficients.copy()
    scatter[:30], coefficients[:30] = np.inf, 0.0
    partial = replace(MODEL, scatter=scatter, coefficients=coefficients)
    ivar = REFERENCE.spectra.ivar.copy()
    ivar[:, :30] = 0
    one = infer(partial, REFERENCE.spectra, STARTS)
    two = infer(MODEL, with_arrays(REFERENCE.spectra, ivar=ivar), STARTS)
    np.testing.assert_allclose(one.labels.values, two.labels.values, rtol=1e-9)
    np.testing.assert_allclose(one.chi2, two.chi2, rtol=1e-9)
    np.testing.assert_array_equal(one.n_pixels, two.n_pixels)


# --- fixed labels and priors


def test_fixed_labels_stay_and_the_others_are_the_smaller_problem():
    truth = REFERENCE.labels
    fit = infer(MODEL, REFERENCE.spectra, STARTS, fixed={"a_k": truth.column("a_k")})
    np.testing.assert_allclose(fit.labels.column("a_k"), truth.column("a_k"), rtol=1e-12, atol=1e-15)
    assert (fit.labels.covariance[:, 4] == 0).all()
    assert (fit.labels.covariance[:, :, 4] == 0).all()
    free = infer(MODEL, REFERENCE.spectra, STARTS)
    assert (fit.labels.errors[:, :4] <= free.labels.errors[:, :4] * 1.05).all()
    assert (fit.chi2 >= free.chi2 - 1e-6).all()
    np.testing.assert_allclose(fit.reduced_chi2, fit.chi2 / (fit.n_pixels - 4))
    one = infer(MODEL, REFERENCE.spectra, STARTS, fixed={"a_k": 0.1})
    assert np.allclose(one.labels.column("a_k"), 0.1)


def test_a_prior_adds_its_term_and_its_information():
    plain = infer(MODEL, REFERENCE.spectra, STARTS)
    mean, width = plain.labels.column("logg") + 0.3, 0.02
    fit = infer(MODEL, REFERENCE.spectra, STARTS, priors={"logg": (mean, width)})
    assert (fit.labels.column("logg") > plain.labels.column("logg")).all()
    assert (fit.labels.errors[:, 1] < 0.02).all()
    for n in range(3):
        expected = oracle.chi2(MODEL, REFERENCE.spectra.flux[n], REFERENCE.spectra.ivar[n], fit.labels.values[n])
        assert fit.chi2[n] == pytest.approx(expected)
        # Stationary: the prior pulls as strongly as χ² pushes.
        step = 1e-4 * fit.labels.errors[n, 1] * np.eye(5)[1]
        args = (MODEL, REFERENCE.spectra.flux[n], REFERENCE.spectra.ivar[n])
        slope = oracle.chi2(*args, fit.labels.values[n] + step) - oracle.chi2(*args, fit.labels.values[n] - step)
        pull = 2 * (fit.labels.values[n, 1] - mean[n]) / width**2
        assert slope / (2 * step[1]) == pytest.approx(-pull, rel=1e-4)
    wide = infer(MODEL, REFERENCE.spectra, STARTS, priors={"logg": (2.4, np.nan), "teff": (np.nan, 50.0)})
    np.testing.assert_allclose(wide.labels.values, plain.labels.values, rtol=1e-10)


def test_a_fixed_label_that_is_unknown_loses_only_that_star():
    known = REFERENCE.labels.column("a_k")[:4].copy()
    known[1] = np.nan
    fit = infer(MODEL, REFERENCE.spectra[:4], STARTS, fixed={"a_k": known})
    assert fit.converged.tolist() == [True, False, True, True]


# --- properties


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-4, 1e4), k=st.integers(0, 4))
def test_another_unit_changes_labels_and_errors_by_exactly_that_factor(factor, k):
    unit = np.where(np.arange(5) == k, factor, 1.0)
    other = replace(MODEL, pivots=MODEL.pivots * unit, scales=MODEL.scales * unit, label_range=MODEL.label_range * unit)
    fit, scaled = infer(MODEL, REFERENCE.spectra[:6], STARTS), infer(other, REFERENCE.spectra[:6], STARTS * unit)
    np.testing.assert_allclose(scaled.labels.values, fit.labels.values * unit, rtol=1e-7, atol=1e-9 * factor)
    np.testing.assert_allclose(scaled.labels.errors, fit.labels.errors * unit, rtol=1e-7)
    np.testing.assert_allclose(scaled.chi2, fit.chi2, rtol=1e-9)


@settings(max_examples=6, deadline=None)
@given(factor=st.floats(1e-3, 1e3), k=st.integers(0, 2))
def test_another_unit_goes_through_training_and_test_step(factor, k):
    reference = oracle.draw(oracle.known_model(40, 3), 150)
    unit = np.where(np.arange(3) == k, factor, 1.0)
    values = reference.labels.values
    other = ReferenceSet(reference.spectra, Labels(reference.ids, reference.labels.names, values * unit))
    fit = infer(train(reference), reference.spectra[:20], values[:2])
    scaled = infer(train(other), reference.spectra[:20], values[:2] * unit)
    errors = fit.labels.errors * unit
    np.testing.assert_allclose((scaled.labels.values - fit.labels.values * unit) / errors, 0, atol=1e-5)
    np.testing.assert_allclose(scaled.labels.errors, errors, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), junk=st.floats(-1e5, 1e5))
def test_order_of_stars_and_pixels_and_masked_flux_do_not_matter(seed, junk):
    rng = np.random.default_rng(seed)
    spectra = REFERENCE.spectra[:10]
    fit = infer(MODEL, spectra, STARTS)
    rows = rng.permutation(10)
    np.testing.assert_allclose(infer(MODEL, spectra[rows], STARTS).labels.values, fit.labels.values[rows], rtol=1e-9)
    dirty = with_arrays(spectra, np.where(spectra.ivar > 0, spectra.flux, junk))
    np.testing.assert_array_equal(infer(MODEL, dirty, STARTS).labels.values, fit.labels.values)
    columns = rng.permutation(120)
    shuffled = replace(MODEL, coefficients=MODEL.coefficients[columns], scatter=MODEL.scatter[columns])
    mixed = with_arrays(spectra, spectra.flux[:, columns], spectra.ivar[:, columns])
    np.testing.assert_allclose(infer(shuffled, mixed, STARTS).labels.values, fit.labels.values, rtol=1e-7, atol=1e-8)


def test_inputs_are_untouched():
    before = REFERENCE.spectra.flux.copy(), REFERENCE.spectra.ivar.copy(), STARTS.copy()
    infer(MODEL, REFERENCE.spectra, STARTS)
    for array, old in zip((REFERENCE.spectra.flux, REFERENCE.spectra.ivar, STARTS), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_a_fit_is_written_read_sliced_and_joined(tmp_path):
    fit = infer(MODEL, REFERENCE.spectra, STARTS)
    fit.write(tmp_path / "fit.npz")
    again = LabelFit.read(tmp_path / "fit.npz")
    joined = LabelFit.concatenate([fit[:20], fit[20:]])
    for other in (again, joined):
        for name in ("chi2", "n_pixels", "converged", "start", "rival_rise", "rival_distance", "reduced_chi2"):
            np.testing.assert_array_equal(getattr(other, name), getattr(fit, name))
        np.testing.assert_array_equal(other.labels.values, fit.labels.values)
        np.testing.assert_array_equal(other.labels.covariance, fit.labels.covariance)
        np.testing.assert_array_equal(other.labels.ids, fit.labels.ids)
    assert len(fit[fit.converged]) == fit.converged.sum()
    assert "60 stars" in repr(fit)
    one_label = infer(oracle.known_model(120, 1), REFERENCE.spectra, STARTS[:, :1])
    with pytest.raises(ValueError, match="not of the same labels"):
        LabelFit.concatenate([fit, one_label])


# --- bad input


def test_what_makes_no_sense_is_refused():
    spectra = REFERENCE.spectra
    with pytest.raises(ValueError, match="normalize the spectra first"):
        infer(MODEL, replace(spectra, normalized=False), STARTS)
    with pytest.raises(ValueError, match="resample the spectra"):
        infer(MODEL, replace(spectra, wavelength=spectra.wavelength + 1), STARTS)
    with pytest.raises(ValueError, match=r"wanted finite \(S, 5\)"):
        infer(MODEL, spectra, STARTS[:, :4])
    with pytest.raises(ValueError, match=r"wanted finite \(S, 5\)"):
        infer(MODEL, spectra, STARTS * np.nan)
    with pytest.raises(ValueError, match="'mg_fe' is not in the model"):
        infer(MODEL, spectra, STARTS, fixed={"mg_fe": 0.0})
    with pytest.raises(ValueError, match="every label is held fixed"):
        infer(MODEL, spectra, STARTS, fixed=dict(zip(MODEL.label_names, MODEL.pivots, strict=True)))
    with pytest.raises(ValueError, match="standard deviations must be positive"):
        infer(MODEL, spectra, STARTS, priors={"logg": (2.0, 0.0)})
    with pytest.raises(ValueError, match="chi2 has shape"):
        replace(infer(MODEL, spectra, STARTS), chi2=np.zeros(3))
    with pytest.raises(ValueError, match="with S >= 1"):
        infer(MODEL, spectra, STARTS[:0])
    with pytest.raises(ValueError, match="dtype: found int64, wanted float32 or float64"):
        infer(MODEL, spectra, STARTS, dtype=int)
