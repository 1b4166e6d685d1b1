"""Single elements: how much of them stars of equal labels have, and what that does to a spectrum.

The change of log flux per dex of an element (`synthesis/compute_derivatives.py`) is a few components, whose scores are
linear functions of the labels, with one quadratic term in [M/H]; stars beyond the nodes have those of the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from ..files import read_arrays
from .assumed import Assumed

ELEMENTS_FILE = Path(__file__).parent / "element_spectra.npz"

ELEMENTS = ("c", "n", "mg", "si", "ca", "ti")
TURBULENCE = "vmic"
"""Beside the elements, the change per km/s of micro-turbulence is in the file."""

ELEMENT_SCATTER: Annotated[
    dict[str, float],
    Assumed(
        "sd of single elements at fixed labels", "dex",
        "our choice: 68 rows of the real allStar have 0.04, 0.16, 0.02, 0.07, 0.01, 0.06 beyond their errors"),
] = dict(zip(ELEMENTS, (0.06, 0.10, 0.05, 0.05, 0.05, 0.05), strict=True))  # fmt: skip
CARBON_WITH_NITROGEN: Annotated[
    float, Assumed("correlation of carbon's and nitrogen's scatter", "", "the same 68 rows: -0.73, over all giants")
] = -0.6
DREDGE_UP: Annotated[
    tuple[float, float, float, float],
    Assumed(
        "[C/M] and [N/M] after the first dredge-up; log g where half is done, width", "dex",
        "as the grid's spectra are computed"),
] = (-0.18, 0.32, 3.2, 0.15)  # fmt: skip

UNCALIBRATED_LOGG: Annotated[
    tuple[float, float, float],
    Assumed(
        "ASPCAP's own log g minus the calibrated one: constant, pivot, change with it", "dex",
        "FPARAM minus PARAM in 68 rows of the real allStar"),
] = (0.208, 2.5, -0.122)  # fmt: skip
TURBULENCE_SLOPE: Annotated[
    float,
    Assumed(
        "change of micro-turbulence with log g: ASPCAP's relation is in its own log g, the grid's in the calibrated",
        "km/s", "log vmicro in FPARAM is 2.478 - 0.325 log g of FPARAM, in every row"),
] = -0.325  # fmt: skip

ORIGIN, UNIT = np.array([1.06, 2.5, -0.4]), np.array([0.12, 1.0, 0.75])
"""Labels enter as (5040 K / Teff, log g, [M/H]), moved and scaled so."""


def draw_elements(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, E) dex by which stars have more of each element than their labels say."""
    correlation = np.eye(len(ELEMENTS))
    correlation[0, 1] = correlation[1, 0] = CARBON_WITH_NITROGEN
    root = np.linalg.cholesky(correlation)
    return rng.standard_normal((number, len(ELEMENTS))) @ root.T * list(ELEMENT_SCATTER.values())


def abundances(labels: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """(N, E) [X/H] of stars with (N, 4) labels and (N, E) elements beyond them."""
    carbon, nitrogen, half, width = DREDGE_UP
    done = 1.0 / (1.0 + np.exp((labels[:, 1] - half) / width))
    usual = np.repeat(labels[:, 3:4], len(ELEMENTS), axis=1)
    usual[:, 0], usual[:, 1] = carbon * done, nitrogen * done
    return labels[:, 2:3] + usual + elements


@dataclass(frozen=True, repr=False, eq=False)
class ElementSpectra:
    """Change of log flux with single elements.

    Attributes
    ----------
    wavelength : (P,) Å, vacuum, rest frame: the grid's
    components : (C, P)
    coefficients : (E + 1, T, C) scores per dex (the last: per km/s) of the terms of the labels
    low, high : (3,) Teff, log g, [M/H] of the outermost nodes
    """

    wavelength: np.ndarray
    components: np.ndarray
    coefficients: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def load(cls, path: Path = ELEMENTS_FILE) -> ElementSpectra:
        """The spectra that ship with the package."""
        return cls(**read_arrays(path, "ElementSpectra")[0])

    def scores(self, labels: np.ndarray, elements: np.ndarray) -> np.ndarray:
        """(N, C) of stars with (N, 4) labels and (N, E) elements [dex]; the same in whatever block a star is."""
        basis = terms(np.clip(labels[:, :3], self.low, self.high))
        constant, pivot, slope = UNCALIBRATED_LOGG
        turbulence = TURBULENCE_SLOPE * (constant + slope * (labels[:, 1] - pivot))
        scores = np.zeros((len(labels), self.components.shape[0]))
        for change, coefficients in zip([*elements.T, turbulence], self.coefficients, strict=True):
            for values, row in zip(basis.T, coefficients, strict=True):
                scores += (change * values)[:, None] * row
        return scores


def terms(labels: np.ndarray) -> np.ndarray:
    """(N, 5) constant, linear in the inverse temperature, log g, [M/H]; quadratic in [M/H]."""
    scaled = (np.column_stack([5040.0 / labels[:, 0], labels[:, 1], labels[:, 2]]) - ORIGIN) / UNIT
    return np.column_stack([np.ones(len(scaled)), scaled, scaled[:, 2] ** 2])
