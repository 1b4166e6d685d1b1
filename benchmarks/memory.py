"""Memory beyond the data of one kind of work, in a process that has done nothing else.

    python benchmarks/memory.py training|folds|test_step|normalization STARS PIXELS LABELS

prints by how many GB resident memory grew at most; `nan` where the system does not tell.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stars import draw, known_model

from labeltransfer.cannon import train, train_subsets
from labeltransfer.cannon.model import CannonModel
from labeltransfer.continuum import normalize
from labeltransfer.inference import infer
from labeltransfer.reference import ReferenceSet

KINDS: dict[str, Callable[[CannonModel, ReferenceSet], Any]] = {
    "training": lambda model, reference: train(reference),
    "folds": lambda model, reference: train_subsets(reference, np.arange(len(reference)) % 8 != np.arange(8)[:, None]),
    "test_step": lambda model, reference: infer(
        model, reference.spectra, reference.labels.values[:7], dtype=np.float64
    ),
    "normalization": lambda model, reference: normalize(replace(reference.spectra, normalized=False)),
}
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measured_apart(kind: str, n_stars: int, n_pixels: int, n_labels: int) -> float:
    """The answer of a new process [GB]."""
    command = [sys.executable, __file__, kind, *map(str, (n_stars, n_pixels, n_labels))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth_of_memory(work: Callable[[], Any]) -> float:
    """By how much resident memory grew at most [GB]; the kernel keeps the highest value since it was told to forget."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return float("nan")
    before = _resident("VmRSS")
    work()
    return (_resident("VmHWM") - before) / 1e6


def _resident(field: str) -> int:
    """[kB]"""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    for name in ("stars", "pixels", "labels"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    model = known_model(options.pixels, options.labels, rng)
    reference = draw(model, options.stars, rng)
    few = known_model(8, 2, rng)
    KINDS[options.kind](few, draw(few, 200, rng))  # compiles
    print(growth_of_memory(lambda: KINDS[options.kind](model, reference)))


if __name__ == "__main__":
    main()
