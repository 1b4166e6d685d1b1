"""Where real data can be had: addresses, sizes and fingerprints, as ``sources.json`` lists them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from ..options import check_option

CACHE = "LABELTRANSFER_CACHE"
"""Environment variable: where fetched data are kept, instead of the user's cache folder."""


@dataclass(frozen=True)
class SourceFile:
    """A file to fetch.

    Attributes
    ----------
    name : what it is called here
    addresses : where it is, the first that answers is taken
    fingerprint : ``sha256:…``
    size : bytes, if known
    unpack : folder into which the archive is unpacked; empty if it is none
    only : of the archive, what lies below this path
    requirement : name and version in the Python package index, through pip when the addresses do not answer
    """

    name: str
    addresses: tuple[str, ...]
    fingerprint: str
    size: int | None = None
    unpack: str = ""
    only: str = ""
    requirement: str = ""

    @property
    def place(self) -> str:
        """Where it is to be had, in a word."""
        return self.addresses[0] if self.addresses else f"the source distribution {self.requirement}"


@dataclass(frozen=True)
class DataSource:
    """Files that belong together."""

    name: str
    description: str
    credit: str
    files: tuple[SourceFile, ...]
    by_hand: str = ""


def _registry() -> dict[str, DataSource]:
    listed = json.loads(files(__package__).joinpath("sources.json").read_text(encoding="utf-8"))
    return {
        name: DataSource(
            name,
            one["description"],
            one["credit"],
            tuple(SourceFile(**{**file, "addresses": tuple(file["addresses"])}) for file in one["files"]),
            one.get("by_hand", ""),
        )
        for name, one in listed.items()
    }


SOURCES: dict[str, DataSource] = _registry()


def data_source(name: str) -> DataSource:
    """A source by its name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    check_option("data source", name, SOURCES)
    return SOURCES[name]


def cache_folder(name: str) -> Path:
    """Where the files of a source are kept: $LABELTRANSFER_CACHE/NAME, or below the user's cache folder."""
    base = os.environ.get(CACHE)
    if base:
        return Path(base) / name
    try:
        return import_module("platformdirs").user_cache_path("labeltransfer", appauthor=False) / name
    except ImportError:
        raise ImportError("a cache folder needs platformdirs: `pip install platformdirs`, or give a folder") from None


def fingerprint(path: Path) -> str:
    """``sha256:…`` of a file."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
