"""Training where it is hard: several maxima, noise far from its errors, absurd numbers, subsets that keep little."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import oracle
from labeltransfer.cannon import maximum, train, train_subsets
from labeltransfer.cannon.likelihood import Design, PixelBlock
from labeltransfer.inference import infer, label_fit
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet

# --- the highest of several maxima


def heavy_tails(seed, n_stars=120):
    """Errors of a factor of 100 from star to star, noise of Student's t, little scatter."""
    rng = np.random.default_rng(seed)
    truth = oracle.known_model(40, 2, 1, seed=seed, scatter=(0, 0.004))
    reference = oracle.draw(truth, n_stars, seed)
    ivar = reference.spectra.ivar * 10 ** rng.uniform(-2, 2, reference.spectra.ivar.shape)
    noise = rng.standard_t(3, ivar.shape) / np.sqrt(np.where(ivar > 0, ivar, 1))
    flux = np.where(ivar > 0, truth.model_flux(reference.labels.values) + noise, 0)
    return ReferenceSet(replace(reference.spectra, flux=flux, ivar=ivar), reference.labels)


def heights(model, reference):
    """(P,) eq. 5 at the model."""
    vectors = model.label_vector(reference.labels.values)
    columns = zip(model.coefficients, model.scatter**2, reference.spectra.flux.T, reference.spectra.ivar.T, strict=True)
    return np.array([oracle.log_likelihood(theta, s2, f, v, vectors) for theta, s2, f, v in columns])


def highest_on_a_grid(reference, order, n_grid=80):
    """(P,) the highest value of eq. 5 at its best θ for many s²."""
    vectors = train(reference, order=order).label_vector(reference.labels.values)
    found = []
    for flux, ivar in zip(reference.spectra.flux.T, reference.spectra.ivar.T, strict=True):
        top = np.var(flux[ivar > 0])
        grid = np.r_[0.0, np.geomspace(1e-7 * top, 4 * top, n_grid)]
        found.append(max(oracle.profile(s2, flux, ivar, vectors) for s2 in grid))
    return np.array(found)


@pytest.mark.parametrize("seed", [18, 5, 27])
def test_folds_do_not_stay_at_a_lower_maximum(seed):
    reference, folds = heavy_tails(seed), np.arange(120) % 4
    models = train_subsets(reference, folds != np.arange(4)[:, None], order=1)
    for k, model in enumerate(models):
        kept = reference[folds != k]
        alone = train(kept, order=1)
        np.testing.assert_allclose(heights(model, kept), heights(alone, kept), atol=1e-6)
        np.testing.assert_allclose(model.scatter, alone.scatter, atol=1e-6)


@pytest.mark.parametrize("seed", [18, 5, 27])
def test_folds_that_only_choose_lose_little_height(seed):
    reference, folds = heavy_tails(seed), np.arange(120) % 4
    subsets = folds != np.arange(4)[:, None]
    exact, near = (train_subsets(reference, subsets, order=1, exact=exact) for exact in (True, False))
    for kept, model, other in zip(subsets, exact, near, strict=True):
        lost = heights(model, reference[kept]) - heights(other, reference[kept])
        assert (lost > -1e-6).all()
        assert (lost < 0.02).mean() > 0.9


def test_pixels_of_a_block_in_another_order():
    reference = heavy_tails(0)
    vectors = train(reference, order=1).label_vector(reference.labels.values)
    allowed = np.ones((40, vectors.shape[1]), dtype=bool)
    block = PixelBlock.of(reference.spectra, slice(0, 4), allowed, np.zeros(len(vectors.T)), Design(vectors.T))
    for rows in ([3, 1, 1, 0], [0, 1, 2, 3]):
        np.testing.assert_array_equal(block[np.array(rows)].flux, block.flux[rows])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_training_does_not_stay_at_a_lower_maximum(seed):
    reference = heavy_tails(seed)
    assert (heights(train(reference, order=1), reference) >= highest_on_a_grid(reference, 1) - 1e-6).all()


def test_stars_that_show_the_way_do_not_lead_to_a_lower_maximum(monkeypatch):
    reference = heavy_tails(4, 1200)
    shown = heights(train(reference, order=1), reference)
    monkeypatch.setattr(maximum, "FEW", 10**6)
    assert (shown >= heights(train(reference, order=1), reference) - 1e-6).all()


# --- noise far from its errors


def wild(seed):
    """Errors and noise that have little to do with each other, in four kinds."""
    rng = np.random.default_rng(seed)
    n_labels, order = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    truth = oracle.known_model(12, n_labels, order, seed=seed)
    n_terms = truth.coefficients.shape[1]
    n_stars = int(n_terms * rng.uniform(*[(2, 9), (11, 25), (25, 60)][seed % 3]))
    reference = oracle.draw(truth, max(n_stars, 8), seed)
    decades = rng.uniform(0, 6)
    ivar = 10 ** rng.uniform(6 - decades, 6, reference.spectra.ivar.shape)
    noise = rng.normal(size=ivar.shape) / np.sqrt(ivar)
    if seed % 4 == 1:
        noise *= rng.lognormal(0, 1, ivar.shape)
    elif seed % 4 == 2:
        noise = rng.standard_t(1.5, ivar.shape) / np.sqrt(ivar)
    elif seed % 4 == 3:
        noise += (rng.random(ivar.shape) < 0.1) * rng.normal(size=ivar.shape) * 0.3
    flux = truth.model_flux(reference.labels.values) + noise
    return ReferenceSet(replace(reference.spectra, flux=flux, ivar=ivar), reference.labels), order


