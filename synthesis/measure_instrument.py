"""Measure on real LAMOST spectra what the simulated instrument needs, by pixel of LAMOST's grid.

    python synthesis/measure_instrument.py FOLDER… lib/labeltransfer/mock/lamost_instrument.npz

Each folder holds LAMOST spectra and a `labels.csv` with columns filename, z, teff. Out: `sn_shape`, the reported S/N of
a typical giant over its median, and `floor`, the part of the flux that differs from star to star whatever the S/N.

The floor comes from residuals r of each spectrum about principal components of the other spectra (normalized, rest
frame, moved back to the observed frame): at each pixel r² = σ² / k² + floor², σ the reported uncertainty.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from labeltransfer import lamost
from labeltransfer.continuum import normalize
from labeltransfer.files import write_arrays
from labeltransfer.spectra import Spectra
from labeltransfer.tables import read_table

N_PIXELS = 3913
N_COMPONENTS = 10
BEST = 70


def sn_shape(raw: list[lamost.RawSpectrum]) -> np.ndarray:
    """Median over stars of reported S/N over its median, smoothed over 5 pixels."""
    shapes = np.full((len(raw), N_PIXELS), np.nan)
    for row, star in zip(shapes, raw, strict=True):
        ratio = star.flux * np.sqrt(np.maximum(star.ivar, 0.0))
        pixel = np.rint((np.log10(star.wavelength) - 3.5682) / 1e-4).astype(int)
        good = (star.ivar > 0) & (pixel >= 0) & (pixel < N_PIXELS)
        common = good & (pixel >= 235) & (pixel < 3861)
        row[pixel[good]] = ratio[good] / np.median(ratio[common])
    counted = np.isfinite(shapes).sum(axis=0) > 20
    shape = np.interp(np.arange(N_PIXELS), np.flatnonzero(counted), np.nanmedian(shapes[:, counted], axis=0))
    return np.maximum(median_filter(shape, 5), 0.02)


def floor(spectra: Spectra, redshifts: np.ndarray) -> np.ndarray:
    """Root of the intercept of r² against σ², by pixel of the observed frame, smoothed over 6 pixels."""
    flux, ivar = np.asarray(spectra.flux, float), np.asarray(spectra.ivar, float)
    best = np.argsort(-spectra.signal_to_noise())
    log_common = np.log10(spectra.wavelength)
    squares = np.full((2, len(spectra), N_PIXELS), np.nan)
    grid = 3.5682 + 1e-4 * np.arange(N_PIXELS)
    for n in range(len(spectra)):
        others = best[best != n][:BEST]
        filled = np.where(ivar[others] > 0, flux[others], 1.0)
        mean = filled.mean(axis=0)
        basis = np.vstack([mean, np.linalg.svd(filled - mean, full_matrices=False)[2][:N_COMPONENTS]])
        root = np.sqrt(np.minimum(ivar[n], np.percentile(ivar[n], 99)))
        for _ in range(2):
            residual = flux[n] - np.linalg.lstsq((basis * root).T, flux[n] * root, rcond=None)[0] @ basis
            scale = 1.4826 * np.median(np.abs(residual * np.sqrt(ivar[n]))[ivar[n] > 0])
            root = np.where(np.abs(residual) * np.sqrt(ivar[n]) > 5 * scale, 0.0, root)
        at = grid - np.log10(1.0 + redshifts[n])
        nearest = np.clip(np.rint((at - log_common[0]) / 1e-4).astype(int), 0, flux.shape[1] - 1)
        valid = (np.abs(log_common[nearest] - at) < 1e-4) & (ivar[n][nearest] > 0)
        squares[0, n, valid] = residual[nearest[valid]] ** 2
        squares[1, n, valid] = 1.0 / ivar[n][nearest[valid]]
    bright = squares[1] < 0.02**2
    excess = np.where(bright, squares[0] - squares[1] / 3.0, np.nan)
    counted = bright.sum(axis=0) > 10
    capped = np.minimum(excess[:, counted], 0.05**2)
    middle = np.interp(np.arange(N_PIXELS), np.flatnonzero(counted), np.nanmean(np.maximum(capped, 0.0), axis=0))
    return np.sqrt(gaussian_filter1d(middle, 2.0))


def measure(folders: list[Path], target: Path) -> None:
    """Read the spectra of all folders and write the table."""
    raw, redshifts, fluxes, ivars, ids = [], [], [], [], []
    for folder in folders:
        for row in read_table(folder / "labels.csv"):
            if not np.isfinite(float(row["teff"] or np.nan)) or not 4000 < float(row["teff"]) < 6800:
                continue
            star = lamost.read_spectrum(folder / row["filename"])
            flux, ivar = lamost.to_rest_frame(star, redshift=float(row["z"]))
            if np.count_nonzero(ivar) > 2500:
                raw.append(star)
                redshifts.append(float(row["z"]))
                fluxes.append(flux)
                ivars.append(ivar)
                ids.append(row["filename"])
    spectra = normalize(Spectra(np.array(ids), lamost.COMMON_GRID, np.array(fluxes), np.array(ivars)))
    arrays = {
        "sn_shape": sn_shape(raw).astype(np.float32),
        "floor": floor(spectra, np.array(redshifts)).astype(np.float32),
    }
    write_arrays(target, "LamostInstrument", arrays, n_spectra=len(raw))


if __name__ == "__main__":
    measure([Path(name) for name in sys.argv[1:-1]], Path(sys.argv[-1]))
