"""Execute chapters, each in a process of its own, by papermill or nbval, some at once; watch their time and memory."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import psutil  # type: ignore[import-untyped]
from jupyter_core.utils import ensure_event_loop
from papermill.exceptions import PapermillExecutionError

from ..parallel.blocks import WAKEFUL, available_cores
from . import jupyter
from .book import Book, ChapterText
from .sync import notebook_of, read_notebook

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
"""Linear algebra with one thread gives the same last digits everywhere."""
STARTS = 3
"""How often a kernel is started that does not answer."""
TIMEOUT = 3600
"""What a cell may take [s]."""
PARENT = "LABELTRANSFER_PARENT"
"""Environment variable: the process without which this one shall not go on."""
MEMORY_OF_A_CHAPTER = 2.5e9
"""What is assumed of a chapter of the default survey."""
QUIET = {"TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_PLATFORM_DIRS": "1"}

NBVAL = ["-p", jupyter.__name__, "-p", "nbval.plugin", "--nbval-lax", "--nbval-current-env"]
NBVAL += ["-q", "--tb=short", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]


def of_kernels(book: Book) -> dict[str, str]:
    """Environment variables of the processes that execute chapters of a book."""
    return {**ONE_THREAD, **QUIET, "LABELTRANSFER_BOOK": str(book.root)}


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables, which kernels inherit, and put them back afterwards."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]
        os.environ.update(before)


def end_with_parent() -> None:
    """Let this process end, as by a polite kill, when the one that started it is gone: however that one ended.

    Only if that one asked for it, in $LABELTRANSFER_PARENT. Kernels of Jupyter do the same by themselves.
    """
    parent = os.getppid()
    if os.environ.pop(PARENT, "") != str(parent):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def call(book: Book, command: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a Python command on a book, with more environment variables; it ends with this process."""
    own = {**os.environ, **more, "LABELTRANSFER_BOOK": str(book.root), PARENT: str(os.getpid())}
    return subprocess.run([sys.executable, *command], env=own, capture_output=True, text=True, check=False)


class ChapterFailed(RuntimeError):
    """A chapter stopped; the message names chapter, cell and error."""


class NumbersDiffer(ChapterFailed):
    """A chapter ran to its end, but the numbers of its checked cells are not those of its twin."""


@dataclass
class Cost:
    """Seconds, and the largest memory of the kernel [MB]."""

    seconds: float = 0.0
    peak_memory: float = 0.0


def processes_of(chapter: ChapterText) -> list[psutil.Process]:
    """Processes that execute a chapter now: children of this one whose command line names it, and their children."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # one that has just ended
            if any(chapter.stem in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


@contextmanager
def measured(chapter: ChapterText) -> Iterator[Cost]:
    """What it costs to execute a chapter meanwhile; the memory of its processes is sampled."""
    cost, ended, began = Cost(), threading.Event(), time.perf_counter()

    def sample() -> None:
        while not ended.wait(0.25):
            with suppress(psutil.Error):  # a process that has just ended
                total = sum(process.memory_info().rss for process in processes_of(chapter))
                cost.peak_memory = max(cost.peak_memory, total / 1e6)

    watch = threading.Thread(target=sample, daemon=True)
    watch.start()
    try:
        yield cost
    finally:
        ended.set()
        watch.join()
        cost.seconds = time.perf_counter() - began


def execute_chapter(
    book: Book, chapter: ChapterText, parameters: Mapping[str, Any], out: Path, *, check: bool = False
) -> Cost:
    """Execute a chapter, in an `environment` that is `of_kernels`, and keep the executed notebook as `out`.

    While it runs, and if it fails, the notebook is ``<out>.failed.ipynb`` beside it: `out` is replaced only by a
    notebook that ran to its end. Several threads may each execute one.

    Parameters
    ----------
    parameters : values to set; those on which the chapter does not depend are left out
    check : execute the chapter's twin by nbval, which compares the numbers of its checked cells; parameters are then
        those of the twin

    Raises
    ------
    NumbersDiffer
        If they are others; the notebook is kept.
    ChapterFailed
        Naming the chapter, the cell and its error.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished, differences = out.with_suffix(".failed.ipynb"), ""
    with measured(chapter) as cost:
        if check:
            differences = _by_nbval(book, chapter, unfinished)
        else:
            given = {key: parameters[key] for key in book.parameters(chapter) if key in parameters}
            _by_papermill(chapter, given, unfinished)
    unfinished.replace(out)
    if differences:
        raise NumbersDiffer(differences)
    return cost


