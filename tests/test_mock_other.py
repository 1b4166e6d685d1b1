"""Another survey than LAMOST, single elements, and the noise of APOGEE's labels."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from labeltransfer.files import read_arrays
from labeltransfer.mock import SimulatedSurvey, SyntheticGrid, other_survey
from labeltransfer.mock.elements import ELEMENT_SCATTER, ELEMENTS, ELEMENTS_FILE
from labeltransfer.mock.grid import corrected_grid
from labeltransfer.mock.other_survey import DETECTORS, FILES, LABEL_ERRORS


@pytest.fixture(scope="module")
def other():
    return other_survey(np.random.default_rng(4), 300)


def test_another_survey_has_gaps_lost_pixels_and_unknown_labels(other):
    wavelength, flux, error, table = other
    assert flux.shape == error.shape == (300, wavelength.size)
    assert np.allclose(np.diff(wavelength), 0.5)
    gap = (wavelength > DETECTORS[0][1] + 0.1) & (wavelength < DETECTORS[1][0])
    assert np.isnan(flux[:, gap]).all()
    assert 0.003 < np.isnan(flux[:, ~gap]).mean() < 0.03
    np.testing.assert_array_equal(np.isnan(flux), np.isnan(error))
    assert (error[np.isfinite(error)] > 0).all()
    for name in LABEL_ERRORS:
        assert table[name].unit == ("K" if name == "teff" else "dex")
        assert 0 < np.isnan(table[name]).sum() < 20
    assert len(set(table["star"])) == 300


def test_the_errors_of_another_survey_are_what_they_say(other):
    _, flux, error, table = other
    step = np.diff(flux, 2, axis=1) / np.sqrt(error[:, 2:] ** 2 + 4 * error[:, 1:-1] ** 2 + error[:, :-2] ** 2)
    faint = np.nanmedian(flux / error, axis=1) < 60
    assert 0.9 < 1.4826 * np.nanmedian(np.abs(step[faint])) < 1.6, "noise, and curvature of lines at least"
    for name in LABEL_ERRORS:
        pull = (np.asarray(table[name]) - np.asarray(table.meta["truth"][name])) / np.asarray(table[f"{name}_err"])
        assert 0.85 < np.nanstd(pull) < 1.15, name


def test_another_survey_has_more_than_twice_the_resolution():
    """One giant of both grids, as computed: smoothed to R = 1800 the spectra are the same."""
    label = np.array([[4500.0, 2.5, 0.2, 0.0]])
    narrow, wide = corrected_grid(None, *FILES), SyntheticGrid.load(corrected=False)
    even = np.arange(5060.0, 5440.0, 0.1)
    fine = CubicSpline(narrow.wavelength, narrow.flux(label)[0])(even)
    blurred = gaussian_filter1d(fine, np.sqrt(1 / 1800**2 - 1 / 4000**2) * 5250 / 2.3548 / 0.1)
    inside = (wide.wavelength > 5100) & (wide.wavelength < 5400)
    coarse = wide.flux(label)[0, inside]
    ratio = coarse / np.interp(wide.wavelength[inside], even, blurred)
    assert np.std(ratio) / np.mean(ratio) < 0.004
    assert np.std(np.log(fine)) > 1.1 * np.std(np.log(coarse)), "its lines are deeper"


def test_another_survey_is_decided_by_its_generator(other):
    again = other_survey(np.random.default_rng(4), 300)
    np.testing.assert_array_equal(again[1], other[1])
    with pytest.raises(ValueError, match="n_stars: found 0"):
        other_survey(np.random.default_rng(4), 0)


def test_elements_change_their_own_lines():
    """Magnesium the triplet; calcium the infrared triplet; carbon the G band; nitrogen CN near 4215 Å."""
    grid = SyntheticGrid.load()
    label = np.array([[4750.0, 2.5, 0.0, 0.03]])
    usual = grid.flux(label)[0]
    for element, low, high in (
        ("mg", 5160, 5190), ("ca", 8535, 8550), ("c", 4290, 4320), ("n", 4190, 4216), ("ti", 4980, 5025),
    ):  # fmt: skip
        more = np.zeros((1, len(ELEMENTS)))
        more[0, ELEMENTS.index(element)] = 0.1
        change = np.log(grid.flux(label, more)[0] / usual)
        here = (grid.wavelength > low) & (grid.wavelength < high)
        assert change[here].mean() < -1e-3, element
        elsewhere = (grid.wavelength > 5900) & (grid.wavelength < 6100)
        assert change[here].mean() < 2 * change[elsewhere].mean(), element


@pytest.mark.parametrize("path", [ELEMENTS_FILE, FILES[1]], ids=lambda path: path.stem)
def test_what_the_element_spectra_miss_is_said(path):
    arrays, facts = read_arrays(path, "ElementSpectra")
    assert len(arrays["coefficients"]) == len(ELEMENTS) + 1
    assert path.stat().st_size < 3e6
    assert [line.split(":")[0] for line in facts["missed"]] == [*ELEMENTS, "vmic"]


def test_stars_of_equal_labels_differ_by_their_elements():
    survey = SimulatedSurvey(n_overlap=800, n_dr2=300, n_apogee=800, seed=3)
    stars = survey.stars
    scatter = stars.elements[:800].std(axis=0)
    np.testing.assert_allclose(scatter, list(ELEMENT_SCATTER.values()), rtol=0.12)
    assert np.corrcoef(stars.elements[:800, 0], stars.elements[:800, 1])[0, 1] < -0.4
    assert not stars.elements[~stars.giant].any()
    before = survey.spectra([0, 1]).flux
    stars.elements[0] += 0.1
    after = survey.spectra([0, 1]).flux
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.statistical
def test_noise_of_apogees_labels_is_correlated_scaled_and_said():
    def noise(scale):
        survey = SimulatedSurvey(n_overlap=4000, n_dr2=0, n_apogee=4000, seed=3, label_noise=scale, duplicate_share=0.0)
        table = survey.allstar()
        row = {
            (round(r, 3), round(d, 3)): n
            for n, (r, d) in enumerate(zip(survey.stars.ra, survey.stars.dec, strict=True))
        }
        star = np.array(
            [row.get((round(r, 3), round(d, 3)), -1) for r, d in zip(table["ra"], table["dec"], strict=True)]
        )
        names = ("teff", "logg", "fe_h", "alpha_m")
        labels = np.column_stack([np.asarray(table[name]) for name in names])[star >= 0]
        errors = np.column_stack([np.asarray(table[f"{name}_err"]) for name in names])[star >= 0]
        drawn = survey.stars.drawn[star[star >= 0]]
        warm = np.isfinite(labels[:, 0]) & (drawn[:, 0] > 4250) & (drawn[:, 3] > 0.0)
        return (labels - drawn)[warm], errors[warm]

    found, errors = noise(1.0)
    core = np.abs(found / errors).max(axis=1) < 4
    np.testing.assert_allclose((found / errors)[core].std(axis=0), 1.0, atol=0.06)
    correlation = np.corrcoef(found[core].T)
    assert abs(correlation[0, 2] - 0.68) < 0.06
    assert abs(correlation[0, 1] - 0.55) < 0.06
    quiet, _ = noise(0.0)
    assert np.median(np.abs(quiet[:, 0])) < 0.1
