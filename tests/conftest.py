"""One thread for linear algebra (the same last digits everywhere), and the small book."""

import os
import sys
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_spectra() -> Path:
    """Folder of real LAMOST spectra for tests, which is not part of the project."""
    folder = Path(os.environ.get("LABELTRANSFER_REAL_SPECTRA", ROOT.parent / "shared" / "data"))
    if not (folder / "lamost_dr10_giants").is_dir():
        pytest.skip(f"no real spectra in {folder}; set LABELTRANSFER_REAL_SPECTRA to a folder that has them")
    return folder


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take away, and afterwards restore, what a run sets for the kernels it starts."""
    for name in ("LABELTRANSFER_BOOK", "LABELTRANSFER_RUNS", "LABELTRANSFER_SCIENCE", "LABELTRANSFER_CHAPTERS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch
