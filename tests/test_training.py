import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import oracle
from labeltransfer.cannon import likelihood, maximum, train, train_subsets
from labeltransfer.cannon.model import terms
from labeltransfer.labels import Labels
from labeltransfer.matrices import products_of_pairs
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra


def with_spectra(reference, flux=None, ivar=None):
    spectra = reference.spectra
    flux = spectra.flux if flux is None else flux
    ivar = spectra.ivar if ivar is None else ivar
    return ReferenceSet(Spectra(reference.ids, spectra.wavelength, flux, ivar, True), reference.labels)


def slope_at(model, reference):
    """(P,) derivative of eq. 5 by s², in units of its formal error."""
    residual = reference.spectra.flux - model.model_flux(reference.labels.values)
    weight = reference.spectra.ivar / (1 + reference.spectra.ivar * model.scatter**2)
    return (weight**2 * residual**2 - weight).sum(axis=0) / np.sqrt((weight**2).sum(axis=0))


def formal_errors(model, reference):
    """(P, M) formal errors of the coefficients."""
    vectors = model.label_vector(reference.labels.values)
    weight = reference.spectra.ivar / (1 + reference.spectra.ivar * model.scatter**2)
    matrices = np.einsum("np,nm,nk->pmk", weight, vectors, vectors, optimize=True)
    return np.sqrt(np.einsum("pmm->pm", np.linalg.inv(matrices)))


# --- the maximum of eq. 5


@pytest.mark.parametrize(("n_stars", "n_labels", "order"), [(60, 2, 2), (150, 5, 2), (200, 3, 3), (50, 3, 1)])
def test_every_pixel_is_at_the_maximum_a_slow_search_finds(n_stars, n_labels, order):
    truth = oracle.known_model(6, n_labels, order)
    reference = oracle.draw(truth, n_stars)
    model = train(reference, order=order)
    vectors = model.label_vector(reference.labels.values)
    for p in range(6):
        flux, ivar = reference.spectra.flux[:, p], reference.spectra.ivar[:, p]
        theta, s2 = oracle.train_pixel(flux, ivar, vectors)
        found = oracle.log_likelihood(model.coefficients[p], model.scatter[p] ** 2, flux, ivar, vectors)
        assert found >= oracle.log_likelihood(theta, s2, flux, ivar, vectors) - 1e-9
        assert model.scatter[p] ** 2 == pytest.approx(s2, rel=2e-4, abs=1e-9)
        exact = oracle.coefficients_at(model.scatter[p] ** 2, flux, ivar, vectors)
        np.testing.assert_allclose(model.coefficients[p], exact, rtol=1e-7, atol=1e-9)


def test_a_general_minimizer_finds_nothing_higher():
    reference = oracle.draw(oracle.known_model(3, 2), 150)
    model = train(reference)
    vectors = model.label_vector(reference.labels.values)
    for p in range(3):
        pixel = reference.spectra.flux[:, p], reference.spectra.ivar[:, p], vectors

        def depth(parameters, pixel=pixel):
            return -oracle.log_likelihood(parameters[:-1], np.exp(2 * parameters[-1]), *pixel)

        found = np.append(model.coefficients[p], np.log(model.scatter[p]))
        other = minimize(depth, found + 0.01, method="BFGS", options={"gtol": 1e-3})
        assert depth(found) <= other.fun + 1e-9
        assert other.fun - depth(found) < 1e-3


