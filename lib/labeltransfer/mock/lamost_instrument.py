"""What lies between a star and its LAMOST spectrum: dust, telescope, detector, pipeline.

Everything of one star comes from that star's own random numbers and from loops in a fixed order, so that a spectrum is
the same to the last bit whichever block it is made in.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..files import read_arrays
from ..parallel.compiled import compiled
from ..spectra import SPEED_OF_LIGHT
from .grid import SyntheticGrid, corrections

INSTRUMENT_FILE = Path(__file__).parent / "lamost_instrument.npz"

LOG_START, LOG_STEP = 3.5682, 1e-4
N_PIXELS = 3909
SPARE = 2
"""LAMOST's pixels, log10 λ = 3.5682 + 1e-4 i; a spectrum starts up to `SPARE` pixels late and ends as much off."""

COMMON = (235, 3861)
"""Pixels of the common grid."""

BROAD = 25.0
"""Pixels (standard deviation of a Gaussian) of the broad flux that the measured `sn_shape` is about."""

N_MODES = 8
JOIN = (5800.0, 6000.0)

SKY_LINES = np.array(
    (
        4047.7, 4359.6, 5462.3, 5578.9, 5891.6, 5897.6, 6302.0, 6365.5, 6865.0, 7278.0, 7343.0, 7718.0, 7752.0, 7796.0,
        7823.0, 7916.0, 7966.0, 7995.0, 8028.0, 8064.0, 8347.0, 8401.0, 8432.0, 8467.0, 8507.0, 8830.0, 8888.0, 8922.0,
    )
)  # fmt: skip
"""Å, vacuum: mercury of the cities, auroral oxygen, sodium, hydroxyl."""

DIFFUSE_BANDS = np.array(
    [
        [4429.3, 18.0, 2.2],
        [4883.4, 20.0, 0.9],
        [5782.0, 2.2, 0.50],
        [5798.7, 1.1, 0.16],
        [6204.7, 3.0, 0.25],
        [6285.6, 4.5, 1.0],
        [6615.4, 1.2, 0.22],
        [8623.4, 4.5, 0.35],
    ]
)
"""Diffuse interstellar bands of the paper's Fig. 5: centre [Å, vacuum], FWHM [Å], equivalent width per E(B-V) [Å/mag]
(about those of Hobbs et al. 2008 and, at 8621 Å, of Munari et al. 2008)."""

SODIUM = np.array([[5891.58, 0.75], [5897.56, 0.50]])
"""Interstellar Na D: centre [Å, vacuum] and saturated equivalent width [Å], reached as 1 - exp(-E(B-V) / 0.3)."""

A_K_PER_REDDENING = 0.34
"""A_K / E(B-V) for R_V = 3.1 (Cardelli, Clayton & Mathis 1989: A_K / A_V = 0.114)."""


class Instrument(NamedTuple):
    """Properties of a LAMOST spectrum by pixel i, log10 λ = 3.5682 + 1e-4 i.

    Attributes
    ----------
    wavelength : (Q,) Å
    sn_shape : (Q,) reported S/N of a typical giant divided by its median
    floor : (Q,) part of the flux that varies from star to star whatever the S/N: calibration, sky, unmodelled physics
    extinction : (Q,) A(λ) / A_K
    bands : (Q,) optical depth of the diffuse bands at E(B-V) = 1
    sodium : (Q,) depth of saturated Na D
    air : (Q,) log of telluric transmission about its broad mean, which LAMOST's pipeline leaves in
    sky : (Q,) profile of the sky lines
    red_arm : (Q,) 0 in the blue arm, 1 in the red
    modes : (2, Q, `N_MODES`) large-scale calibration patterns of the two arms
    typical : (Q,) flux of the typical giant whose S/N has `sn_shape`
    """

    wavelength: np.ndarray
    sn_shape: np.ndarray
    floor: np.ndarray
    extinction: np.ndarray
    bands: np.ndarray
    sodium: np.ndarray
    air: np.ndarray
    sky: np.ndarray
    red_arm: np.ndarray
    modes: np.ndarray
    typical: np.ndarray

    @classmethod
    def load(cls) -> Instrument:
        """Measured tables that ship with the package, and the interstellar medium."""
        return _load()


