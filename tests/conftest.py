"""One thread for linear algebra (the same last digits everywhere), and the small book."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(name, "1")
for name in ("LABELTRANSFER_BOOK", "LABELTRANSFER_RUNS", "LABELTRANSFER_SCIENCE", "LABELTRANSFER_CHAPTERS"):
    os.environ.pop(name, None)
sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
BOOK = (
    "labeltransfer.reproduction",
    "labeltransfer.evidence",
    "miniature_book",
    "small_run",
    "small_copy",
    "papermill",
    "requirements.lock",
)
"""What a test file speaks of that tests the book and its machinery, not the library."""


def of_the_book(path: Path) -> bool:
    """Whether a test file is about the book: it has the marker `book`, and `make quick` leaves it out."""
    text = path.read_text(encoding="utf-8")
    return path.parent.name == "browser" or any(word in text for word in BOOK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the book's packages (a bare install), and where they are not asked for, its tests are not even read."""
    unwanted = find_spec("papermill") is None or "not book" in config.option.markexpr
    return True if unwanted and collection_path.suffix == ".py" and of_the_book(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the book; and slow ones first, so that no process works on one when all others are done."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    book = {path for path in {item.path for item in items} if of_the_book(path)}
    for item in items:
        if item.path in book:
            item.add_marker(pytest.mark.book)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The command sets how loud the library is; the next test begins as if it had not."""
    logger = logging.getLogger("labeltransfer")
    level, handlers, propagate = logger.level, list(logger.handlers), logger.propagate
    yield
    logger.setLevel(level)
    logger.handlers, logger.propagate = handlers, propagate


@pytest.fixture(scope="session")
def real_spectra() -> Path:
    """Folder of real LAMOST spectra for tests, which is not part of the project."""
    folder = Path(os.environ.get("LABELTRANSFER_REAL_SPECTRA", ROOT.parent / "shared" / "data"))
    if not (folder / "lamost_dr10_giants").is_dir():
        pytest.skip(f"no real spectra in {folder}; set LABELTRANSFER_REAL_SPECTRA to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book after its default run, with accepted numbers; tests that change anything copy it first.

    Made once, also when the tests run in several processes.
    """
    from filelock import FileLock

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "small"
    with FileLock(shared / "small.lock"):
        if not (shared / "small.made").exists():
            _make_small_run(folder)
            (shared / "small.made").touch()
    return folder


def _make_small_run(folder: Path) -> None:
    from labeltransfer.reproduction.book import Book
    from labeltransfer.reproduction.runs import run
    from labeltransfer.reproduction.sync import sync
    from miniature_book import write_book

    write_book(folder)
    book = Book(folder)
    run(book, "default", say=lambda line: None)
    sync(book, accept=folder / "_runs" / "default")


@pytest.fixture
def small_copy(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the small book to change."""
    return Path(shutil.copytree(small_run, tmp_path / "small"))
