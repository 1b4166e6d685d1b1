"""Archives from elsewhere, unpacked so that nothing can land outside the folder meant for it."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

MAX_BYTES, MAX_FILES = 50_000_000_000, 5_000_000

DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError)


def unpack(archive: Path, folder: Path, only: str = "") -> int:
    """Unpack a tar archive into a new folder, complete or not at all; returns how many files it gave.

    Parameters
    ----------
    folder : what is there already is replaced
    only : take just the members whose path contains this part; what lies below it keeps its place

    Raises
    ------
    ValueError
        If the archive is damaged, holds nothing of what is wanted, or a member that is a link or a device, or would
        land outside the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}-unfinished")
    shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
    fresh.mkdir()
    try:
        count = _extract(archive, fresh, only)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return count


def _extract(archive: Path, folder: Path, only: str) -> int:
    count = n_bytes = 0
    try:
        with tarfile.open(archive, "r:*") as content:
            for member in content:
                place = _place(archive, member, only)
                if place is None:
                    continue
                count, n_bytes = count + 1, n_bytes + member.size
                if n_bytes > MAX_BYTES or count > MAX_FILES:
                    raise ValueError(f"{archive}: unpacks to more than {MAX_BYTES:,} bytes or {MAX_FILES:,} files")
                stream = content.extractfile(member)
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                if stream is not None:
                    with stream, target.open("wb") as out:
                        shutil.copyfileobj(stream, out)
            while content.fileobj is not None and content.fileobj.read(1 << 20):
                pass  # to the end, where the check sum of the whole stands
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, tarfile.TarError):
            raise
        raise ValueError(
            f"{archive}: damaged archive ({str(error).splitlines()[0]}); remove it and fetch it again"
        ) from error
    if not count:
        raise ValueError(f"{archive}: holds no file below {only!r}" if only else f"{archive}: holds no file")
    return count


def _place(archive: Path, member: tarfile.TarInfo, only: str) -> Path | None:
    """Where a member goes, below the folder; None if it is not wanted."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise ValueError(f"{archive}: member {member.name!r} would land outside the folder; the archive is not trusted")
    if member.isdir():
        return None
    if not member.isfile():
        raise ValueError(f"{archive}: member {member.name!r} is no plain file (a link?); the archive is not trusted")
    before, found, below = f"/{member.name}".partition(f"/{only}" if only else "/")
    return Path(below) if found and below and (only or not before) else None
