"""The columns of a catalogue: what they are called, what they hold, and the rule by which a star's labels are good."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from astropy.table import Table, vstack
from astropy.units import Unit

from ..inference import LabelFit
from ..labels import LABELS
from ..tables import find_column, numbers, text, whole_numbers
from .sky import galactic

DISTANCE_CUT = 2.5
"""Label distance of eq. 7 from which on the paper labels no star (section 4.2)."""

COOL = 4250.0
"""K; below, the labels of reference set and model turn off from each other (Figs. 6, 7)."""

CHI2_MAX = 10.0
"""Reduced χ² above which a fit has failed (section 4.2)."""

COVERAGE_MIN = 0.5
"""Share of the model's pixels that a spectrum must have: with fewer, too few lines tell the labels apart."""

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
    "good": "meta.code.qual",
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
ANGLES = ("ra", "dec", "glon", "glat")


def is_own(columns: Iterable[str]) -> bool:
    """Whether these are the columns of a catalogue as `assemble` makes it."""
    return {"id", "reduced_chi2", "converged"} <= {name.lower() for name in columns}


def assemble(
    fit: LabelFit,
    stars: Table | None = None,
    *,
    total_covariance: np.ndarray | None = None,
    distance: np.ndarray | None = None,
    distance_cut: float = DISTANCE_CUT,
    chi2_cut: float = CHI2_MAX,
    reference: bool | np.ndarray | None = None,
    label_range: np.ndarray | None = None,
    n_model_pixels: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Table:
    """One row per star from what the test step found and what is known of the stars.

    Parameters
    ----------
    fit : N stars
    stars : the same stars in the same order; its columns of `STAR_COLUMNS`, in upper or lower case, are taken over;
        glon and glat are worked out from ra and dec where they are not there
    total_covariance : (N, L, L) of the labels with everything that counts as error, in the labels' units; by default
        the formal one of the fit
    distance : (N,) label distance from the reference set
    distance_cut : stars at least as far away are marked as outside
    chi2_cut : stars of a larger reduced χ² are not good
    reference : whether the stars belong to the reference set, for all or (N,)
    label_range : (2, L) lowest and highest reference label (`CannonModel.label_range`)
    n_model_pixels : pixels the model can use; a spectrum with less than `COVERAGE_MIN` of them is not good
    provenance : anything that JSON can hold (model hash, parameters …), kept in the header; which kind the errors are
        of is added to it

    Returns
    -------
    Table with the columns of `STAR_COLUMNS`; for every label its value, ``_err`` and, for every pair, ``cov_a_b``; with
    a total covariance also ``_err_formal``; reduced_chi2, n_pixels, label_distance, and the flags good (see `good`),
    converged, cool (Teff below 4250 K), edge (a label outside the range of the reference labels), outside (label
    distance), reference. Every column has a description and, if it has them, a unit and a UCD (``meta["ucd"]``).

    Raises
    ------
    ValueError, TypeError
        If `fit` and `stars` do not name the same stars in the same order, or a covariance has another shape.
    """
    n_stars = len(fit)
    column = find_column(stars, ("id",)) if isinstance(stars, Table) else None
    if stars is not None and column is None:
        raise TypeError(f"catalogue: stars: found a {type(stars).__name__}, wanted an astropy Table with a column id")
    if stars is not None and column and not np.array_equal(text(stars, column), fit.labels.ids):
        raise ValueError(
            f"catalogue: {n_stars} fits and {len(stars)} rows of stars do not name the same stars in order"
        )
    catalogue = Table()
    _add(catalogue, "id", fit.labels.ids, "", STAR_COLUMNS["id"])
    for name, values in _known(stars).items():
        _add(catalogue, name, values, "deg" if name in ANGLES else "", STAR_COLUMNS[name])
    _add_labels(catalogue, fit, total_covariance)
    _add(catalogue, "reduced_chi2", fit.reduced_chi2, "", "chi2 per degree of freedom of the fit")
    _add(catalogue, "n_pixels", np.asarray(fit.n_pixels), "", "pixels used")
    if distance is not None:
        away = np.asarray(distance, dtype=float)
        _add(catalogue, "label_distance", away, "", "distance from the reference set, eq. 7")
        what = f"whether the label distance is at least {distance_cut:g}, or unknown"
        _add(catalogue, "outside", ~(away < distance_cut), "", what)
    _add(catalogue, "converged", np.asarray(fit.converged, dtype=bool), "", "whether the fit converged")
    least = int(np.ceil(COVERAGE_MIN * (n_model_pixels or 0)))
    what = f"converged, reduced chi2 at most {chi2_cut:.3g}, {least} pixels or more, not outside"
    _add(catalogue, "good", _judged(catalogue, least, chi2_cut), "", what)
    if "teff" in fit.labels.names:
        _add(catalogue, "cool", fit.labels.column("teff") < COOL, "", "Teff below 4250 K, where labels turn off")
    if label_range is not None:
        low, high = np.asarray(label_range, dtype=float)
        edge = ((fit.labels.values < low) | (fit.labels.values > high)).any(axis=1)
        _add(catalogue, "edge", edge, "", "whether a label lies outside the range of the reference labels")
    if reference is not None:
        belongs = np.broadcast_to(np.asarray(reference, dtype=bool), n_stars)
        _add(catalogue, "reference", belongs, "", "whether the star belongs to the reference set")
    facts = {**(provenance or {}), "errors": "formal" if total_covariance is None else "total"}
    catalogue.meta["CREATOR"] = f"labeltransfer {version('labeltransfer')}"
    catalogue.meta["VERSIONS"] = json.dumps({name: version(name) for name in PACKAGES})
    catalogue.meta["PROVENAN"] = json.dumps(facts, sort_keys=True)
    return catalogue


def good(table: Table) -> np.ndarray:
    """(N,) whether the labels of a star may be trusted: the catalogue's own rule.

    The fit converged, its reduced χ² is not above the cut, the spectrum has a share of `COVERAGE_MIN` of the model's
    pixels, and the star is not outside the reference set. `assemble` writes it into the column ``good``.
    """
    return np.asarray(table["good"], dtype=bool) if "good" in table.colnames else _judged(table, 0, CHI2_MAX)


def _judged(table: Table, least_pixels: int, chi2_cut: float) -> np.ndarray:
    fitted = np.asarray(table["converged"], dtype=bool) & (np.asarray(table["reduced_chi2"]) <= chi2_cut)
    inside = ~np.asarray(table["outside"], dtype=bool) if "outside" in table.colnames else True
    return fitted & (np.asarray(table["n_pixels"]) >= least_pixels) & inside


def _known(stars: Table | None) -> dict[str, np.ndarray]:
    """What is known of the stars, in the order of `STAR_COLUMNS`."""
    if stars is None:
        return {}
    stars = Table(stars, copy=False)  # no QTable
    columns = {name: find_column(stars, (name,)) for name in STAR_COLUMNS if name != "id"}
    found = {name: _star_column(stars, column, name) for name, column in columns.items() if column}
    if {"ra", "dec"} <= set(found) and not {"glon", "glat"} <= set(found):
        found["glon"], found["glat"] = galactic(found["ra"], found["dec"])
    return {name: found[name] for name in STAR_COLUMNS if name in found}


def _star_column(stars: Table, column: str, name: str) -> np.ndarray:
    """What is known of the stars, in our unit; unknown is NaN, and 0 for the number of the observation."""
    if name == "obsid":
        return np.maximum(whole_numbers(stars, column, "catalogue: stars"), 0)
    return numbers(stars, column, "catalogue: stars", "deg" if name in ANGLES else "")


def _add(catalogue: Table, name: str, values: np.ndarray, unit: str, description: str) -> None:
    if name in catalogue.colnames:
        raise ValueError(
            f"catalogue: found two columns {name}, wanted labels whose columns all have names of their own"
        )
    catalogue[name] = values
    catalogue[name].unit = unit or None
    catalogue[name].description = description
    if ucd(name):
        catalogue[name].meta["ucd"] = ucd(name)


def _add_labels(catalogue: Table, fit: LabelFit, total: np.ndarray | None) -> None:
    labels, names = fit.labels, fit.labels.names
    kind = "formal" if total is None else "total"
    covariance = labels.covariance if total is None else np.asarray(total, dtype=float)
    wanted = (len(labels), len(names), len(names))
    if covariance is not None and covariance.shape != wanted:
        raise ValueError(f"catalogue: total_covariance has shape {covariance.shape}, wanted {wanted} = (N, L, L)")
    units = [LABELS[name].unit for name in names]
    for i, name in enumerate(names):
        _add(catalogue, name, labels.column(name), units[i], f"{name} inferred by The Cannon")
        if covariance is not None:
            errors = np.sqrt(np.maximum(covariance[:, i, i], 0.0))
            _add(catalogue, f"{name}_err", errors, units[i], f"{kind} error of {name}")
        if total is not None:
            _add(catalogue, f"{name}_err_formal", labels.errors[:, i], units[i], f"formal error of {name}")
    if covariance is None:
        return
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            unit = (Unit(units[i]) * Unit(units[j])).to_string()
            what = f"{kind} covariance of {first} and {names[j]}"
            _add(catalogue, f"cov_{first}_{names[j]}", covariance[:, i, j], unit, what)


def ucd(name: str) -> str:
    """The UCD of a column; empty if there is none."""
    label = name.removesuffix("_formal").removesuffix("_err")
    if label != name and label in UCDS:
        return f"stat.error;{UCDS[label]}"
    return "stat.covariance" if name.startswith("cov_") else UCDS.get(name, "")


def stack(*parts: Table) -> Table:
    """Catalogues one below the other; a column that one of them lacks is NaN, False, 0 or empty there."""
    whole = vstack(list(parts), join_type="outer", metadata_conflicts="silent")
    lacking = {name for name in whole.colnames for part in parts if name not in part.colnames}
    for name in lacking:
        if whole[name].dtype.kind in "fiubUS" and hasattr(whole[name], "mask"):
            unit, description, meta = whole[name].unit, whole[name].description, whole[name].meta
            whole[name] = whole[name].filled({"f": np.nan, "U": "", "S": b""}.get(whole[name].dtype.kind, 0))
            whole[name].unit, whole[name].description, whole[name].meta = unit, description, meta
    return whole


def data_model(table: Table) -> list[tuple[str, str, str, str, str]]:
    """Name, type, unit, UCD and description of every column: the data model as rows of text."""
    return [
        (name, str(table[name].dtype), str(table[name].unit or ""), ucd(name), table[name].description or "")
        for name in table.colnames
    ]
