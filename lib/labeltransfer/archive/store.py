"""A store of rest-frame, normalized spectra: a survey's files read once, and never again.

A folder with two Zarr arrays, ``flux`` and ``ivar`` (one chunk for each block of files), a note on the stars of every
block (``blocks/part-00000.npz``), and ``manifest.csv``, which says of every file whether it was read, or why not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ..files.arrays import DAMAGE, read_arrays, write_arrays, written_whole
from ..spectra import Spectra

KIND, STORE_VERSION = "SpectraStore", 1
NOTE, COMPLETE, MANIFEST = "store.json", "complete.json", "manifest.csv"
ARRAYS = ("flux", "ivar")
STAR_COLUMNS = ("obsid", "ra", "dec", "z", "snr_g", "snr", "n_good")


@dataclass(frozen=True, eq=False, repr=False)
class SpectraStore:
    """Spectra of a survey on disk, block by block.

    Attributes
    ----------
    folder : where
    facts : how they were made: n_files, block_size, mask, width, convention, simulated, source, files (fingerprint)
    counts : files that were read and skipped
    """

    folder: Path
    facts: Mapping[str, Any]
    counts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> SpectraStore:
        """Open a finished store.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none, it is of another format version, or not finished.
        """
        folder = Path(folder)
        facts = read_note(folder)
        if facts is None:
            raise FileNotFoundError(
                f"{folder}: no store of spectra; make one with `labeltransfer ingest FOLDER -o STORE`"
            )
        try:
            counts = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
            if not {"read", "skipped", "digest"} <= set(counts):
                raise ValueError(f"{folder / COMPLETE}: damaged")
        except (FileNotFoundError, ValueError, TypeError):
            done, wanted = len(list((folder / "blocks").glob("part-*.npz"))), n_blocks(facts)
            raise ValueError(
                f"{folder}: unfinished store, {done} of {wanted} blocks; ingest again, it goes on where it stopped"
            ) from None
        return cls(folder, facts, counts)

    def __repr__(self) -> str:
        return f"SpectraStore({self.folder}: {len(self):,} stars of {self.facts['n_files']:,} files)"

    def __len__(self) -> int:
        return int(self.counts["read"])

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return n_blocks(self.facts)

    @property
    def data_hash(self) -> str:
        """Fingerprint of the stars and of how they were made."""
        return str(self.counts["digest"])

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        group = zarr_module().open_group(self.folder, mode="r")
        return group["flux"], group["ivar"]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("folder", "facts", "counts")}

    @cached_property
    def wavelength(self) -> np.ndarray:
        """(P,) Å, vacuum, rest frame."""
        return _columns(self.folder / "wavelength.npz", "Wavelength", ("wavelength",))["wavelength"]

    def stars(self, number: int) -> Table:
        """The stars of a block whose files could be read: id, path, and `STAR_COLUMNS`."""
        note = read_block_note(self.folder, number)
        table = Table({name: note[name] for name in ("id", "path", *STAR_COLUMNS)})
        table["ra"].unit = table["dec"].unit = "deg"
        return table[note["reason"] == ""]

    def block(self, number: int) -> tuple[Spectra, Table]:
        """Spectra and stars of a block, files that could not be read left out.

        Raises
        ------
        ValueError
            If the block is damaged.
        """
        note = read_block_note(self.folder, number)
        rows = slice(number * self.facts["block_size"], number * self.facts["block_size"] + note["id"].size)
        try:
            flux, ivar = (np.asarray(array[rows]) for array in self._arrays)
        except (*DAMAGE, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{self._advice(number)} ({error})") from error
        good = note["reason"] == ""
        if flux.shape != (good.size, self.wavelength.size) or ivar.shape != flux.shape:
            raise ValueError(self._advice(number))
        if not good.all():
            flux, ivar = flux[good], ivar[good]
        spectra = Spectra(note["id"][good], self.wavelength, flux, ivar, normalized=True)
        if not np.array_equal(spectra.good_pixels, note["n_good"][good]):
            raise ValueError(self._advice(number))
        return spectra, self.stars(number)

    def _advice(self, number: int) -> str:
        return f"{self.folder}: block {number} is damaged; remove {block_path(self.folder, number)} and ingest again"

    def all_stars(self) -> Table:
        """The stars of all blocks, see `stars`."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("id", "path", *STAR_COLUMNS)}
        for number in range(self.n_blocks):
            table = self.stars(number)
            for name, values in columns.items():
                values.append(np.asarray(table[name]))
        return Table({name: np.concatenate(values) for name, values in columns.items()})

    def select(self, ids: np.ndarray) -> Iterator[Spectra]:
        """The spectra of some stars, those of each block together, in the order of the store."""
        for number in range(self.n_blocks):
            wanted = np.isin(self.stars(number)["id"], ids)
            if wanted.any():
                yield self.block(number)[0][wanted]


def n_blocks(facts: Mapping[str, Any]) -> int:
    """How many blocks a store of these facts has."""
    return -(-int(facts["n_files"]) // int(facts["block_size"]))


def read_note(folder: Path) -> dict[str, Any] | None:
    """How the spectra of a store were made; None if the folder holds no store.

    Raises
    ------
    ValueError
        If the store is damaged or of another format version.
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
    if version != STORE_VERSION:
        raise ValueError(
            f"{folder}: a store of format version {version}, but this labeltransfer reads version {STORE_VERSION}; "
            "remove it and ingest the files again"
        )
    return found


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store, finished or not."""
    return (Path(folder) / NOTE).exists()


def create(folder: Path, facts: Mapping[str, Any], wavelength: np.ndarray) -> None:
    """Make an empty store, or take up one of the same facts.

    Raises
    ------
    ValueError
        If the folder holds a store of other facts, naming them, or other files.
    """
    wanted = json.loads(json.dumps(dict(facts)))
    found = read_note(folder)
    if found is not None:
        different = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        if different:
            raise ValueError(
                f"{folder}: holds a store of other spectra (different: {', '.join(different)}); "
                "remove it or give another folder"
            )
        for remnant in folder.rglob("*.partial"):
            remnant.unlink()
        return
    strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if set(strangers) - {*ARRAYS, "zarr.json", "wavelength.npz"}:
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
    try:
        for name, array in zip(ARRAYS, (flux, ivar), strict=True):
            group[name][first : first + len(array)] = array
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise
    write_arrays(block_path(folder, number), "StoreBlock", note)


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
    return _columns(block_path(folder, number), "StoreBlock", ("id", "path", "reason", *STAR_COLUMNS))


def _columns(path: Path, kind: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    arrays, _ = read_arrays(path, kind)
    if not set(names) <= set(arrays):
        raise ValueError(f"{path}: damaged, without {', '.join(set(names) - set(arrays))}; ingest again")
    return arrays


def digest_of_notes(folder: Path, facts: Mapping[str, Any]) -> str:
    """Fingerprint of all notes: names of stars, their S/N and numbers of good pixels."""
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for number in range(n_blocks(facts)):
        digest.update(block_path(folder, number).read_bytes())
    return digest.hexdigest()


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
