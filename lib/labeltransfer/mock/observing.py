"""One night after the other: spectra from stars, star by star."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ..parallel.compiled import compiled
from .assumed import Assumed
from .detector import SKY_PATCH, detect, median
from .grid import GRID_LABELS, SyntheticGrid
from .lamost_instrument import (
    COMMON,
    N_MODES,
    N_PIXELS,
    SPARE,
    Instrument,
    starlight,
    through_dust_and_telescope,
)

CALIBRATION_NOISE: Annotated[
    float,
    Assumed(
        "large-scale calibration error: sd of the widest of eight cosines, the k-th has 1/k of it", "ln flux",
        "our choice: with the arms' offset 7 % rms, for repeated LAMOST spectra differ by 10 % (Xiang et al. 2015)"),
] = 0.05  # fmt: skip
ARM_OFFSET: Annotated[float, Assumed("sd of the red arm against the blue", "ln flux", "as `CALIBRATION_NOISE`")] = 0.05
BROADENING: Annotated[
    float,
    Assumed(
        "sd from fibre to fibre of the variance of the line width", "pixels²",
        "our choice: R = 1800 is about 1 pixel², so that R varies by one eighth"),
] = 0.25  # fmt: skip
LARGEST_BROADENING: Annotated[
    float, Assumed("where that is cut", "sd", "our choice: half a pixel² at most can be undone on the grid")
] = 2.0
BAND_SCATTER: Annotated[
    float,
    Assumed("sd of diffuse bands' strength at one reddening", "ln", "our choice: bands follow dust, but not strictly"),
] = 0.15
AIR_SCATTER: Annotated[
    float, Assumed("sd of telluric absorption from night to night", "ln", "our choice: water varies more, oxygen less")
] = 0.2
COUNTS: Annotated[
    tuple[float, float, float],
    Assumed(
        "flux in LAMOST's counts: at S/N 1, power of S/N, sd of its logarithm", "",
        "our choice: normalization divides it out"),
] = (20.0, 1.3, 0.3)  # fmt: skip
FLOOR_SCATTER: Annotated[
    float, Assumed("sd of the noise floor from star to star", "ln", "our choice: some spectra are reduced better")
] = 0.3

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
    elements: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raw spectra of B stars.

    Parameters
    ----------
    rows : (B,) rows of the catalogue, which decide the random numbers
    truth : (B, 5) Teff, log g, [M/H], [α/M], A_K
    velocity : (B,) km/s
    snr : (B,) S/N that LAMOST will report
    elements : (B, E) dex of single elements beyond the labels; none if not given

    Returns
    -------
    n_pixels (B,), wavelength, flux, ivar (B, Q) float32, and_mask, or_mask (B, Q) int16
    """
    grid, instrument = SyntheticGrid.load(), Instrument.load()
    width, number = N_PIXELS + SPARE, len(rows)
    rest = np.empty((number, grid.wavelength.size))
    starlight(grid.all_scores(truth[:, : len(GRID_LABELS)], elements), grid.mean, grid.all_components, rest)
    n_pixels, starts = np.empty(number, dtype=int), np.empty(number, dtype=int)
    details, uniforms = np.empty((number, N_DETAILS)), np.empty((number, N_UNIFORMS))
    normals = np.empty((number, 2, width + 8))
    sky_normals = np.empty((number, (width + 2 * SPARE) // SKY_PATCH + 2))
    strengths = np.empty((number, 5))
    unit_counts, power, counts_scatter = COUNTS
    for n, row in enumerate(rows):
        rng = star_rng(seed, int(row))
        rng.standard_normal(out=details[n])
        rng.random(out=uniforms[n])
        start, late = int(uniforms[n, -1] * (SPARE + 1)), int(uniforms[n, -2] * (2 * SPARE + 1)) - SPARE
        q = N_PIXELS - start + late if start + N_PIXELS - start + late <= N_PIXELS + SPARE else N_PIXELS
        starts[n], n_pixels[n] = start, min(q, width)
        rng.standard_normal(out=normals[n])
        rng.standard_normal(out=sky_normals[n])
        width_, bands, _, counts, floor, air = details[n, 2 * N_MODES : 2 * N_MODES + 6]
        strengths[n] = (
            BROADENING * np.clip(width_, -LARGEST_BROADENING, LARGEST_BROADENING), np.exp(BAND_SCATTER * bands),
            np.exp(AIR_SCATTER * air), unit_counts * snr[n] ** power * np.exp(counts_scatter * counts),
            floor_scale * np.exp(FLOOR_SCATTER * floor),
        )  # fmt: skip
    wavelength = np.full((number, width), np.nan, np.float32)
    flux, ivar = np.full_like(wavelength, np.nan), np.zeros_like(wavelength)
    and_mask, or_mask = (np.zeros(wavelength.shape, np.int16) for _ in range(2))
    calibration = CALIBRATION_NOISE * details[:, : 2 * N_MODES].reshape(number, 2, N_MODES)
    arm_offsets = ARM_OFFSET * details[:, 2 * N_MODES + 2]
    _expose(
        rest, float(np.log10(grid.wavelength[0])), np.ascontiguousarray(velocity), np.ascontiguousarray(truth[:, 4]),
        np.ascontiguousarray(snr), float(error_factor), strengths, calibration, arm_offsets, starts, n_pixels,
        instrument, normals, uniforms, sky_normals, wavelength, flux, ivar, and_mask, or_mask,
    )  # fmt: skip
    return n_pixels, wavelength, flux, ivar, and_mask, or_mask


@compiled(error_model="python")
def _expose(
    rest: np.ndarray,
    rest_log_start: float,
    velocity: np.ndarray,
    a_k: np.ndarray,
    snr: np.ndarray,
    error_factor: float,
    strengths: np.ndarray,
    calibration: np.ndarray,
    arm_offsets: np.ndarray,
    starts: np.ndarray,
    n_pixels: np.ndarray,
    instrument: Instrument,
    normals: np.ndarray,
    uniforms: np.ndarray,
    sky_normals: np.ndarray,
    wavelength: np.ndarray,
    flux: np.ndarray,
    ivar: np.ndarray,
    and_mask: np.ndarray,
    or_mask: np.ndarray,
) -> None:
    """From starlight `rest` (B, P0) to what the detector reads, star by star; threads run side by side in here."""
    signal, seen = np.empty(flux.shape[1]), np.empty(flux.shape[1], dtype=np.bool_)
    one_ivar = np.empty(flux.shape[1])
    for n in range(rest.shape[0]):
        start, q = starts[n], n_pixels[n]
        broadening, band_strength, airmass, counts, floor_scale = strengths[n]
        through_dust_and_telescope(
            rest[n], rest_log_start, velocity[n], broadening, a_k[n], band_strength, airmass, calibration[n],
            arm_offsets[n], start, instrument, signal[:q], seen[:q],
        )  # fmt: skip
        brightness = counts / median(signal[COMMON[0] : COMMON[1] : 32])
        for j in range(q):
            signal[j] *= brightness
        detect(
            start, seen[:q], snr[n], error_factor, floor_scale, instrument, normals[n], uniforms[n], sky_normals[n],
            signal[:q], one_ivar[:q], and_mask[n, :q], or_mask[n, :q],
        )  # fmt: skip
        for j in range(q):
            wavelength[n, j], flux[n, j], ivar[n, j] = instrument.wavelength[start + j], signal[j], one_ivar[j]
