"""How fast and how right: training, folds, test step, normalization and simulation, beside the usual loops, in one run.

    python benchmarks/run.py [--stars 9952] [--pixels 3626] [--labels 5] [--out _build/benchmarks.json]

Times are the best of a few. Those of the loops are measured on some pixels and stars and scaled up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers

from labeltransfer.cannon import train, train_subsets
from labeltransfer.cannon.model import CannonModel, terms
from labeltransfer.continuum import normalize
from labeltransfer.inference import infer, starting_points
from labeltransfer.labels import PAPER_LABELS, Labels, register_label
from labeltransfer.mock import SimulatedSurvey
from labeltransfer.parallel import available_cores, over_blocks
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra
from labeltransfer.validation import assign_folds


def known_model(n_pixels: int, n_labels: int, rng: np.random.Generator) -> CannonModel:
    """A quadratic model with known coefficients, and scatter between 0.5 and 2 per cent."""
    more = [f"element_{k}" for k in range(5, n_labels)]
    for name in more:
        register_label(name, "dex")
    pivots = np.r_[4700.0, 2.4, -0.2, 0.1, 0.15, np.zeros(n_labels)][:n_labels]
    scales = np.r_[500.0, 0.8, 0.3, 0.1, 0.15, np.full(n_labels, 0.2)][:n_labels]
    n_terms = len(terms(n_labels, 2))
    sizes = np.r_[0.0, np.full(n_labels, 0.02), np.full(n_terms - n_labels - 1, 0.004)]
    coefficients = rng.normal(size=(n_pixels, n_terms)) * sizes + (np.arange(n_terms) == 0)
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(235, 235 + n_pixels))
    span = np.array([pivots - 3 * scales, pivots + 3 * scales])
    scatter = rng.uniform(0.005, 0.02, n_pixels)
    return CannonModel((*PAPER_LABELS[:n_labels], *more), pivots, scales, wavelength, coefficients, scatter, span)


def draw(model: CannonModel, n_stars: int, rng: np.random.Generator) -> ReferenceSet:
    """Stars of S/N 20-200 drawn from the model, 3.8 per cent of the pixels masked, in single precision."""
    n_pixels = model.wavelength.size
    values = model.pivots + model.scales * np.clip(rng.normal(size=(n_stars, len(model.label_names))), -2.5, 2.5)
    snr = rng.uniform(20, 200, (n_stars, 1)).astype(np.float32)
    flux, ivar = np.empty((2, n_stars, n_pixels), np.float32)
    for start in range(0, n_stars, 500):
        rows = slice(start, start + 500)
        noise = rng.standard_normal(flux[rows].shape, dtype=np.float32)
        seen = rng.random(flux[rows].shape, dtype=np.float32) > 0.038
        flux[rows] = (model.predict(values[rows]) + noise * np.sqrt(model.scatter**2 + 1 / snr[rows] ** 2)) * seen
        ivar[rows] = snr[rows] ** 2 * seen
    ids = np.arange(n_stars).astype(str)
    spectra = Spectra(ids, model.wavelength, flux, ivar, normalized=True)
    return ReferenceSet(spectra, Labels(ids, model.label_names, values))


def best_time(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Shortest wall-clock time [s] of a few, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def peak_memory(work: Callable[[], Any]) -> float:
    """By how much resident memory grew at most [GB]; NaN where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return float("nan")

    def resident() -> int:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return (peak[0] - before) / 1e9


def product_rate(dtype: type, size: int = 1024) -> float:
    """Matrix products of all cores in the library's own blocks of work [GFLOP/s]."""
    a = np.random.default_rng(0).random((size, size)).astype(dtype)
    cores = available_cores()
    seconds, _ = best_time(lambda: over_blocks(lambda _: a @ a, cores, 1), 5)
    return cores * 2 * size**3 / seconds / 1e9


def training(reference: ReferenceSet, truth: CannonModel, n_loop: int, rng: np.random.Generator) -> dict[str, float]:
    n_stars, n_pixels = reference.spectra.flux.shape
    double, model = best_time(lambda: train(reference))
    single, _ = best_time(lambda: train(reference, dtype=np.float32))
    folds = assign_folds(n_stars, 8, rng)
    eight, _ = best_time(lambda: train_subsets(reference, folds != np.arange(8)[:, None]), 2)
    eight_single, _ = best_time(lambda: train_subsets(reference, folds != np.arange(8)[:, None], dtype=np.float32), 2)
    pixels = rng.choice(n_pixels, n_loop, replace=False)
    loop, looped = best_time(lambda: peers.train_loop(reference, model, pixels), 1)
    n_terms = model.coefficients.shape[1]
    one_pass = n_terms * (n_terms + 1) * n_stars * n_pixels / 1e9
    return {
        "training_float64_s": double,
        "training_float32_s": single,
        "eight_folds_float64_s": eight,
        "eight_folds_float32_s": eight_single,
        "looped_training_s": loop * n_pixels / n_loop,
        "normal_matrices_once_gflop": one_pass,
        "scatter_over_truth": float(np.median(model.scatter / truth.scatter)),
        "looped_scatter_over_ours": float(np.median(looped / model.scatter[pixels])),
        "training_memory_gb": peak_memory(lambda: train(reference)),
    }


