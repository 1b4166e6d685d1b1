"""Noise, masks and sky residuals of real LAMOST spectra, in a few numbers: a part of `measure_instrument.py`.

Fourth differences along a spectrum see noise and hardly any star. White noise gives them neighbours correlating by
-0.8, and noise whose own neighbours correlate by ρ gives (-56 + 98 ρ) / (70 - 112 ρ), from which ρ follows.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from labeltransfer.lamost import RawSpectrum
from labeltransfer.mock.lamost_instrument import SKY_LINES

FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
FOURTH_NORM = float((FOURTH**2).sum())
BLUE, RED = (4500.0, 5500.0), (6000.0, 6250.0)
BANDS = np.array([[5576.0, 5581.5], [7590.0, 7680.0], [5840.0, 5900.0]])
WHOLE = (3905.0, 9000.0)


class Star(NamedTuple):
    """A raw spectrum, its redshift, Teff [K], whether it is a giant, and the folder it came from."""

    raw: RawSpectrum
    redshift: float
    teff: float
    giant: bool
    folder: str


def between(raw: RawSpectrum, low: float, high: float) -> np.ndarray:
    """Which pixels are in a range of wavelengths."""
    return (raw.wavelength > low) & (raw.wavelength < high)


def differences(raw: RawSpectrum) -> np.ndarray:
    """Fourth differences over the reported uncertainty, 1 for white noise as large as reported; NaN if masked."""
    sigma = np.where(raw.ivar > 0, 1.0 / np.sqrt(np.maximum(raw.ivar, 1e-30)), np.nan)
    return np.convolve(raw.flux, FOURTH, "same") / sigma / np.sqrt(FOURTH_NORM) * _whole(raw)


def _whole(raw: RawSpectrum) -> np.ndarray:
    return np.where(np.convolve(raw.ivar > 0, np.ones(5), "same") > 4.5, 1.0, np.nan)


def noise_ratio(stars: list[Star], window: tuple[float, float]) -> tuple[float, float]:
    """Fourth-difference noise over reported uncertainty, without what grows with the S/N; correlation of neighbours."""
    squares, sn, pairs = [], [], []
    for star in stars:
        here = between(star.raw, *window)
        ratio = np.median((star.raw.flux * np.sqrt(np.maximum(star.raw.ivar, 0.0)))[here])
        unit = differences(star.raw)[here]
        if 3 < ratio < 200 and np.isfinite(unit).sum() > 100:
            scale = 1.4826 * np.nanmedian(np.abs(unit))
            squares.append(scale**2)
            sn.append(ratio)
            if ratio < 40:
                kept = np.where(np.abs(unit) < 4 * scale, unit, np.nan)
                pairs.append(np.nanmean(kept[1:] * kept[:-1]) / np.nanmean(kept**2))
    y, x = np.array(squares), np.column_stack([np.ones(len(sn)), np.square(sn)])
    start = np.log([0.5, 1e-5])
    fit = np.exp(least_squares(lambda p: np.log(x @ np.exp(p) / y), start, loss="soft_l1", f_scale=0.2).x)
    r = float(np.median(pairs))
    return float(np.sqrt(fit[0])), (FOURTH_NORM * r + 56.0) / (98.0 + 112.0 * r)


def star_share(giants: list[Star]) -> float:
    """Slope of log σ² with log flux from line to line: 1 for photon noise of the star alone, 0 for sky and detector."""
    slopes = []
    for star in giants:
        for window in (BLUE, RED):
            good = between(star.raw, *window)
            flux, variance = star.raw.flux[good], 1.0 / np.maximum(star.raw.ivar[good], 1e-30)
            if len(flux) and (star.raw.ivar[good] > 0).all() and (flux > 0).all():
                logs = np.log([flux, variance])
                f, v = (gaussian_filter1d(logs, 1.5) - gaussian_filter1d(logs, 25.0))[:, 10:-10]
                slopes.append((f @ v) / (f @ f))
    return float(np.median(slopes))


def sky_excess(stars: list[Star]) -> float:
    """Fourth differences over reported uncertainty at hydroxyl lines of the sky, divided by those beside them."""
    ratios = []
    for star in stars:
        unit, wavelength = differences(star.raw), star.raw.wavelength
        here = between(star.raw, 7700.0, 8950.0)
        distance = np.abs(wavelength[:, None] - SKY_LINES).min(axis=1)
        at_line, away = unit[here & (distance < 1.5)], unit[here & (distance > 8.0)]
        if np.isfinite(at_line).sum() > 10 and np.isfinite(away).sum() > 100:
            ratios.append(np.nanmedian(np.abs(at_line)) / np.nanmedian(np.abs(away)))
    return float(np.median(ratios))


def runs(masked: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], masked, [False]]).astype(int)))
    return edges[1::2] - edges[::2]


def masks(stars: list[Star]) -> dict[str, np.ndarray]:
    """Runs of masked pixels per spectrum, their mean length, chance of each band, pixels flagged but not masked."""
    lengths, seen, flagged, bands = [], 0, 0, []
    for star in stars:
        raw = star.raw
        inside = between(raw, *WHOLE) & ~np.any([between(raw, *band) for band in BANDS], axis=0)
        masked = (raw.ivar <= 0)[inside]
        if masked.mean() < 0.5:
            lengths.append(runs(masked))
            seen += masked.size
            flagged += int(((np.asarray(raw.or_mask)[inside] != 0) & ~masked).sum())
            bands.append([(raw.ivar <= 0)[between(raw, *band)].mean() for band in BANDS])
    whole = np.concatenate(lengths)
    number = len(whole) / len(lengths)
    return {
        "mask_runs": np.array([number, whole.mean(), flagged / max(whole.sum(), 1)]),
        "mask_bands": np.column_stack([BANDS, np.mean(bands, axis=0)]),
    }


def blur(left: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """(2,) correlation of the floor's neighbours and next neighbours: residuals of spectra with S/N above 100."""
    sn = np.sqrt(np.median(ivar, axis=1))
    found = []
    for row in left[sn > 100]:
        r = np.where(np.abs(row) < 4 * 1.4826 * np.nanmedian(np.abs(row)), row, np.nan)
        found.append([np.nanmean(r[lag:] * r[:-lag]) / np.nanmean(r**2) for lag in (1, 2)])
    return np.median(found, axis=0)


def noise_numbers(stars: list[Star], left: np.ndarray, ivar: np.ndarray) -> dict[str, np.ndarray]:
    """All of them, as arrays; the first for each folder (rows), in the blue and the red window.

    `error_factor`: reported uncertainty over true noise, as `SimulatedSurvey` has it: after linear interpolation to the
    common grid, which lowers noise (its variance by 2/3 + ρ/3 on average) and no reported uncertainty.
    """
    folders = sorted({star.folder for star in stars})
    pairs = np.array([[noise_ratio([s for s in stars if s.folder == f], w) for w in (BLUE, RED)] for f in folders])
    white = pairs[..., 0] / np.sqrt(1.0 - 1.6 * pairs[..., 1])
    return {
        "folders": np.array(folders),
        "error_factor": 1.0 / (white * np.sqrt(2.0 / 3.0 + pairs[..., 1] / 3.0)),
        "neighbour": pairs[..., 1],
        "star_share": np.array(star_share([s for s in stars if s.giant and s.folder == stars[0].folder])),
        "sky_excess": np.array([sky_excess([s for s in stars if s.folder == f]) for f in folders]),
        "floor_correlation": blur(left, ivar),
        **masks(stars),
    }
