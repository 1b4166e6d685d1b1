"""How fast and how right: training, folds, test step, normalization and simulation, beside the usual loops, in one run.

    python benchmarks/run.py [--stars 9952] [--pixels 3626] [--labels 5] [--out _build/benchmarks.json]

Times are the best of a few. Those of the loops are measured on some pixels and stars and scaled up.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
from memory import KINDS, measured_apart
from stars import draw, known_model

from labeltransfer.cannon import train, train_subsets
from labeltransfer.cannon.model import CannonModel
from labeltransfer.continuum import normalize
from labeltransfer.inference import infer, starting_points
from labeltransfer.mock import SimulatedSurvey
from labeltransfer.parallel import available_cores, over_blocks
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra
from labeltransfer.transfer import learn

N_FOLDS = 8

WANTED: dict[str, tuple[str, float]] = {
    "training_float64_s": ("<=", 1.8),
    "training_times_faster_than_loop": (">=", 12.0),
    "folds_in_trainings": ("<=", 3.0),
    "recipe_robust_in_trainings": ("<=", 6.0),
    "stars_per_s_float64": (">=", 10_000.0),
    "test_step_times_faster_than_curve_fit": (">=", 250.0),
    "normalization_float64_s_per_10000": ("<=", 2.0),
    **{f"{kind}_memory_gb": ("<=", 1.0) for kind in KINDS},
    "scatter_off_truth": ("<=", 0.01),
    "pull_width_off_one": ("<=", 0.03),
}
"""What is wanted on two cores at N = 9,952, P = 3,626 and five labels."""


def best_time(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Shortest wall-clock time [s] of a few, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def product_rate(dtype: type, size: int = 1024) -> float:
    """Matrix products of all cores in the library's own blocks of work [GFLOP/s]."""
    a = np.random.default_rng(0).random((size, size)).astype(dtype)
    cores = available_cores()
    seconds, _ = best_time(lambda: over_blocks(lambda _: a @ a, cores, 1), 5)
    return cores * 2 * size**3 / seconds / 1e9


def kept(n_stars: int) -> np.ndarray:
    """(8, N) True where a star is not in the fold."""
    return np.arange(n_stars) % N_FOLDS != np.arange(N_FOLDS)[:, None]


def training(reference: ReferenceSet, truth: CannonModel, n_loop: int, rng: np.random.Generator) -> dict[str, float]:
    n_pixels = reference.spectra.wavelength.size
    pixels = rng.choice(n_pixels, n_loop, replace=False)
    double, model = best_time(lambda: train(reference))
    loop, looped = best_time(lambda: peers.train_loop(reference, model, pixels))
    folds, _ = best_time(lambda: train_subsets(reference, kept(len(reference))))
    robust, _ = best_time(lambda: learn(reference.spectra, reference.labels, recipe="robust"), 1)
    loop *= n_pixels / n_loop
    scatter = float(np.median(model.scatter / truth.scatter))
    return {
        "training_float64_s": double,
        "folds_float64_s": folds,
        "looped_training_s": loop,
        "training_times_faster_than_loop": loop / double,
        "folds_in_trainings": folds / double,
        "recipe_robust_in_trainings": robust / double,
        "scatter_over_truth": scatter,
        "scatter_off_truth": abs(scatter - 1),
        "looped_scatter_over_ours": float(np.median(looped / model.scatter[pixels])),
    }


def test_step(reference: ReferenceSet, truth: CannonModel, n_loop: int, rng: np.random.Generator) -> dict[str, float]:
    starts = starting_points(reference.labels, 7, rng=rng)
    stars = rng.choice(len(reference), n_loop, replace=False)
    double, exact = best_time(lambda: infer(truth, reference.spectra, starts, dtype=np.float64))
    loop, looped = best_time(lambda: peers.fit_stars(truth, reference, starts, stars))
    single, fit = best_time(lambda: infer(truth, reference.spectra, starts))
    pull = (fit.labels.values - reference.labels.values)[fit.converged] / fit.labels.errors[fit.converged]
    moved = (np.abs(fit.labels.values - exact.labels.values) / exact.labels.errors)[fit.converged]
    beside = np.abs(looped - exact.labels.values[stars]) / exact.labels.errors[stars]
    return {
        "stars_per_s_float64": len(reference) / double,
        "stars_per_s_float32": len(reference) / single,
        "curve_fit_stars_per_s": n_loop / loop,
        "test_step_times_faster_than_curve_fit": len(reference) / double / (n_loop / loop),
        "pull_width": float(pull.std()),
        "pull_width_off_one": abs(float(pull.std()) - 1),
        "single_precision_moves_median_errors": float(np.median(moved)),
        "single_precision_moves_most_errors": float(moved.max()),
        "labels_beside_curve_fit_errors": float(beside.max()),
    }


