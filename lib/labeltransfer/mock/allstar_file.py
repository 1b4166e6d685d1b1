"""APOGEE's allStar table as the file of DR12 has it: names, types and order of columns, sentinels, flags in words."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from astropy.table import Table

from ..apogee import ASPCAP_BITS
from ..labels import PAPER_LABELS
from .assumed import Assumed
from .elements import ELEMENTS

MISSING, MISSING_A_K, MISSING_ERROR = -9999.0, -9999.99, -1.0
"""What the real table writes where a label, an extinction, an error of a label is unknown."""

EXTRACT = "80 rows of the real table"
MEASURED = "fitted to 11,000 rows of the real overlap"

FE_H: Annotated[
    tuple[float, float, float, float],
    Assumed("FE_H minus PARAM_M_H: constant, per [M/H], per [α/M], sd about that", "dex", MEASURED),
] = (-0.018, -0.168, -0.029, 0.022)
NO_FE_H: Annotated[
    float, Assumed("share of rows with PARAM_M_H and without FE_H", "", "24 of 11,061 rows of the real overlap")
] = 24 / 11061
UNCALIBRATED: Annotated[
    dict[str, tuple[float, float, float]],
    Assumed("FPARAM minus PARAM: constant, pivot of PARAM, change with it", "K, dex", EXTRACT),
] = {
    "teff": (-87.7, 4700.0, 0.0), "logg": (0.208, 2.5, -0.122), "fe_h": (-0.031, 0.0, -0.197),
    "alpha_m": (-0.005, 0.0, 0.0),
}  # fmt: skip
FORMAL_ERRORS: Annotated[
    tuple[float, ...],
    Assumed("formal errors of Teff, log g, log vmicro, [M/H], [C/M], [N/M], [α/M]", "K, dex", EXTRACT),
] = (3.9, 0.0074, 0.0, 0.0019, 0.0049, 0.0076, 0.0027)
ELEMENT_ERRORS: Annotated[
    dict[str, float], Assumed("errors of the abundances of elements, as reported", "dex", EXTRACT)
] = dict(zip((*ELEMENTS, "fe"), (0.037, 0.065, 0.024, 0.042, 0.030, 0.043, 0.034), strict=True))
NOT_CALIBRATED = 512
"""Bit of C_H_FLAG and N_H_FLAG in every row of DR12."""

STARFLAG_BITS = {
    "COMMISSIONING": 1, "BRIGHT_NEIGHBOR": 2, "PERSIST_HIGH": 9, "PERSIST_MED": 10, "PERSIST_LOW": 11,
    "PERSIST_JUMP_POS": 12, "SUSPECT_RV_COMBINATION": 16, "SUSPECT_BROAD_LINES": 17,
}  # fmt: skip
PARAMETERS = ("teff", "logg", "vmicro", "fe_h", "c_m", "n_m", "alpha_m")
"""Order of PARAM."""


def allstar_columns(allstar: Table) -> Table:
    """The file's table of a table as `apogee_table.allstar` makes it."""
    rng = np.random.default_rng([len(allstar), 603])
    known = np.isfinite(np.asarray(allstar["teff"]))
    m_h, alpha_m, logg = (np.asarray(allstar[name]) for name in ("fe_h", "alpha_m", "logg"))
    raw = {name: _uncalibrated(np.asarray(allstar[name]), *UNCALIBRATED[name]) for name in PAPER_LABELS[:4]}
    turbulence = np.log10(np.clip(2.478 - 0.325 * np.where(known, raw["logg"], 4.9), 0.3, None))
    carbon = {name: np.asarray(allstar[f"{name[0]}_h"]) - m_h for name in ("c_m", "n_m")}
    calibrated = [np.asarray(allstar["teff"]), logg, turbulence, m_h, carbon["c_m"], carbon["n_m"], alpha_m]
    formal = [raw["teff"], raw["logg"], turbulence, raw["fe_h"], carbon["c_m"], carbon["n_m"], raw["alpha_m"]]

    table = Table()
    table["APOGEE_ID"] = np.asarray(allstar["apogee_id"])
    table["TELESCOPE"] = np.full(len(allstar), "apo25m")
    table["LOCATION_ID"] = np.asarray(allstar["location_id"]).astype(np.int16)
    table["FIELD"] = np.char.mod("S%04d", np.asarray(allstar["location_id"]))
    for name in ("ra", "dec", "glon", "glat"):
        table[name.upper()] = np.asarray(allstar[name])
    table["NVISITS"] = np.asarray(allstar["nvisits"]).astype(np.int32)
    table["COMMISS"] = ((np.asarray(allstar["starflag"]) >> STARFLAG_BITS["COMMISSIONING"]) & 1).astype(np.int16)
    table["SNR"] = np.asarray(allstar["snr"], np.float32)
    table["STARFLAG"] = np.asarray(allstar["starflag"]).astype(np.int32)
    table["STARFLAGS"] = in_words(np.asarray(allstar["starflag"]), STARFLAG_BITS)
    table["VHELIO_AVG"] = np.asarray(allstar["vhelio_avg"], np.float32)
    table["VSCATTER"] = np.asarray(allstar["vscatter"], np.float32)
    table["ASPCAP_VERSION"] = np.full(len(allstar), "l25_6d")
    table["RESULTS_VERSION"] = np.full(len(allstar), "v603")
    table["EXTRATARG"] = np.where(np.asarray(allstar["again"]), 16, 0).astype(np.int16)
    table["PARAM"] = _single(np.column_stack(calibrated))
    table["FPARAM"] = _single(np.column_stack(formal))
    table["PARAM_COV"] = _covariance(allstar, known)
    table["FPARAM_COV"] = np.where(known[:, None], np.diag(np.square(FORMAL_ERRORS)).ravel(), MISSING).astype("f4")
    columns = dict(zip(PAPER_LABELS, ("TEFF", "LOGG", "PARAM_M_H", "PARAM_ALPHA_M"), strict=False))
    for name, theirs in columns.items():
        table[theirs] = _single(np.asarray(allstar[name]))
    for name, theirs in columns.items():
        table[f"{theirs}_ERR"] = _single(np.asarray(allstar[f"{name}_err"]), MISSING_ERROR)
    table["ASPCAP_CLASS"] = np.where(known, "GK", "F")
    table["ASPCAPFLAG"] = np.asarray(allstar["aspcapflag"]).astype(np.uint32).view(np.int32)
    table["ASPCAPFLAGS"] = in_words(np.asarray(allstar["aspcapflag"]), ASPCAP_BITS)
    table["PARAMFLAG"] = _parameter_flags(np.asarray(allstar["aspcapflag"]), known)
    constant, slope, alpha, deviation = FE_H
    iron = m_h + constant + slope * m_h + alpha * alpha_m + deviation * rng.standard_normal(len(allstar))
    iron[rng.random(len(allstar)) < NO_FE_H] = np.nan
    values = {name: np.asarray(allstar[f"{name}_h"]) for name in ELEMENTS} | {"fe": iron}
    in_order = sorted(values, key=lambda name: f"{name}_h".upper())
    for name in in_order:
        table[f"{name}_h".upper()] = _single(values[name])
    for name in in_order:
        table[f"{name}_h_err".upper()] = _single(np.where(np.isfinite(values[name]), ELEMENT_ERRORS[name], np.nan))
    for name in in_order:
        flag = NOT_CALIBRATED if name in ("c", "n") else 0
        table[f"{name}_h_flag".upper()] = np.full(len(allstar), flag, np.int32)
    targeted = np.isfinite(np.asarray(allstar["ak_targ"]))
    table["AK_TARG"] = _single(np.asarray(allstar["ak_targ"]), MISSING_A_K)
    table["AK_TARG_METHOD"] = np.where(targeted, "RJCE_WISE_ALLSKY", "none")
    table["AK_WISE"] = _single(np.asarray(allstar["a_k"]), MISSING_A_K)
    return table


