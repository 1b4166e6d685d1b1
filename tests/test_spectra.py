import numpy as np
import pytest
from astropy import units
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labeltransfer import Spectra, lamost, normalize
from labeltransfer.mock import SyntheticGrid
from labeltransfer.spectra import air_to_vacuum, resample, rest_frame

GRID = np.arange(4000.0, 4006.0)


def some(dtype=np.float32):
    flux = np.array([np.full(6, 2.0), np.arange(6.0), np.zeros(6)], dtype)
    ivar = np.array([np.full(6, 4.0), [0, 0, 1, 1, 1, 0], np.zeros(6)], dtype)
    return Spectra(("a", "b", "c"), GRID, flux, ivar)


def test_signal_to_noise_is_the_median_over_good_pixels():
    spectra = some()
    assert spectra.signal_to_noise()[:2].tolist() == [4.0, 3.0]
    assert np.isnan(spectra.signal_to_noise()[2])
    assert spectra.good_pixels.tolist() == [6, 3, 0]


def test_rows_and_windows():
    assert some()[1:].ids.tolist() == ["b", "c"]
    window = some().window(4001.0, 4003.0)
    assert window.wavelength.tolist() == [4001.0, 4002.0, 4003.0]
    assert window.flux.shape == (3, 3)
    with pytest.raises(ValueError, match="no pixel between 1 and 2"):
        some().window(1, 2)


def test_nothing_can_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        some().flux[0, 0] = 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_written_and_read_again(tmp_path, dtype):
    spectra = some(dtype)
    spectra.write(tmp_path / "spectra.npz")
    again = Spectra.read(tmp_path / "spectra.npz")
    assert again.flux.dtype == dtype
    for name in ("ids", "wavelength", "flux", "ivar"):
        np.testing.assert_array_equal(getattr(again, name), getattr(spectra, name))
    assert not again.normalized


def changed(**changes):
    return {"ids": ("a",), "wavelength": GRID, "flux": np.ones((1, 6)), "ivar": np.ones((1, 6)), **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flux": np.ones((1, 5))}, r"flux has shape \(1, 5\), wanted \(1, 6\)"),
        ({"ivar": np.ones((2, 6))}, r"ivar has shape \(2, 6\), wanted \(1, 6\)"),
        ({"flux": np.full((1, 6), np.nan)}, "flux holds NaN or infinity"),
        ({"flux": np.array([[np.inf, -np.inf, 0, 0, 0, 0]])}, "flux holds NaN or infinity"),
        ({"ivar": np.full((1, 6), np.inf)}, "ivar holds NaN or infinity"),
        ({"ivar": np.array([[1, 1, -1, 1, 1, 1.0]])}, "ivar holds negative values"),
        ({"wavelength": GRID[::-1]}, "wavelength must be"),
        ({"wavelength": np.array([1, 2, np.nan, 4, 5, 6])}, "wavelength must be"),
        ({"ids": ("a", "a")}, "more than once"),
    ],
)
def test_wrong_spectra_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Spectra(**changed(**change))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_finite_values_are_not_taken_for_infinity(dtype):
    Spectra(**changed(flux=np.full((1, 6), np.finfo(dtype).max, dtype)))


def test_an_empty_set_is_a_set():
    spectra = Spectra(np.array([], dtype=str), GRID, np.zeros((0, 6)), np.zeros((0, 6)))
    assert len(spectra) == 0
    assert spectra.signal_to_noise().shape == (0,)


def test_rest_frame_divides_by_one_plus_z():
    np.testing.assert_allclose(rest_frame(np.array([5000.0]), 1e-3), 5000 / 1.001)


# --- resampling


def test_a_straight_line_stays_one():
    wavelength = np.sort(np.random.default_rng(1).uniform(4000, 4100, 200))
    grid = np.linspace(4005, 4095, 301)
    flux, ivar = resample(wavelength, 2 * wavelength - 1, 3 * wavelength, grid, float)
    np.testing.assert_allclose(flux, 2 * grid - 1)
    np.testing.assert_allclose(ivar, 3 * grid)