@lru_cache(maxsize=1)
def _load() -> Instrument:
    measured, _ = read_arrays(INSTRUMENT_FILE, "LamostInstrument")
    wavelength = pixel_wavelengths()
    resolution = wavelength / 1800.0
    profiles = [_gaussian(wavelength, line, line / 1800.0) for line in SKY_LINES]
    red_arm = 1.0 / (1.0 + np.exp(-(wavelength - np.mean(JOIN)) / 25.0))
    grid = SyntheticGrid.load()
    giant = grid.flux(np.array([[4800.0, 2.5, -0.2, 0.05]]))[0]
    typical = np.interp(wavelength, grid.wavelength, giant)
    lines = typical / gaussian_filter1d(typical, BROAD, mode="nearest")
    bands = [
        width * _unit_area(wavelength, centre, np.hypot(fwhm, centre / 1800.0)) for centre, fwhm, width in DIFFUSE_BANDS
    ]
    sodium = [width * _unit_area(wavelength, centre, centre / 1800.0) for centre, width in SODIUM]
    return Instrument(
        wavelength=wavelength,
        sn_shape=measured["sn_shape"].astype(float) * lines,
        floor=measured["floor"].astype(float),
        extinction=extinction_curve(wavelength),
        bands=np.sum(bands, axis=0),
        sodium=np.sum(sodium, axis=0),
        air=_telluric(wavelength),
        sky=np.sum(profiles, axis=0) * (resolution > 0),
        red_arm=red_arm,
        modes=_calibration_modes(wavelength),
        typical=typical,
    )


def pixel_wavelengths() -> np.ndarray:
    """(N_PIXELS + 2 SPARE,) Å; 64-bit, but exactly what LAMOST's 32-bit columns hold."""
    pixels = np.arange(N_PIXELS + 2 * SPARE)
    return (10.0 ** (LOG_START + LOG_STEP * pixels)).astype(np.float32).astype(float)


def extinction_curve(wavelength: np.ndarray) -> np.ndarray:
    """A(λ) / A_K of Cardelli, Clayton & Mathis (1989), optical part, R_V = 3.1."""
    y = 1e4 / wavelength - 1.82
    a = [1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999]
    b = [0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002]
    return (np.polynomial.polynomial.polyval(y, a) + np.polynomial.polynomial.polyval(y, b) / 3.1) / 0.114


def _telluric(wavelength: np.ndarray) -> np.ndarray:
    place, absorption = np.array(corrections()["air"]).T
    nearest = np.abs(wavelength[:, None] - place).min(axis=1)
    return np.where(nearest < 3.0, np.interp(wavelength, place, absorption), 0.0)


def _gaussian(wavelength: np.ndarray, centre: float, fwhm: float) -> np.ndarray:
    return np.exp(-4.0 * np.log(2.0) * ((wavelength - centre) / fwhm) ** 2)


def _unit_area(wavelength: np.ndarray, centre: float, fwhm: float) -> np.ndarray:
    return _gaussian(wavelength, centre, fwhm) * np.sqrt(4.0 * np.log(2.0) / np.pi) / fwhm


def _calibration_modes(wavelength: np.ndarray) -> np.ndarray:
    """Cosines with half-waves down to about 300 Å, separately in each arm."""
    modes = np.empty((2, wavelength.size, N_MODES))
    for arm, (low, high) in enumerate(((3700.0, 6000.0), (5800.0, 9100.0))):
        place = np.clip((wavelength - low) / (high - low), 0.0, 1.0)
        for k in range(N_MODES):
            modes[arm, :, k] = np.cos(np.pi * (k + 1) * place) / (k + 1)
    return modes