def test_step(reference: ReferenceSet, truth: CannonModel, n_loop: int, rng: np.random.Generator) -> dict[str, float]:
    starts = starting_points(reference.labels, 7, rng=rng)
    double, exact = best_time(lambda: infer(truth, reference.spectra, starts, dtype=np.float64))
    single, fit = best_time(lambda: infer(truth, reference.spectra, starts))
    stars = rng.choice(len(reference), n_loop, replace=False)
    loop, looped = best_time(lambda: peers.fit_stars(truth, reference, starts, stars), 1)
    pull = (fit.labels.values - reference.labels.values)[fit.converged] / fit.labels.errors[fit.converged]
    moved = np.abs(fit.labels.values - exact.labels.values) / exact.labels.errors
    return {
        "stars_per_s_float64": len(reference) / double,
        "stars_per_s_float32": len(reference) / single,
        "curve_fit_stars_per_s": n_loop / loop,
        "pull_width": float(pull.std()),
        "single_precision_moves_median_errors": float(np.median(moved[fit.converged])),
        "single_precision_moves_most_errors": float(moved[fit.converged].max()),
        "labels_beside_curve_fit_errors": float(
            np.max(np.abs(looped - exact.labels.values[stars]) / exact.labels.errors[stars])
        ),
        "test_step_memory_gb": peak_memory(lambda: infer(truth, reference.spectra, starts)),
    }


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
    """Times as N, P and the number of labels change, one at a time."""
    sizes = [(n_stars // k, n_pixels, n_labels) for k in (4, 2, 1)]
    sizes += [(n_stars, n_pixels // k, n_labels) for k in (4, 2)]
    sizes += [(n_stars // 4, n_pixels // 4, k) for k in (1, 3, 5, 8, 12)]
    rows = []
    for stars, pixels, labels in sizes:
        truth = known_model(pixels, labels, rng)
        reference = draw(truth, stars, rng)
        starts = starting_points(reference.labels, 7, rng=rng)
        trained, model = best_time(lambda reference=reference: train(reference), 2)
        tested, _ = best_time(lambda: infer(model, reference.spectra, starts), 2)  # noqa: B023
        sizes_of_row = {"n_stars": stars, "n_pixels": pixels, "n_labels": labels}
        rows.append({**sizes_of_row, "training_s": trained, "stars_per_s": stars / tested})
    return rows


def report(found: dict[str, Any]) -> str:
    """The table that is printed."""
    m, t, s, n = found["machine"], found["training"], found["test_step"], found["normalization"]
    fraction = t["normal_matrices_once_gflop"] / t["training_float64_s"] / m["product_float64_gflop_per_s"]
    lines = [
        f"{m['cores']} cores, {m['processor']}; matrix products {m['product_float64_gflop_per_s']:.0f} GFLOP/s float64,"
        f" {m['product_float32_gflop_per_s']:.0f} float32",
        "{n_stars} stars, {n_pixels} pixels, {n_labels} labels".format(**found["size"]),
        "",
        f"{'':34}{'float64':>12}{'float32':>12}{'loop':>12}{'times faster':>14}",
        _row("training [s]", t["training_float64_s"], t["training_float32_s"], t["looped_training_s"], False),
        _row(
            "training of 8 folds [s]",
            t["eight_folds_float64_s"],
            t["eight_folds_float32_s"],
            8 * t["looped_training_s"],
            False,
        ),
        _row(
            "test step, 7 starts [stars/s]",
            s["stars_per_s_float64"],
            s["stars_per_s_float32"],
            s["curve_fit_stars_per_s"],
            True,
        ),
        f"{'normalization of 10,000 [s]':34}{n['normalization_float64_s_per_10000']:12.2f}"
        f"{n['normalization_float32_s_per_10000']:12.2f}",
        f"{'simulation of 10,000 spectra [s]':46}{found['simulation']['simulation_s_per_10000']:12.2f}",
        "",
        f"8 folds cost {t['eight_folds_float64_s'] / t['training_float64_s']:.1f} trainings; one set of normal "
        f"matrices at the machine's product rate is {fraction:.0%} of a training",
        f"memory beyond the data: training {t['training_memory_gb']:.2f} GB, "
        f"test step {s['test_step_memory_gb']:.2f} GB",
        f"fitted s / true s: {t['scatter_over_truth']:.4f} (the loop's / ours: {t['looped_scatter_over_ours']:.4f})",
        f"(fit - truth) / error has width {s['pull_width']:.3f}; from curve_fit at most "
        f"{s['labels_beside_curve_fit_errors']:.1e} errors",
        f"single precision moves labels by {s['single_precision_moves_median_errors']:.1e} errors in the median, "
        f"{s['single_precision_moves_most_errors']:.1e} at most",
        "",
        f"{'stars':>8}{'pixels':>8}{'labels':>8}{'training [s]':>14}{'stars/s':>10}",
    ]
    lines += [
        f"{row['n_stars']:8d}{row['n_pixels']:8d}{row['n_labels']:8d}{row['training_s']:14.2f}{row['stars_per_s']:10.0f}"
        for row in found["growth"]
    ]
    return "\n".join(lines)


def _row(name: str, double: float, single: float, loop: float, rate: bool) -> str:
    faster = double / loop if rate else loop / double
    return f"{name:34}{double:12.2f}{single:12.2f}{loop:12.2f}{faster:14.0f}"


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
    infer(train(small, dtype=np.float32), small.spectra, small.labels.values[:2])  # compiles
    infer(train(small), small.spectra, small.labels.values[:2], dtype=np.float64)
    found = {
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
        "growth": growth(options.stars, options.pixels, options.labels, rng),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1))
    print(report(found))
    return found


if __name__ == "__main__":
    main()
