"""Write a simulated survey in the surveys' own file formats: LAMOST spectra and catalogue, APOGEE's allStar table."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from ..files import written_whole
from ..lamost.reading import available_cores
from .observing import spectrum_numbers
from .simulated_survey import RawBlock, SimulatedSurvey

FORMATS = ("image", "table")
"""Spectra as in LAMOST DR1-DR7, or as in DR8 and later."""

BLOCK = 256
FITS_BLOCK = 2880
MISSING = -9999.0
TABLE_COLUMNS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")

APOGEE_COLUMNS = {
    "apogee_id": "APOGEE_ID", "ra": "RA", "dec": "DEC", "glon": "GLON", "glat": "GLAT", "snr": "SNR",
    "teff": "TEFF", "teff_err": "TEFF_ERR", "logg": "LOGG", "logg_err": "LOGG_ERR",
    "fe_h": "PARAM_M_H", "fe_h_err": "PARAM_M_H_ERR",
    "alpha_m": "PARAM_ALPHA_M", "alpha_m_err": "PARAM_ALPHA_M_ERR", "a_k": "AK_WISE",
}  # fmt: skip


def write_survey(
    survey: SimulatedSurvey,
    folder: str | Path,
    *,
    spectra_format: str = "image",
    compress: bool = False,
    progress: bool = True,
) -> Path:
    """Write spectra, LAMOST's catalogue, APOGEE's table and the truth into a new folder.

    Parameters
    ----------
    folder : new or empty
    spectra_format : ``"image"`` (LAMOST DR1-DR7) or ``"table"`` (DR8 and later)
    compress : write ``.fits.gz``: smaller, and slower to write and read
    progress : show a bar, if there is a terminal

    Returns
    -------
    Path
        The folder. It holds ``spectra/PLAN/spec-….fits``, ``lamost_catalogue.fits``, ``allStar-simulated.fits``,
        ``truth.npz`` and, last of all, ``simulated.json``, which says how the survey was made.

    Raises
    ------
    FileExistsError
        If there is something in the folder already.
    ValueError
        If the format is unknown.
    """
    if spectra_format not in FORMATS:
        raise ValueError(f"spectra_format {spectra_format!r} is unknown; wanted one of {', '.join(FORMATS)}")
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: exists and is not an empty folder; give a new one")
    folder.mkdir(parents=True, exist_ok=True)
    for part in np.unique([spectrum_numbers(row)[1] for row in range(0, len(survey), 250)]):
        (folder / "spectra" / str(part)).mkdir(parents=True)

    def write_block(start: int) -> int:
        block = survey.raw_block(start, start + BLOCK)
        for n in range(len(block)):
            plan = spectrum_numbers(start + n)[1]
            path = folder / "spectra" / plan / f"{block.ids[n]}.fits{'.gz' if compress else ''}"
            content = spectrum_bytes(block, n, spectra_format)
            path.write_bytes(gzip.compress(content, 1) if compress else content)
        return len(block)

    bar = tqdm(total=len(survey), desc="writing spectra", unit="star", disable=None if progress else True)
    with bar, ThreadPoolExecutor(available_cores()) as pool:
        for done in pool.map(write_block, range(0, len(survey), BLOCK)):
            bar.update(done)
    _write_table(lamost_catalogue(survey), folder / "lamost_catalogue.fits")
    _write_table(allstar_columns(survey.allstar()), folder / "allStar-simulated.fits")
    survey.truth().write(folder / "truth.npz")
    with written_whole(folder / "simulated.json") as temporary:
        temporary.write_text(json.dumps(facts_of(survey), indent=1) + "\n", encoding="utf-8")
    return folder


def facts_of(survey: SimulatedSurvey) -> dict[str, object]:
    """Everything that a survey is made from."""
    names = ("n_overlap", "n_dr2", "n_apogee", "seed", "giant_share", "error_factor", "floor_scale", "duplicate_share")
    facts: dict[str, object] = {name: getattr(survey, name) for name in names}
    return {**facts, "apogee": asdict(survey.apogee), "lamost": asdict(survey.lamost)}


def spectrum_bytes(block: RawBlock, n: int, spectra_format: str) -> bytes:
    """The FITS file of one spectrum."""
    q, header = block.n_pixels[n], block.headers[n]
    planes = [block.flux, block.ivar, block.wavelength, block.and_mask, block.or_mask]
    data = np.stack([plane[n, :q] for plane in planes]).astype(">f4")
    facts = {
        "FILENAME": f"{block.ids[n]}.fits", "AUTHOR": "simulated", "DATA_V": "SIMULATED", "VACUUM": True,
        "COEFF0": float(np.log10(block.wavelength[n, 0])), "COEFF1": 1e-4,
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
    """The catalogue with LAMOST's own column names, without file names, as LAMOST writes it."""
    ours = survey.catalogue()
    numbers = [spectrum_numbers(row) for row in range(len(survey))]
    night, plan, spectrograph, fibre = zip(*numbers, strict=True) if numbers else ((), (), (), ())
    table = Table({"obsid": ours["obsid"]})
    table["lmjd"], table["mjd"] = np.array(night, int), np.array(night, int) - 1
    table["planid"] = np.array(plan, str) if numbers else np.array([], "U8")
    table["spid"], table["fiberid"] = np.array(spectrograph, int), np.array(fibre, int)
    for theirs, name in (("ra", "ra"), ("dec", "dec"), ("snrg", "snrg"), ("z", "z"), ("teff", "teff")):
        table[theirs] = ours[name]
    for theirs, name in (("teff_err", "teff_err"), ("logg", "logg"), ("logg_err", "logg_err")):
        table[theirs] = ours[name]
    table["feh"], table["feh_err"] = ours["fe_h"], ours["fe_h_err"]
    return table


def allstar_columns(allstar: Table) -> Table:
    """The table with APOGEE's own column names, −9999 where a value is missing, flags as signed 32-bit integers."""
    table = Table()
    for name, theirs in APOGEE_COLUMNS.items():
        column = np.asarray(allstar[name])
        if column.dtype.kind == "f" and name not in ("ra", "dec", "glon", "glat"):
            column = np.where(np.isfinite(column), column, MISSING).astype(np.float32)
        table[theirs] = column
    table["ASPCAPFLAG"] = np.asarray(allstar["aspcapflag"]).astype(np.uint32).view(np.int32)
    return table


def _write_table(table: Table, path: Path) -> None:
    with written_whole(path) as temporary:
        table.write(temporary, format="fits", overwrite=True)
