"""Compare the synthetic grid with real giants: contrast and width of lines by wavelength, cores of strong lines.

    python synthesis/measure_corrections.py FOLDER lib/labeltransfer/mock/line_corrections.json

The folder holds LAMOST spectra of giants and a `labels.csv` (filename, snrg, z, teff, logg, fe_h). At the labels of
LAMOST's pipeline, moved to APOGEE's scale (`SCALES`), the grid predicts each spectrum m, resampled like the real one
and normalized with the real one's weights; the real one is y - 1 = contrast (m - 1) + broadening / 2 m''. Contrast and
broadening are piecewise linear in wavelength with the knots below; all pixels of all stars enter one least-squares
problem, except strong lines, interstellar lines, telluric bands and outliers. The labels are in all of this only as
averages over stars: one depth of lines for stars of all temperatures.

What is left at the strong lines is the depth that LTE cores lack; what is left in the telluric bands, in the median
over stars, is the absorption of air that LAMOST does not correct for (broad parts go with the normalization).
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from labeltransfer import lamost
from labeltransfer.continuum import normalize
from labeltransfer.files import written_whole
from labeltransfer.mock import SimulatedSurvey, SyntheticGrid
from labeltransfer.mock.facts import REAL_PIPELINE
from labeltransfer.mock.grid import corrected_grid
from labeltransfer.spectra import Spectra
from labeltransfer.tables import read_table

CONTRAST_KNOTS = [4050, 4250, 4450, 4700, 5100, 5550, 6100, 6800, 7500, 9050]
BROADENING_KNOTS = [4050, 4700, 5000, 5500, 5898, 5902, 6400, 7100, 9050]
STRONG = np.array([4102.9, 4341.7, 4862.7, 6564.6, 5168.8, 5174.1, 5185.0, 8500.4, 8544.4, 8664.5])
"""Balmer lines, Mg b, Ca II triplet [Å, vacuum]."""
INTERSTELLAR = np.array([4429.3, 5782.0, 5798.7, 5891.6, 5897.6, 6204.7, 6285.6, 6615.4])
TELLURIC = [
    (3900, 3990),
    (5560, 5600),
    (5840, 5960),
    (6865, 6960),
    (7150, 7380),
    (7580, 7720),
    (8090, 8370),
    (8900, 9100),
]
AIR = [(6270, 6310), (6865, 6960), (7160, 7330), (7590, 7700), (8100, 8350), (8930, 8998)]
RIDGE = 0.01
PASSES = 3
HOTTEST, LARGEST_LOGG = 5600.0, 3.5
"""Giants among other stars: Teff [K] and log g of LAMOST's pipeline below these."""
SCALES = np.array([*(REAL_PIPELINE[name][0] for name in ("teff", "logg")), 0.0])
"""The pipeline's labels minus APOGEE's: of Teff and log g in the mean over the real overlap, which is of DR3. DR3's
+0.07 in [Fe/H] is not that of the giants at hand: with it, models of simulated stars find them 0.07 poorer in metals
than LAMOST's pipeline by construction, while the one of them that DR12 of APOGEE has is 0.08 poorer in LAMOST's."""


class Giants(NamedTuple):
    """Normalized spectra, the inverse variances before that, redshifts, and (N, 3) labels of the pipeline."""

    spectra: Spectra
    weights: np.ndarray
    redshifts: np.ndarray
    labels: np.ndarray

    def part(self, rows: np.ndarray) -> "Giants":
        """Some of them."""
        return Giants(*(values[rows] for values in self))