@compiled(error_model="python")
def starlight(scores: np.ndarray, mean: np.ndarray, components: np.ndarray, flux: np.ndarray) -> None:
    """Fill `flux` (B, P) with exp(mean + scores · components), summed in one fixed order."""
    n_pixels = mean.size
    chunk = 512
    for start in range(0, n_pixels, chunk):
        stop = min(start + chunk, n_pixels)
        for n in range(scores.shape[0]):
            row = flux[n]
            for p in range(start, stop):
                row[p] = mean[p]
            for c in range(0, scores.shape[1] - 3, 4):
                s0, s1, s2, s3 = scores[n, c], scores[n, c + 1], scores[n, c + 2], scores[n, c + 3]
                for p in range(start, stop):
                    row[p] += (s0 * components[c, p] + s1 * components[c + 1, p]) + (
                        s2 * components[c + 2, p] + s3 * components[c + 3, p]
                    )
            for c in range(scores.shape[1] // 4 * 4, scores.shape[1]):
                for p in range(start, stop):
                    row[p] += scores[n, c] * components[c, p]
            for p in range(start, stop):
                row[p] = np.exp(row[p])


@compiled(error_model="python")
def through_dust_and_telescope(
    rest_flux: np.ndarray,
    rest_log_start: float,
    velocity: float,
    broadening: float,
    a_k: float,
    band_strength: float,
    airmass: float,
    calibration: np.ndarray,
    arm_offset: float,
    start: int,
    instrument: Instrument,
    flux: np.ndarray,
    seen: np.ndarray,
) -> None:
    """Noise-free counts of one star on LAMOST's pixels `start` …, and which of them have starlight in the grid.

    The grid and LAMOST have the same steps in log λ, so that a Doppler shift moves all pixels by one amount: one set of
    interpolation weights (cubic, with `broadening` [pixels²] added to the line width) serves the whole spectrum.
    """
    shift = (LOG_START - np.log10(1.0 + velocity / SPEED_OF_LIGHT) - rest_log_start) / LOG_STEP + start
    whole = int(np.floor(shift))
    weights = _interpolation_weights(shift - whole, broadening)
    reddening = a_k / A_K_PER_REDDENING
    saturation = 1.0 - np.exp(-reddening / 0.3)
    for j in range(flux.size):
        at = j + whole
        seen[j] = at >= 2 and at < rest_flux.size - 3
        at = min(max(at, 2), rest_flux.size - 4)
        value = 0.0
        for t in range(6):
            value += weights[t] * rest_flux[at - 2 + t]
        i = j + start
        response = 0.0
        for arm in range(2):
            share = instrument.red_arm[i] if arm else 1.0 - instrument.red_arm[i]
            if share > 1e-6:
                for k in range(N_MODES):
                    response += share * calibration[arm, k] * instrument.modes[arm, i, k]
        response += instrument.red_arm[i] * arm_offset
        dust = 0.4 * np.log(10.0) * instrument.extinction[i] * a_k + band_strength * reddening * instrument.bands[i]
        left = 1.0 - saturation * instrument.sodium[i]
        flux[j] = value * np.exp(response - dust + airmass * instrument.air[i]) * left


@compiled(error_model="python")
def _interpolation_weights(share: float, broadening: float) -> np.ndarray:
    """(6,) weights of pixels -2 … 3 around a place `share` of a pixel after pixel 0."""
    cubic = np.zeros(6)
    cubic[1] = share * (-0.5 + share * (1.0 - 0.5 * share))
    cubic[2] = 1.0 + share * share * (-2.5 + 1.5 * share)
    cubic[3] = share * (0.5 + share * (2.0 - 1.5 * share))
    cubic[4] = share * share * (-0.5 + 0.5 * share)
    weights = cubic.copy()
    for t in range(1, 5):
        weights[t - 1] += 0.5 * broadening * cubic[t]
        weights[t] -= broadening * cubic[t]
        weights[t + 1] += 0.5 * broadening * cubic[t]
    return weights