def test_the_same_grid_gives_the_same_values():
    rng = np.random.default_rng(2)
    flux, ivar = rng.normal(size=6), rng.uniform(1, 2, 6)
    ivar[3] = 0.0
    new_flux, new_ivar = resample(GRID, flux, ivar, GRID, float)
    np.testing.assert_array_equal(new_flux, np.where(ivar > 0, flux, 0.0))
    np.testing.assert_array_equal(new_ivar, ivar)


def test_outside_the_spectrum_there_is_nothing():
    flux, ivar = resample(GRID, np.ones(6), np.ones(6), np.array([3999.9, 4000.0, 4005.0, 4005.1]), float)
    assert flux.tolist() == [0, 1, 1, 0]
    assert ivar.tolist() == [0, 1, 1, 0]
    assert resample(GRID[:1], np.ones(1), np.ones(1), GRID)[1].tolist() == [0] * 6
    assert resample(GRID[:0], np.ones(0), np.ones(0), GRID)[1].tolist() == [0] * 6


def resample_by_loops(wavelength, flux, ivar, grid):
    good = (ivar > 0) & np.isfinite(ivar) & np.isfinite(flux)
    new = np.zeros((2, grid.size))
    for p, place in enumerate(grid):
        for i in range(wavelength.size - 1):
            low, high = wavelength[i], wavelength[i + 1]
            if low <= place <= high:
                share = (place - low) / (high - low)
                if (share == 1 or good[i]) and (share == 0 or good[i + 1]):
                    pair = [(1 - share if share < 1 else 0, i), (share, i + 1)]
                    new[:, p] = [sum(s * a[j] for s, j in pair if s > 0) for a in (flux, ivar)]
    return new


spoilt = st.floats(-1e3, 1e3) | st.sampled_from([0.0, -1.0, np.nan, np.inf])


@settings(max_examples=100, deadline=None)
@given(
    arrays(float, 6, elements=spoilt),
    arrays(float, 6, elements=spoilt),
    arrays(float, 9, elements=st.floats(3999, 4006)),
)
def test_resampling_is_the_loop_it_should_be_and_always_finite(flux, ivar, places):
    grid = np.unique(places)
    new = np.array(resample(GRID, flux, ivar, grid, float))
    np.testing.assert_allclose(new, resample_by_loops(GRID, flux, ivar, grid), rtol=1e-12, atol=1e-12)
    assert np.isfinite(new).all()
    assert (new[1] >= 0).all()
    masked = ~((ivar > 0) & np.isfinite(ivar) & np.isfinite(flux))
    again = np.array(resample(GRID, np.where(masked, -77.0, flux), np.where(masked, 0.0, ivar), grid, float))
    np.testing.assert_array_equal(new, again)


def test_values_too_large_for_single_precision_are_masked_not_infinite():
    flux, ivar = resample(GRID, np.full(6, 1e200), np.full(6, 1e-300), GRID)
    assert np.isfinite(flux).all()
    assert not flux[ivar == 0].any()


# --- from arrays of any kind


def test_masked_arrays_lose_their_masked_pixels():
    bad = np.array([[False, True, False, False, False, False]])
    flux = np.ma.masked_array(np.full((1, 6), 2.0, np.float32), bad)
    hidden = np.ma.masked_array(np.full((1, 6), 4.0, np.float32), bad[:, ::-1])
    for spectra in (Spectra(["a"], GRID, flux, hidden), Spectra.from_arrays(GRID, flux, hidden, ids=["a"])):
        assert spectra.ivar.tolist() == [[4, 0, 4, 4, 0, 4]]
        assert spectra.flux.tolist() == [[2, 0, 2, 2, 0, 2]]
        assert spectra.flux.dtype == np.float32