def test_the_slope_in_s2_vanishes_or_points_below_zero():
    truth = oracle.known_model(80, scatter=(0.0, 0.01))
    reference = oracle.draw(truth, 400)
    model = train(reference)
    slope, inside = slope_at(model, reference), model.scatter > 0
    assert 20 < inside.sum() < 80
    assert np.abs(slope[inside]).max() < 1e-6
    assert (slope[~inside] <= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_of_several_maxima_the_highest_is_taken(seed):
    rng = np.random.default_rng(seed)
    reference = oracle.draw(oracle.known_model(25, 3, seed=seed), 25, seed)
    ivar = 10 ** rng.uniform(1, 6, reference.spectra.ivar.shape)
    reference = with_spectra(reference, reference.spectra.flux + rng.normal(size=ivar.shape) / np.sqrt(ivar), ivar)
    model = train(reference)
    vectors = model.label_vector(reference.labels.values)
    for p in range(25):
        flux, weight = reference.spectra.flux[:, p], ivar[:, p]
        theta, s2 = oracle.train_pixel(flux, weight, vectors, n_grid=60)
        found = oracle.log_likelihood(model.coefficients[p], model.scatter[p] ** 2, flux, weight, vectors)
        assert found >= oracle.log_likelihood(theta, s2, flux, weight, vectors) - 1e-8


@pytest.mark.statistical
def test_a_sample_that_shows_the_way_does_not_change_the_goal(monkeypatch):
    reference = oracle.draw(oracle.known_model(8, 2), 1500)
    some_bright = np.where(np.random.default_rng(3).random((1500, 1)) < 0.02, 400.0, 1.0)
    reference = with_spectra(reference, ivar=reference.spectra.ivar * some_bright)
    shown = train(reference)
    monkeypatch.setattr(maximum, "FEW", 10**6)
    alone = train(reference)
    np.testing.assert_allclose(shown.scatter, alone.scatter, rtol=1e-7)
    np.testing.assert_array_less(abs(shown.coefficients - alone.coefficients), 1e-5 * formal_errors(alone, reference))


@pytest.mark.slow
@pytest.mark.parametrize("overestimated", [1.0, 1.2])
def test_scatter_far_below_the_noise_is_at_the_maximum(overestimated):
    reference = oracle.draw(oracle.known_model(24, 2, scatter=(0.0, 2e-3)), 1500)
    reference = with_spectra(reference, ivar=reference.spectra.ivar / overestimated**2)
    model = train(reference)
    assert np.any(model.scatter == 0)
    vectors = model.label_vector(reference.labels.values)
    for p in range(24):
        flux, ivar = reference.spectra.flux[:, p], reference.spectra.ivar[:, p]
        found = oracle.log_likelihood(model.coefficients[p], model.scatter[p] ** 2, flux, ivar, vectors)
        for s2 in np.r_[0.0, np.geomspace(1e-9, 1e-2, 60)]:
            assert oracle.profile(s2, flux, ivar, vectors) <= found + 1e-8


def test_noise_that_differs_much_from_star_to_star_makes_no_step_too_far(monkeypatch):
    rng = np.random.default_rng(4)
    reference = oracle.draw(oracle.known_model(24, 2, scatter=(1e-4, 3e-3)), 800)
    noise = rng.lognormal(0.0, 1.2, reference.spectra.flux.shape)
    flux = reference.spectra.flux + rng.standard_t(2, noise.shape) * noise * 0.004
    reference = with_spectra(reference, flux, reference.spectra.ivar / noise**2)
    train(reference)
    searched = []
    search = maximum.search

    def counted(block, *others, **options):
        searched.append(len(block.flux))
        return search(block, *others, **options)

    monkeypatch.setattr(maximum, "search", counted)
    folds = rng.integers(4, size=800)
    models = train_subsets(reference, np.array([(folds != fold).astype(float) for fold in range(4)]))
    assert sum(searched) <= 24 + 0.1 * 5 * 24, "the way from all stars to a fold is short"
    alone = train(reference[folds != 0])
    np.testing.assert_allclose(models[0].scatter, alone.scatter, rtol=1e-6)


@pytest.mark.statistical
def test_fitted_scatter_over_true_scatter_is_one_and_the_check_fails_with_halved_errors():
    truth = oracle.known_model(400, scatter=(0.006, 0.02))
    reference = oracle.draw(truth, 4000, snr=(50, 200))
    ratio = train(reference).scatter / truth.scatter
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
    assert np.abs(ratio - 1).max() < 0.2
    surer = with_spectra(reference, ivar=4 * reference.spectra.ivar)
    assert np.median(train(surer).scatter / truth.scatter) != pytest.approx(1.0, abs=0.01)


def pulls_of_the_flux(truth, reference, values):
    """(n, P) fitted less true model flux at some labels, in formal errors."""
    model = train(reference)
    vectors = model.label_vector(reference.labels.values)
    weight = reference.spectra.ivar / (1 + reference.spectra.ivar * model.scatter**2)
    inverse = np.linalg.inv(np.einsum("np,nm,nk->pmk", weight, vectors, vectors, optimize=True))
    at = model.label_vector(values)
    return (model.model_flux(values) - truth.model_flux(values)) / np.sqrt(np.einsum("nm,pmk,nk->np", at, inverse, at))


@pytest.mark.statistical
def test_pulls_of_the_coefficients_have_width_one_and_the_check_fails_with_halved_errors():
    """Where nothing scatters: scatter would make up for errors that are too small, as it should."""
    truth = oracle.known_model(150, 3)
    values = truth.pivots + truth.scales * np.random.default_rng(0).uniform(-1, 1, (20, 3))
    assert pulls_of_the_flux(truth, oracle.draw(truth, 1500), values).std() == pytest.approx(1.0, abs=0.06)
    bare = oracle.known_model(150, 3, scatter=(0.0, 0.0))
    reference = oracle.draw(bare, 1500)
    assert pulls_of_the_flux(bare, reference, values).std() == pytest.approx(1.0, abs=0.06)
    doubtful = with_spectra(reference, ivar=reference.spectra.ivar / 4)
    assert pulls_of_the_flux(bare, doubtful, values).std() != pytest.approx(1.0, abs=0.06)


# --- single precision, folds, resamplings


def test_big_tables_of_products_are_not_needed(monkeypatch):
    reference = oracle.draw(oracle.known_model(10), 200)
    expected = train(reference)
    folds = np.arange(200) % 3 != np.arange(3)[:, None]
    of_folds = train_subsets(reference, folds)
    monkeypatch.setattr(likelihood, "PRODUCTS_LIMIT", 8 * 231 * 60)
    np.testing.assert_allclose(train(reference).coefficients, expected.coefficients, atol=1e-9)
    for a, b in zip(train_subsets(reference, folds), of_folds, strict=True):
        np.testing.assert_allclose(a.coefficients, b.coefficients, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tables_of_products_need_no_room_beside_their_own(dtype):
    columns = np.random.default_rng(0).normal(size=(500, 60))
    first, second = np.triu_indices(60)
    tracemalloc.start()
    table = products_of_pairs(columns, dtype)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * table.nbytes
    np.testing.assert_allclose(table, columns[:, first] * columns[:, second], rtol=1e-6)


def test_folds_are_trained_as_if_alone():
    reference = oracle.draw(oracle.known_model(30, scatter=(0.0, 0.015)), 400)
    folds = np.arange(400) % 5
    models = train_subsets(reference, folds != np.arange(5)[:, None])
    for k, model in enumerate(models):
        alone = train(reference[folds != k])
        values = reference.labels.values[:40]
        np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-8)
        np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-6, atol=1e-9)
        assert model.n_reference == 320


