"""The files of a store of spectra: how they are written, read, and known to be what was written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..files.arrays import DAMAGE, naming, read_arrays, remove_unfinished, write_arrays, written_whole

KIND, STORE_VERSION = "SpectraStore", 2
NOTE, COMPLETE, MANIFEST = "store.json", "complete.json", "manifest.csv"
ARRAYS = ("flux", "ivar")
STAR_COLUMNS = ("obsid", "ra", "dec", "z", "snr_g", "snr", "n_good")
CHECKSUMS = "checksums"
"""In the note on a block: CRC-32C of flux and of ivar."""
MENDED = "ingest again, which makes anew what is damaged"


def checked_spectra(
    folder: Path, number: int, facts: Mapping[str, Any], note: Mapping[str, np.ndarray], arrays: Sequence[Any]
) -> list[np.ndarray]:
    """Flux and ivar of all files of a block, as they were written.

    Raises
    ------
    ValueError
        If a chunk is damaged, missing, of another block or full of zeros, naming the array and the block.
    """
    first = number * facts["block_size"]
    found = []
    for name, array, checksum in zip(ARRAYS, arrays, note[CHECKSUMS].tolist(), strict=True):
        try:
            found.append(np.ascontiguousarray(array[first : first + note["id"].size]))
            whole = crc32c(found[-1]) == checksum
        except (*DAMAGE, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{folder}: {name} of block {number} is damaged ({error}); {MENDED}") from error
        if not whole:
            raise ValueError(
                f"{folder}: {name} of block {number} is not what was written (its chunk is missing, damaged, or of "
                f"another block); {MENDED}"
            )
    return found


def crc32c(array: np.ndarray) -> int:
    """Check sum of the values of an array, fast enough for every block that is read (some GB a second)."""
    return int(import_module("google_crc32c").value(array.tobytes()))


def is_whole(folder: Path, number: int, facts: Mapping[str, Any], n_files: int, digest: str | None) -> bool:
    """Whether a block is there as it was written: its note (of this digest, if it is known), its flux and ivar."""
    try:
        note = read_block_note(folder, number)
        if note["id"].size != n_files or digest not in (None, digest_of_note(folder, number)):
            return False
        group = zarr_module().open_group(folder, mode="r")
        checked_spectra(folder, number, facts, note, [group[name] for name in ARRAYS])
    except (*DAMAGE, TypeError, AttributeError, IndexError):
        return False
    return True


def n_blocks(facts: Mapping[str, Any]) -> int:
    """How many blocks a store of these facts has."""
    return -(-int(facts["n_files"]) // int(facts["block_size"]))


def read_note(folder: Path, *, any_version: bool = False) -> dict[str, Any] | None:
    """How the spectra of a store were made; None if the folder holds no store.

    Raises
    ------
    ValueError
        If the store is damaged or, unless `any_version`, of another format version.
    """
    note = folder / NOTE
    if not note.exists():
        return None
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        kind, version = found.pop("kind"), found.pop("format_version")
        sizes = (found["n_files"], found["block_size"]) if version == STORE_VERSION and kind == KIND else (1, 1)
        if min(int(size) for size in sizes) < 1:
            raise ValueError(f"sizes {sizes}")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{note}: damaged ({error}); remove the store and ingest again") from error
    if kind != KIND:
        raise ValueError(f"{note}: found {kind!r}, wanted a {KIND}; give another folder")
    if version != STORE_VERSION and not any_version:
        raise ValueError(
            f"{folder}: a store of format version {version}, but this labeltransfer reads version {STORE_VERSION}; "
            "remove it and ingest the files again"
        )
    return found


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store, finished or not."""
    return os.path.exists(Path(folder) / NOTE)  # no error of a folder that may not be entered


def remove(folder: Path) -> None:
    """Remove a store of any version, the note last, and nothing else from its folder.

    Raises
    ------
    ValueError
        If the note says that it is none, or is damaged.
    """
    read_note(folder, any_version=True)
    _remove_remnants(folder)
    for path in (folder / "blocks").glob("part-*.npz"):
        path.unlink()
    for name in ARRAYS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (COMPLETE, MANIFEST, "wavelength.npz", "zarr.json", NOTE):
        (folder / name).unlink(missing_ok=True)


def _remove_remnants(folder: Path) -> None:
    """What Zarr, and we, left half written when a process was killed."""
    arrays = (remnant for name in ARRAYS for remnant in (folder / name).rglob("*.partial"))
    for remnant in [*folder.glob("zarr.*.partial"), *arrays]:
        remnant.unlink()
    for place in (folder, folder / "blocks"):
        remove_unfinished(place)


