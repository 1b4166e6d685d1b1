"""Label real giants with models of simulated stars alone, and compare with the labels of LAMOST's own pipeline.

    python synthesis/measure_realism.py GIANTS OTHERS lib/labeltransfer/mock/realism.json

Each folder holds LAMOST spectra and a `labels.csv` (filename, snrg, z, teff, logg, fe_h). GIANTS are those the line
corrections are measured on: here each half of them is labelled with corrections measured, from the bare grid on, on the
other half alone. OTHERS nothing was ever fitted to.

Every comparison is made for all `SEEDS` of the simulated survey and for two routes: "truth", a plain quadratic Cannon
with five labels trained on the overlap stars inside the grid with their true labels, and "learn", `lt.learn` on the
simulated surveys as they are, with APOGEE's labels, cuts and clip. With the best choice there is a third, "quiet": the
same as "learn" where APOGEE's labels have their faults but no noise.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import measure_corrections
import numpy as np
from measure_corrections import Giants, read_giants
from scipy.stats import theilslopes

import labeltransfer as lt
from labeltransfer.files.sources import digest_of_contents
from labeltransfer.mock import SimulatedSurvey, grid, lamost_instrument
from labeltransfer.mock.pipelines import ApogeeAccuracy
from labeltransfer.mock.realism import FEATURES, MODEL_ERROR, TRUSTED, columns, trusted

SEEDS = (2017, 1, 2, 3, 4)
N_OVERLAP = 11057
LABELS = ("teff", "logg", "fe_h")
ROUTES = ("truth", "learn")
RECIPE = "robust"
"""Of `lt.learn`."""
BEST = "trusted, model error"
BLUE, RED = TRUSTED[:4], TRUSTED[4:]
CHOICES = {
    "trusted": TRUSTED,
    "trusted, from 4600 Å": ((4600.0, 5560.0), *TRUSTED[1:]),
    "trusted, no Hα": (*BLUE[:3], (6320.0, 6545.0), (6585.0, 6850.0), *RED),
    "trusted, no Ca triplet": (*BLUE, *RED[:3]),
    "trusted, to 6850 Å": BLUE,
    "4500-6800 Å": ((4500.0, 6800.0),),
    "3925-8980 Å": ((3925.0, 8980.0),),
}
FOLDS = 13
BIN = 100.0
CHI2_MEDIAN = 0.4549
"""Median of χ² with one degree of freedom."""


def models(seed: int) -> dict[str, tuple[lt.CannonModel, lt.Labels]]:
    """Models of one simulated survey over all wavelengths, by route, with their reference labels."""
    survey = SimulatedSurvey(n_overlap=N_OVERLAP, n_dr2=0, n_apogee=N_OVERLAP, seed=seed)
    rows = np.flatnonzero(~survey.stars.outside)
    true = lt.ReferenceSet.join(lt.normalize(survey.spectra(rows)), survey.truth(rows))
    found = {"truth": (lt.train(true), true.labels)}
    for route, apogee in {"learn": ApogeeAccuracy(), "quiet": ApogeeAccuracy(noise=(0.0,) * 5)}.items():
        opened = lt.open_survey(n_overlap=N_OVERLAP, n_dr2=0, n_apogee=N_OVERLAP, seed=seed, apogee=apogee)
        learned = lt.learn(opened, rng=np.random.default_rng(0), recipe=RECIPE)
        found[route] = learned.model, learned.reference_labels
    return found


def assumed() -> dict[str, object]:
    """What of the simulated survey matters here and may change, and the recipe of the route "learn"."""
    survey = SimulatedSurvey(n_overlap=N_OVERLAP, n_dr2=0, n_apogee=N_OVERLAP)
    return {
        "n_overlap": survey.n_overlap,
        "error_factor": survey.error_factor,
        "floor_scale": survey.floor_scale,
        "apogee_noise": list(survey.apogee.noise),
        "wrong_share": survey.apogee.wrong_share,
        "recipe": RECIPE,
    }


def labelled(
    model: lt.CannonModel, reference: lt.Labels, real: lt.Spectra, windows: tuple, model_error: float = 0.0
) -> np.ndarray:
    """(N, L) labels of real stars. Pixels are trained one by one, so a part of the model is the model of that part."""
    used = columns(model.wavelength, windows)
    parts = {name: getattr(model, name)[used] for name in ("wavelength", "coefficients", "scatter")}
    starts = lt.starting_points(reference, 7, rng=np.random.default_rng(0))
    return lt.infer(replace(model, **parts), trusted(real, windows, model_error), starts).labels.values


def halves(giants: Giants) -> Iterator[np.ndarray]:
    """Rows of each half, while the simulated stars have corrections measured on the other half alone."""
    shipped = grid.CORRECTIONS_FILE
    order = np.arange(len(giants.labels))
    measured = [measure_corrections.measure(giants.part(order[1 - half :: 2])) for half in range(2)]
    try:
        for half, found in enumerate(measured):
            with tempfile.TemporaryDirectory() as folder:
                grid.CORRECTIONS_FILE = Path(folder) / "line_corrections.json"
                grid.CORRECTIONS_FILE.write_text(json.dumps(found), encoding="utf-8")
                _forget()
                yield order[half::2]
    finally:
        grid.CORRECTIONS_FILE = shipped
        _forget()


def _forget() -> None:
    grid._load.cache_clear()
    lamost_instrument._load.cache_clear()


def summary(residuals: np.ndarray, pipeline: np.ndarray) -> dict[str, object]:
    """Of (S, N, 3) residuals, S seeds: bias, scatter (1.4826 MAD) by seed and its mean with bootstrap error, slope."""
    known = np.isfinite(residuals).all(axis=(0, 2))
    values, pipeline = residuals[:, known], pipeline[known]
    rng = np.random.default_rng(0)
    picks = rng.integers(values.shape[1], size=(500, values.shape[1]))
    again = [np.mean([robust(seed[pick]) for seed in values], axis=0) for pick in picks]
    each = np.array([robust(seed) for seed in values])
    middle = values.mean(axis=0)
    return {
        "n": int(known.sum()),
        "bias": np.round(np.median(values, axis=(0, 1)), 3).tolist(),
        "robust": np.round(each.mean(axis=0), 3).tolist(),
        "robust_error": np.round(np.std(again, axis=0), 3).tolist(),
        "by_seed": np.round(each, 3).tolist(),
        "deviation": np.round(values.std(axis=1).mean(axis=0), 3).tolist(),
        "slope": [round(float(theilslopes(middle[:, k], pipeline[:, k])[0]), 3) for k in range(3)],
        "between_seeds": np.round(np.median(values.std(axis=0), axis=0), 3).tolist(),
    }


def robust(values: np.ndarray) -> np.ndarray:
    """1.4826 times the median absolute deviation of each column."""
    return 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def trained_on_real(giants: Giants, windows: tuple) -> np.ndarray:
    """(S, N, 3) residuals of a Cannon with three labels trained on the real giants themselves, cross-validated."""
    labels = lt.Labels(giants.spectra.ids, LABELS, giants.labels)
    reference = lt.ReferenceSet.join(trusted(giants.spectra, windows), labels)
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        folds = lt.validation.assign_folds(len(reference), FOLDS, rng)
        fit = lt.validation.cross_validate(reference, folds, lt.starting_points(labels, 7, rng=rng))
        found.append(fit.labels.values - labels.values)
    return np.array(found)


def by_wavelength(wavelength: np.ndarray, missed: np.ndarray, ivar: np.ndarray) -> dict[str, object]:
    """Reduced χ² (median over that of χ²) and rms by 100 Å, and at features: with their share of the excess over 1."""
    good = ivar > 0
    chi2 = np.nanmedian(np.where(good, missed**2 * ivar, np.nan), axis=0) / CHI2_MEDIAN
    excess = np.clip(chi2 - 1.0, 0.0, None)

    def measured(low: float, high: float) -> tuple[float, float]:
        here = (wavelength >= low) & (wavelength < high)
        part, seen = missed[:, here], good[:, here]
        reduced = np.median((part**2 * ivar[:, here])[seen]) / CHI2_MEDIAN
        return round(float(reduced), 3), round(float(1.4826 * np.median(np.abs(part[seen]))), 4)

    edges = np.arange(3925.0, 9000.0, BIN)
    reduced, rms = zip(*(measured(low, low + BIN) for low in edges), strict=True)
    features = {}
    for name, (bands, _) in FEATURES.items():
        here = columns(wavelength, bands)
        features[name] = {
            "chi2": round(float(np.max([measured(low, high)[0] for low, high in bands])), 2),
            "pixels": round(float(here.mean()), 3),
            "excess": round(float(excess[here].sum() / excess.sum()), 3),
        }
    return {"wavelength": (edges + BIN / 2).tolist(), "reduced_chi2": reduced, "rms": rms, "features": features}


def inputs(**folders: Path) -> dict[str, dict[str, object]]:
    """Number of files of each folder, and the fingerprint of their names and contents."""
    found = {}
    for name, folder in folders.items():
        paths = [path for path in folder.rglob("*") if path.is_file()]
        found[name] = {"n_files": len(paths), "sha256": digest_of_contents(paths, folder)}
    return found


def measure(folder: Path, others: Path) -> dict[str, object]:
    """All choices of windows and both routes; giants kept apart; training on real giants; what is left of spectra."""
    giants, apart = read_giants(folder), read_giants(others, among_others=True)
    choices = {**dict.fromkeys(CHOICES, 0.0), BEST: MODEL_ERROR}
    shape = (len(SEEDS), len(giants.labels), 3)
    found = {name: {route: np.full(shape, np.nan) for route in ROUTES} for name in choices}
    found[BEST]["quiet"] = np.full(shape, np.nan)
    pilot = {route: np.full((2 * len(SEEDS), len(apart.labels), 3), np.nan) for route in ROUTES}
    missed = np.full(giants.spectra.flux.shape, np.nan)
    for half, rows in enumerate(halves(giants)):
        test = giants.part(rows)
        for number, seed in enumerate(SEEDS):
            for route, (model, reference) in models(seed).items():
                for name, error in choices.items():
                    if route not in found[name]:
                        continue
                    windows = CHOICES.get(name, TRUSTED)
                    labels = labelled(model, reference, test.spectra, windows, error)
                    found[name][route][number, rows] = labels[:, :3] - test.labels
                    if (name, route, number) == ("trusted", "truth", 0):
                        missed[rows] = np.asarray(test.spectra.flux) - model.model_flux(labels)
                if route in pilot:
                    labels = labelled(model, reference, apart.spectra, TRUSTED)
                    pilot[route][2 * number + half] = labels[:, :3] - apart.labels
    known = np.isfinite(missed).all(axis=1)
    windows = {
        name: {route: summary(values, giants.labels) for route, values in routes.items()}
        for name, routes in found.items()
    }
    return {
        "inputs": inputs(giants=folder, others=others),
        "survey": assumed(),
        "n_stars": len(giants.labels),
        "n_apart": len(apart.labels),
        "seeds": list(SEEDS),
        "scales": measure_corrections.SCALES.tolist(),
        "windows": windows,
        "apart": {route: summary(values, apart.labels) for route, values in pilot.items()},
        "trained_on_real": {
            name: summary(trained_on_real(giants, CHOICES[name]), giants.labels) for name in ("trusted", "3925-8980 Å")
        },
        **by_wavelength(giants.spectra.wavelength, missed[known], np.asarray(giants.spectra.ivar)[known]),
    }


if __name__ == "__main__":
    result = measure(Path(sys.argv[1]), Path(sys.argv[2]))
    with lt.files.written_whole(sys.argv[3]) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
