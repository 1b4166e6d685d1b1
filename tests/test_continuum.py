import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from labeltransfer.continuum import normalize, smooth
from labeltransfer.spectra import Spectra

WAVELENGTH = 4000.0 * 10 ** (1e-4 * np.arange(700))


def observed(n_stars=4, seed=0, dtype=float, masked=0.1, noise=0.05):
    rng = np.random.default_rng(seed)
    shape = (n_stars, WAVELENGTH.size)
    level = 1e3 * (1 + 0.3 * np.sin(WAVELENGTH / 200)) * rng.uniform(0.5, 3, (n_stars, 1))
    ivar = np.where(rng.random(shape) < masked, 0.0, 1 / (noise * level) ** 2)
    flux = np.where(ivar > 0, level * (1 + noise * rng.normal(size=shape)), 0.0)
    return Spectra(np.arange(n_stars).astype(str), WAVELENGTH, flux.astype(dtype), ivar.astype(dtype))


@pytest.mark.parametrize(("convention", "two_variances"), [("paper", 1.0), ("gaussian", 2.0)])
def test_the_average_is_that_of_eqs_1_and_2(convention, two_variances):
    spectra = observed()
    expected = [
        oracle.average(WAVELENGTH, f, v, 50.0, two_variances) for f, v in zip(spectra.flux, spectra.ivar, strict=True)
    ]
    np.testing.assert_allclose(smooth(spectra, 50.0, convention), expected, rtol=1e-12)


def test_normalizing_divides_flux_and_multiplies_inverse_variance():
    spectra = observed()
    average, done = smooth(spectra), normalize(spectra)
    good = spectra.ivar > 0
    np.testing.assert_allclose(done.flux[good], (spectra.flux / average)[good], rtol=1e-12)
    np.testing.assert_allclose(done.ivar[good], (spectra.ivar * average**2)[good], rtol=1e-12)
    assert (done.ivar[~good] == 0).all()
    assert (done.flux[~good] == 0).all()
    assert done.normalized
    np.testing.assert_allclose(
        (done.flux * np.sqrt(done.ivar))[good], (spectra.flux * np.sqrt(spectra.ivar))[good], rtol=1e-12
    )


def test_single_precision_stays_single_and_agrees():
    double, single = normalize(observed()), normalize(observed(dtype=np.float32))
    assert single.flux.dtype == single.ivar.dtype == np.float32
    np.testing.assert_allclose(single.flux, double.flux, rtol=3e-6)


@settings(max_examples=15, deadline=None)
@given(a=st.floats(-5, 5), b=st.floats(-5, 5), seed=st.integers(0, 99))
def test_the_average_is_linear_in_the_flux(a, b, seed):
    one, two = observed(2, seed), observed(2, seed + 100)

    def average(flux):
        return smooth(Spectra(one.ids, WAVELENGTH, flux, one.ivar))

    both = average(a * one.flux + b * two.flux)
    np.testing.assert_allclose(both, a * average(one.flux) + b * average(two.flux), atol=1e-8)


@pytest.mark.parametrize("noise", [0.03, 0.3, 1.0])
def test_noise_of_any_size_leaves_the_average_unbiased(noise):
    rng = np.random.default_rng(5)
    n_stars = 2000
    truth = np.tile(1 + 0.2 * np.sin(WAVELENGTH / 150), (n_stars, 1))
    ivar = np.full(truth.shape, noise**-2)
    names = np.arange(n_stars).astype(str)
    noisy = smooth(Spectra(names, WAVELENGTH, truth + noise * rng.normal(size=truth.shape), ivar))
    exact = smooth(Spectra(names[:1], WAVELENGTH, truth[:1], ivar[:1]))
    deviation = (noisy - exact).mean(axis=0)
    error = noisy.std(axis=0) / np.sqrt(n_stars)
    assert np.abs(deviation / error).max() < 5
    assert np.sqrt(np.mean((deviation / error) ** 2)) < 2