def read_giants(folder: Path, *, among_others: bool = False) -> Giants:
    """Giants with S/N above 30 in g; a folder of all kinds of stars needs `among_others`: chosen by the pipeline."""
    fluxes, ivars, ids, redshifts, labels = [], [], [], [], []
    for row in read_table(folder / "labels.csv"):
        giant = not among_others or (row["teff"] and float(row["teff"]) < HOTTEST and float(row["logg"]) < LARGEST_LOGG)
        if float(row["snrg"]) > 30 and giant:
            raw = lamost.read_spectrum(folder / row["filename"])
            flux, ivar = lamost.to_rest_frame(raw, redshift=float(row["z"]))
            fluxes.append(flux)
            ivars.append(ivar)
            ids.append(row["filename"])
            redshifts.append(float(row["z"]))
            labels.append([float(row[name]) for name in ("teff", "logg", "fe_h")])
    spectra = Spectra(np.array(ids), lamost.COMMON_GRID, np.array(fluxes), np.array(ivars))
    return Giants(normalize(spectra), np.array(ivars), np.array(redshifts), np.array(labels))


def on_apogee_scale(labels: np.ndarray) -> np.ndarray:
    """(N, 4) Teff, log g, [M/H], [α/M]: the last is the simulated overlap's typical one at that metallicity."""
    moved = labels - SCALES
    survey = SimulatedSurvey(n_overlap=8000, n_dr2=0, n_apogee=8000)
    m_h, alpha_m = survey.stars.truth[:, 2:4].T
    knots = np.linspace(-1.4, 0.3, 18)
    typical = [np.median(alpha_m[np.argsort(np.abs(m_h - knot))[:100]]) for knot in knots]
    return np.column_stack([moved, np.interp(moved[:, 2], knots, typical)])


def predicted(labels: np.ndarray, giants: Giants, grid: SyntheticGrid) -> np.ndarray:
    """(N, P) the grid's spectra, interpolated to rest as LAMOST's are and normalized with the real ones' weights."""
    step = 1e-4
    log_grid, log_common = np.log10(grid.wavelength), np.log10(lamost.COMMON_GRID)
    flux = np.empty((len(labels), len(log_common)))
    for row, surface, redshift in zip(flux, grid.flux(labels[:, :4]), giants.redshifts, strict=True):
        spline = CubicSpline(log_grid, surface)
        late = (-np.log10(1.0 + redshift) / step) % 1.0
        row[:] = late * spline(log_common - (1.0 - late) * step) + (1.0 - late) * spline(log_common + late * step)
    return np.asarray(normalize(Spectra(giants.spectra.ids, lamost.COMMON_GRID, flux, giants.weights)).flux)


def hats(wavelength: np.ndarray, knots: list[float]) -> np.ndarray:
    """(K, P) piecewise linear functions, one a knot."""
    return np.array([np.interp(wavelength, knots, row) for row in np.eye(len(knots))])


def usable(wavelength: np.ndarray) -> np.ndarray:
    """(P,) False at strong lines, interstellar lines and telluric bands."""
    good = np.abs(wavelength[:, None] - STRONG).min(axis=1) > 12
    good &= np.abs(wavelength[:, None] - INTERSTELLAR).min(axis=1) > 8
    for low, high in TELLURIC:
        good &= (wavelength < low) | (wavelength > high)
    return good


def measure(giants: Giants) -> dict[str, list[list[float]]]:
    """Contrast, broadening [pixels²], cores and telluric absorption (both in log flux), from the bare grid on."""
    labels = on_apogee_scale(giants.labels)
    contrast, broadening = np.ones(len(CONTRAST_KNOTS)), np.zeros(len(BROADENING_KNOTS))
    found = _written(contrast, broadening)
    for _ in range(PASSES):
        deeper, broader = contrast_and_broadening(giants, predicted(labels, giants, corrected_grid(found)))
        contrast, broadening = contrast * deeper, broadening + broader
        found = _written(contrast, broadening)
    model = predicted(labels, giants, corrected_grid(found))
    seen, flux = np.asarray(giants.spectra.ivar) > 0, np.asarray(giants.spectra.flux, float)
    left = np.where(seen & (model > 0), np.log(np.clip(flux / np.maximum(model, 1e-9), 0.2, 2.0)), np.nan)
    found["cores"] = strong_cores(giants.spectra.wavelength, left, labels[:, 0])
    median = np.nanmedian(left, axis=0)
    places = zip(giants.spectra.wavelength, median, strict=True)
    found["air"] = [[round(float(w), 2), round(float(r), 4)] for w, r in places if in_air(w)]
    return found


