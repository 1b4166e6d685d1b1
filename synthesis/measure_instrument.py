"""Measure on real LAMOST spectra what the simulated instrument needs.

    python synthesis/measure_instrument.py FOLDER… lib/labeltransfer/mock/lamost_instrument.npz

Each folder holds LAMOST spectra and a `labels.csv` with columns filename, z, teff, logg. By pixel of LAMOST's grid:
`sn_shape`, the broad flux of a giant over its reported uncertainty, over the median of that (giants of the first folder
alone: in the pilot survey the uncertainties at strong lines are ten times too large, and lines would lose all weight in
the normalization), and `floor`, the part of
the flux that differs from star to star whatever the S/N. The other numbers are in `measure_noise.py`.

The floor comes from residuals r of each spectrum about principal components of the other spectra (normalized, rest
frame, moved back to the observed frame): in each stretch of pixels, a line r² = a σ² + floor² through all stars, σ the
reported uncertainty. So the floor depends on no factor between reported and true uncertainties.
"""

import sys
from pathlib import Path

import numpy as np
from measure_noise import BLUE, Star, noise_numbers
from scipy.ndimage import gaussian_filter1d

from labeltransfer import lamost
from labeltransfer.continuum import normalize
from labeltransfer.files import write_arrays
from labeltransfer.spectra import Spectra
from labeltransfer.tables import read_table

N_PIXELS = 3913
BROAD = 25.0
N_COMPONENTS = 10
BEST = 70
STRETCH = 12.0
HOTTEST, LARGEST_LOGG = 5600.0, 3.5


def read_stars(folder: Path) -> list[Star]:
    """All spectra of a folder whose redshift is known."""
    stars = []
    for row in read_table(folder / "labels.csv"):
        teff, logg = (float(row[name] or np.nan) for name in ("teff", "logg"))
        if np.isfinite(float(row["z"] or np.nan)):
            giant = teff < HOTTEST and logg < LARGEST_LOGG
            stars.append(
                Star(lamost.read_spectrum(folder / row["filename"]), float(row["z"]), teff, giant, folder.name)
            )
    return stars


def pixels(raw: lamost.RawSpectrum) -> np.ndarray:
    """Which pixels of LAMOST's grid a spectrum has."""
    return np.clip(np.rint((np.log10(raw.wavelength) - 3.5682) / 1e-4).astype(int), 0, N_PIXELS - 1)


def sn_shape(giants: list[Star]) -> np.ndarray:
    """Median over giants of broad flux over reported uncertainty, divided by its median."""
    shapes = np.full((len(giants), N_PIXELS), np.nan)
    for row, star in zip(shapes, giants, strict=True):
        flux, ivar = star.raw.flux, star.raw.ivar
        good, pixel = ivar > 0, pixels(star.raw)
        broad = gaussian_filter1d(np.where(good, flux, 0.0), BROAD) / np.maximum(
            gaussian_filter1d(1.0 * good, BROAD), 1e-9
        )
        ratio = broad * np.sqrt(np.maximum(ivar, 0.0))
        common = good & (pixel >= 235) & (pixel < 3861)
        row[pixel[good]] = ratio[good] / np.median(ratio[common])
    counted = np.isfinite(shapes).sum(axis=0) > 20
    shape = np.interp(np.arange(N_PIXELS), np.flatnonzero(counted), np.nanmedian(shapes[:, counted], axis=0))
    return np.maximum(shape, 0.02)


def residuals(spectra: Spectra) -> np.ndarray:
    """(N, P) flux minus the best combination of principal components of the other spectra; NaN where masked."""
    flux, ivar = np.asarray(spectra.flux, float), np.asarray(spectra.ivar, float)
    best = np.argsort(-spectra.signal_to_noise())
    left = np.full(flux.shape, np.nan)
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
        left[n, ivar[n] > 0] = residual[ivar[n] > 0]
    return left


def floor(left: np.ndarray, spectra: Spectra, redshifts: np.ndarray) -> np.ndarray:
    """(N_PIXELS,) floor by pixel of the observed frame, from one line through the stars' r² and σ² at each pixel."""
    log_common, grid = np.log10(spectra.wavelength), 3.5682 + 1e-4 * np.arange(N_PIXELS)
    squares = np.full((2, len(spectra), N_PIXELS), np.nan)
    for n in range(len(spectra)):
        at = grid - np.log10(1.0 + redshifts[n])
        nearest = np.clip(np.rint((at - log_common[0]) / 1e-4).astype(int), 0, len(log_common) - 1)
        valid = (np.abs(log_common[nearest] - at) < 1e-4) & np.isfinite(left[n][nearest])
        squares[0, n, valid] = np.minimum(left[n][nearest[valid]] ** 2, 0.05**2)
        squares[1, n, valid] = 1.0 / np.asarray(spectra.ivar[n], float)[nearest[valid]]
    known = np.isfinite(squares[0]) & (squares[1] < 0.05**2)
    r2, s2 = np.where(known, squares, 0.0)
    weight = np.where(known, 1.0 / (s2 + 0.005**2) ** 2, 0.0)
    sums = [gaussian_filter1d(part.sum(axis=0), STRETCH) for part in (weight, weight * s2, weight * s2**2)]
    right = [gaussian_filter1d(part.sum(axis=0), STRETCH) for part in (weight * r2, weight * r2 * s2)]
    slope = (sums[0] * right[1] - sums[1] * right[0]) / np.maximum(sums[0] * sums[2] - sums[1] ** 2, 1e-9)
    here = [
        gaussian_filter1d(part.sum(axis=0), 2.0) for part in (weight, weight * (r2 - np.clip(slope, 0.0, 1.5) * s2))
    ]
    return np.sqrt(np.maximum(here[1] / np.maximum(here[0], 1e-9), 0.0))


def measure(folders: list[Path], target: Path) -> None:
    """Read the spectra of all folders and write the table."""
    stars = [star for folder in folders for star in read_stars(folder)]
    chosen, fluxes, ivars = [], [], []
    for star in stars:
        flux, ivar = lamost.to_rest_frame(star.raw, redshift=star.redshift)
        if 4000 < star.teff < 6800 and np.count_nonzero(ivar) > 2500:
            chosen.append(star)
            fluxes.append(flux)
            ivars.append(ivar)
    ids = np.arange(len(chosen)).astype(str)
    spectra = normalize(Spectra(ids, lamost.COMMON_GRID, np.array(fluxes), np.array(ivars)))
    left = residuals(spectra)
    blue = (spectra.wavelength > BLUE[0]) & (spectra.wavelength < BLUE[1])
    arrays = {
        "sn_shape": sn_shape([star for star in stars if star.giant and star.folder == folders[0].name]).astype(
            np.float32
        ),
        "floor": floor(left, spectra, np.array([star.redshift for star in chosen])).astype(np.float32),
        **noise_numbers(stars, left[:, blue], np.asarray(spectra.ivar, float)[:, blue]),
    }
    write_arrays(target, "LamostInstrument", arrays, n_spectra=len(chosen))


if __name__ == "__main__":
    measure([Path(name) for name in sys.argv[1:-1]], Path(sys.argv[-1]))
