"""How far the simulated spectra can be believed: what happens when a model of simulated stars meets real giants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..spectra import Spectra

REALISM_FILE = Path(__file__).parent / "realism.json"

TRUSTED = ((4500.0, 5560.0), (5600.0, 5870.0), (5920.0, 6270.0), (6320.0, 6850.0))
"""Wavelengths [Å] where the grid can be compared with real giants: above the crowded blue, below the telluric bands,
without the oxygen line of the sky, Na D (interstellar, and the join of the arms), and the band at 6280 Å."""

MODEL_ERROR = 0.01
"""A relative error that may be added to real spectra: the rms by which a grid spectrum misses a bright real one."""

GOALS = {"teff": 80.0, "logg": 0.22, "fe_h": 0.11}
"""Robust scatter that models trained on such real stars themselves reach in cross-validation [K, dex, dex]."""


def trusted(spectra: Spectra, windows: tuple[tuple[float, float], ...] = TRUSTED, model_error: float = 0.0) -> Spectra:
    """The same stars in some windows only, with a relative error added in quadrature to normalized fluxes."""
    wavelength = spectra.wavelength
    columns = np.any([(wavelength >= low) & (wavelength <= high) for low, high in windows], axis=0)
    ivar = spectra.ivar[:, columns]
    ivar = ivar / (1.0 + ivar * spectra.ivar.dtype.type(model_error**2))
    return Spectra(spectra.ids, wavelength[columns], spectra.flux[:, columns], ivar, spectra.normalized)


def measured() -> dict[str, Any]:
    """What ``synthesis/measure_realism.py`` found on real LAMOST giants, which do not come with the package.

    Keys ``n_stars``; ``windows``: for each choice of windows the bias, the robust and the plain scatter of Teff,
    log g, [Fe/H]; ``wavelength``, ``reduced_chi2`` and ``rms``: of real minus predicted flux, by wavelength.
    """
    return json.loads(REALISM_FILE.read_text(encoding="utf-8"))
