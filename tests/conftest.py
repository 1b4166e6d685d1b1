"""One thread for linear algebra (the same last digits everywhere), and the small book."""

import os
import shutil
import sys
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(name, "1")
for name in ("LABELTRANSFER_BOOK", "LABELTRANSFER_RUNS", "LABELTRANSFER_SCIENCE", "LABELTRANSFER_CHAPTERS"):
    os.environ.pop(name, None)
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


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book after its default run, with accepted numbers; tests that change anything copy it first."""
    from labeltransfer.reproduction.book import Book
    from labeltransfer.reproduction.runs import run
    from labeltransfer.reproduction.sync import sync
    from miniature_book import write_book

    folder = write_book(tmp_path_factory.mktemp("small"))
    book = Book(folder)
    run(book, "default", say=lambda line: None)
    sync(book, accept=folder / "_runs" / "default")
    return folder


@pytest.fixture
def small_copy(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the small book to change."""
    return Path(shutil.copytree(small_run, tmp_path / "small"))
