"""Write a simulated survey in the surveys' own file formats: LAMOST spectra and catalogue, APOGEE's allStar table."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from ..files import check_writable, write_arrays, written_whole
from ..files.arrays import naming, remove_unfinished
from ..files.locks import LOCK, only_writer
from ..files.parts import read_facts
from ..options import SPECTRA_FORMATS, check_option
from ..parallel import over_files
from ..spectra import SPEED_OF_LIGHT
from ..tables import MISSING
from .grid import GRID_LABELS
from .observing import spectrum_numbers
from .simulated_survey import SNR_RATIOS, RawBlock, SimulatedSurvey

UNFINISHED = "unfinished.json"
ONE_IN, NO_REDSHIFT, NO_VELOCITY = 50, 7, 23
"""Of so many rows of LAMOST's catalogue one has no redshift, and another no velocity; the other tells it."""

BLOCK = 256
FITS_BLOCK = 2880
TABLE_COLUMNS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")


def write_survey(
    survey: SimulatedSurvey,
    folder: str | Path,
    *,
    spectra_format: str = "image",
    compress: bool = False,
    progress: bool = True,
) -> Path:
    """Write spectra, LAMOST's catalogue, APOGEE's table and the truth into a folder, block by block.

    A folder whose writing was stopped, be it by a kill, is taken up where it was left, and then holds the
    bytes it would have held. Memory does not grow with the number of spectra, but for the catalogue.

    Parameters
    ----------
    folder : new, empty, or left unfinished by the same survey in the same format
    spectra_format : ``"image"`` (LAMOST DR1-DR7) or ``"table"`` (DR8 and later)
    compress : write ``.fits.gz``: smaller, and slower to write and read
    progress : show a bar, if there is a terminal

    Returns
    -------
    Path
        The folder. It holds ``spectra/PLAN/spec-….fits``, ``lamost_catalogue.fits``, ``allStar-simulated.fits``,
        ``truth.npz``, ``drawn.npz`` and, last of all, ``simulated.json``, which says how the survey was made. Until
        then there is ``unfinished.json`` instead.

    Raises
    ------
    FileExistsError
        If there is something else in the folder, or an unfinished survey of another kind, naming what differs.
    OSError
        If the disk has too little room, with both numbers.
    RuntimeError
        If another process is writing there.
    ValueError
        If the format is unknown, or the note on an unfinished survey is damaged.
    """
    check_option("spectra_format", spectra_format, SPECTRA_FORMATS)
    folder = Path(folder)
    refuse_other_contents(folder, survey, spectra_format, compress)
    check_writable(folder)
    with only_writer(folder):
        remove_unfinished(folder)
        if not (folder / UNFINISHED).exists():
            _write_json(_recipe(survey, spectra_format, compress), folder / UNFINISHED)
        _write_spectra(survey, folder / "spectra", spectra_format, compress, progress)
        _write_table(lamost_catalogue(survey), folder / "lamost_catalogue.fits")
        _write_table(survey.allstar_file(), folder / "allStar-simulated.fits")
        survey.truth().write(folder / "truth.npz")
        _write_drawn(survey, folder / "drawn.npz")
        _write_json(facts_of(survey), folder / "simulated.json")
        (folder / UNFINISHED).unlink()
    (folder / LOCK).unlink(missing_ok=True)
    return folder


def refuse_other_contents(folder: Path, survey: SimulatedSurvey, spectra_format: str, compress: bool) -> None:
    """Raise FileExistsError unless a folder is new, empty, or the same survey left unfinished; see `write_survey`."""
    if not folder.exists():
        return
    if not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir()):
        note = folder / UNFINISHED
        if not note.is_file():
            raise FileExistsError(f"{folder}: exists and is not an empty folder; give a new one")
        wanted = json.loads(json.dumps(_recipe(survey, spectra_format, compress)))
        found = read_facts(note)
        different = [name for name in wanted if found.get(name) != wanted[name]]
        if different:
            raise FileExistsError(
                f"{folder}: holds another survey, left unfinished (different: {', '.join(different)}); "
                "ask for that one to finish it, or give a new folder"
            )


