"""Where the code lies, and fingerprints of it and of the tables that come with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def project_root() -> Path:
    """The folder with `_toc.yml` and `book/`: that of the installed source tree, or $LABELTRANSFER_BOOK."""
    return Path(os.environ.get("LABELTRANSFER_BOOK") or PACKAGE.parents[1]).resolve()


def source_files(folder: Path) -> list[Path]:
    """Code and tables in a folder, and in all below it."""
    return [path for path in folder.rglob("*") if path.suffix in (".py", ".npz", ".json", ".yml")]


def digest_of_contents(paths: Iterable[Path], root: Path) -> str:
    """Fingerprint of the names below `root`, and of the contents, of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
