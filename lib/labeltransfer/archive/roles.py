"""Which table of a folder plays which part: the labels, LAMOST's catalogue, APOGEE's allStar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..catalogue import is_own
from ..labels import labels_in
from ..lamost.catalogue import CATALOGUE_COLUMNS, PACKED, has_lamost_numbers, names_its_spectra
from ..tables import column_names, find_column
from .store import MANIFEST

SPECTRUM_SUFFIXES = tuple(f"{suffix}{packed}" for suffix in (".fits", ".fit") for packed in ("", *PACKED))
TEXT_SUFFIXES = (".csv", ".tsv", ".ecsv", ".txt", ".dat")
TABLE_SUFFIXES = (
    *(f"{suffix}{packed}" for suffix in TEXT_SUFFIXES for packed in ("", *PACKED[:3])),
    ".parquet", ".xml", ".vot", ".votable", *SPECTRUM_SUFFIXES,
)  # fmt: skip

SPECTRUM_NAME = re.compile(r"(spec|med)-\d{5}-", re.IGNORECASE)
"""How LAMOST's files of spectra are called; they are not looked into."""

WORDS = {"labels": "the labels", "catalogue": "LAMOST's catalogue", "allstar": "APOGEE's allStar table",
         "own": "a catalogue of labels that `infer` wrote"}  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """The tables of a folder by their part, or None, in words why, and all tables that there are."""

    labels: Path | None
    catalogue: Path | None
    allstar: Path | None
    notes: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()


def part_of(columns: Sequence[str]) -> str:
    """The part that a table with these columns can play: ``"labels"``, ``"catalogue"``, ``"allstar"``, or none.

    ``"own"`` is a catalogue as we write it, which plays no part: a model must not learn what a model said.
    APOGEE's table names APOGEE's stars or flags, and none of LAMOST's files. LAMOST's catalogue has LAMOST's numbers,
    or obsid and what its pipeline says. A table of labels names files, or LAMOST's numbers, or places on the sky.
    """

    def has(*names: str) -> bool:
        return find_column(columns, names) is not None

    if is_own(columns):
        return "own"
    placed = has(*CATALOGUE_COLUMNS["ra"]) and has(*CATALOGUE_COLUMNS["dec"])
    names_files = has("filename", "fits_name", "lamost_id")
    from_apogee = has("aspcapflag", "apogee_id", "sdss4_apogee_id") or (has("sdss_id") and has("flag_bad"))
    from_lamost = has_lamost_numbers(columns) or (has("obsid") and has("class", "subclass", "designation", "snrg"))
    if from_apogee and placed and not (names_files or from_lamost or has("obsid")):
        return "allstar"
    if from_lamost and placed and not (names_files or from_apogee):
        return "catalogue"
    if labels_in(columns) and (placed or from_lamost or has("obsid") or names_its_spectra(columns)):
        return "labels"
    return ""


def _part_by_name(path: Path) -> str:
    """The part that a file's name claims; for tables that cannot be read, so that reading them says why."""
    name = path.name.lower()
    if name.split(".")[0] == "labels":
        return "labels"
    return "allstar" if name.startswith("allstar") else "catalogue" if "catalog" in name else ""


def candidates(folder: Path) -> dict[Path, str]:
    """The tables at the top of a folder and the part that each can play, by its columns."""
    found = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        table = name.endswith(TABLE_SUFFIXES) and path.name != MANIFEST and not name.startswith(".")
        if table and path.is_file() and not SPECTRUM_NAME.match(name):
            columns = column_names(path)
            claimed = _part_by_name(path)
            part = part_of(columns)
            unclear = claimed == "labels" or not columns or (claimed == "catalogue" and part == "labels")
            if claimed and unclear and part != "own":
                part = claimed
            if part or not name.endswith(SPECTRUM_SUFFIXES):
                found[path] = part
    return found


def catalogue_of(folder: Path) -> Path | None:
    """LAMOST's catalogue at the top of a folder, by its columns, or None; ValueError if there are several."""
    return _the_one(folder, "catalogue", [path for path, part in candidates(folder).items() if part == "catalogue"])


def _the_one(folder: Path, part: str, found: list[Path]) -> Path | None:
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder}: several tables might be {WORDS[part]}: {names}; leave one of them there")
    return next(iter(found), None)


def not_own(path: str | Path) -> Path:
    """The path of a table to learn from or to believe, unless it is a catalogue of ours (ValueError)."""
    if part_of(column_names(path)) == "own":
        raise ValueError(
            f"{path}: found {WORDS['own']}, wanted a table that was measured otherwise; give another, or, to learn "
            "from a model on purpose, one that has no more of it than the columns id and the labels"
        )
    return Path(path)


def find_roles(folder: Path, label_table: str | Path | None = None) -> Roles:
    """Decide which table at the top of a folder plays which part, by the columns.

    A table that is called ``labels.*``, or is given, holds the labels whatever else there is.

    Raises
    ------
    ValueError
        If no table of labels can be told, it is a catalogue of ours, or several tables could play one part.
    """
    tables = candidates(folder)
    of_part = {part: [path for path, one in tables.items() if one == part] for part in WORDS}
    named = [path for path in (*of_part["labels"], *of_part["own"]) if _part_by_name(path) == "labels"]
    labels = [not_own(path) for path in ([label_table] if label_table else named or of_part["labels"])]
    if not label_table and not named and labels and of_part["allstar"]:
        labels += of_part["allstar"]
    if len(labels) > 1:
        names = ", ".join(path.name for path in labels)
        raise ValueError(
            f"{folder}: several tables might hold the labels: {names}; call the right one labels.csv, or give it as "
            "the table of labels (--labels)"
        )
    several = 1 if labels else None  # of tables that are not used there may be any number
    first = {part: _the_one(folder, part, of_part[part][:several]) for part in ("catalogue", "allstar")}
    chosen = Roles(next(iter(labels), None), first["catalogue"], first["allstar"])
    if chosen.labels is None and None in first.values():
        raise ValueError(_no_labels(folder, tables))
    every = dict.fromkeys([*tables, *labels])
    return Roles(chosen.labels, chosen.catalogue, chosen.allstar, _notes(chosen, tables), tuple(every))


def _no_labels(folder: Path, tables: dict[Path, str]) -> str:
    found = [f"{path.name} ({WORDS.get(part, 'columns that say nothing')})" for path, part in tables.items()]
    named = [path for path in sorted(folder.iterdir()) if _part_by_name(path) == "labels" and path not in tables]
    found += [f"{path.name} ({'no format' if path.is_file() else 'no file'} that can be read)" for path in named]
    return (
        f"{folder}: no table of labels; wanted labels.csv (columns filename and the labels), or LAMOST's "
        f"catalogue and APOGEE's allStar table; found {', '.join(found) or 'no table'}; to learn the labels of one of "
        "them, call it labels.csv, or give it as the table of labels (--labels)"
    )


def _notes(roles: Roles, tables: dict[Path, str]) -> tuple[str, ...]:
    parts = {roles.catalogue: WORDS["catalogue"], roles.allstar: WORDS["allstar"]}
    if roles.labels is not None:
        parts = {roles.labels: WORDS["labels"]}
    used = [f"{path.name} is {words}, by its columns" for path, words in parts.items() if path is not None]
    own = [f"{path.name} is {WORDS['own']}: not used" for path, part in tables.items() if part == "own"]
    others = [path.name for path, part in tables.items() if path not in parts and part != "own"]
    return (*used, *own, *([f"tables that are not used: {', '.join(others)}"] if others else []))