def _written(contrast: np.ndarray, broadening: np.ndarray) -> dict[str, list[list[float]]]:
    knots = {"contrast": (CONTRAST_KNOTS, contrast), "broadening": (BROADENING_KNOTS, broadening)}
    found = {name: [[w, round(float(v), 3)] for w, v in zip(*pair, strict=True)] for name, pair in knots.items()}
    return found | {"cores": [[float(line), 0.0, 0.0] for line in STRONG], "air": []}


def contrast_and_broadening(giants: Giants, model: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At their knots, by which the lines of `model` (N, P) are to be made deeper and broader."""
    wavelength, flux, ivar = (
        np.asarray(getattr(giants.spectra, name), float) for name in ("wavelength", "flux", "ivar")
    )
    curvature = np.zeros_like(model)
    curvature[:, 1:-1] = model[:, 2:] + model[:, :-2] - 2.0 * model[:, 1:-1]
    deeper = (model - 1.0) * hats(wavelength, CONTRAST_KNOTS)[:, None]
    broader = 0.5 * curvature * hats(wavelength, BROADENING_KNOTS)[:, None]
    weight = np.minimum(ivar, 1e4) * usable(wavelength) * (model > 0)
    prior = np.concatenate([np.ones(len(deeper)), np.zeros(len(broader))])
    solution = solve(np.concatenate([deeper, broader]), flux - 1.0, weight, prior)
    return solution[: len(deeper)], solution[len(deeper) :]


def strong_cores(wavelength: np.ndarray, left: np.ndarray, teff: np.ndarray) -> list[list[float]]:
    """For each line: wavelength, log flux missing in the core at 4800 K, its change per 300 K."""
    cores = []
    warmth = (teff - 4800.0) / 300.0
    for line in STRONG:
        core = left[:, np.abs(wavelength - line) < 1.5]
        depth = np.nansum(core, axis=1) / np.where(np.isfinite(core).any(axis=1), np.isfinite(core).sum(axis=1), np.nan)
        used = np.isfinite(depth)
        for _ in range(4):
            slope, middle = np.polyfit(warmth[used], depth[used], 1)
            residual = depth - middle - slope * warmth
            used = np.abs(residual) < 3 * 1.4826 * np.nanmedian(np.abs(residual))
        cores.append([float(line), round(float(middle), 3), round(float(slope), 3)])
    return cores


def in_air(wavelength: float) -> bool:
    """Whether a wavelength is in a band of telluric absorption."""
    return any(low <= wavelength <= high for low, high in AIR)


def solve(terms: np.ndarray, target: np.ndarray, weight: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Least squares with outliers left out and weak knots held at `prior`."""
    solution = prior
    for _ in range(5):
        residual = target - np.einsum("k,knp->np", solution, terms)
        scatter = 1.4826 * np.median(np.abs(residual[weight > 0]))
        used = np.where(np.abs(residual) < 4 * scatter, weight, 0.0)
        normal = np.array([[np.vdot(a * used, b) for b in terms] for a in terms])
        right = np.array([np.vdot(a * used, target) for a in terms])
        stiffness = RIDGE * np.median(np.diag(normal)) * np.eye(len(prior))
        solution = np.linalg.solve(normal + stiffness, right + stiffness @ prior)
    return solution


if __name__ == "__main__":
    with written_whole(sys.argv[2]) as temporary:
        temporary.write_text(json.dumps(measure(read_giants(Path(sys.argv[1]))), indent=1) + "\n", encoding="utf-8")
