"""Label real giants with a model of simulated stars alone, and compare with the labels of LAMOST's own pipeline.

    python synthesis/measure_realism.py FOLDER lib/labeltransfer/mock/realism.json

The folder holds LAMOST spectra of giants and a `labels.csv` (filename, snrg, z, teff, logg, fe_h). The model is a plain
quadratic Cannon with five labels, trained on simulated overlap stars inside the grid with their true labels.
"""

import json
import sys
from pathlib import Path

import numpy as np
from measure_corrections import read_giants, simulated_reference

from labeltransfer.cannon import train
from labeltransfer.files import written_whole
from labeltransfer.inference import infer, starting_points
from labeltransfer.mock.realism import MODEL_ERROR, TRUSTED, trusted
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra

CHOICES = {
    "3925-8980 Å": (((3925.0, 8980.0),), 0.0),
    "4500-6800 Å": (((4500.0, 6800.0),), 0.0),
    "trusted, model error": (TRUSTED, MODEL_ERROR),
    "trusted": (TRUSTED, 0.0),
}
BIN = 100.0


def residuals(
    reference: ReferenceSet, real: Spectra, pipeline: np.ndarray, windows: tuple, model_error: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) label residuals Teff, log g, [Fe/H] against the pipeline, and the (N, L) labels."""
    model = train(ReferenceSet.join(trusted(reference.spectra, windows), reference.labels))
    starts = starting_points(reference.labels, 7, rng=np.random.default_rng(0))
    labels = infer(model, trusted(real, windows, model_error), starts).labels.values
    return labels[:, :3] - pipeline, labels


def summary(values: np.ndarray) -> dict[str, list[float]]:
    """Bias, robust scatter (1.4826 MAD) and standard deviation of each column."""
    known = values[np.isfinite(values).all(axis=1)]
    bias = np.median(known, axis=0)
    robust = 1.4826 * np.median(np.abs(known - bias), axis=0)
    return {
        "n": len(known), "bias": np.round(bias, 3).tolist(), "robust": np.round(robust, 3).tolist(),
        "deviation": np.round(known.std(axis=0), 3).tolist(),
    }  # fmt: skip


def measure(folder: Path) -> dict[str, object]:
    """All choices of windows, and reduced chi-squared and rms by wavelength at the labels of the last choice."""
    real, pipeline = read_giants(folder)
    reference = simulated_reference(number=11057, seed=2017)
    windows = {}
    for name, (choice, model_error) in CHOICES.items():
        values, labels = residuals(reference, real, pipeline, choice, model_error)
        windows[name] = summary(values)
    known = np.isfinite(labels).all(axis=1)
    missed = np.asarray(real.flux)[known] - train(reference).predict(labels[known])
    ivar = np.asarray(real.ivar)[known]
    edges = np.arange(3925.0, 9000.0, BIN)
    centres, chi2, rms = [], [], []
    for low in edges:
        columns = (real.wavelength >= low) & (real.wavelength < low + BIN)
        good = ivar[:, columns] > 0
        centres.append(low + BIN / 2)
        chi2.append(round(float(np.median((missed[:, columns] ** 2 * ivar[:, columns])[good]) / 0.4549), 3))
        rms.append(round(float(1.4826 * np.median(np.abs(missed[:, columns][good]))), 4))
    return {"n_stars": len(real), "windows": windows, "wavelength": centres, "reduced_chi2": chi2, "rms": rms}


if __name__ == "__main__":
    with written_whole(sys.argv[2]) as temporary:
        temporary.write_text(json.dumps(measure(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
