"""Label real giants with a model of simulated stars alone, and compare with the labels of LAMOST's own pipeline.

    python synthesis/measure_realism.py GIANTS OTHERS lib/labeltransfer/mock/realism.json

Each folder holds LAMOST spectra and a `labels.csv` (filename, snrg, z, teff, logg, fe_h). GIANTS are those the line
corrections were measured on; OTHERS nothing was ever fitted to. The model is a plain quadratic Cannon with five labels,
trained on simulated overlap stars inside the grid with their true labels.
"""

import json
import sys
import tempfile
from pathlib import Path

import measure_corrections
import numpy as np
from measure_corrections import read_giants, simulated_reference

from labeltransfer.cannon import train
from labeltransfer.files import written_whole
from labeltransfer.inference import infer, starting_points
from labeltransfer.mock import grid, lamost_instrument
from labeltransfer.mock.realism import FEATURES, MODEL_ERROR, TRUSTED, trusted
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra

RED = ((7000.0, 7150.0), (7400.0, 7580.0), (7720.0, 8100.0), (8400.0, 8900.0))
CHOICES = {
    "trusted": TRUSTED,
    "trusted, from 4400 Å": ((4400.0, 5560.0), *TRUSTED[1:]),
    "trusted, from 4600 Å": ((4600.0, 5560.0), *TRUSTED[1:]),
    "trusted, from 4700 Å": ((4700.0, 5560.0), *TRUSTED[1:]),
    "trusted, to 6500 Å": (*TRUSTED[:3], (6320.0, 6500.0)),
    "trusted, no Balmer lines": (
        (4500.0, 4840.0), (4885.0, 5560.0), *TRUSTED[1:3], (6320.0, 6545.0), (6585.0, 6850.0)
    ),
    "trusted, no Mg triplet": ((4500.0, 5150.0), (5200.0, 5560.0), *TRUSTED[1:]),
    "trusted, and the red": (*TRUSTED, *RED),
    "4500-6850 Å": ((4500.0, 6850.0),),
    "4500-6800 Å": ((4500.0, 6800.0),),
    "blue arm, 4500-5830 Å": (TRUSTED[0], (5600.0, 5830.0)),
    "3925-8980 Å": ((3925.0, 8980.0),),
}  # fmt: skip
BIN = 100.0
CHI2_MEDIAN = 0.4549
"""Median of χ² with one degree of freedom."""


def residuals(
    reference: ReferenceSet, real: Spectra, pipeline: np.ndarray, windows: tuple, model_error: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) label residuals Teff, log g, [Fe/H] against the pipeline, and the (N, L) labels."""
    model = train(ReferenceSet.join(trusted(reference.spectra, windows), reference.labels))
    starts = starting_points(reference.labels, 7, rng=np.random.default_rng(0))
    labels = infer(model, trusted(real, windows, model_error), starts).labels.values
    return labels[:, :3] - pipeline, labels


def summary(values: np.ndarray) -> dict[str, object]:
    """Bias, robust scatter (1.4826 MAD) with its error from 1,000 bootstraps, and standard deviation of each column."""
    known = values[np.isfinite(values).all(axis=1)]
    rng = np.random.default_rng(0)
    again = [robust(known[rng.integers(len(known), size=len(known))]) for _ in range(1000)]
    return {
        "n": len(known),
        "bias": np.round(np.median(known, axis=0), 3).tolist(),
        "robust": np.round(robust(known), 3).tolist(),
        "robust_error": np.round(np.std(again, axis=0), 3).tolist(),
        "deviation": np.round(known.std(axis=0), 3).tolist(),
    }


def robust(values: np.ndarray) -> np.ndarray:
    """1.4826 times the median absolute deviation of each column."""
    return 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def crossed_halves(real: Spectra, pipeline: np.ndarray) -> np.ndarray:
    """(N, 3) label residuals of each half of the giants, with corrections measured on the other half alone."""
    found = np.empty_like(pipeline)
    shipped = grid.CORRECTIONS_FILE
    try:
        for half in range(2):
            test, other = slice(half, None, 2), slice(1 - half, None, 2)
            with tempfile.TemporaryDirectory() as folder:
                grid.CORRECTIONS_FILE = Path(folder) / "line_corrections.json"
                _use(shipped.read_text(encoding="utf-8"))
                _use(json.dumps(measure_corrections.measure(real[other], pipeline[other])))
                found[test], _ = residuals(simulated_reference(11057, 2017), real[test], pipeline[test], TRUSTED)
    finally:
        grid.CORRECTIONS_FILE = shipped
        _forget()
    return found


def _use(corrections: str) -> None:
    grid.CORRECTIONS_FILE.write_text(corrections, encoding="utf-8")
    _forget()


def _forget() -> None:
    grid._load.cache_clear()
    lamost_instrument._load.cache_clear()


def by_wavelength(wavelength: np.ndarray, missed: np.ndarray, ivar: np.ndarray) -> dict[str, object]:
    """Reduced χ² and rms in steps of 100 Å, and at the features: with the share of all χ² in excess of 1 there."""
    good = ivar > 0
    chi2 = np.nanmedian(np.where(good, missed**2 * ivar, np.nan), axis=0) / CHI2_MEDIAN
    excess = np.clip(chi2 - 1.0, 0.0, None)

    def measured(low: float, high: float) -> tuple[float, float]:
        columns = (wavelength >= low) & (wavelength < high)
        part, seen = missed[:, columns], good[:, columns]
        reduced = np.median((part**2 * ivar[:, columns])[seen]) / CHI2_MEDIAN
        return round(float(reduced), 3), round(float(1.4826 * np.median(np.abs(part[seen]))), 4)

    edges = np.arange(3925.0, 9000.0, BIN)
    reduced, rms = zip(*(measured(low, low + BIN) for low in edges), strict=True)
    features = {}
    for name, (bands, _) in FEATURES.items():
        columns = np.any([(wavelength >= low) & (wavelength < high) for low, high in bands], axis=0)
        features[name] = {
            "chi2": round(float(np.max([measured(low, high)[0] for low, high in bands])), 2),
            "pixels": round(float(columns.mean()), 3),
            "excess": round(float(excess[columns].sum() / excess.sum()), 3),
        }
    return {"wavelength": (edges + BIN / 2).tolist(), "reduced_chi2": reduced, "rms": rms, "features": features}


def measure(folder: Path, others: Path) -> dict[str, object]:
    """All choices of windows; giants kept apart; what is left of the spectra at the labels of the trusted windows."""
    real, pipeline = read_giants(folder)
    reference = simulated_reference(11057, 2017)
    windows, labels = {}, {}
    for name, choice in CHOICES.items():
        values, labels[name] = residuals(reference, real, pipeline, choice)
        windows[name] = summary(values)
    values, _ = residuals(reference, real, pipeline, TRUSTED, MODEL_ERROR)
    windows["trusted, model error"] = summary(values)
    apart, apart_pipeline = read_giants(others, among_others=True)
    kept = {
        "other half": summary(crossed_halves(real, pipeline)),
        "pilot survey": summary(residuals(reference, apart, apart_pipeline, TRUSTED)[0]),
    }
    known = np.isfinite(labels["trusted"]).all(axis=1)
    missed = np.asarray(real.flux)[known] - train(reference).predict(labels["trusted"][known])
    spectra = by_wavelength(real.wavelength, missed, np.asarray(real.ivar)[known])
    return {"n_stars": len(real), "n_apart": len(apart), "windows": windows, "apart": kept, **spectra}


if __name__ == "__main__":
    found = measure(Path(sys.argv[1]), Path(sys.argv[2]))
    with written_whole(sys.argv[3]) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