def _write_spectra(survey: SimulatedSurvey, folder: Path, spectra_format: str, compress: bool, progress: bool) -> None:
    """All spectra that are not there yet, a folder a plan."""
    suffix = ".fits.gz" if compress else ".fits"
    plans = [str(plan) for plan in np.unique([spectrum_numbers(row)[1] for row in range(0, len(survey), 250)])]
    there: set[str] = set()
    for plan in plans:
        (folder / plan).mkdir(parents=True, exist_ok=True)
        there.update(entry.name for entry in os.scandir(folder / plan) if entry.stat().st_size)
    missing = [row for row, name in enumerate(survey.ids) if f"{name}{suffix}" not in there]
    _require_room(survey, folder, len(missing), spectra_format, compress)

    def write_block(rows: list[int]) -> int:
        block = survey.raw(rows)
        for n, row in enumerate(rows):
            path = folder / spectrum_numbers(row)[1] / f"{block.ids[n]}{suffix}"
            content = spectrum_bytes(block, n, spectra_format)
            unfinished = path.with_name(f"{path.name}.part")
            with naming(path):
                unfinished.write_bytes(gzip.compress(content, 1, mtime=0) if compress else content)
                unfinished.replace(path)
        return len(rows)

    bar = tqdm(
        total=len(survey), initial=len(survey) - len(missing), desc="writing spectra", unit="star",
        disable=None if progress else True,
    )  # fmt: skip
    with bar:
        for done in over_files(write_block, [missing[n : n + BLOCK] for n in range(0, len(missing), BLOCK)]):
            bar.update(done)


def _require_room(survey: SimulatedSurvey, folder: Path, number: int, spectra_format: str, compress: bool) -> None:
    if number:
        content = spectrum_bytes(survey.raw_block(0, 1), 0, spectra_format)
        needed = number * len(gzip.compress(content, 1) if compress else content)
        free = shutil.disk_usage(folder).free
        if needed > free:
            message = f"{number:,} spectra need {needed / 1e9:.2g} GB, {free / 1e9:.2g} GB are free"
            raise OSError(errno.ENOSPC, message, str(folder))


def _recipe(survey: SimulatedSurvey, spectra_format: str, compress: bool) -> dict[str, object]:
    return {**facts_of(survey), "spectra_format": spectra_format, "compress": compress}


def _write_json(facts: dict[str, object], path: Path) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def facts_of(survey: SimulatedSurvey) -> dict[str, object]:
    """Everything that a survey is made from."""
    names = ("n_overlap", "n_dr2", "n_apogee", "seed", "giant_share", "error_factor", "floor_scale", "label_noise",
             "duplicate_share")  # fmt: skip
    facts: dict[str, object] = {name: getattr(survey, name) for name in names}
    return {**facts, "apogee": asdict(survey.apogee), "lamost": asdict(survey.lamost)}