def test_censored_folds_are_trained_as_if_alone():
    reference, folds = oracle.draw(oracle.known_model(30, 3), 300), np.arange(300) % 4
    acts = np.random.default_rng(0).random((30, 3)) < 0.5
    model = train_subsets(reference, folds != np.arange(4)[:, None], censoring=acts)[1]
    alone, values = train(reference[folds != 1], censoring=acts), reference.labels.values[:40]
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-8)
    np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-6, atol=1e-9)


def test_folds_with_label_errors_are_trained_as_if_alone():
    drawn, folds = oracle.draw(oracle.known_model(20, 2), 240), np.arange(240) % 3
    covariance = np.tile(np.diag((0.3 * oracle.SCALES[:2]) ** 2), (240, 1, 1))
    labels = Labels(drawn.ids, drawn.labels.names, drawn.labels.values, covariance)
    reference = ReferenceSet(drawn.spectra, labels)
    model = train_subsets(reference, folds != np.arange(3)[:, None], label_errors="weight")[2]
    alone, values = train(reference[folds != 2], label_errors="weight"), labels.values[:40]
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-8)
    np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-6, atol=1e-9)


def test_the_ridge_of_folds_is_that_for_the_scales_of_the_whole_set():
    reference = oracle.draw(oracle.known_model(10, 2), 120)
    kept = reference.labels.values[:, 0] > np.median(reference.labels.values[:, 0])
    model, whole = train_subsets(reference, kept[None], ridge=3e4)[0], train(reference)
    np.testing.assert_array_equal(model.scales, whole.scales)
    vectors, ridge = model.label_vector(reference.labels.values[kept]), 3e4 * (np.arange(6) > 0)
    flux, ivar = reference.spectra.flux[kept], reference.spectra.ivar[kept]
    weight = ivar / (1 + ivar * model.scatter**2)
    gradient = vectors.T @ (weight * (flux - vectors @ model.coefficients.T)) - ridge[:, None] * model.coefficients.T
    assert np.abs(gradient.T * formal_errors(model, reference[kept])).max() < 1e-5


