"""Compare the synthetic grid with real giants: line contrast and line width by wavelength.

    python synthesis/measure_corrections.py FOLDER lib/labeltransfer/mock/line_corrections.json

The folder holds LAMOST spectra of giants and a `labels.csv` (filename, snrg, z, teff, logg, fe_h). A model trained on
simulated stars alone labels them (in `WINDOW`, so that no label of the table enters); with those labels the grid
predicts each normalized spectrum m, and the real one is y - 1 = contrast (m - 1) + broadening / 2 m''. Contrast and
broadening are piecewise linear in wavelength with the knots below; all pixels of all stars enter one least-squares
problem, except Balmer lines, interstellar lines, telluric bands and outliers.

What is left at the Balmer lines, in the median over stars, is the depth that LTE cores lack; what is left in the
telluric bands is the absorption of air that LAMOST does not correct for (broad parts go with the normalization).
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from labeltransfer import lamost
from labeltransfer.cannon import train
from labeltransfer.continuum import normalize
from labeltransfer.files import written_whole
from labeltransfer.inference import infer, starting_points
from labeltransfer.mock import SimulatedSurvey, SyntheticGrid
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra
from labeltransfer.tables import read_table

CONTRAST_KNOTS = [4050, 4250, 4450, 4700]
BROADENING_KNOTS = [4050, 4700, 5000, 5500, 5898, 5902, 6400, 7100, 9050]
WINDOW = [(4500, 5560), (5600, 5870), (5920, 6270), (6320, 6850), (7000, 7150), (7400, 7580), (7720, 8100)]
WINDOW += [(8400, 8900)]
BALMER = np.array([4102.9, 4341.7, 4862.7, 6564.6])
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
RIDGE = 1.0
HOTTEST, LARGEST_LOGG = 5600.0, 3.5
"""Giants among other stars: Teff [K] and log g of LAMOST's pipeline below these."""


def read_giants(folder: Path, *, among_others: bool = False) -> tuple[Spectra, np.ndarray]:
    """Normalized spectra of giants with S/N above 30 in g, and Teff, log g, [Fe/H] of LAMOST's pipeline.

    A folder may hold all kinds of stars: with `among_others` its giants are chosen, by the pipeline's labels.
    """
    fluxes, ivars, ids, labels = [], [], [], []
    for row in read_table(folder / "labels.csv"):
        giant = not among_others or (row["teff"] and float(row["teff"]) < HOTTEST and float(row["logg"]) < LARGEST_LOGG)
        if float(row["snrg"]) > 30 and giant:
            raw = lamost.read_spectrum(folder / row["filename"])
            flux, ivar = lamost.to_rest_frame(raw, redshift=float(row["z"]))
            fluxes.append(flux)
            ivars.append(ivar)
            ids.append(row["filename"])
            labels.append([float(row[name]) for name in ("teff", "logg", "fe_h")])
    spectra = normalize(Spectra(np.array(ids), lamost.COMMON_GRID, np.array(fluxes), np.array(ivars)))
    return spectra, np.array(labels)


def simulated_reference(number: int = 3000, seed: int = 1) -> ReferenceSet:
    """Simulated stars inside the grid with their true labels."""
    survey = SimulatedSurvey(n_overlap=number, n_dr2=0, n_apogee=number, seed=seed)
    rows = np.flatnonzero(~survey.stars.outside)
    return ReferenceSet.join(normalize(survey.spectra(rows)), survey.truth(rows))


def in_windows(spectra: Spectra, windows: list[tuple[float, float]], softening: float = 0.0) -> Spectra:
    """Some wavelengths only; `softening` is a relative error added to all pixels."""
    wavelength = spectra.wavelength
    columns = np.any([(wavelength >= low) & (wavelength <= high) for low, high in windows], axis=0)
    ivar = spectra.ivar[:, columns] / (1.0 + spectra.ivar[:, columns] * softening**2)
    return Spectra(spectra.ids, wavelength[columns], spectra.flux[:, columns], ivar, normalized=True)


def fitted_labels(spectra: Spectra, reference: ReferenceSet) -> np.ndarray:
    """(N, 5) labels of real stars by a model of simulated ones."""
    model = train(ReferenceSet.join(in_windows(reference.spectra, WINDOW), reference.labels))
    starts = starting_points(reference.labels, 7, rng=np.random.default_rng(0))
    return infer(model, in_windows(spectra, WINDOW, 0.02), starts).labels.values


def predicted(labels: np.ndarray, ids: np.ndarray, grid: SyntheticGrid) -> np.ndarray:
    """(N, P) normalized spectra of the grid."""
    flux = CubicSpline(np.log(grid.wavelength), grid.flux(labels[:, :4]), axis=1)(np.log(lamost.COMMON_GRID))
    return np.asarray(normalize(Spectra(ids, lamost.COMMON_GRID, flux, np.ones_like(flux))).flux)


def hats(wavelength: np.ndarray, knots: list[float]) -> np.ndarray:
    """(K, P) piecewise linear functions, one a knot."""
    return np.array([np.interp(wavelength, knots, row) for row in np.eye(len(knots))])