def in_words(flags: np.ndarray, bits: dict[str, int]) -> np.ndarray:
    """(N,) names of the bits that are set, with commas; a blank for none, as in the file."""
    values, which = np.unique(flags, return_inverse=True)
    words = [",".join(name for name, bit in bits.items() if value >> bit & 1) or " " for value in values.tolist()]
    return np.array(words, dtype=str)[which]


def _uncalibrated(values: np.ndarray, constant: float, pivot: float, slope: float) -> np.ndarray:
    return values + constant + slope * (values - pivot)


def _single(values: np.ndarray, missing: float = MISSING) -> np.ndarray:
    return np.where(np.isfinite(values), values, missing).astype(np.float32)


def _covariance(allstar: Table, known: np.ndarray) -> np.ndarray:
    """(N, 49) of calibrated parameters: as in DR12 only the diagonal is there, and zero for turbulence."""
    place = [PARAMETERS.index(name) for name in PAPER_LABELS[:4]]
    covariance = np.full((len(allstar), 7, 7), MISSING, np.float32)
    covariance[:, 2, :] = covariance[:, :, 2] = 0.0
    errors = np.column_stack([np.asarray(allstar[f"{name}_err"]) for name in PAPER_LABELS[:4]])
    covariance[:, place, place] = np.where(known[:, None], errors**2, MISSING)
    return covariance.reshape(-1, 49)


def _parameter_flags(flags: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N, 7) bit 0 where the parameter is bad, bit 1 without a value, bit 16 for turbulence, which is calibrated."""
    names = ("TEFF", "LOGG", "VMICRO", "M_H", "C_M", "N_M", "ALPHA_M")
    bad = np.column_stack([(flags >> ASPCAP_BITS[f"{name}_BAD"]) & 1 for name in names])
    found = np.array(bad | np.where(known[:, None], 0, 2), dtype=np.int32)
    found[:, 2] += 1 << 16
    return found