@pytest.mark.parametrize("unit", ["nm", "um", "AA"])
def test_wavelengths_in_other_units_are_converted(unit):
    wavelength = (GRID * units.AA).to(unit)
    np.testing.assert_allclose(Spectra(["a"], wavelength, np.ones((1, 6)), np.ones((1, 6))).wavelength, GRID)
    np.testing.assert_allclose(Spectra.from_arrays(wavelength, np.ones(6), np.ones(6)).wavelength, GRID)
    np.testing.assert_allclose(
        Spectra.from_arrays(wavelength.value, np.ones(6), np.ones(6), unit=unit).wavelength, GRID
    )
    with pytest.raises(ValueError, match="found K, wanted AA"):
        Spectra(["a"], GRID * units.K, np.ones((1, 6)), np.ones((1, 6)))


def test_flux_with_a_unit_wants_an_error_with_one():
    unit = units.Unit("erg s-1 cm-2 AA-1")
    flux, error = np.full((1, 6), 2e-15) * unit, np.full((1, 6), 1e-16) * unit
    spectra = Spectra.from_arrays(GRID, flux, error=error.to("W m-2 um-1"))
    np.testing.assert_allclose(spectra.signal_to_noise(), 20.0)
    np.testing.assert_allclose(Spectra(["a"], GRID, flux, error**-2).signal_to_noise(), 20.0)
    for make in (
        lambda: Spectra(["a"], GRID, flux, np.ones((1, 6))),
        lambda: Spectra.from_arrays(GRID, flux, np.ones(6)),
    ):
        with pytest.raises(TypeError, match="no unit; wanted both"):
            make()


def test_what_is_not_finite_or_masked_is_masked_in_every_way():
    flux, error = np.full((2, 6), 1.0), np.full((2, 6), 0.1)
    flux[0, 0], flux[0, 1], error[0, 2], error[0, 3], error[0, 4] = np.nan, np.inf, np.nan, 0.0, -1.0
    spectra = Spectra.from_arrays(GRID, flux, error=error, mask=np.array([0, 0, 0, 0, 0, 8]))
    assert spectra.good_pixels.tolist() == [0, 5]
    assert spectra.ids.tolist() == ["0", "1"]
    np.testing.assert_allclose(spectra.ivar[1], [100, 100, 100, 100, 100, 0])


def test_falling_wavelengths_are_reversed_and_one_star_may_be_flat():
    spectra = Spectra.from_arrays(GRID[::-1], np.arange(6.0) + 1, np.full(6, 9.0), ids="HD 1")
    assert spectra.wavelength.tolist() == GRID.tolist()
    assert spectra.flux.tolist() == [[6, 5, 4, 3, 2, 1]]
    assert spectra.ids.tolist() == ["HD 1"]


def test_a_grid_for_each_star_is_interpolated_onto_the_first():
    grids = np.array([GRID, GRID + 0.5])
    spectra = Spectra.from_arrays(grids, grids - 3999.0, np.full((2, 6), 25.0))
    assert spectra.wavelength.tolist() == GRID.tolist()
    np.testing.assert_allclose(spectra.flux, [[1, 2, 3, 4, 5, 6], [0, 2, 3, 4, 5, 6]])
    assert spectra.good_pixels.tolist() == [6, 5]


def test_pandas_objects():
    pandas = pytest.importorskip("pandas")
    spectra = Spectra.from_arrays(
        pandas.Series(GRID), pandas.DataFrame([[1.0] * 5 + [None]]), error=pandas.DataFrame([[0.1] * 6])
    )
    assert spectra.good_pixels.tolist() == [5]


@pytest.mark.parametrize(("level", "error"), [(1.0, 0.01), (1000.0, 10.0), (1e-15, 1e-17), (1.0, 0.002)])
def test_errors_given_as_inverse_variances_and_the_reverse_are_refused(level, error):
    flux, spread = np.full((3, 6), level), np.full((3, 6), error)
    right = Spectra.from_arrays(GRID, flux, error=spread, ids=["x", "y", "z"])
    np.testing.assert_allclose(right.signal_to_noise(), level / error)
    np.testing.assert_allclose(Spectra.from_arrays(GRID, flux, spread**-2).signal_to_noise(), level / error)
    with pytest.raises(ValueError, match=r"star 'x' would have S/N .*; give it as error="):
        Spectra.from_arrays(GRID, flux, ivar=spread, ids=["x", "y", "z"])
    with pytest.raises(ValueError, match=r"star 'x' would have S/N .*; give it as ivar="):
        Spectra.from_arrays(GRID, flux, error=spread**-2, ids=["x", "y", "z"])


