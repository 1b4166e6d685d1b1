"""One night after the other: spectra from stars, star by star."""

from __future__ import annotations

import numpy as np

from .detector import MASKED_BANDS, SKY_PATCH, detect
from .grid import GRID_LABELS, SyntheticGrid
from .lamost_instrument import (
    COMMON,
    LOG_START,
    LOG_STEP,
    N_MODES,
    N_PIXELS,
    SPARE,
    Instrument,
    starlight,
    through_dust_and_telescope,
)

CALIBRATION_NOISE = 0.05
ARM_OFFSET = 0.05
"""Relative size of large-scale calibration errors, and of the step between the arms (natural log)."""

BROADENING = 0.25
"""Scatter of the variance of the line width from fibre to fibre [pixels²]; R = 1800 is about 1.0 pixels²."""

BAND_SCATTER = 0.15
"""Scatter (natural log) of the diffuse bands' strength at one reddening."""

AIR_SCATTER = 0.2
"""Scatter (natural log) of telluric absorption from night to night."""

FIBRES, SPECTROGRAPHS = 250, 16
FIRST_NIGHT = 55859

N_UNIFORMS, N_DETAILS = 128, 2 * N_MODES + 8


def spectrum_numbers(row: int) -> tuple[int, str, int, int]:
    """Night, plan, spectrograph and fibre of a row of the catalogue: plates are filled one after the other."""
    plate, fibre = divmod(row, FIBRES * SPECTROGRAPHS)
    spectrograph, fibre = divmod(fibre, FIBRES)
    return FIRST_NIGHT + plate, f"SIM{plate:04d}", spectrograph + 1, fibre + 1


def spectrum_name(row: int) -> str:
    """Name of a spectrum as LAMOST writes it."""
    night, plan, spectrograph, fibre = spectrum_numbers(row)
    return f"spec-{night}-{plan}_sp{spectrograph:02d}-{fibre:03d}"


def star_rng(seed: int, row: int) -> np.random.Generator:
    """Random numbers of one star's spectrum: the row is the high part of a counter, so no two stars share any."""
    return np.random.Generator(np.random.Philox(key=[seed, 1_602_00303], counter=[0, 0, 0, row]))


def observe(
    seed: int,
    rows: np.ndarray,
    truth: np.ndarray,
    velocity: np.ndarray,
    snr: np.ndarray,
    error_factor: float,
    floor_scale: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raw spectra of B stars.

    Parameters
    ----------
    rows : (B,) rows of the catalogue, which decide the random numbers
    truth : (B, 5) Teff, log g, [M/H], [α/M], A_K
    velocity : (B,) km/s
    snr : (B,) S/N that LAMOST will report

    Returns
    -------
    n_pixels (B,), wavelength, flux, ivar (B, Q) float32, and_mask, or_mask (B, Q) int16
    """
    grid, instrument = SyntheticGrid.load(), Instrument.load()
    width = N_PIXELS + SPARE
    rest = np.empty((len(rows), grid.wavelength.size))
    starlight(grid.interpolated_scores(truth[:, : len(GRID_LABELS)]), grid.mean, grid.components, rest)
    n_pixels = np.empty(len(rows), dtype=int)
    wavelength = np.full((len(rows), width), np.nan, np.float32)
    flux, ivar = np.full_like(wavelength, np.nan), np.zeros_like(wavelength)
    and_mask, or_mask = (np.zeros(wavelength.shape, np.int16) for _ in range(2))
    masked_bands = MASKED_BANDS.copy()
    masked_bands[:, :2] = (np.log10(MASKED_BANDS[:, :2]) - LOG_START) / LOG_STEP
    signal, seen = np.empty(width), np.empty(width, dtype=np.bool_)
    one_ivar = np.empty(width)
    for n, row in enumerate(rows):
        rng = star_rng(seed, int(row))
        details = rng.standard_normal(N_DETAILS)
        uniforms = rng.random(N_UNIFORMS)
        start, late = int(uniforms[-1] * (SPARE + 1)), int(uniforms[-2] * (2 * SPARE + 1)) - SPARE
        q = N_PIXELS - start + late if start + N_PIXELS - start + late <= N_PIXELS + SPARE else N_PIXELS
        q = min(q, width)
        normals = rng.standard_normal((2, width + 8))
        sky_normals = rng.standard_normal((width + 2 * SPARE) // SKY_PATCH + 2)
        calibration = CALIBRATION_NOISE * details[: 2 * N_MODES].reshape(2, N_MODES)
        extra = details[2 * N_MODES :]
        through_dust_and_telescope(
            rest[n], np.log10(grid.wavelength[0]), velocity[n], BROADENING * np.clip(extra[0], -2.0, 2.0), truth[n, 4],
            np.exp(BAND_SCATTER * extra[1]), np.exp(AIR_SCATTER * extra[5]), calibration, ARM_OFFSET * extra[2], start,
            instrument.extinction, instrument.bands, instrument.sodium, instrument.air, instrument.red_arm,
            instrument.modes, signal[:q], seen[:q],
        )  # fmt: skip
        scale = 20.0 * snr[n] ** 1.3 * np.exp(0.3 * extra[3]) / np.median(signal[COMMON[0] : COMMON[1] : 32])
        signal[:q] *= scale
        detect(
            start, seen[:q], snr[n], error_factor, floor_scale * np.exp(0.3 * extra[4]), instrument.sn_shape,
            instrument.typical, instrument.floor, instrument.sky, normals, uniforms, sky_normals, masked_bands, COMMON,
            signal[:q], one_ivar[:q], and_mask[n, :q], or_mask[n, :q],
        )  # fmt: skip
        n_pixels[n] = q
        wavelength[n, :q] = instrument.wavelength[start : start + q]
        flux[n, :q], ivar[n, :q] = signal[:q], one_ivar[:q]
    return n_pixels, wavelength, flux, ivar, and_mask, or_mask
