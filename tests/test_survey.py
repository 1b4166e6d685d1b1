import numpy as np
import pytest

from labeltransfer import Spectra
from labeltransfer.archive import open_survey
from labeltransfer.cannon import train
from labeltransfer.continuum import normalize
from labeltransfer.inference import infer, starting_points
from labeltransfer.reference import ReferenceSet
from labeltransfer.survey import infer_survey

SIZES = {"n_overlap": 150, "n_dr2": 60, "n_apogee": 300, "seed": 5}
NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def survey():
    return open_survey("simulated", label_names=NAMES, **SIZES)


@pytest.fixture(scope="module")
def trained(survey):
    overlap = survey.overlap()
    reference = ReferenceSet.join(normalize(overlap.spectra), overlap.labels)
    return train(reference), starting_points(reference.labels, 3, rng=np.random.default_rng(1))


def same(first, second):
    assert first.labels.ids.tolist() == second.labels.ids.tolist()
    for name in ("values", "covariance"):
        np.testing.assert_array_equal(getattr(first.labels, name), getattr(second.labels, name))
    for name in ("chi2", "n_pixels", "converged", "start"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_survey_is_labelled_as_one_set_of_spectra_would_be(survey, trained):
    model, starts = trained
    rows = np.arange(100, 210)
    fit = infer_survey(model, survey.dr2_blocks(rows, 40), starts, total=rows.size, progress=False)
    spectra = next(survey.dr2_blocks(rows, 1000))
    whole = infer(model, normalize(spectra), starts)
    assert fit.labels.ids.tolist() == whole.labels.ids.tolist()
    np.testing.assert_array_equal(fit.converged, whole.converged)
    both = fit.converged & whole.converged
    assert both.sum() > 50
    shift = np.abs(fit.labels.values - whole.labels.values)[both] / whole.labels.errors[both]
    assert np.median(shift) < 1e-3


def test_spectra_that_are_normalized_are_taken_as_they_are(survey, trained):
    model, starts = trained
    blocks = [normalize(block) for block in survey.dr2_blocks(slice(0, 30), 10)]
    same(
        infer_survey(model, blocks, starts, progress=False),
        infer_survey(model, survey.dr2_blocks(slice(0, 30), 10), starts, progress=False),
    )


def test_a_star_without_good_pixels_fails_alone(survey, trained):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    flux, ivar = block.flux.copy(), block.ivar.copy()
    ivar[4], flux[4] = 0.0, 0.0
    fit = infer_survey(model, [Spectra(block.ids, block.wavelength, flux, ivar)], starts, progress=False)
    assert not fit.converged[4]
    assert np.isnan(fit.labels.values[4]).all()
    others = np.arange(10) != 4
    expected = infer_survey(model, [block], starts, progress=False)
    moved = (fit.labels.values - expected.labels.values) / expected.labels.errors
    np.testing.assert_allclose(moved[others], 0, atol=1e-4)


def one_pixel(array, value):
    return np.where(np.arange(array.size) == 1800, value, array)


ABSURD = {
    "huge flux": lambda flux, ivar: (flux * 1e30, ivar),
    "huge inverse variance": lambda flux, ivar: (flux, np.minimum(ivar * 1e36, 3e38)),
    "everything huge": lambda flux, ivar: (np.full(flux.size, 3e38), np.full(flux.size, 3e38)),
    "negative flux": lambda flux, ivar: (-flux, ivar),
    "no flux": lambda flux, ivar: (0 * flux, ivar),
    "tiny flux": lambda flux, ivar: (flux * 1e-40, ivar),
    "one huge pixel": lambda flux, ivar: (one_pixel(flux, 1e38), ivar),
    "one huge inverse variance": lambda flux, ivar: (flux, one_pixel(ivar, 3e38)),
    "five pixels": lambda flux, ivar: (flux, np.where(np.arange(flux.size) < 5, ivar, 0)),
    "one pixel": lambda flux, ivar: (flux, np.where(np.arange(flux.size) < 1, ivar, 0)),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_spectrum_stops_nothing_and_changes_no_other_star(survey, trained, what):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    flux, ivar = block.flux.astype(float), block.ivar.astype(float)
    flux[4], ivar[4] = ABSURD[what](flux[4], ivar[4])
    spoilt = Spectra(block.ids, block.wavelength, flux.astype(np.float32), ivar.astype(np.float32))
    spoilt.signal_to_noise()
    fit = infer_survey(model, [spoilt], starts, progress=False)
    expected = infer_survey(model, [block], starts, progress=False)
    others = np.arange(10) != 4
    np.testing.assert_array_equal(fit.labels.values[others], expected.labels.values[others])


def test_spectra_in_physical_units_give_the_same_labels(survey, trained):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    scaled = Spectra(block.ids, block.wavelength, block.flux * np.float32(2.0**-56), block.ivar * np.float32(2.0**112))
    fit = infer_survey(model, [scaled], starts, progress=False)
    expected = infer_survey(model, [block], starts, progress=False)
    np.testing.assert_array_equal(fit.labels.values, expected.labels.values)


def test_no_block_at_all_is_refused(trained):
    with pytest.raises(ValueError, match="found no spectra, wanted at least one block"):
        infer_survey(trained[0], iter(()), trained[1], progress=False)
