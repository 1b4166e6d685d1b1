"""How far the simulated spectra can be believed: what happens when a model of simulated stars meets real giants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..spectra import Spectra

REALISM_FILE = Path(__file__).parent / "realism.json"

TRUSTED = (
    (4500.0, 5560.0), (5600.0, 5870.0), (5920.0, 6270.0), (6320.0, 6850.0),
    (7000.0, 7150.0), (7400.0, 7580.0), (7720.0, 8100.0), (8400.0, 8900.0),
)  # fmt: skip
"""Wavelengths [Å] where the grid can be compared with real giants. Every edge has a cause that no label of a real star
enters: below 4500 the lines are furthest from real ones; 5577 is the sky's oxygen line; at 5890 there is interstellar
sodium, and the arms join; 6283 is a diffuse band in telluric oxygen; from 6867 on, what lies between telluric bands."""

FEATURES: dict[str, tuple[tuple[tuple[float, float], ...], str]] = {
    "below 4250 Å": (((3925.0, 4250.0),), "crowding, LTE, lists of molecules"),
    "CH, G band": (((4285.0, 4350.0),), "carbon: one function of log g"),
    "Hβ": (((4850.0, 4890.0),), "LTE; core corrected"),
    "Mg triplet, MgH": (((5130.0, 5230.0),), "LTE; cores corrected, MgH is not"),
    "Na D, join of arms": (((5880.0, 6030.0),), "gas with its own speed; calibration"),
    "6283 Å": (((6272.0, 6292.0),), "diffuse band, telluric oxygen"),
    "Hα": (((6530.0, 6605.0),), "LTE; core corrected"),
    "telluric bands": (((6865.0, 6960.0), (7160.0, 7330.0), (7580.0, 7700.0), (8100.0, 8350.0), (8930.0, 9000.0)),
                       "the air of each night"),
    "Ca II triplet": (((8460.0, 8710.0),), "LTE; core corrected"),
}  # fmt: skip
"""Where simulated spectra miss real ones most: wavelengths [Å], and why."""

MODEL_ERROR = 0.01
"""A relative error that may be added to real spectra: the rms by which a grid spectrum misses a bright real one."""

GOALS = {"teff": 80.0, "logg": 0.22, "fe_h": 0.11}
"""Robust scatter that models trained on such real stars themselves reach in cross-validation [K, dex, dex]."""


def columns(wavelength: np.ndarray, windows: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(P,) which pixels are in some windows."""
    return np.any([(wavelength >= low) & (wavelength <= high) for low, high in windows], axis=0)


def trusted(spectra: Spectra, windows: tuple[tuple[float, float], ...] = TRUSTED, model_error: float = 0.0) -> Spectra:
    """The same stars in some windows only, with a relative error added in quadrature to normalized fluxes."""
    used = columns(spectra.wavelength, windows)
    ivar = spectra.ivar[:, used]
    ivar = ivar / (1.0 + ivar * spectra.ivar.dtype.type(model_error**2))
    return Spectra(spectra.ids, spectra.wavelength[used], spectra.flux[:, used], ivar, spectra.normalized)


def measured() -> dict[str, Any]:
    """What ``synthesis/measure_realism.py`` found on real LAMOST giants, which do not come with the package.

    Keys ``inputs``: of either folder of spectra the number of files and the fingerprint of names and contents
    (`files.sources.digest_of_contents`); ``survey``: assumptions of the simulated survey that it was measured with,
    which may since have changed, and the recipe of the route ``"learn"``; ``n_stars``, ``n_apart``, ``seeds``;
    ``scales``: the pipeline's labels minus APOGEE's; ``windows``: for each choice of windows and each route
    (``"truth"``, ``"learn"``) the bias, the robust scatter by seed and in the mean with its error, the plain one, the
    slope of residuals with the pipeline's label, and the scatter of a star from seed to seed, of Teff, log g, [Fe/H];
    ``apart``: the same for giants of another release; ``trained_on_real``: the same of a model of the real giants,
    cross-validated; ``wavelength``, ``reduced_chi2`` and ``rms``: of real minus predicted flux, by wavelength;
    ``features``: reduced χ² at `FEATURES`, with their share of pixels and of the χ² above one.
    Reduced χ² is the median of χ² over pixels, divided by what it is for noise as large as reported.
    """
    return json.loads(REALISM_FILE.read_text(encoding="utf-8"))