def fractions(found: dict[str, Any], model: CannonModel) -> dict[str, float]:
    """Share of each time that its matrix products would take at the machine's rate, if they were all there is.

    Training: the normal matrices once; folds: once more for the stars they leave out; test step: A and b of every star.
    """
    n_stars, n_pixels = found["size"]["n_stars"], found["size"]["n_pixels"]
    n_terms = model.coefficients.shape[1]
    gflop = n_stars * n_pixels / 1e9 / found["machine"]["product_float64_gflop_per_s"]
    once, compressed = n_terms * (n_terms + 1) * gflop, (n_terms - 1) * (n_terms + 2) * gflop
    return {
        "training": once / found["training"]["training_float64_s"],
        "folds": 2 * once / found["training"]["folds_float64_s"],
        "test_step": compressed * found["test_step"]["stars_per_s_float64"] / n_stars,
    }


def compared(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was found beside what is wanted."""
    numbers = found["training"] | found["test_step"] | found["normalization"] | found["memory"]
    rows = {}
    for name, (sign, limit) in WANTED.items():
        met = numbers[name] <= limit if sign == "<=" else numbers[name] >= limit
        rows[name] = {"found": numbers[name], "wanted": f"{sign} {limit:g}", "met": bool(met)}
    return rows


def normalization(reference: ReferenceSet) -> dict[str, float]:
    spectra = reference.spectra
    per_10000 = 10_000 / len(spectra)
    found = {}
    for dtype in (np.float32, np.float64):
        raw = Spectra(spectra.ids, spectra.wavelength, spectra.flux.astype(dtype), spectra.ivar.astype(dtype))
        seconds, _ = best_time(lambda raw=raw: normalize(raw))
        found[f"normalization_{np.dtype(dtype).name}_s_per_10000"] = seconds * per_10000
    return found


def simulation(n_stars: int) -> dict[str, float]:
    """Raw LAMOST spectra, made and put onto the common grid in memory."""
    survey = SimulatedSurvey(n_overlap=n_stars, n_dr2=0, n_apogee=n_stars)
    survey.spectra(slice(64))
    seconds, _ = best_time(survey.spectra, 2)
    return {"simulation_s_per_10000": seconds * 10_000 / n_stars}


def growth(n_stars: int, n_pixels: int, n_labels: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Times as N, P, the number of labels and the order change, one at a time."""
    sizes = [(n_stars // k, n_pixels, n_labels, 2) for k in (4, 2, 1)]
    sizes += [(n_stars, n_pixels // k, n_labels, 2) for k in (4, 2)]
    sizes += [(n_stars // 4, n_pixels // 4, k, 2) for k in (1, 3, 5, 8, 12)]
    sizes += [(n_stars // 4, n_pixels // 4, n_labels, order) for order in (1, 3)]
    rows = []
    for stars, pixels, labels, order in sizes:
        truth = known_model(pixels, labels, rng, order)
        reference = draw(truth, stars, rng)
        starts = starting_points(reference.labels, 7, rng=rng)
        trained, model = best_time(lambda: train(reference, order=order), 2)  # noqa: B023
        folds, _ = best_time(lambda: train_subsets(reference, kept(stars), order=order), 1)  # noqa: B023
        tested, _ = best_time(lambda: infer(model, reference.spectra, starts), 2)  # noqa: B023
        row = {"n_stars": stars, "n_pixels": pixels, "n_labels": labels, "order": order}
        rows.append(row | {"training_s": trained, "folds_s": folds, "stars_per_s": stars / tested})
    return rows


def report(found: dict[str, Any]) -> str:
    """The table that is printed."""
    m, t, s, n = found["machine"], found["training"], found["test_step"], found["normalization"]
    share = found["fraction_of_product_rate"]
    loop, curve_fit = t["looped_training_s"], s["curve_fit_stars_per_s"]
    lines = [
        f"{m['cores']} cores, {m['processor']}; matrix products {m['product_float64_gflop_per_s']:.0f} GFLOP/s float64,"
        f" {m['product_float32_gflop_per_s']:.0f} float32",
        "{n_stars} stars, {n_pixels} pixels, {n_labels} labels".format(**found["size"]),
        "",
        f"{'':34}{'float64':>12}{'float32':>12}{'loop':>12}{'times faster':>14}{'product rate':>14}",
        f"{'training [s]':34}{t['training_float64_s']:12.2f}{'':12}{loop:12.2f}"
        f"{t['training_times_faster_than_loop']:14.0f}{share['training']:14.0%}",
        f"{'training of 8 folds [s]':34}{t['folds_float64_s']:12.2f}{'':12}{N_FOLDS * loop:12.2f}"
        f"{N_FOLDS * loop / t['folds_float64_s']:14.0f}{share['folds']:14.0%}",
        f"{'test step, 7 starts [stars/s]':34}{s['stars_per_s_float64']:12.0f}{s['stars_per_s_float32']:12.0f}"
        f"{curve_fit:12.2f}{s['test_step_times_faster_than_curve_fit']:14.0f}{share['test_step']:14.0%}",
        f"{'normalization of 10,000 [s]':34}{n['normalization_float64_s_per_10000']:12.2f}"
        f"{n['normalization_float32_s_per_10000']:12.2f}",
        f"{'simulation of 10,000 spectra [s]':46}{found['simulation']['simulation_s_per_10000']:12.2f}",
        "",
        f"fitted s / true s: {t['scatter_over_truth']:.4f} (the loop's / ours: {t['looped_scatter_over_ours']:.4f})",
        f"(fit - truth) / error has width {s['pull_width']:.3f}; from curve_fit at most "
        f"{s['labels_beside_curve_fit_errors']:.1e} errors",
        f"single precision moves labels by {s['single_precision_moves_median_errors']:.1e} errors in the median, "
        f"{s['single_precision_moves_most_errors']:.1e} at most",
        "",
        f"{'wanted on 2 cores at 9952 stars, 3626 pixels, 5 labels':56}{'found':>12}{'wanted':>12}",
    ]
    lines += [
        f"{name.replace('_', ' '):56}{row['found']:12.4g}{row['wanted']:>12}{'' if row['met'] else '  not met'}"
        for name, row in found["wanted"].items()
    ]
    lines += [
        "",
        f"{'stars':>8}{'pixels':>8}{'labels':>8}{'order':>8}{'training [s]':>14}{'8 folds [s]':>14}{'stars/s':>10}",
    ]
    lines += [
        f"{row['n_stars']:8d}{row['n_pixels']:8d}{row['n_labels']:8d}{row['order']:8d}{row['training_s']:14.2f}"
        f"{row['folds_s']:14.2f}{row['stars_per_s']:10.0f}"
        for row in found["growth"]
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=9952)
    parser.add_argument("--pixels", type=int, default=3626)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--loop", type=int, default=24, help="pixels and stars that the loops do")
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "_build" / "benchmarks.json")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    truth = known_model(options.pixels, options.labels, rng)
    reference = draw(truth, options.stars, rng)
    small = reference[: min(400, options.stars)]
    infer(train(small), small.spectra, small.labels.values[:2])  # compiles
    infer(train(small), small.spectra, small.labels.values[:2], dtype=np.float64)
    size = (options.stars, options.pixels, options.labels)
    found: dict[str, Any] = {
        "size": {"n_stars": options.stars, "n_pixels": options.pixels, "n_labels": options.labels},
        "machine": {
            "cores": available_cores(),
            "processor": platform.processor() or platform.machine(),
            "product_float64_gflop_per_s": product_rate(np.float64),
            "product_float32_gflop_per_s": product_rate(np.float32),
        },
        "training": training(reference, truth, options.loop, rng),
        "test_step": test_step(reference, truth, options.loop, rng),
        "normalization": normalization(reference),
        "simulation": simulation(options.stars),
        "memory": {f"{kind}_memory_gb": measured_apart(kind, *size) for kind in KINDS},
        "growth": growth(*size, rng),
    }
    found["fraction_of_product_rate"] = fractions(found, truth)
    found["wanted"] = compared(found)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1))
    print(report(found))
    return found


if __name__ == "__main__":
    main()