@pytest.mark.parametrize("seed", [6, 10, 13, 14, 29, 85])
def test_every_pixel_that_the_stars_determine_has_its_maximum(seed):
    reference, order = wild(seed)
    model = train(reference, order=order)
    assert model.determined.all()
    assert (heights(model, reference) >= highest_on_a_grid(reference, order) - 1e-6).all()


def test_steps_that_fail_are_made_up_for_or_reported_apart(monkeypatch, caplog):
    reference = oracle.draw(oracle.known_model(6, 2), 500, masked=0)
    ivar = reference.spectra.ivar.copy()
    ivar[6:, 0] = 0  # six stars for six terms
    reference = ReferenceSet(replace(reference.spectra, ivar=ivar), reference.labels)
    expected = train(reference)

    def never_rests(block, at, *_):
        at.solved[:] = False

    monkeypatch.setattr(maximum, "settle", never_rests)
    searched = train(reference)
    np.testing.assert_allclose(searched.coefficients, expected.coefficients, atol=1e-8)
    np.testing.assert_allclose(searched.scatter, expected.scatter, rtol=1e-6)
    monkeypatch.setattr(maximum, "GRID", np.array([]))
    monkeypatch.setattr(
        maximum, "profile", lambda block, *_: (np.zeros(block.allowed.shape), np.full(len(block.flux), np.nan))
    )
    with caplog.at_level(logging.INFO):
        assert not train(reference).determined.any()
    assert {(record.levelname, record.getMessage()) for record in caplog.records} == {
        ("INFO", f"train: 1 pixels are left out: {maximum.TOO_FEW}"),
        ("WARNING", f"train: 5 pixels are left out: {maximum.DID_NOT_CONVERGE}"),
    }


# --- absurd numbers


@pytest.mark.parametrize(("flux", "ivar"), [(1e160, 1.0), (1e300, 1.0), (1.0, 1e36), (1.0, 1e300)])
def test_an_absurd_value_costs_its_pixel_only(flux, ivar, caplog):
    reference = oracle.draw(oracle.known_model(4, 2), 200, masked=0)
    fluxes, ivars = reference.spectra.flux.copy(), reference.spectra.ivar.copy()
    fluxes[3, 1] *= flux
    ivars[3, 1] = ivar
    spectra = replace(reference.spectra, flux=fluxes, ivar=ivars)
    model = train(ReferenceSet(spectra, reference.labels))
    assert model.determined.tolist() == [True, False, True, True]
    np.testing.assert_allclose(model.scatter[[0, 2, 3]], train(reference).scatter[[0, 2, 3]], rtol=1e-6)
    assert "1 pixels with a flux or ivar above" in caplog.text


@pytest.mark.parametrize("junk", [1e160, 1e308])
@pytest.mark.parametrize("limit", [label_fit.PRODUCTS_LIMIT, 0])
def test_masked_flux_may_be_anything(junk, limit, monkeypatch):
    monkeypatch.setattr(label_fit, "PRODUCTS_LIMIT", limit)
    truth = oracle.known_model(40, 3)
    reference = oracle.draw(truth, 100)
    spectra = reference.spectra
    dirty = replace(spectra, flux=np.where(spectra.ivar > 0, spectra.flux, junk))
    one, two = train(reference), train(ReferenceSet(dirty, reference.labels))
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    starts = reference.labels.values[:2]
    expected = infer(truth, spectra[:20], starts).labels.values
    np.testing.assert_array_equal(infer(truth, dirty[:20], starts).labels.values, expected)


@pytest.mark.parametrize("value", [1e3, 1e4, 1e7])
def test_an_absurd_label_is_no_crash(value):
    truth = oracle.known_model(8, 3, 3)
    reference = oracle.draw(truth, 400)
    values = reference.labels.values.copy()
    values[0] = truth.pivots + value * truth.scales
    model = train(ReferenceSet(reference.spectra, Labels(reference.ids, truth.label_names, values)), order=3)
    assert (model.coefficients[~model.determined] == 0).all()


def test_a_label_that_cannot_be_meant_is_refused_by_name():
    reference = oracle.draw(oracle.known_model(4, 2), 60)
    values = reference.labels.values.copy()
    values[7, 1] = 1e38
    labels = Labels(reference.ids, reference.labels.names, values)
    with pytest.raises(ValueError, match=r"'logg' of star 'star00007' is 1e\+38"):
        train(ReferenceSet(reference.spectra, labels))


def test_a_missing_value_taken_for_a_label_is_no_crash():
    truth = oracle.known_model(8, 5, 3)
    reference = oracle.draw(truth, 400)
    values = reference.labels.values.copy()
    values[:2, [2, 4]] = -9999
    assert len(
        train(ReferenceSet(reference.spectra, Labels(reference.ids, truth.label_names, values)), order=3).scatter
    )


# --- subsets that keep little


@pytest.mark.parametrize("share", [1e-6, 1e-12, 1e-18, 1e-24])
def test_a_subset_without_the_stars_that_weigh_most(share):
    reference = oracle.draw(oracle.known_model(24, 2, 1), 60, masked=0)
    ivar = reference.spectra.ivar.copy()
    ivar[8:] *= share
    reference = ReferenceSet(replace(reference.spectra, ivar=ivar), reference.labels)
    kept = np.arange(60) >= 8
    model, alone = train_subsets(reference, kept[None], order=1)[0], train(reference[kept], order=1)
    values = reference.labels.values
    np.testing.assert_allclose(model.model_flux(values), alone.model_flux(values), atol=2e-5)
    np.testing.assert_allclose(model.scatter, alone.scatter, rtol=1e-5, atol=1e-8)
