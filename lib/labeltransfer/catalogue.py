"""The catalogue: one row per star, with labels, errors and everything needed to judge them (Table 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack
from astropy.units import Unit
from astropy_healpix import HEALPix

from . import tables
from .files import written_whole
from .inference import LabelFit
from .labels import LABELS

FORMATS = (".fits", ".ecsv", ".parquet", ".csv")

DISTANCE_CUT = 2.5
"""Label distance of eq. 7 from which on the paper labels no star (section 4.2)."""

COOL = 4250.0
"""K; below, the labels of reference set and model turn off from each other (Figs. 6, 7)."""

PACKAGES = ("labeltransfer", "numpy", "numba", "astropy")
"""Whose versions a catalogue names."""

UCDS = {
    "id": "meta.id;meta.main",
    "obsid": "meta.id",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "glon": "pos.galactic.lon",
    "glat": "pos.galactic.lat",
    "snr": "stat.snr",
    "snr_g": "stat.snr;em.opt.B",
    "z": "src.redshift",
    "teff": "phys.temperature.effective",
    "logg": "phys.gravity",
    "fe_h": "phys.abund.Fe",
    "alpha_m": "phys.abund",
    "a_k": "phys.absorption;em.IR.K",
    "reduced_chi2": "stat.fit.chi2",
    "n_pixels": "meta.number",
    "label_distance": "stat.value",
    "converged": "meta.code.qual",
    "cool": "meta.code.qual",
    "edge": "meta.code.qual",
    "outside": "meta.code.qual",
    "reference": "meta.code.member",
}

STAR_COLUMNS = {
    "id": "name of the spectrum",
    "obsid": "LAMOST number of the observation, 0 if unknown",
    "ra": "right ascension, ICRS",
    "dec": "declination, ICRS",
    "glon": "galactic longitude",
    "glat": "galactic latitude",
    "snr": "signal-to-noise, median over pixels of flux / uncertainty",
    "snr_g": "signal-to-noise in the g band, from LAMOST",
    "z": "redshift from LAMOST",
}


def assemble(
    fit: LabelFit,
    stars: Table | None = None,
    *,
    distance: np.ndarray | None = None,
    distance_cut: float = DISTANCE_CUT,
    reference: bool | np.ndarray | None = None,
    label_range: np.ndarray | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Table:
    """One row per star from what the test step found and what is known of the stars.

    Parameters
    ----------
    fit : N stars
    stars : the same stars in the same order; its columns of `STAR_COLUMNS` are taken over
    distance : (N,) label distance from the reference set
    distance_cut : stars at least as far away are marked as outside
    reference : whether the stars belong to the reference set, for all or (N,)
    label_range : (2, L) lowest and highest reference label (`CannonModel.label_range`)
    provenance : anything that JSON can hold (model hash, parameters …), kept in the header

    Returns
    -------
    Table with the columns of `STAR_COLUMNS`; for every label its value, ``_err`` and, for every pair, ``cov_a_b``;
    reduced_chi2, n_pixels, label_distance, and the flags converged, cool (Teff below 4250 K), edge (a label outside the
    range of the reference labels), outside (label distance), reference. Every column has a description and, if it has
    them, a unit and a UCD (``meta["ucd"]``).

    Raises
    ------
    ValueError
        If `fit` and `stars` do not name the same stars in the same order.
    """
    n_stars = len(fit)
    if stars is not None and not np.array_equal(np.asarray(stars["id"]), fit.labels.ids):
        raise ValueError(
            f"catalogue: {n_stars} fits and {len(stars)} rows of stars do not name the same stars in order"
        )
    catalogue = Table()
    _add(catalogue, "id", fit.labels.ids, "", STAR_COLUMNS["id"])
    for name, description in STAR_COLUMNS.items():
        if stars is not None and name in stars.colnames and name != "id":
            unit = "deg" if name in ("ra", "dec", "glon", "glat") else ""
            _add(catalogue, name, np.asarray(stars[name]), unit, description)
    _add_labels(catalogue, fit)
    _add(catalogue, "reduced_chi2", fit.reduced_chi2, "", "chi2 per degree of freedom of the fit")
    _add(catalogue, "n_pixels", np.asarray(fit.n_pixels), "", "pixels used")
    if distance is not None:
        _add(
            catalogue, "label_distance", np.asarray(distance, dtype=float), "", "distance from the reference set, eq. 7"
        )
        outside = ~(np.asarray(distance, dtype=float) < distance_cut)
        _add(catalogue, "outside", outside, "", f"whether the label distance is at least {distance_cut:g}, or unknown")
    _add(catalogue, "converged", np.asarray(fit.converged, dtype=bool), "", "whether the fit converged")
    if "teff" in fit.labels.names:
        _add(catalogue, "cool", fit.labels.column("teff") < COOL, "", "Teff below 4250 K, where labels turn off")
    if label_range is not None:
        low, high = np.asarray(label_range, dtype=float)
        edge = ((fit.labels.values < low) | (fit.labels.values > high)).any(axis=1)
        _add(catalogue, "edge", edge, "", "whether a label lies outside the range of the reference labels")
    if reference is not None:
        belongs = np.broadcast_to(np.asarray(reference, dtype=bool), n_stars)
        _add(catalogue, "reference", belongs, "", "whether the star belongs to the reference set")
    catalogue.meta["CREATOR"] = f"labeltransfer {version('labeltransfer')}"
    catalogue.meta["VERSIONS"] = json.dumps({name: version(name) for name in PACKAGES})
    catalogue.meta["PROVENAN"] = json.dumps(dict(provenance or {}), sort_keys=True)
    return catalogue


def _add(catalogue: Table, name: str, values: np.ndarray, unit: str, description: str) -> None:
    catalogue[name] = values
    catalogue[name].unit = unit or None
    catalogue[name].description = description
    if _ucd(name):
        catalogue[name].meta["ucd"] = _ucd(name)


def _add_labels(catalogue: Table, fit: LabelFit) -> None:
    labels = fit.labels
    units = [LABELS[name].unit for name in labels.names]
    for name, unit in zip(labels.names, units, strict=True):
        _add(catalogue, name, labels.column(name), unit, f"{name} inferred by The Cannon")
        _add(catalogue, f"{name}_err", labels.errors[:, labels.index(name)], unit, f"formal error of {name}")
    if labels.covariance is None:
        return
    for i, first in enumerate(labels.names):
        for j in range(i + 1, len(labels.names)):
            second = labels.names[j]
            unit = (Unit(units[i]) * Unit(units[j])).to_string()
            what = f"formal covariance of {first} and {second}"
            _add(catalogue, f"cov_{first}_{second}", labels.covariance[:, i, j], unit, what)


def stack(*parts: Table) -> Table:
    """Catalogues one below the other; a column that one of them lacks is NaN, False, 0 or empty there."""
    whole = vstack(list(parts), join_type="outer", metadata_conflicts="silent")
    for name in whole.colnames:
        if whole[name].dtype.kind in "fiubUS" and hasattr(whole[name], "mask"):
            unit, description, meta = whole[name].unit, whole[name].description, whole[name].meta
            whole[name] = whole[name].filled({"f": np.nan, "U": "", "S": b""}.get(whole[name].dtype.kind, 0))
            whole[name].unit, whole[name].description, whole[name].meta = unit, description, meta
    return whole


def write(table: Table, path: str | Path) -> None:
    """Write a table to FITS, ECSV, Parquet or CSV, as the suffix says; complete or not at all.

    FITS keeps units, descriptions, UCDs and provenance in its header (TUNIT, TCOMM, TUCD, PROVENAN), ECSV and Parquet
    in their metadata, CSV keeps none of it.

    Raises
    ------
    ValueError
        If the suffix is another.
    ImportError
        If Parquet is asked for and PyArrow is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: found suffix {suffix!r}, wanted one of {', '.join(FORMATS)}")
    if suffix == ".parquet":
        tables.parquet_module(path)
    with written_whole(path) as temporary:
        if suffix == ".fits":
            _write_fits(table, temporary)
        elif suffix == ".parquet":
            _write_parquet(table, temporary)
        else:
            form = "ascii.ecsv" if suffix == ".ecsv" else "ascii.csv"
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                table.write(stream, format=form)


