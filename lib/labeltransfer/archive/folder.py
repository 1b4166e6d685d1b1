"""A folder of LAMOST spectra with a table of labels, or with the tables of both surveys, and what is in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import apogee, tables
from ..labels import LABELS, Labels, check_names, register_label
from ..lamost import identifier, star_names
from ..lamost.catalogue import CATALOGUE_COLUMNS, KEYS, names_its_spectra
from ..reference import cross_match
from .store import MANIFEST

SPECTRUM_SUFFIXES = (".fits", ".fits.gz", ".fit", ".fit.gz")
TABLE_SUFFIXES = (".csv", ".ecsv", ".txt", ".dat", ".parquet", ".xml", ".vot", ".fits", ".fits.gz")

SIMULATED = "simulated.json"
TRUTH = "truth.npz"
"""A file that the simulator leaves in the folders it writes: what is read from them is called simulated, too."""


@dataclass(frozen=True)
class Contents:
    """What a survey folder holds.

    Attributes
    ----------
    folder : where
    spectra : files of spectra by star (`lamost.identifier`), in order of path; of files of one name the first
    repeated : further files whose name another has already
    labels : the label table, or None
    catalogue, allstar : the tables of both surveys, or None
    """

    folder: Path
    spectra: dict[str, Path]
    repeated: list[Path]
    labels: Path | None
    catalogue: Path | None
    allstar: Path | None

    @property
    def simulated(self) -> bool:
        """Whether the simulator wrote this folder: it leaves a file of this name."""
        return (self.folder / SIMULATED).exists()

    def truth(self) -> Labels | None:
        """True labels, if the folder is the simulator's and holds them."""
        path = self.folder / TRUTH
        return Labels.read(path) if self.simulated and path.exists() else None

    @property
    def data_hash(self) -> str:
        """Changes when a file of the folder is added, removed or rewritten (name, size, time of writing)."""
        digest = hashlib.sha256()
        files = [*self.spectra.values(), *self.repeated, self.labels, self.catalogue, self.allstar]
        for path in files:
            if path is not None:
                facts = path.lstat()
                digest.update(f"{os.path.relpath(path, self.folder)}|{facts.st_size}|{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def look_through(folder: str | Path, label_table: str | Path | None = None) -> Contents:
    """Find spectra (in all sub-folders) and tables of a survey folder.

    Tables are known by their names, at the top of the folder: ``labels.*`` (or the only text table there is);
    ``*catalog*`` for LAMOST's and ``allStar*`` for APOGEE's. A label table goes
    before these two.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If it holds no spectra, or no table of labels can be told.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder; wanted one with LAMOST spectra and a table of labels")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file; wanted the folder that holds the LAMOST spectra")
    labels, catalogue, allstar = find_tables(folder, label_table)
    spectra: dict[str, Path] = {}
    repeated = []
    for path in spectrum_files(folder):
        if path in (labels, catalogue, allstar):
            continue
        if spectra.setdefault(identifier(path), path) != path:
            repeated.append(path)
    if not spectra:
        raise ValueError(f"{folder}: no spectra in it or in its sub-folders; wanted files *.fits or *.fits.gz")
    return Contents(folder, spectra, repeated, labels, catalogue, allstar)


def named_tables(folder: Path) -> dict[str, Path]:
    """Tables at the top of a folder that are known by their names: labels, catalogue (LAMOST's), allstar (APOGEE's)."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if path.is_file() and name.endswith(TABLE_SUFFIXES):
            kinds = {
                "allstar": name.startswith("allstar"),
                "catalogue": "catalog" in name,
                "labels": name.split(".")[0] == "labels",
            }
            kind = next((kind for kind, holds in kinds.items() if holds), None)
            if kind:
                found.setdefault(kind, path)
    return found


def find_tables(folder: Path, label_table: str | Path | None = None) -> tuple[Path | None, Path | None, Path | None]:
    """The tables of labels, of LAMOST and of APOGEE at the top of a folder, see `look_through`.

    Raises
    ------
    ValueError
        If no table of labels can be told.
    """
    files = (path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    top = sorted(path for path in files if path.name.lower().endswith(TABLE_SUFFIXES))
    named = named_tables(folder)
    allstar, catalogue = named.get("allstar"), named.get("catalogue")
    labels = (
        Path(label_table) if label_table else _label_table(folder, [p for p in top if p not in (allstar, catalogue)])
    )
    if labels is None and (allstar is None or catalogue is None):
        names = ", ".join(path.name for path in top if not path.name.startswith("spec-"))
        raise ValueError(
            f"{folder}: no table of labels; wanted labels.csv (columns filename and the labels), or LAMOST's "
            f"catalogue and APOGEE's allStar table; found {names or 'no table'}"
        )
    return labels, catalogue, allstar


def _label_table(folder: Path, candidates: Sequence[Path]) -> Path | None:
    named = [path for path in candidates if path.name.lower().split(".")[0] == "labels"]
    plain = [path for path in candidates if not path.name.lower().endswith(SPECTRUM_SUFFIXES)]
    chosen = named or plain
    if len(chosen) > 1:
        names = ", ".join(path.name for path in chosen)
        raise ValueError(f"{folder}: several tables might hold the labels: {names}; call the right one labels.csv")
    return chosen[0] if chosen else None


def spectrum_files(folder: str | Path) -> list[Path]:
    """Every ``.fits`` and ``.fits.gz`` file in a folder and its sub-folders, hidden ones left out, in order."""
    found = []
    for base, subfolders, names in os.walk(folder):
        subfolders.sort()
        found += [Path(base, name) for name in sorted(names) if name.lower().endswith(SPECTRUM_SUFFIXES)]
    return [path for path in found if not path.name.startswith(".")]


def read_label_table(path: str | Path, label_names: Sequence[str]) -> tuple[Table, Labels]:
    """Read any table that names spectra and gives their labels.

    The stars are named in a column ``filename``, ``file``, ``lamost_id`` or ``id`` (with or without ``.fits``), the
    labels in columns of their own names (``fe_h`` also as ``feh`` …; errors as ``teff_err`` …). Missing: NaN, −9999, or
    nothing. A label that is not known yet becomes known in the unit of its column. A table without file names must give
    ``obsid``, or ``ra`` and ``dec``; its stars are called ``row 1`` … until `named_by_headers` finds them.

    Returns
    -------
    stars : Table with id, obsid, ra, dec, snrg, z, teff, logg, fe_h, as far as the table has them (else NaN)
    labels : the same stars' labels

    Raises
    ------
    FileNotFoundError, ValueError
        Naming the file, the column, what was found and what was wanted.
    """
    source = tables.read_table(path)
    ids = star_names(source, path) if names_its_spectra(source) else _row_names(source, path)
    if (ids == "").any():
        raise ValueError(f"{path}: row {int(np.argmax(ids == '')) + 1} does not name a star; wanted a file name")
    columns = {name: tables.wanted_column(source, _usual_names(name), path) for name in label_names}
    for name, column in columns.items():
        if name not in LABELS:
            register_label(name, str(source[column].unit or ""))
    check_names(tuple(label_names))
    values = tables.label_values(source, columns, path)
    stars = unknown_stars(ids)
    for name, choices in CATALOGUE_COLUMNS.items():
        found = tables.find_column(source, choices)
        if found:
            stars[name] = tables.numbers(source, found, path)
    obsid = tables.find_column(source, ("obsid",))
    if obsid:
        stars["obsid"] = np.nan_to_num(tables.numbers(source, obsid, path)).astype(np.int64)
    best = _best_rows(ids, np.asarray(stars["snrg"]))
    return stars[best], Labels(ids[best], tuple(label_names), values[best], _covariance(source, columns, path, best))


def _row_names(source: Table, path: str | Path) -> np.ndarray:
    """Names of stars that have none: LAMOST's number or places on the sky will tell which spectra are theirs."""
    given = [
        tables.find_column(source, names) for names in (("obsid",), CATALOGUE_COLUMNS["ra"], CATALOGUE_COLUMNS["dec"])
    ]
    if given[0] is None and None in given[1:]:
        tables.wanted_column(source, KEYS, f"{path} (and no obsid, nor ra and dec, to find the stars by)")
    return np.array([f"row {number}" for number in range(1, len(source) + 1)], dtype=str)


def named_by_headers(stars: Table, labels: Labels, places: Table, radius: float = 3.0) -> tuple[Table, Labels]:
    """Name the stars of a label table after the spectra that have their LAMOST number, or else lie where they are.

    Of several spectra of a star on the sky, that of highest S/N is taken.

    Parameters
    ----------
    stars, labels : as `read_label_table` gives them for a table without file names
    places : of the spectra, as `lamost.read_places` gives them
    radius : arcsec
    """
    numbers = np.asarray(places["obsid"])
    _, rows, spectra = np.intersect1d(np.asarray(stars["obsid"]), numbers[numbers > 0], return_indices=True)
    spectra = np.flatnonzero(numbers > 0)[spectra]
    if not rows.size:
        spectra, rows = cross_match(
            places["ra"], places["dec"], stars["ra"], stars["dec"], radius, snr1=places["snr_g"]
        )
    ids = np.asarray(stars["id"]).astype(object)
    ids[rows] = np.asarray(places["id"])[spectra]
    stars = stars.copy()
    stars["id"] = ids.astype(str)
    return stars, Labels(stars["id"], labels.names, labels.values, labels.covariance)


def labels_in_table(path: str | Path) -> tuple[str, ...]:
    """The known labels that a label table has columns for.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table, or it has none of them.
    """
    source = tables.read_table(path)
    found = tuple(name for name in LABELS if tables.find_column(source, _usual_names(name)))
    if not found:
        raise ValueError(
            f"{path}: no column for any of {', '.join(LABELS)}; the table has {', '.join(source.colnames)}; "
            "name the labels (label_names), or rename the columns"
        )
    return found


def _usual_names(label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((label, *apogee.LABEL_COLUMNS.get(label, ()), *CATALOGUE_COLUMNS.get(label, ()))))


def _covariance(source: Table, columns: dict[str, str], where: str | Path, rows: np.ndarray) -> np.ndarray | None:
    found = [tables.find_column(source, (f"{name}_err", f"{column}_err")) for name, column in columns.items()]
    if None in found:
        return None
    errors = np.column_stack(
        [
            tables.numbers(source, error, where, LABELS[name].unit)
            for name, error in zip(columns, found, strict=True)
            if error
        ]
    )[rows]
    return np.einsum("ni,ij->nij", errors**2, np.eye(len(columns)))


def one_row_per_star(catalogue: Table) -> Table:
    """Keep one row of a LAMOST catalogue for every spectrum: that of highest S/N, or the first."""
    return catalogue[_best_rows(np.asarray(catalogue["id"]), np.asarray(catalogue["snrg"], dtype=float))]


def _best_rows(ids: np.ndarray, snr: np.ndarray) -> np.ndarray:
    order = np.lexsort((np.arange(ids.size), -np.nan_to_num(snr, nan=-np.inf)))
    _, first = np.unique(ids[order], return_index=True)
    return np.sort(order[first])


def unknown_stars(ids: np.ndarray) -> Table:
    """Rows for stars of which nothing is known but that there is a spectrum."""
    stars = Table({"id": ids, "obsid": np.zeros(len(ids), dtype=np.int64)})
    for name in CATALOGUE_COLUMNS:
        stars[name] = np.full(len(ids), np.nan)
    return stars