def test_resamplings_are_trained_as_if_stars_were_repeated():
    reference = oracle.draw(oracle.known_model(20, 3), 150)
    rng = np.random.default_rng(0)
    rows = rng.integers(150, size=150)
    model = train_subsets(reference, np.bincount(rows, minlength=150)[None])[0]
    names = np.arange(150).astype(str)
    spectra, labels = reference.spectra[rows[:0]], reference.labels
    spectra = Spectra(
        names, spectra.wavelength, reference.spectra.flux[rows], reference.spectra.ivar[rows], normalized=True
    )
    alone = train(ReferenceSet(spectra, Labels(names, labels.names, labels.values[rows])))
    values = labels.values[:40]
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-7)
    np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-5)


def test_a_small_subset_far_from_the_whole_is_searched_anew():
    reference = oracle.draw(oracle.known_model(12, 2), 300)
    counts = np.zeros((1, 300))
    counts[0, :15] = 1
    model, alone = train_subsets(reference, counts)[0], train(reference[:15])
    values = reference.labels.values[:15]
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=1e-6)


# --- masks, pixels nobody measured


def test_masked_flux_does_not_matter_at_all():
    reference = oracle.draw(oracle.known_model(10, 3), 100)
    junk = np.where(reference.spectra.ivar > 0, reference.spectra.flux, 1e5)
    one, two = train(reference), train(with_spectra(reference, flux=junk))
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    np.testing.assert_array_equal(one.scatter, two.scatter)


def test_pixels_that_do_not_determine_the_model_are_left_out():
    reference = oracle.draw(oracle.known_model(8, 3), 100, masked=0)
    ivar = reference.spectra.ivar.copy()
    ivar[:, 0] = 0
    ivar[1:, 1] = 0
    ivar[10:, 2] = 0  # ten stars for ten terms
    ivar[40:, 3] = 0
    flux = np.where(ivar > 0, reference.spectra.flux, 0.0)
    model = train(with_spectra(reference, flux, ivar))
    assert model.determined.tolist() == [False] * 3 + [True] * 5
    assert (model.coefficients[:3] == 0).all()
    untouched = train(reference)
    np.testing.assert_allclose(model.coefficients[4:], untouched.coefficients[4:], rtol=1e-6, atol=1e-9)


def test_stars_that_repeat_each_other_do_not_determine_a_model():
    reference = oracle.draw(oracle.known_model(4, 2), 90, masked=0)
    values = reference.labels.values[np.arange(90) % 3]
    same = ReferenceSet(reference.spectra, Labels(reference.ids, reference.labels.names, values))
    assert not train(same).determined.any()


def test_flux_that_the_model_explains_exactly_has_no_scatter():
    truth = oracle.known_model(5, 2)
    reference = oracle.draw(truth, 60, masked=0)
    model = train(with_spectra(reference, flux=truth.model_flux(reference.labels.values)))
    assert (model.scatter == 0).all()
    np.testing.assert_allclose(model.model_flux(reference.labels.values), truth.model_flux(reference.labels.values))


# --- options


def test_censored_labels_do_not_act_and_the_rest_is_the_smaller_model():
    reference = oracle.draw(oracle.known_model(6, 3), 200)
    pixels = np.array([True, True, False, False, True, False])
    model = train(reference, censoring={"fe_h": pixels})
    with_it = np.array([2 in term for term in terms(3, 2)])
    assert (model.coefficients[~pixels][:, with_it] == 0).all()
    assert (model.coefficients[pixels] != 0).all()
    smaller = train(ReferenceSet(reference.spectra, reference.labels.select(["teff", "logg"])))
    np.testing.assert_allclose(model.coefficients[~pixels][:, ~with_it], smaller.coefficients[~pixels], atol=1e-8)
    acts = np.ones((6, 3), dtype=bool)
    acts[:, 2] = pixels
    np.testing.assert_array_equal(train(reference, censoring=acts).coefficients, model.coefficients)