def best_format() -> str:
    """Suffix for parts of a catalogue: Parquet if PyArrow is installed, else FITS."""
    return ".parquet" if find_spec("pyarrow") else ".fits"


def _write_fits(table: Table, path: Path) -> None:
    """With header cards for what astropy would warn about ("dex" is no FITS unit) or leave out (UCDs)."""
    bare = Table()
    for name in table.colnames:
        values = np.asarray(table[name])
        bare[name] = np.char.encode(values, "utf-8") if values.dtype.kind == "U" else values
    hdu = fits.table_to_hdu(bare)
    for number, name in enumerate(table.colnames, start=1):
        column = table[name]
        for card, value in (("TUNIT", column.unit), ("TCOMM", column.description), ("TUCD", _ucd(name))):
            if value:
                hdu.header[f"{card}{number}"] = str(value)
    for key, value in table.meta.items():
        if len(key) <= 8 and isinstance(value, str | int | float):
            hdu.header[key.upper()] = value
    hdu.header["EXTNAME"] = "CATALOGUE"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def _ucd(name: str) -> str:
    if name.endswith("_err") and name.removesuffix("_err") in UCDS:
        return f"stat.error;{UCDS[name.removesuffix('_err')]}"
    return "stat.covariance" if name.startswith("cov_") else UCDS.get(name, "")