def spectrum_bytes(block: RawBlock, n: int, spectra_format: str) -> bytes:
    """The FITS file of one spectrum."""
    q, header = block.n_pixels[n], block.headers[n]
    planes = [block.flux, block.ivar, block.wavelength, block.and_mask, block.or_mask]
    data = np.stack([plane[n, :q] for plane in planes]).astype(">f4")
    facts = {
        "FILENAME": f"{block.ids[n]}.fits", "AUTHOR": "simulated", "DATA_V": "SIMULATED", "VACUUM": True,
        "COEFF0": float(np.log10(block.wavelength[n, 0])), "COEFF1": 1e-4, "TELESCOP": "LAMOST", "OBJTYPE": "Star",
        **_place_on_plate(str(block.ids[n])), "ZFLAG": "LASP", "HELIO": True,
        **{name.upper(): value for name, value in header.items()},
    }  # fmt: skip
    if spectra_format == "image":
        shape = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": q, "NAXIS2": len(planes), "EXTEND": True}
        rows = {"EXTEN0": "Flux Inverse Wavelength Andmask Ormask"}
        return _header({**shape, **facts, **rows}) + _padded(data.tobytes())
    primary = _header({"SIMPLE": True, "BITPIX": 16, "NAXIS": 0, "EXTEND": True, **facts})
    extension = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 4 * q * len(TABLE_COLUMNS), "NAXIS2": 1}
    columns: dict[str, Any] = {"PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(TABLE_COLUMNS), "EXTNAME": "COADD"}
    for number, name in enumerate(TABLE_COLUMNS, start=1):
        columns |= {f"TTYPE{number}": name, f"TFORM{number}": f"{q}E"}
    content = np.concatenate([data, np.ones((1, q))]).astype(">f4").tobytes()
    return primary + _header({**extension, **columns}) + _padded(content)


def _place_on_plate(name: str) -> dict[str, Any]:
    """What a spectrum's name says, as its header says it."""
    _, night, rest = name.split("-", 2)
    plan, spectrograph, fibre = re.split("_sp|-", rest)
    return {"LMJD": int(night), "MJD": int(night) - 1, "PLANID": plan, "SPID": int(spectrograph), "FIBERID": int(fibre)}


def _header(facts: dict[str, Any]) -> bytes:
    cards = [f"{name:<8}= {_written(value)}"[:80].ljust(80) for name, value in facts.items()]
    text = "".join([*cards, "END".ljust(80)])
    return text.ljust(-(-len(text) // FITS_BLOCK) * FITS_BLOCK).encode("ascii")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, float):
        return f"{value:>20.13G}"
    return f"'{value:<8}'" if isinstance(value, str) else f"{value:>20}"


def _padded(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // FITS_BLOCK) * FITS_BLOCK, b"\0")


def lamost_catalogue(survey: SimulatedSurvey) -> Table:
    """The catalogue with LAMOST's own columns, in its order, without file names, as LAMOST writes it."""
    ours = survey.catalogue()
    numbers = [spectrum_numbers(row) for row in range(len(survey))]
    night, plan, spectrograph, fibre = zip(*numbers, strict=True) if numbers else ((), (), (), ())
    table = Table({"obsid": ours["obsid"]})
    table["designation"] = designations(np.asarray(ours["ra"]), np.asarray(ours["dec"]))
    table["lmjd"], table["mjd"] = np.array(night, int), np.array(night, int) - 1
    table["planid"] = np.array(plan, str) if numbers else np.array([], "U8")
    table["spid"], table["fiberid"] = np.array(spectrograph, int), np.array(fibre, int)
    table["ra"], table["dec"] = ours["ra"], ours["dec"]
    for band, ratio in SNR_RATIOS.items():
        table[f"snr{band}"] = ours["snrg"] if band == "g" else np.round(survey.snr_g * ratio, 2)
    table["class"] = np.full(len(survey), "STAR")
    table["subclass"] = np.where(survey.stars.giant, "K1", "G2")
    rows, z = np.arange(len(survey)), np.asarray(ours["z"])
    table["z"] = np.where(rows % ONE_IN == NO_REDSHIFT, MISSING, z)
    table["rv"] = np.where(rows % ONE_IN == NO_VELOCITY, MISSING, np.round(z * SPEED_OF_LIGHT, 2))
    for theirs, name in (("teff", "teff"), ("logg", "logg"), ("feh", "fe_h")):
        table[theirs], table[f"{theirs}_err"] = ours[name], ours[f"{name}_err"]
    return table


def designations(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(N,) names as LAMOST has them, ``LAMOST JHHMMSS.ss+DDMMSS.s``."""
    hours = np.floor(ra / 15.0 * 360_000.0).astype(np.int64)
    arc = np.floor(np.abs(dec) * 36_000.0).astype(np.int64)
    return np.array(
        [
            f"LAMOST J{h // 360000:02d}{h // 6000 % 60:02d}{h % 6000 / 100:05.2f}{'-' if south else '+'}"
            f"{d // 36000:02d}{d // 600 % 60:02d}{d % 600 / 10:04.1f}"
            for h, d, south in zip(hours.tolist(), arc.tolist(), (dec < 0).tolist(), strict=True)
        ],
        dtype=str,
    )


def _write_drawn(survey: SimulatedSurvey, path: Path) -> None:
    """What `truth` does not tell: labels as drawn, whether they are outside the grid, and which stars are giants.

    Arrays ids (N,), names (4,), drawn (N, 4), outside (N,), giant (N,). Where `outside` is True, the truth is the
    nearest place with nodes, whose spectrum the star has, and APOGEE's labels are those drawn, plus noise.
    """
    stars = survey.stars
    arrays = {"drawn": stars.drawn, "outside": stars.outside, "giant": stars.giant}
    write_arrays(path, "DrawnStars", {"ids": survey.ids, "names": np.array(GRID_LABELS), **arrays})


def _write_table(table: Table, path: Path) -> None:
    with written_whole(path) as temporary:
        table.write(temporary, format="fits", overwrite=True)