def usable(wavelength: np.ndarray) -> np.ndarray:
    """(P,) False at Balmer lines, interstellar lines and telluric bands."""
    good = np.abs(wavelength[:, None] - BALMER).min(axis=1) > 12
    good &= np.abs(wavelength[:, None] - INTERSTELLAR).min(axis=1) > 8
    for low, high in TELLURIC:
        good &= (wavelength < low) | (wavelength > high)
    return good


def measure(real: Spectra, pipeline: np.ndarray) -> dict[str, object]:
    """Contrast, broadening [pixels²], Balmer cores and telluric absorption, the last two in log flux."""
    labels = fitted_labels(real, simulated_reference())
    known = np.isfinite(labels).all(axis=1)
    model = predicted(labels[known], real.ids[known], SyntheticGrid.load(corrected=False))
    flux, ivar = np.asarray(real.flux, float)[known], np.asarray(real.ivar, float)[known]
    curvature = np.zeros_like(model)
    curvature[:, 1:-1] = model[:, 2:] + model[:, :-2] - 2.0 * model[:, 1:-1]
    contrast_hats = hats(real.wavelength, CONTRAST_KNOTS)
    depth = (model - 1.0) * contrast_hats[:-1, None]
    terms = np.concatenate([depth, 0.5 * curvature * hats(real.wavelength, BROADENING_KNOTS)[:, None]])
    fixed = (model - 1.0) * contrast_hats[-1]
    weight = np.minimum(ivar, 1e4) * usable(real.wavelength)
    solution = np.round(solve(terms, flux - 1.0 - fixed, weight), 3)
    whole = 1.0 + fixed + np.einsum("k,knp->np", solution, terms)
    ratio = np.log(np.clip(np.where(ivar > 0, flux / whole, np.nan), 0.2, 2.0))
    left = np.nanmedian(ratio, axis=0)
    air = [[round(float(w), 2), round(float(r), 4)] for w, r in zip(real.wavelength, left, strict=True) if in_air(w)]
    contrast = [*solution[: len(CONTRAST_KNOTS) - 1].tolist(), 1.0]
    return {
        "contrast": [list(pair) for pair in zip(CONTRAST_KNOTS, contrast, strict=True)],
        "broadening": [
            list(pair) for pair in zip(BROADENING_KNOTS, solution[len(contrast) - 1 :].tolist(), strict=True)
        ],
        "balmer": balmer_cores(real, pipeline),
        "air": air,
    }


def balmer_cores(real: Spectra, pipeline: np.ndarray) -> list[list[float]]:
    """For each line: wavelength, log flux missing in the core at 4800 K, its change per 300 K.

    Compared at the pipeline's labels, because the lines take part in labels fitted by the model itself.
    """
    labels = np.column_stack([pipeline, np.full(len(pipeline), 0.08)])
    model = predicted(labels, real.ids, SyntheticGrid.load(corrected=False))
    ratio = np.where(np.asarray(real.ivar) > 0, np.log(np.clip(np.asarray(real.flux, float) / model, 0.2, 2.0)), np.nan)
    cores = []
    for line in BALMER:
        depth = np.nanmean(ratio[:, np.abs(real.wavelength - line) < 1.5], axis=1)
        used = np.isfinite(depth)
        for _ in range(4):
            slope, middle = np.polyfit((pipeline[used, 0] - 4800.0) / 300.0, depth[used], 1)
            residual = depth - middle - slope * (pipeline[:, 0] - 4800.0) / 300.0
            used = np.abs(residual) < 3 * 1.4826 * np.nanmedian(np.abs(residual))
        cores.append([float(line), round(float(middle), 3), round(float(slope), 3)])
    return cores


def in_air(wavelength: float) -> bool:
    """Whether a wavelength is in a band of telluric absorption."""
    return any(low <= wavelength <= high for low, high in AIR)


def solve(terms: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Least squares with outliers left out and weak knots held at contrast 1 and broadening 0.3."""
    prior = np.concatenate([np.ones(len(CONTRAST_KNOTS) - 1), np.full(len(BROADENING_KNOTS), 0.3)])
    solution = prior
    for _ in range(5):
        residual = target - np.einsum("k,knp->np", solution, terms)
        scatter = 1.4826 * np.median(np.abs(residual[weight > 0]))
        used = np.where(np.abs(residual) < 4 * scatter, weight, 0.0)
        normal = np.einsum("knp,np,lnp->kl", terms, used, terms, optimize=True)
        right = np.einsum("knp,np,np->k", terms, used, target, optimize=True)
        stiffness = RIDGE * np.median(np.diag(normal)) * 0.01 * np.eye(len(prior))
        solution = np.linalg.solve(normal + stiffness, right + stiffness @ prior)
    return solution


if __name__ == "__main__":
    with written_whole(sys.argv[2]) as temporary:
        temporary.write_text(json.dumps(measure(*read_giants(Path(sys.argv[1]))), indent=1) + "\n", encoding="utf-8")
