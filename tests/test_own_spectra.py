"""Spectra as people have them: gaps between detectors, rounded wavelengths, columns of arrays, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty

import oracle
from labeltransfer import Spectra
from labeltransfer.cannon.model import CannonModel
from labeltransfer.inference import infer
from labeltransfer.labels import Labels
from labeltransfer.spectra import resample

TWO_DETECTORS = np.r_[np.arange(5050, 5100, 0.8), np.arange(5160, 5250, 0.8)]
REFERENCE = oracle.draw(oracle.known_model(60), 40)
GRID = np.arange(5070.0, 5082.0, 0.2)
MODEL = replace(oracle.known_model(60), wavelength=GRID)
FLUX = 1 + 0.1 * np.sin(np.arange(180.0)).reshape(3, 60)


# --- gaps


@pytest.mark.parametrize(
    ("wavelength", "gap"),
    [
        (TWO_DETECTORS, (5099.6, 5160)),
        (np.r_[5050.0, TWO_DETECTORS[70:]], (5050, TWO_DETECTORS[70])),
        (np.r_[TWO_DETECTORS[:63], 5130.0, TWO_DETECTORS[63:]], (5099.6, 5130)),
        (np.delete(TWO_DETECTORS, np.s_[100:106]), (TWO_DETECTORS[99], TWO_DETECTORS[106])),
    ],
)
def test_a_gap_is_masked_but_for_its_ends(wavelength, gap):
    grid = np.arange(5051, 5240, 0.8)
    inside = (grid > gap[0] + 1e-6) & (grid < gap[1] - 1e-6)
    assert inside.any()
    flux, ivar = resample(wavelength, np.ones(wavelength.size), np.ones(wavelength.size), grid)
    assert not flux[inside].any()
    assert not ivar[inside].any()
    ends = resample(wavelength, np.ones(wavelength.size), np.ones(wavelength.size), np.array(gap))[1]
    assert ends.tolist() == [1, 1]


def test_a_gap_of_one_star_is_masked_on_the_grid_of_another():
    grids = np.array([np.linspace(5050, 5249, TWO_DETECTORS.size), TWO_DETECTORS])
    spectra = Spectra.from_arrays(grids, np.ones(grids.shape), np.ones(grids.shape))
    inside = (spectra.wavelength > 5100) & (spectra.wavelength < 5159)
    assert spectra.good_pixels[0] == TWO_DETECTORS.size
    assert not spectra.ivar[1, inside].any()


@pytest.mark.parametrize(
    "wavelength",
    [
        np.geomspace(3700, 9100, 400),
        np.r_[np.arange(5000, 5050, 0.4), np.arange(5050.5, 5100, 1.2)],
        np.sort(np.r_[np.arange(5000, 5050, 0.8), np.arange(5030.1, 5100, 0.8)]),
        np.delete(np.arange(5000, 5100, 0.5), [20, 40, 41, 60, 61, 62]),
        np.array([5000.0, 5090.0]),
    ],
)
def test_steps_that_vary_are_no_gap(wavelength):
    grid = np.linspace(wavelength[0], wavelength[-1], 999)
    assert (resample(wavelength, np.ones(wavelength.size), np.ones(wavelength.size), grid)[1] > 0).all()


# --- wavelengths that are nearly those of a model


@pytest.mark.parametrize("wavelength", [(GRID * 1.0000001).astype("f4"), GRID.round(3), GRID + 0.001])
def test_rounded_wavelengths_are_those_of_the_model(wavelength):
    spectra = replace(REFERENCE.spectra, wavelength=GRID)
    rounded = replace(spectra, wavelength=wavelength)
    fits = [infer(MODEL, one, MODEL.pivots) for one in (spectra, rounded)]
    np.testing.assert_array_equal(fits[0].labels.values, fits[1].labels.values)


@pytest.mark.parametrize(
    ("wavelength", "why"),
    [
        (GRID[1:], "found 59 pixels, wanted 60"),
        (GRID + 0.01, "they differ by up to 0.01 Å, 0.05 of a pixel"),
        (np.r_[GRID[:30], GRID[30:] + 0.1], "they differ by up to 0.1 Å, 0.5 of a pixel"),
    ],
)
def test_other_wavelengths_are_told_by_how_much_they_differ(wavelength, why):
    assert MODEL.why_other_pixels(wavelength) == why


def test_the_step_at_a_gap_is_that_of_the_detector():
    gap = CannonModel(**{**vars(MODEL), "wavelength": np.where(GRID < 5076, GRID, GRID + 100)})
    off = gap.wavelength + np.where(np.abs(GRID - 5075.8) < 0.01, 0.1, 0.0)
    assert gap.why_other_pixels(off) == "they differ by up to 0.1 Å, 0.5 of a pixel"


# --- arrays of other people's kinds


@pytest.mark.parametrize("columns", [lambda rows: pytest.importorskip("pandas").Series(list(rows)), "objects"])
def test_a_column_of_arrays_is_stacked(columns):
    def column(rows):
        if columns != "objects":
            return columns(rows)
        made = np.empty(len(rows), object)
        made[:] = list(rows)
        return made

    spectra = Spectra.from_arrays(GRID, column(FLUX), error=column(0.01 + 0 * FLUX), mask=column(FLUX > 1.05))
    np.testing.assert_array_equal(spectra.flux, np.where(FLUX > 1.05, 0.0, FLUX))
    with pytest.raises(ValueError, match="flux: found rows of different lengths"):
        Spectra.from_arrays(GRID, column([*FLUX[:2], FLUX[2, 1:]]), error=0.01)


def test_a_column_of_names_among_the_pixels_is_named():
    frame = pytest.importorskip("pandas").DataFrame(FLUX)
    frame.insert(0, "star", ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"flux: column 'star' holds str, wanted numbers; leave it out.* as ids="):
        Spectra.from_arrays(GRID, frame, error=0.01)


@pytest.mark.parametrize("column_of_arrays", [False, True])
def test_an_index_names_spectra_as_it_names_labels(column_of_arrays):
    """Rows that were shuffled, or cut, keep their names in a DataFrame; so spectra and labels stay together."""
    pandas = pytest.importorskip("pandas")

    def stars(values):
        frame = pandas.Series(list(values)).to_frame("flux") if column_of_arrays else pandas.DataFrame(values)
        frame = frame.iloc[[2, 0]]
        return frame["flux"] if column_of_arrays else frame

    labels = Labels.from_table(pandas.DataFrame({"teff": [4000.0, 4500.0, 5000.0]}).iloc[[2, 0]])
    spectra = Spectra.from_arrays(GRID, stars(FLUX), error=stars(0.01 + 0 * FLUX))
    assert spectra.ids.tolist() == labels.ids.tolist() == ["2", "0"]
    np.testing.assert_array_equal(spectra.flux, FLUX[[2, 0]])
    assert Spectra.from_arrays(GRID, stars(FLUX), error=0.01, ids=["a", "b"]).ids.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="error: its index is not that of flux; wanted the same stars in the same ord"):
        Spectra.from_arrays(GRID, stars(FLUX), error=stars(0.01 + 0 * FLUX)[::-1])


@pytest.mark.parametrize("table", [REFERENCE.labels, REFERENCE])
def test_one_row_of_labels_is_asked_for_as_several_too(table):
    with pytest.raises(TypeError, match=r"found row 1, wanted a slice, a mask or several rows, as .*\[\[1\]\]"):
        table[1]
    assert len(table[[1]]) == 1


def test_uncertainties_of_astropy():
    expected = Spectra.from_arrays(GRID, FLUX, error=0.01 * FLUX).ivar
    for given in ({"error": StdDevUncertainty(0.01 * FLUX)}, {"ivar": InverseVariance((0.01 * FLUX) ** -2)}):
        np.testing.assert_allclose(Spectra.from_arrays(GRID, FLUX, **given).ivar, expected)
    for given in ({"error": VarianceUncertainty(FLUX)}, {"ivar": StdDevUncertainty(FLUX)}):
        with pytest.raises(TypeError, match=r"found .*Uncertainty, wanted StdDevUncertainty as error=, or Inverse"):
            Spectra.from_arrays(GRID, FLUX, **given)


@pytest.mark.parametrize("row", [0, -1, np.int64(2)])
def test_one_row_is_asked_for_as_several(row):
    spectra = Spectra.from_arrays(GRID, FLUX, error=0.01)
    with pytest.raises(TypeError, match=rf"found row {row}, wanted a slice.* as spectra\[\[{row}\]\]"):
        spectra[row]
    assert len(spectra[[row]]) == 1


def test_a_model_takes_labels_in_any_order():
    values = REFERENCE.labels.values[:3]
    names = MODEL.label_names
    turned = Labels(["a", "b", "c"], names[::-1], values[:, ::-1])
    for method in (MODEL.model_flux, MODEL.gradient, MODEL.label_vector):
        np.testing.assert_array_equal(method(turned), method(values))
    with pytest.raises(ValueError, match=f"no label '{names[0]}'"):
        MODEL.model_flux(turned.select(names[1:]))


@pytest.mark.parametrize("given", [{"unit": "AA"}, {"unit": "nm"}])
def test_the_unit_of_short_wavelengths_is_believed_if_stated(given):
    factor = {"AA": 1, "nm": 10}[given["unit"]]
    spectra = Spectra.from_arrays(np.linspace(1514, 1696, 60), FLUX, error=0.01, **given)
    np.testing.assert_allclose(spectra.wavelength[[0, -1]], factor * np.array([1514, 1696]))


def test_merged_exposures_have_no_gaps():
    rng = np.random.default_rng(3)
    for visits in (2, 6, 12):
        merged = np.unique(
            np.concatenate([np.arange(5000, 5100, 0.1) * (1 + v / 3e5) for v in rng.uniform(-30, 30, visits)])
        )
        grid = np.arange(5002, 5098, 0.0937)
        assert (resample(merged, np.ones(merged.size), np.ones(merged.size), grid)[1] > 0).all()


def test_gaps_with_islands_between_them_are_all_found():
    wavelength = np.array([x for x in range(4000, 4200) if not 4050 <= x < 4150 or x in (4075, 4100, 4125)], float)
    inside = np.array([4060.5, 4085.5, 4110.5, 4130.5])
    grid = np.sort(np.r_[np.arange(4000.5, 4199), inside + 0.1])
    _, ivar = resample(wavelength, np.ones(wavelength.size), np.ones(wavelength.size), grid)
    assert (ivar[np.isin(grid, inside + 0.1)] == 0).all()
    assert (ivar[(grid < 4049) | (grid > 4150)] > 0).all()