def cool_star(level, signal_to_noise, seed=3):
    """Flux and errors with photon noise, of a spectrum full of lines."""
    grid = SyntheticGrid.load()
    flux = grid.flux(np.array([[4500.0, 1.8, -0.3, 0.1]]))
    flux *= level / np.median(flux)
    error = np.sqrt(np.clip(flux / level, 0.05, None)) * level / signal_to_noise
    return grid.wavelength, flux + error * np.random.default_rng(seed).standard_normal(flux.shape), error


@pytest.mark.parametrize("signal_to_noise", [0.1, 0.5, 3.0, 100.0, 3000.0, 10_000.0])
def test_no_star_is_too_bright_or_too_faint_for_its_errors(signal_to_noise):
    for level in (1e-17, 1.0, 30.0, 300.0, 500.0, 1000.0, 5000.0, 1e6):
        wavelength, flux, error = cool_star(level, signal_to_noise)
        Spectra.from_arrays(wavelength, flux, error=error)
        Spectra.from_arrays(wavelength, flux, error**-2.0)


@pytest.mark.parametrize(("level", "signal_to_noise"), [(1.0, 5.0), (1.0, 800.0), (1000.0, 20.0), (1e-15, 100.0)])
def test_errors_of_a_star_that_are_mistaken_are_seen(level, signal_to_noise):
    wavelength, flux, error = cool_star(level, signal_to_noise)
    with pytest.raises(ValueError, match=r"star '0' would have S/N .*; give it as error="):
        Spectra.from_arrays(wavelength, flux, error)
    with pytest.raises(ValueError, match=r"star '0' would have S/N .*; give it as ivar="):
        Spectra.from_arrays(wavelength, flux, error=error**-2.0)


@pytest.mark.parametrize(("level", "signal_to_noise"), [(1.0, 30.0), (1000.0, 100.0), (1e-15, 100.0)])
def test_variances_are_seen(level, signal_to_noise):
    wavelength, flux, error = cool_star(level, signal_to_noise)
    with pytest.raises(ValueError, match=r"star '0' would have S/N .* is a variance; give its root as error="):
        Spectra.from_arrays(wavelength, flux, error**2.0)