def create(folder: Path, facts: Mapping[str, Any], wavelength: np.ndarray, *, replace: bool = False) -> None:
    """Make an empty store, or take up one of the same facts; or begin anew in the place of any (`replace`).

    Raises
    ------
    ValueError
        If the folder holds a store of other facts, naming them, or other files.
    """
    wanted = json.loads(json.dumps(dict(facts)))
    replaced = replace and is_store(folder)
    if replaced:
        remove(folder)
    found = read_note(folder)
    if found is not None:
        different = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        if different:
            raise ValueError(
                f"{folder}: holds a store of other spectra (different: {', '.join(different)}); "
                "replace it (--replace), or give another folder"
            )
        _remove_remnants(folder)
        return
    strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if set(strangers) - {*ARRAYS, "zarr.json", "wavelength.npz"} and not replaced:
        raise ValueError(f"{folder}: not empty ({strangers[0]}), and no store; give a new folder")
    write_arrays(folder / "wavelength.npz", "Wavelength", {"wavelength": wavelength})
    zarr = zarr_module()
    group = zarr.open_group(folder, mode="a")
    shape, chunks = (wanted["n_files"], wavelength.size), (wanted["block_size"], wavelength.size)
    codecs = zarr.codecs
    packing = [codecs.BloscCodec(typesize=4, cname="lz4", clevel=3, shuffle="shuffle"), codecs.Crc32cCodec()]
    for name in ARRAYS:
        group.create_array(name, shape=shape, chunks=chunks, dtype="float32", compressors=packing, overwrite=True)
    with written_whole(folder / NOTE) as temporary:
        text = json.dumps({"kind": KIND, "format_version": STORE_VERSION, **wanted}, indent=1)
        temporary.write_text(text, encoding="utf-8")


def write_block(
    folder: Path, number: int, first: int, flux: np.ndarray, ivar: np.ndarray, note: Mapping[str, np.ndarray]
) -> None:
    """Write a block and then, when its spectra are there, its note.

    Parameters
    ----------
    first : row of the block's first file
    flux, ivar : (B, P) float32; zeros for files that could not be read
    note : (B,) each: id, path (below the folder of the survey), reason (empty if read) and `STAR_COLUMNS`

    Raises
    ------
    OSError
        If the disk is full, for example, naming the store.
    """
    group = zarr_module().open_group(folder, mode="r+")
    checksums = np.array([crc32c(flux), crc32c(ivar)], dtype=np.uint32)
    with naming(folder):
        for name, array in zip(ARRAYS, (flux, ivar), strict=True):
            group[name][first : first + len(array)] = array
    write_arrays(block_path(folder, number), "StoreBlock", {**note, CHECKSUMS: checksums})


def block_path(folder: Path, number: int) -> Path:
    """Where the note on a block is kept."""
    return folder / "blocks" / f"part-{number:05d}.npz"


def read_block_note(folder: Path, number: int) -> dict[str, np.ndarray]:
    """The note on a block, see `write_block`.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, or damaged.
    """
    return columns(block_path(folder, number), "StoreBlock", ("id", "path", "reason", CHECKSUMS, *STAR_COLUMNS))


def columns(path: Path, kind: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of one of the files, all of `names`."""
    arrays, _ = read_arrays(path, kind)
    if not set(names) <= set(arrays):
        raise ValueError(f"{path}: damaged, without {', '.join(set(names) - set(arrays))}; ingest again")
    return arrays


def digest_of_note(folder: Path, number: int) -> str:
    """Fingerprint of the note on a block: its stars, and the check sums of their spectra."""
    return hashlib.sha256(block_path(folder, number).read_bytes()).hexdigest()


def write_counts(folder: Path, facts: Mapping[str, Any], n_read: Sequence[int], n_skipped: int) -> None:
    """Write ``complete.json``: how many files were read and skipped, and the fingerprints of all notes."""
    blocks = [[n, digest_of_note(folder, number)] for number, n in enumerate(n_read)]
    counts = {"read": sum(n_read), "skipped": n_skipped, "blocks": blocks}
    with written_whole(folder / COMPLETE) as temporary:
        text = json.dumps({**counts, "digest": _digest(facts, counts)}, indent=1)
        temporary.write_text(text, encoding="utf-8")


def read_counts(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `write_counts` wrote; None if it is not there.

    Raises
    ------
    ValueError
        If it is damaged, or of other blocks.
    """
    try:
        counts = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        digest = counts.pop("digest")
        right = digest == _digest(facts, counts) and counts["read"] == sum(n_read for n_read, _ in counts["blocks"])
        if not right or len(counts["blocks"]) != n_blocks(facts):
            raise ValueError("it does not fit the store")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / COMPLETE}: damaged ({error}); {MENDED}") from error
    return {**counts, "digest": digest}


def _digest(facts: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([dict(facts), dict(counts)], sort_keys=True).encode()).hexdigest()


def zarr_module() -> Any:
    """Zarr, packing on one thread: with several, the same block would give other bytes each time.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        zarr = import_module("zarr")
        import_module("zarr.codecs")
        import_module("numcodecs.blosc").use_threads = False  # type: ignore[attr-defined]
    except ImportError:
        raise ImportError("a store of spectra needs Zarr: `pip install zarr`") from None
    return zarr