def _by_papermill(chapter: ChapterText, given: dict[str, Any], out: Path) -> None:
    """Execute a chapter; once more where the kernel did not start: another process may have taken its port."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    for attempt in range(STARTS):
        try:
            papermill.execute_notebook(
                notebook_of(chapter.path), str(out), parameters=given, kernel_name="python3",
                cwd=str(chapter.path.parent), progress_bar=False, execution_timeout=TIMEOUT,
                extra_arguments=["--IPKernelApp.log_level=50", f"--Session.username={chapter.stem}"],
            )  # fmt: skip
            return
        except PapermillExecutionError as error:
            first = next((line for line in error.source.splitlines() if line.strip()), "").strip()[:60]
            raise ChapterFailed(
                f"{chapter.stem}: cell {error.cell_index} ({first!r}) failed: {error.ename}: {plain(error.evalue)}\n"
                f"the notebook as far as it came: {out}"
            ) from error
        except Exception as error:  # a kernel that died, a cell that took too long: there is no common class
            if attempt + 1 == STARTS or "Kernel died before replying" not in str(error):
                raise ChapterFailed(f"{chapter.stem}: stopped: {type(error).__name__}: {error}; see {out}") from error
        finally:
            ensure_event_loop().close()  # that of this thread, which papermill leaves open


def _by_nbval(book: Book, chapter: ChapterText, out: Path) -> str:
    """Execute the twin of a chapter; return what nbval says of numbers that differ, and nothing if none does."""
    command = ["-m", "pytest", str(chapter.path.with_suffix(".ipynb")), *NBVAL, f"--nbval-cell-timeout={TIMEOUT}"]
    command += [f"--rootdir={book.root}", f"{jupyter.EXECUTED}={out}"]
    done = call(book, command, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # others take longer to load than a short chapter
    said, executed = plain(f"{done.stdout}{done.stderr}"), read_notebook(out, "").cells if out.exists() else []
    if not executed or any(one.output_type == "error" for cell in executed for one in cell.get("outputs", [])):
        raise ChapterFailed(f"{chapter.stem}: nbval could not execute it:\n{said}\nas far as it came: {out}")
    return f"{chapter.stem}: numbers are not the accepted ones:\n{said}" if done.returncode else ""


def plain(text: object) -> str:
    """What a terminal shows, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(text)).strip()


# ---- side by side: each chapter begins as soon as those are done that it takes something from ---------------------


def room(need: float = MEMORY_OF_A_CHAPTER) -> int:
    """How many processes at a time: one a core, and no more than memory holds of what each needs [bytes]."""
    return max(1, min(available_cores(), int(psutil.virtual_memory().available / (1.2 * need))))


def awaited(book: Book, chosen: Sequence[ChapterText]) -> dict[str, set[str]]:
    """Of each chapter, which of the chosen ones must be done before it begins.

    Those that it needs. And two that need a chapter that is not among them do not run at the same time, for the first
    runs that one, too: the one that needs less goes first, so that none awaits itself.
    """
    needs = {one.stem: {other.stem for other in book.upstream(one, asked=True)} for one in chosen}
    before: dict[str, set[str]] = {}
    for stem, need in sorted(needs.items(), key=lambda one: len(one[1])):
        before[stem] = need & set(needs) | {one for one in before if need & needs[one] - set(needs)} - {stem}
    return before


def side_by_side(
    book: Book, chosen: Sequence[ChapterText], begin: Callable[[ChapterText], Callable[[], Cost]], at_once: int
) -> Iterator[tuple[ChapterText, Future[Cost]]]:
    """Execute chapters, some at once; each is given back with what came of it when it has ended.

    `begin` prepares one, and returns what executes it in a thread of its own. After one that failed no other begins. If
    the caller stops, those that run are ended.
    """
    before, waiting, goes_on = awaited(book, chosen), list(chosen), True
    running: dict[Future[Cost], ChapterText] = {}
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while running or (waiting and goes_on):
                open_ones = {one.stem for one in [*waiting, *running.values()]}
                for chapter in [one for one in waiting if not before[one.stem] & open_ones]:
                    if goes_on and len(running) < at_once:
                        waiting.remove(chapter)
                        running[pool.submit(begin(chapter))] = chapter
                for future in wait(running, WAKEFUL, FIRST_COMPLETED).done:
                    goes_on = goes_on and isinstance(future.exception(), NumbersDiffer | None)
                    yield running.pop(future), future
        finally:
            while wait(running, WAKEFUL).not_done:
                for process in [process for chapter in running.values() for process in processes_of(chapter)]:
                    process.terminate()