def test_ridge_is_a_prior_on_all_but_the_constant():
    reference = oracle.draw(oracle.known_model(3, 2), 80)
    model = train(reference, ridge=3e4)
    vectors = model.label_vector(reference.labels.values)
    for p in range(3):
        weight = reference.spectra.ivar[:, p] / (1 + reference.spectra.ivar[:, p] * model.scatter[p] ** 2)
        matrix = (vectors.T * weight) @ vectors + 3e4 * np.diag(np.arange(6) > 0)
        expected = np.linalg.solve(matrix, vectors.T @ (weight * reference.spectra.flux[:, p]))
        np.testing.assert_allclose(model.coefficients[p], expected, atol=1e-9)
    assert np.abs(slope_at(model, reference)).max() < 1e-6


def test_label_errors_widen_the_noise_where_the_flux_depends_on_the_label():
    truth = oracle.known_model(100, 3, scatter=(0.004, 0.01))
    drawn = oracle.draw(truth, 2000, snr=(100, 300))
    errors = truth.scales * 0.2
    wrong = drawn.labels.values + errors * np.random.default_rng(0).normal(size=drawn.labels.values.shape)
    covariance = np.tile(np.diag(errors**2), (2000, 1, 1))
    noisy = ReferenceSet(drawn.spectra, Labels(drawn.ids, drawn.labels.names, wrong, covariance))
    without, with_errors = train(noisy), train(noisy, label_errors="weight")
    assert np.median(without.scatter / truth.scatter) > 1.25
    assert np.median(with_errors.scatter / truth.scatter) == pytest.approx(1.0, abs=0.12)
    slopes, steep = (
        with_errors.gradient(truth.pivots[None]),
        np.abs(truth.linear_coefficients * truth.scales[:, None]) > 0.02,
    )
    attenuation = (slopes[0] / truth.linear_coefficients)[steep]
    assert np.median(attenuation) == pytest.approx(0.96, abs=0.01), "what the docstring says is not undone"
    with pytest.raises(ValueError, match="no covariances"):
        train(drawn, label_errors="weight")


def test_twelve_labels():
    truth = oracle.known_model(5, 12)
    model = train(oracle.draw(truth, 600, snr=(100, 200)))
    assert model.coefficients.shape == (5, 91)
    assert model.determined.all()
    values = oracle.draw(truth, 50, seed=9).labels.values
    assert np.abs(model.model_flux(values) - truth.model_flux(values)).max() < 0.05


# --- properties


@settings(max_examples=8, deadline=None)
@given(factor=st.floats(1e-3, 1e3), shift=st.floats(-50, 50))
def test_the_unit_of_a_label_does_not_matter(factor, shift):
    reference = oracle.draw(oracle.known_model(6, 2), 100)
    values = reference.labels.values * [factor, 1] + [shift * factor, 0]
    other = train(ReferenceSet(reference.spectra, Labels(reference.ids, reference.labels.names, values)))
    model = train(reference)
    np.testing.assert_allclose(other.model_flux(values), model.model_flux(reference.labels.values), atol=1e-8)
    np.testing.assert_allclose(other.scatter, model.scatter, rtol=1e-6)
    np.testing.assert_allclose(other.scales, model.scales * [factor, 1], rtol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999))
def test_order_of_stars_and_of_pixels_does_not_matter(seed):
    reference = oracle.draw(oracle.known_model(6, 2), 100)
    model = train(reference)
    rows = np.random.default_rng(seed).permutation(100)
    np.testing.assert_allclose(train(reference[rows]).coefficients, model.coefficients, atol=1e-9)
    spectra = reference.spectra
    mirrored = Spectra(spectra.ids, -spectra.wavelength[::-1], spectra.flux[:, ::-1], spectra.ivar[:, ::-1], True)
    turned = train(ReferenceSet(mirrored, reference.labels))
    np.testing.assert_allclose(turned.coefficients[::-1], model.coefficients, atol=1e-9)


def test_inputs_are_untouched_and_the_result_is_the_same_every_time():
    reference = oracle.draw(oracle.known_model(6, 2), 100)
    before = [array.copy() for array in (reference.spectra.flux, reference.spectra.ivar, reference.labels.values)]
    one, two = train(reference), train(reference)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    for array, old in zip(
        (reference.spectra.flux, reference.spectra.ivar, reference.labels.values), before, strict=True
    ):
        np.testing.assert_array_equal(array, old)


def test_the_training_hash_tells_trainings_apart():
    reference = oracle.draw(oracle.known_model(6, 2), 100)
    flux = reference.spectra.flux.copy()
    flux[3, 3] += 1e-9
    hashes = [
        train(reference).training_hash,
        train(with_spectra(reference, flux=flux)).training_hash,
        train(reference[:99]).training_hash,
        train(reference, order=1).training_hash,
        train(reference, ridge=1.0).training_hash,
    ]
    assert len(set(hashes)) == 5
    assert train(reference).training_hash == hashes[0]