def test_errors_of_real_spectra_are_never_taken_for_mistaken(real_spectra):
    files = sorted((real_spectra / "lamost_dr10_giants").glob("*.fits.gz"))[::4]
    files += sorted((real_spectra / "lamost_pilot").rglob("*.fits*"))[::8]
    spectra = lamost.read_spectra(files, progress=False).spectra
    for n in range(len(spectra)):
        flux, ivar = spectra.flux[n].astype(float), spectra.ivar[n].astype(float)
        level = np.median(flux[ivar > 0])
        for scale in (1.0, 1e-17 / level, 1.0 / level, 100.0 / level, 1e5 / level):
            Spectra.from_arrays(spectra.wavelength, scale * flux, ivar / scale**2)
        with pytest.raises(ValueError, match="give it as ivar="):
            Spectra.from_arrays(spectra.wavelength, flux / level, error=ivar * level**2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GRID, np.ones(6)), "found neither, wanted ivar or error"),
        ((GRID / 10, np.ones(6), np.ones(6)), "found 400 to 400.5, wanted Å.*unit='nm'"),
        ((GRID / 2.5, np.ones(6), np.ones(6)), "found 1600 to 1602, wanted Å.*unit='nm'.*unit='AA' if"),
        ((GRID[:5], np.ones(6), np.ones(6)), "wavelength has shape"),
        ((GRID, np.ones((2, 6)), np.ones((3, 6))), "ivar has shape"),
        ((np.where(GRID > 4002, GRID, np.nan), np.ones(6), np.ones(6)), "some are masked, NaN or infinite"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Spectra.from_arrays(*arguments)


def test_detectors_are_normalized_apart_and_joined():
    rng = np.random.default_rng(3)
    wavelength = np.r_[np.arange(5000.0, 5200.0), np.arange(5400.0, 5600.0)]
    level = np.where(wavelength < 5300, 1.0, 10.0)
    flux = level * (1 + 0.01 * rng.normal(size=(2, 400)))
    spectra = Spectra.from_arrays(wavelength, flux, error=0.01 * level)
    apart = normalize(spectra, segments=[(5400, 5600), (5000, 5199.5)])
    np.testing.assert_allclose(apart.flux.mean(axis=1), 1.0, atol=0.005)
    assert apart.wavelength.tolist() == wavelength.tolist()
    parts = [normalize(spectra.window(5000, 5200)), normalize(spectra.window(5400, 5600))]
    np.testing.assert_array_equal(Spectra.join_pixels(*parts).flux, apart.flux)
    with pytest.raises(ValueError, match="a wavelength occurs in two parts"):
        Spectra.join_pixels(spectra, spectra)
    with pytest.raises(ValueError, match="wanted the same stars in the same order, and all normalized or none"):
        Spectra.join_pixels(parts[0], spectra.window(5400, 5600))


def test_spectra_that_must_not_be_labelled_say_why():
    flux = np.array([[1.0, 2, 3, 4, 5, 6], [1] * 6, [1, 2, 0, 0, 0, 0], [0] * 6])
    ivar = np.array([[1.0] * 6, [1] * 6, [1, 0, 0, 0, 0, 0], [0] * 6])
    reasons = Spectra(list("abcd"), GRID, flux, ivar).unusable()
    assert reasons == ["", "constant flux", "only 1 of 6 pixels are good", "no good pixel"]


def test_air_to_vacuum_at_lines_whose_places_are_known():
    np.testing.assert_allclose(
        air_to_vacuum(np.array([4861.35, 6562.79, 8542.09])), [4862.71, 6564.60, 8544.44], atol=0.02
    )


def test_spectra_without_a_star_are_masked():
    rng = np.random.default_rng(0)
    flux = np.array([[1.0] * 6, [-3.0, -2, -3, -4, -3, -2], rng.normal(1, 0.1, 6)])
    masked = Spectra(list("abc"), GRID, flux, np.ones((3, 6))).masked_without_star()
    assert masked.good_pixels.tolist() == [0, 0, 6]
    assert masked.masked_without_star() is masked


def test_sentinels_are_no_flux():
    flux = np.where(np.arange(50) < 10, -9999.0, 100.0 + np.arange(50.0))
    spectra = Spectra.from_arrays(np.linspace(5000, 5100, 50), flux.astype(np.float32), error=1.0)
    assert spectra.good_pixels.tolist() == [40]


def test_inverse_variances_beyond_single_precision_are_kept():
    flux = np.full((2, 50), 1e-24, np.float32) * (1 + 0.1 * np.sin(np.arange(50)))
    spectra = Spectra.from_arrays(np.linspace(5000, 5100, 50), flux.astype(np.float32), error=1e-26)
    assert spectra.flux.dtype == np.float64
    np.testing.assert_allclose(spectra.signal_to_noise(), 100.0, rtol=0.1)


@pytest.mark.parametrize(
    ("wavelength", "flux", "message"),
    [
        (5000.0, 1.0, r"wavelength has shape \(\), flux \(1, 1\)"),
        ([], [], r"wavelength has shape \(0,\), flux \(1, 0\)"),
        ([[1.0, 2.0], [1.0]], [[1.0, 2.0], [1.0]], "found rows of different lengths"),
    ],
)
def test_arrays_that_are_no_spectra_are_refused(wavelength, flux, message):
    with pytest.raises(ValueError, match=message):
        Spectra.from_arrays(wavelength, flux, 1.0)


@pytest.mark.parametrize("unit", ["mag", "mag(AB)", "dex"])
def test_magnitudes_are_no_flux(unit):
    flux = units.Quantity(np.linspace(15, 16, 5), "mag").value * units.Unit(unit)
    with pytest.raises(TypeError, match="a logarithm; wanted the flux itself"):
        Spectra.from_arrays(np.linspace(5000, 5100, 5), flux, error=0.1)


def test_spectra_that_are_not_normalized_although_said_so():
    wavelength, flux = np.linspace(5000, 5100, 50), 900.0 + np.arange(100.0).reshape(2, 50)
    with pytest.raises(ValueError, match="said to be normalized, but their flux is 950"):
        Spectra.from_arrays(wavelength, flux, error=9.0, normalized=True)
    assert Spectra.from_arrays(wavelength, flux / 950, error=0.01, normalized=True).normalized


@pytest.mark.parametrize("ids", [[1.0, 2.0], [b"1", b"2 "], np.array([1, 2])])
def test_names_of_stars_are_text_however_they_are_given(ids):
    spectra = Spectra.from_arrays([5000.0, 5001.0], [[1.0, 2.0], [3.0, 4.0]], 1.0, ids=ids)
    assert spectra.ids.tolist() == ["1", "2"]


def test_lists_keep_the_units_and_masks_of_their_members():
    wavelength, flux = np.linspace(5000, 5100, 50), 1.0 + 0.1 * np.sin(np.arange(100.0)).reshape(2, 50)
    hidden = [np.ma.masked_greater(one, 1.05) for one in flux]
    assert (
        Spectra.from_arrays(wavelength, hidden, error=0.01).good_pixels.tolist() == (flux <= 1.05).sum(axis=1).tolist()
    )
    assert Spectra(["a", "b"], wavelength, hidden, 1e4 * np.ones((2, 50))).good_pixels[0] == (flux[0] <= 1.05).sum()
    jansky, milli = [one * units.Jy for one in flux], [np.full(50, 10.0) * units.mJy] * 2
    spectra = Spectra.from_arrays(wavelength, jansky, error=milli)
    np.testing.assert_allclose(spectra.ivar, 1e4)


def test_a_quantity_without_a_unit_is_a_plain_number():
    wavelength, flux = np.linspace(5000, 5100, 50), 1.0 + 0.1 * np.sin(np.arange(50.0))
    plain = units.dimensionless_unscaled
    for values in (flux * plain, flux):
        for error in (0.01 * plain, 0.01):
            np.testing.assert_allclose(Spectra.from_arrays(wavelength, values, error=error).ivar, 1e4)
    with pytest.raises(ValueError, match="found 500 to 510, wanted Å"):
        Spectra.from_arrays(wavelength / 10 * plain, flux, error=0.01)


@pytest.mark.parametrize("unit", ["parsnip", "kg"])
def test_a_unit_of_wavelengths_that_is_none_is_named(unit):
    with pytest.raises(ValueError, match=f"wavelength: found unit='{unit}', wanted one of length"):
        Spectra.from_arrays([500.0, 501.0], [1.0, 2.0], error=0.1, unit=unit)


def test_flux_too_large_for_inverse_variances_in_single_precision_is_kept():
    flux = np.full((2, 50), 1e25, np.float32) * (1 + 0.1 * np.sin(np.arange(50)))
    spectra = Spectra.from_arrays(np.linspace(5000, 5100, 50), flux.astype(np.float32), error=1e23)
    np.testing.assert_allclose(spectra.signal_to_noise(), 100.0, rtol=0.1)


def test_a_grid_of_each_star_may_be_padded_or_missing():
    grids = np.tile(np.linspace(5000, 5049, 50), (3, 1))
    flux = np.sin(grids)
    grids[0] = np.nan
    grids[1:, 48:] = 0.0
    spectra = Spectra.from_arrays(grids, flux, error=0.01)
    assert spectra.wavelength.tolist() == np.linspace(5000, 5047, 48).tolist()
    assert spectra.good_pixels.tolist() == [0, 48, 48]


@pytest.mark.parametrize("mask", [[["good", "bad"]], np.zeros((1, 2), "m8[s]")])
def test_a_mask_of_words_or_times_is_none(mask):
    with pytest.raises(TypeError, match="mask: found"):
        Spectra.from_arrays([5000.0, 5001.0], [1.0, 2.0], error=0.1, mask=mask)
    with pytest.raises(TypeError, match="flux: found times"):
        Spectra.from_arrays([5000.0, 5001.0], np.zeros((1, 2), "m8[s]"), error=0.1)


def test_text_of_variable_width_names_stars():
    ids = np.array(["a", "star two"], dtype=np.dtypes.StringDType())
    assert Spectra.from_arrays([5000.0, 5001.0], [[1.0, 2.0], [3.0, 4.0]], 1.0, ids=ids).ids.tolist() == [
        "a",
        "star two",
    ]


# --- numbers that stand for no flux, and units


def in_a_unit(unit, dtype=float):
    wavelength = 10 ** (3.6 + 1e-4 * np.arange(500))
    flux = 1.0 + 0.2 * np.sin(wavelength / 300) + np.random.default_rng(1).normal(0, 0.01, (2, 500))
    return wavelength, (flux * unit).astype(dtype), (np.full_like(flux, 0.01) * unit).astype(dtype)


@pytest.mark.parametrize(
    ("unit", "dtype"), [(1e31, float), (1e31, np.float32), (1e30, float), (1e42, float), (1e-60, float), (-1e31, float)]
)
def test_flux_in_a_unit_of_any_size_is_kept(unit, dtype):
    wavelength, flux, error = in_a_unit(unit, dtype)
    spectra = Spectra.from_arrays(wavelength, flux, error=np.abs(error))
    assert spectra.good_pixels.tolist() == [500, 500]
    if unit > 0:
        wavelength, flux, error = in_a_unit(1.0)
        expected = normalize(Spectra.from_arrays(wavelength, flux, error=error))
        np.testing.assert_allclose(normalize(spectra).flux, expected.flux, rtol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e-200, 1e-110, 1e120, 1e200])
