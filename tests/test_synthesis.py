"""The check of the grid's recipe: a spectrum computed anew against the one that ships."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labeltransfer.mock import SyntheticGrid

SCRIPT = Path(__file__).parents[1] / "synthesis" / "compare_node.py"


def recomputed(path, noise, node=7, teff_shift=0.0, cut=None):
    """A made-up spectrum, as `compute_grid.py --node` would write it."""
    grid = SyntheticGrid.load(corrected=False)
    log_flux = grid.mean + grid.scores[node] @ grid.components
    log_flux = log_flux + noise * np.random.default_rng(0).standard_normal(log_flux.size)
    np.savez(
        path,
        labels=grid.labels[node] + [teff_shift, 0, 0, 0],
        kind=np.array("d" if grid.is_dwarf[node] else "g"),
        wavelength=grid.wavelength[:cut],
        flux=np.exp(log_flux[:cut]).astype(np.float32),
    )
    return path


def compared(path):
    return subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_same_spectrum_passes(tmp_path):
    done = compared(recomputed(tmp_path / "node.npz", noise=2e-4))
    assert done.returncode == 0, done.stderr
    assert "0.0002" in done.stdout


@pytest.mark.slow
def test_another_spectrum_fails(tmp_path):
    done = compared(recomputed(tmp_path / "node.npz", noise=3e-3))
    assert done.returncode == 1
    assert float(done.stdout.split("difference: ")[1].split()[0]) == pytest.approx(3e-3, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"), [({"teff_shift": 40.0}, "no node"), ({"cut": 100}, "found 100 wavelengths")]
)
def test_what_cannot_be_compared_is_refused(tmp_path, changed, message):
    done = compared(recomputed(tmp_path / "node.npz", noise=0.0, **changed))
    assert done.returncode == 1
    assert message in done.stderr