def _write_parquet(table: Table, path: Path) -> None:
    parquet = tables.parquet_module(path)
    parquet.write_table(arrow_table(table), path)


def arrow_table(table: Table) -> Any:
    """A PyArrow table, units, descriptions, UCDs and provenance in the metadata of its schema."""
    facts = {
        "units": {name: str(table[name].unit) for name in table.colnames if table[name].unit},
        "descriptions": {name: table[name].description for name in table.colnames if table[name].description},
        "ucds": {name: _ucd(name) for name in table.colnames if _ucd(name)},
        "meta": {key: value for key, value in table.meta.items() if isinstance(value, str | int | float)},
    }
    content = import_module("pyarrow").table({name: np.asarray(table[name]) for name in table.colnames})
    return content.replace_schema_metadata({"labeltransfer": json.dumps(facts)})


def read(path: str | Path) -> Table:
    """Read a catalogue, or any other table, of the formats that `write` writes."""
    return tables.read_table(path)


def data_model(table: Table) -> list[tuple[str, str, str, str, str]]:
    """Name, type, unit, UCD and description of every column: the data model as rows of text."""
    return [
        (name, str(table[name].dtype), str(table[name].unit or ""), _ucd(name), table[name].description or "")
        for name in table.colnames
    ]


def healpix_mean(
    lon: np.ndarray | Sequence[float], lat: np.ndarray | Sequence[float], values: np.ndarray, nside: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average a quantity over the cells of a HEALPix map (ring order).

    Parameters
    ----------
    lon, lat : (N,) deg
    values : (N,) a value, or a place, that is not finite is left out
    nside : cells on a side of each of the twelve faces

    Returns
    -------
    mean : (12 nside²,) NaN where there is no star
    count : (12 nside²,)
    """
    lon, lat, values = (np.asarray(array, dtype=float) for array in (lon, lat, values))
    usable = np.isfinite(lon) & (np.abs(lat) <= 90.0) & np.isfinite(values)
    healpix = HEALPix(nside=nside, order="ring")
    cells = healpix.lonlat_to_healpix(lon[usable] * Unit("deg"), lat[usable] * Unit("deg"))
    count = np.bincount(cells, minlength=healpix.npix)
    total = np.bincount(cells, weights=values[usable], minlength=healpix.npix)
    mean = np.full(healpix.npix, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean, count