@pytest.mark.parametrize("name", ["error", "ivar"])
def test_units_beyond_double_precision_are_refused(unit, name):
    wavelength, flux, error = in_a_unit(unit)
    with np.errstate(over="ignore", divide="ignore"):
        given = error if name == "error" else np.clip(error**-2.0, 1e-300, 1e300)
    with pytest.raises(ValueError, match=rf"flux .*e[-+]\d+ with {name} .*; give flux and error in another unit"):
        Spectra.from_arrays(wavelength, flux, **{name: given})


@pytest.mark.parametrize(
    ("unit", "value", "error", "kept"),
    [
        (1e3, -999.0, 900.0, True),
        (1e3, -9999.0, 9999.0, False),
        (1e3, -999.0, 1.0, False),
        (1e6, -9999.0, 1e4, False),
        (1e31, -9999.0, 1e29, False),
        (1.0, 9.97e36, 0.01, False),
        (1.0, 9.97e36, 9.97e36, False),
        (1e31, np.inf, 1e29, False),
    ],
)
def test_a_number_of_no_value_is_a_flux_if_its_error_and_its_star_say_so(unit, value, error, kept):
    wavelength, flux, errors = in_a_unit(unit)
    flux[0, 7], errors[0, 7] = value, error
    assert Spectra.from_arrays(wavelength, flux, error=errors).good_pixels.tolist() == [499 + kept, 500]


def test_a_logarithm_of_wavelengths_is_called_so():
    wavelength, flux, error = in_a_unit(1.0)
    with pytest.raises(ValueError, match=r"found 3.6 to 3.6499, wanted Å; for a logarithm give 10\*\*wavelength"):
        Spectra.from_arrays(np.log10(wavelength), flux, error=error)


def test_names_among_numbers_keep_all_their_digits():
    spectra = Spectra.from_arrays([5000.0, 5001.0], [[1.0, 2.0], [3.0, 4.0]], 1.0, ids=[2**60 + 1, 1.5])
    assert spectra.ids.tolist() == ["1152921504606846977", "1.5"]
