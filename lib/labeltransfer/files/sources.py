"""Fingerprints of code and of the tables that come with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def source_files(folder: Path) -> list[Path]:
    """Code and tables in a folder, and in all below it."""
    return [path for path in folder.rglob("*") if path.suffix in (".py", ".npz", ".json", ".yml")]


def digest_of_contents(paths: Iterable[Path], root: Path) -> str:
    """Fingerprint of the names below `root`, and of the contents, of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