@settings(max_examples=15, deadline=None)
@given(junk=st.floats(-1e6, 1e6), seed=st.integers(0, 99))
def test_masked_flux_does_not_matter(junk, seed):
    spectra = observed(2, seed)
    flux = np.where(spectra.ivar > 0, spectra.flux, junk)
    other = normalize(Spectra(spectra.ids, WAVELENGTH, flux, spectra.ivar))
    np.testing.assert_array_equal(other.flux, normalize(spectra).flux)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_the_unit_of_the_flux_does_not_matter(factor):
    spectra = observed(2)
    other = normalize(Spectra(spectra.ids, WAVELENGTH, spectra.flux * factor, spectra.ivar / factor**2))
    np.testing.assert_allclose(other.flux, normalize(spectra).flux, rtol=1e-11)
    np.testing.assert_allclose(other.ivar, normalize(spectra).ivar, rtol=1e-11)


@pytest.mark.parametrize("unit", [1e-17, 1e-12, 1e15])
def test_the_unit_of_the_flux_does_not_matter_in_single_precision(unit):
    spectra = observed(2, noise=0.3)
    flux, ivar = (spectra.flux * unit).astype(np.float32), (spectra.ivar / unit**2).astype(np.float32)
    done = normalize(Spectra(spectra.ids, WAVELENGTH, flux, ivar))
    np.testing.assert_allclose(done.flux, normalize(spectra).flux, rtol=1e-5)
    np.testing.assert_allclose(done.ivar, normalize(spectra).ivar, rtol=1e-5)


def test_order_of_stars_does_not_matter_and_inputs_are_untouched():
    spectra = observed(5)
    flux, ivar = spectra.flux.copy(), spectra.ivar.copy()
    done = normalize(spectra)
    turned = normalize(spectra[::-1])
    np.testing.assert_allclose(turned.flux[::-1], done.flux, rtol=1e-13)
    np.testing.assert_array_equal(spectra.flux, flux)
    np.testing.assert_array_equal(spectra.ivar, ivar)


def test_a_star_without_pixels_and_a_wide_gap_are_masked():
    wavelength = np.r_[np.arange(4000.0, 4100.0), 9000.0]
    flux, ivar = np.ones((2, 101)), np.ones((2, 101))
    ivar[0] = 0
    ivar[1, -1] = 0
    spectra = Spectra(["empty", "gap"], wavelength, flux, ivar)
    assert np.isnan(smooth(spectra)[0]).all()
    assert np.isnan(smooth(spectra)[1, -1])
    done = normalize(spectra)
    assert done.good_pixels.tolist() == [0, 100]


def test_where_the_average_is_negative_there_is_no_signal():
    spectra = observed(1)
    done = normalize(Spectra(["negative"], WAVELENGTH, -spectra.flux, spectra.ivar))
    assert done.good_pixels[0] == 0


def test_no_stars_are_no_trouble():
    assert len(normalize(observed()[:0])) == 0


def test_what_makes_no_sense_is_refused():
    spectra = observed(1)
    with pytest.raises(ValueError, match="normalized already"):
        normalize(normalize(spectra))
    with pytest.raises(ValueError, match="wanted one of paper, gaussian"):
        normalize(spectra, convention="papr")
    with pytest.raises(ValueError, match="positive length"):
        smooth(spectra, width=-1.0)


@pytest.mark.parametrize("call", [normalize, smooth])
def test_arrays_are_no_spectra(call):
    with pytest.raises(TypeError, match=rf"{call.__name__}: found ndarray, wanted Spectra \(Spectra.from_arrays\)"):
        call(np.ones((3, 700)))


@pytest.mark.parametrize(
    ("width", "message"),
    [
        ("50", "found '50', wanted a positive length in Å"),
        (1e-9, "found 1e-09 Å, wanted at least 2 pixels of 0.998 Å: a narrower average follows the lines"),
        (1.9, "found 1.9 Å, wanted at least 2 pixels"),
        (1e9, "found 1000000000.0, wanted a positive length in Å, at most 10000"),
        (np.inf, "found inf, wanted a positive length"),
    ],
)
def test_widths_of_no_meaning_are_refused(width, message):
    with pytest.raises(ValueError, match=rf"width: {message}"):
        normalize(observed(1), width)
