"""How the library keeps its own arrays: NumPy archives without pickle, written whole or not at all.

Every file says what kind of thing it holds and in which format version, so that a wrong or an old file is refused
by name instead of misread.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np

FORMAT_VERSION = 1
ZIP = b"PK\x03\x04"

UNFINISHED = ".unfinished-"
"""How temporary names begin: what a killed process left is known by it, see `remove_unfinished`, `remove_orphans`."""

LONG_AGO = 3600.0
"""Seconds without a change, after which what a process that is gone was writing is given up."""

LONGEST_STEM = 60
"""Characters of a name that are kept when a number is added to it: systems allow 255 bytes."""

DAMAGE = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, SyntaxError, RuntimeError, MemoryError,
    OverflowError, struct.error,
)  # fmt: skip
"""What NumPy and zipfile raise for a file that was cut short or changed."""


@contextmanager
def written_whole(path: str | Path, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block succeeds, remove it when it fails.

    The temporary name keeps the suffix of `path`, because writers choose their format by it; in messages it is replaced
    by `path`.

    Parameters
    ----------
    replace : whether what is at `path` by the end, put there meanwhile, is lost; otherwise both are kept

    Raises
    ------
    FileExistsError
        Unless `replace`, if there is something at `path` by the end, naming where the new file is instead.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path  # what a link leads to is written, the link stays
    temporary = temporary_name(path)
    try:
        with naming(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            yield temporary
            place = temporary.replace(path) if replace else _put_beside(temporary, path)
        if place != path:
            raise FileExistsError(f"{path}: was written by another meanwhile, and stays; what was made here is {place}")
    except Exception as error:
        error.args = tuple(_without(temporary, path, one) if isinstance(one, str) else one for one in error.args)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def put(finished: Path, path: Path) -> None:
    """Give a finished file its name, unless anything has that name already (FileExistsError)."""
    try:
        os.link(finished, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.touch(exist_ok=False)
        finished.replace(path)


def _put_beside(finished: Path, path: Path) -> Path:
    """Give a finished file its name, or the first like it that nothing has: model-1.npz, model-2.npz, …"""
    suffix = _suffix(path)
    stem = path.name.removesuffix(suffix)[:LONGEST_STEM]
    for place in chain([path], (path.with_name(f"{stem}-{number}{suffix}") for number in count(1))):
        with suppress(FileExistsError):
            put(finished, place)
            return place
    raise AssertionError("there is always a further number")


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nothing has: machine, process, a number; it keeps the suffix."""
    return path.with_name(f"{UNFINISHED}{_machine()}-{os.getpid()}-{uuid4().hex}{_suffix(path)}")


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:])


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; only while nothing else writes there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        path.unlink(missing_ok=True)


def remove_orphans(folder: Path) -> None:
    """Remove what killed processes of this machine left half written in a folder, also while others write there.

    What was written within the last hour stays: a process that seems to be gone may live in another container.
    """
    for path in folder.glob(f"{UNFINISHED}{_machine()}-*-*"):
        process = path.name.split("-")[2]
        with suppress(OSError, ValueError):
            if time.time() - path.stat().st_mtime > LONG_AGO and not _lives(int(process)):
                path.unlink()


def _lives(process: int) -> bool:
    """Whether there is such a process, as far as the system tells without doing anything to it."""
    try:
        if os.name == "posix":
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


@contextmanager
def naming(path: str | Path, temporary: str | Path = "") -> Iterator[None]:
    """What the system says while a file is written, said of `path`: a full disk names none, or a temporary name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise OSError(f"{path}: {_without(temporary, path, str(error))}") from error
        raise type(error)(error.errno, error.strerror or os.strerror(error.errno), str(path)) from error


def _without(temporary: str | Path, path: str | Path, message: str) -> str:
    return message.replace(str(temporary), str(path)) if str(temporary) else message


def write_arrays(path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
    """Write named arrays and JSON-able `facts` to one uncompressed ``.npz`` file.

    Parameters
    ----------
    path : where to write; renamed into place only when complete.
    kind : what the file holds, for example ``"CannonModel"``; `read_arrays` asks for the same word.
    arrays : name to array; object arrays are refused, because they would need pickle.
    """
    if "header" in arrays:
        raise ValueError(f"an array for {path} is called 'header'; that name is taken, choose another")
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"array {name!r} for {path}: found dtype object, wanted numbers, booleans or text")
    header = json.dumps({"kind": kind, "format_version": FORMAT_VERSION, **facts}, default=_python_number)
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        contents: dict[str, Any] = {"header": np.array(header), **arrays}
        np.savez(stream, **contents)


def _python_number(value: Any) -> Any:
    """NumPy's single numbers as Python's, which JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"found {type(value).__name__} {value!r} among the facts, wanted what JSON can hold")


def read_arrays(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote: the arrays and the facts.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds another kind of thing, or is of another format version.
    """
    path = Path(path)
    arrays, facts = _opened(path, kind)
    found = facts.pop("kind", None)
    if found != kind:
        raise ValueError(f"{path}: holds something else than a {kind} (found {found!r}); check the file name")
    version = facts.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format version {version}, but this labeltransfer reads version {FORMAT_VERSION}; "
            "write the file anew with the installed version"
        )
    return _Contents(path, arrays), _Contents(path, facts)


def kind_of(path: str | Path) -> str:
    """What kind of thing a file says that it holds, for example ``"CannonModel"``; errors as of `read_arrays`."""
    return str(_opened(Path(path), "thing", arrays=False)[1].get("kind"))


def _opened(path: Path, kind: str, arrays: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays, if they are wanted, and header of a file that shall hold a thing of this kind."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; wanted a {kind} written by labeltransfer")
    if not path.is_file():
        raise ValueError(f"{path}: a folder, pipe or device, wanted a {kind} written by labeltransfer; not opened")
    with path.open("rb") as stream:
        try:
            return _load(stream, arrays)
        except DAMAGE as error:
            raise ValueError(f"{path}: not a complete labeltransfer file ({error}); write it anew") from error


class _Contents(dict[str, Any]):
    """What a file holds; asked for what it does not hold, it names the file."""

    def __init__(self, path: Path, contents: Mapping[str, Any]) -> None:
        super().__init__(contents)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"{self.path}: damaged, it is without {name!r}; write it anew")


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Around the making of a thing from what `read_arrays` gave: what is missing or wrong is said with the file's name.

    Raises
    ------
    ValueError
        For whatever the block raises because an array or a fact is missing, or has another form than it should.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if str(path) in str(error):
            raise
        what = f"it is without {error.args[0]!r}" if isinstance(error, KeyError) and error.args else str(error)
        raise ValueError(f"{path}: not a whole {kind}: {what}; write it anew") from error


def _load(stream: IO[bytes], wanted: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    begins = stream.read(len(ZIP))
    stream.seek(0)
    if begins != ZIP:
        raise ValueError(f"begins with {begins!r}, wanted {ZIP!r}, as .npz files do")
    archive = np.load(stream, allow_pickle=False)
    with archive:
        arrays = {name: archive[name] for name in (archive.files if wanted else ["header"])}
    facts = json.loads(str(arrays.pop("header")))
    if not isinstance(facts, dict):
        raise ValueError("its header holds no facts")
    return arrays, facts