# --- bad input


def test_what_makes_no_sense_is_refused():
    reference = oracle.draw(oracle.known_model(4, 2), 30)
    raw = ReferenceSet(replace(reference.spectra, normalized=False), reference.labels)
    with pytest.raises(ValueError, match="normalize the spectra first"):
        train(raw)
    with pytest.raises(ValueError, match="wanted 1, 2 or 3"):
        train(reference, order=5)
    with pytest.raises(ValueError, match="ridge"):
        train(reference, ridge=-1)
    with pytest.raises(ValueError, match="no label 'fe_h'"):
        train(reference, censoring={"fe_h": np.ones(4, dtype=bool)})
    with pytest.raises(ValueError, match=r"wanted \(P, L\) = \(4, 2\)"):
        train(reference, censoring=np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"wanted \(K, 30\)"):
        train_subsets(reference, np.ones((2, 29)))
    with pytest.raises(ValueError, match="training 1 of 2 takes no star"):
        train_subsets(reference, [np.ones(30), np.zeros(30)])
    with pytest.raises(ValueError, match="no stars"):
        train(reference[:0])
    for pixels in (np.array([1]), np.ones(4), True):
        with pytest.raises(ValueError, match=r"'teff'.* wanted booleans of shape \(4,\)"):
            train(reference, censoring={"teff": pixels})


@pytest.mark.parametrize("wrong", [np.nan, -1.0])
def test_covariances_that_make_no_sense_are_refused_by_star(wrong):
    reference = oracle.draw(oracle.known_model(4, 2), 30)
    covariance = np.tile(np.diag(reference.labels.values.var(axis=0) / 100), (30, 1, 1))
    covariance[7] *= wrong
    labels = Labels(reference.ids, reference.labels.names, reference.labels.values, covariance)
    with pytest.raises(ValueError, match="covariances of 1 stars, first 'star00007', are NaN or negative"):
        train(ReferenceSet(reference.spectra, labels), label_errors="weight")


def test_a_covariance_of_two_labels_that_is_missing_is_refused():
    reference = oracle.draw(oracle.known_model(4, 2), 30)
    covariance = np.tile(np.diag(reference.labels.values.var(axis=0) / 100), (30, 1, 1))
    covariance[7, [0, 1], [1, 0]] = np.nan
    labels = Labels(reference.ids, reference.labels.names, reference.labels.values, covariance)
    with pytest.raises(ValueError, match="first 'star00007', are NaN or negative"):
        train(ReferenceSet(reference.spectra, labels), label_errors="correct")


def test_a_subset_of_all_stars_is_the_training_itself():
    reference = oracle.draw(oracle.known_model(6, 2), 300)
    everyone, without_one = train_subsets(reference, np.array([np.ones(300), np.arange(300) > 0]))
    np.testing.assert_allclose(everyone.coefficients, train(reference).coefficients, atol=1e-8)
    assert not np.array_equal(everyone.coefficients, without_one.coefficients)


def test_spectra_without_labels_train_nothing():
    with pytest.raises(TypeError, match="train: found Spectra, wanted a ReferenceSet"):
        train(oracle.draw(oracle.known_model(20, 2, 1), 30, 1).spectra)


def test_a_ridge_on_what_a_quadratic_adds_draws_it_to_a_straight_line():
    reference = oracle.draw(oracle.known_model(20, 2, 1), 60, 1)
    line, quadratic = train(reference, order=1), train(reference, order=2)
    drawn, loose = (train(reference, order=2, ridge=ridge, ridge_from=2) for ridge in (1e14, 1e-6))
    np.testing.assert_allclose(drawn.coefficients[:, :3], line.coefficients, atol=1e-6)
    np.testing.assert_allclose(drawn.coefficients[:, 3:], 0.0, atol=1e-9)
    np.testing.assert_allclose(loose.coefficients, quadratic.coefficients, atol=1e-6)
    slopes_too = train(reference, order=2, ridge=1e14)
    np.testing.assert_allclose(slopes_too.coefficients[:, 1:], 0.0, atol=1e-9)
    assert slopes_too.training_hash != drawn.training_hash
