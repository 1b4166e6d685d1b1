"""Synthetic stellar spectra between the nodes of a grid.

About 320 LTE spectra (recipe in ``synthesis/``) are compressed into principal components of log flux. The score of each
component is a smooth function of Teff, log g, [M/H] and [α/M]: a quadratic trend plus a Gaussian process with a
Matérn-5/2 kernel through all nodes (universal kriging). Nothing in it is a quadratic of the flux in the labels, so that
The Cannon's model is an approximation here as it is for real stars.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from ..files import read_arrays
from ..parallel.compiled import compiled
from .elements import ELEMENTS, ELEMENTS_FILE, ElementSpectra

GRID_FILE = Path(__file__).parent / "synthetic_grid.npz"
GRID_LABELS = ("teff", "logg", "fe_h", "alpha_m")

ORIGIN = np.array([1.05, 2.5, -0.5, 0.15])
UNIT = np.array([0.12, 1.0, 0.75, 0.2])
"""Labels enter as (5040 K / Teff, log g, [M/H], [α/M]), moved by `ORIGIN` and divided by `UNIT`."""

LENGTHS = np.array([8.0, 16.0, 22.0, 45.0])
"""Correlation lengths of the kernel in those units: chosen by leave-one-out error, which is flat around them."""

NUGGET = 1e-8

CORRECTIONS_FILE = Path(__file__).parent / "line_corrections.json"
"""Contrast of lines and extra width [pixels²], by wavelength, and cores of strong lines, measured on real giants
(``synthesis/``). Lines are too deep as computed, most in the blue; LAMOST's resolution is not the grid's R = 1800
everywhere; Balmer cores, Mg b and the Ca II triplet form above the layers that LTE describes."""

LOCAL_MEAN = 40.0
"""Contrast is about the mean over this many pixels (standard deviation of a Gaussian)."""

TEFF_KNOTS = np.array([4000.0, 4250.0, 4500.0, 4750.0, 5000.0, 5250.0, 5500.0, 6000.0, 6500.0, 7000.0, 7500.0])
LOGG_LOW = np.array([0.5, 0.5, 1.0, 1.5, 1.5, 2.0, 2.5, 3.5, 3.5, 3.8, 4.0])
LOGG_HIGH = np.array([2.0, 2.5, 3.0, 3.5, 4.5, 4.5, 4.5, 4.5, 4.5, 4.2, 4.0])
DWARF_LOGG, JOINED = 4.5, 5000.0
"""Where the grid has nodes: log g by Teff [K]. Below `JOINED` the giant branch and the main sequence are apart; from
6500 to 7500 K the convex hull narrows towards the one log g that there is at 7500 K."""

GIANT_M_H, GIANT_ALPHA_M = (-2.0, 0.5), (-0.1, 0.4)
DWARF_M_H = (-1.0, 0.25)
DWARF_ALPHA_LOW = np.array([[-1.0, 0.2], [0.0, 0.05]])
DWARF_ALPHA_HIGH = np.array([[-0.5, 0.2], [0.25, 0.05]])
"""Where it has nodes in [M/H] and [α/M]. Dwarfs have [α/M] = 0.2 at [M/H] -1 and -0.5, and 0.05 at 0 and 0.25, of which
these are the hull's lower and upper edge, ([M/H], [α/M]) from corner to corner."""


@dataclass(frozen=True, repr=False, eq=False)
class SyntheticGrid:
    """Spectra of C components at n nodes, and their interpolation.

    Attributes
    ----------
    labels : (n, 4) Teff [K], log g, [M/H], [α/M] [dex] of the nodes
    is_dwarf : (n,)
    wavelength : (P,) Å, vacuum, rest frame, steps of 1e-4 in log10
    mean : (P,) mean log flux
    components : (C, P) principal components of log flux
    scores : (n, C) of the nodes
    element_spectra : change of log flux with single elements
    """

    labels: np.ndarray
    is_dwarf: np.ndarray
    wavelength: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    scores: np.ndarray
    element_spectra: ElementSpectra

    @classmethod
    def load(cls, corrected: bool = True) -> SyntheticGrid:
        """The grid that ships with the package, with the line contrast and width of real giants or as computed."""
        return _load(corrected)

    def __repr__(self) -> str:
        return f"SyntheticGrid({len(self.labels)} nodes, {len(self.components)} components)"

    def inside(self, labels: np.ndarray) -> np.ndarray:
        """(N, 4) labels moved to the nearest place where the grid has nodes."""
        labels = np.atleast_2d(np.asarray(labels, dtype=float)).copy()
        teff = np.clip(labels[:, 0], TEFF_KNOTS[0], TEFF_KNOTS[-1])
        high = np.interp(teff, TEFF_KNOTS, LOGG_HIGH)
        on_branch = np.clip(labels[:, 1], np.interp(teff, TEFF_KNOTS, LOGG_LOW), high)
        on_sequence = np.abs(labels[:, 1] - DWARF_LOGG) < np.abs(labels[:, 1] - on_branch)
        logg = np.where(on_sequence & (teff < JOINED), DWARF_LOGG, on_branch)
        dwarf = np.clip(np.maximum((teff - 5500.0) / 500.0, (logg - 4.0) / 0.2), 0.0, 1.0)
        m_h = np.clip(labels[:, 2], *(_between(dwarf, *edges) for edges in zip(GIANT_M_H, DWARF_M_H, strict=True)))
        edges = zip(GIANT_ALPHA_M, (DWARF_ALPHA_LOW, DWARF_ALPHA_HIGH), strict=True)
        low, high = (_between(dwarf, giants, np.interp(m_h, *dwarfs.T)) for giants, dwarfs in edges)
        return np.column_stack([teff, logg, m_h, np.clip(labels[:, 3], low, high)])

    def outside(self, labels: np.ndarray) -> np.ndarray:
        """(N,) True where a star has no nodes around it: its spectrum is that of `inside(labels)`."""
        labels = np.atleast_2d(np.asarray(labels, dtype=float))
        return (np.abs(self.inside(labels) - labels) > 1e-9).any(axis=1)

    def interpolated_scores(self, labels: np.ndarray) -> np.ndarray:
        """(N, C) scores at (N, 4) labels; labels outside the grid are moved to its edge."""
        weights, trend = self._solution
        return _kriging(_scaled(self.inside(labels)), _scaled(self.labels), LENGTHS, weights, trend)

    def all_scores(self, labels: np.ndarray, elements: np.ndarray | None = None) -> np.ndarray:
        """(N, C + C') scores of `all_components` at (N, 4) labels and (N, E) elements [dex] beyond them."""
        labels = self.inside(labels)
        elements = np.zeros((len(labels), len(ELEMENTS))) if elements is None else elements
        return np.hstack([self.interpolated_scores(labels), self.element_spectra.scores(labels, elements)])

    @cached_property
    def all_components(self) -> np.ndarray:
        """(C + C', P) float32: those of the labels, and those of the elements."""
        return np.concatenate([self.components, self.element_spectra.components.astype(np.float32)])

    def flux(self, labels: np.ndarray, elements: np.ndarray | None = None) -> np.ndarray:
        """(N, P) surface flux at (N, 4) labels and (N, E) elements [dex] beyond them, in the unit of the grid."""
        return np.exp(self.mean + self.all_scores(labels, elements) @ self.all_components)

    @cached_property
    def leave_one_out(self) -> np.ndarray:
        """(n, P) log flux of each node minus its prediction by all the others (the closed form of kriging)."""
        inverse = np.linalg.inv(self._system)
        values = np.zeros((len(inverse), self.scores.shape[1]))
        values[: len(self.labels)] = self.scores
        residuals = (inverse @ values / np.diag(inverse)[:, None])[: len(self.labels)]
        return residuals @ self.components

    @property
    def interior(self) -> np.ndarray:
        """(n,) True for giants with nodes on all sides, where leaving one out is no extrapolation."""
        teff, logg, m_h, alpha_m = self.labels.T
        return (
            ~self.is_dwarf
            & (np.abs(teff - 4750) < 700)
            & (logg > np.interp(teff, TEFF_KNOTS, LOGG_LOW))
            & (logg < np.minimum(np.interp(teff, TEFF_KNOTS, LOGG_HIGH), 4.0))
            & (np.abs(m_h + 0.75) < 1.2)
            & (np.abs(alpha_m - 0.15) < 0.2)
        )

    @cached_property
    def _system(self) -> np.ndarray:
        """The bordered matrix of universal kriging: kernel and trend."""
        x = _scaled(self.labels)
        kernel = _matern(np.sqrt((((x[:, None] - x) / LENGTHS) ** 2).sum(axis=-1)))
        trend = _trend(x)
        corner = np.zeros((trend.shape[1], trend.shape[1]))
        return np.block([[kernel + NUGGET * np.eye(len(x)), trend], [trend.T, corner]])

    @cached_property
    def _solution(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights of nodes and trend; by one thread, for the last bits of a solution depend on how many there are."""
        values = np.zeros((len(self._system), self.scores.shape[1]))
        values[: len(self.labels)] = self.scores
        with threadpool_limits(limits=1, user_api="blas"):
            solution = np.linalg.solve(self._system, values)
        return solution[: len(self.labels)].copy(), solution[len(self.labels) :].copy()


@lru_cache(maxsize=2)
def _load(corrected: bool) -> SyntheticGrid:
    return corrected_grid(corrections() if corrected else None)


def corrected_grid(
    knots: dict[str, list[list[float]]] | None, spectra: Path = GRID_FILE, elements_of: Path = ELEMENTS_FILE
) -> SyntheticGrid:
    """The grid of these files with some corrections, or with none."""
    arrays, _ = read_arrays(spectra, "SyntheticGrid")
    elements = ElementSpectra.load(elements_of)
    parts = [arrays["mean"].astype(float), arrays["components"].astype(float), elements.components.astype(float)]
    if knots is not None:
        parts = [_like_real_giants(part, arrays["wavelength"], knots) for part in parts]
        parts[1], arrays["scores"] = _with_cores(parts[1], arrays, knots)
    arrays |= {"mean": parts[0], "components": parts[1].astype(np.float32)}
    return SyntheticGrid(**arrays, element_spectra=replace(elements, components=parts[2]))


def corrections() -> dict[str, list[list[float]]]:
    """Measured differences between the computed spectra and real giants."""
    return json.loads(CORRECTIONS_FILE.read_text(encoding="utf-8"))


def _like_real_giants(log_flux: np.ndarray, wavelength: np.ndarray, knots: dict[str, list[list[float]]]) -> np.ndarray:
    """Log flux with the depth and width of lines that real giants show; linear in log flux."""
    contrast, broadening = (np.interp(wavelength, *np.array(knots[name]).T) for name in ("contrast", "broadening"))
    around = gaussian_filter1d(log_flux, LOCAL_MEAN, axis=-1, mode="nearest")
    deeper = around + contrast * (log_flux - around)
    padded = np.concatenate([deeper[..., :1], deeper, deeper[..., -1:]], axis=-1)
    curvature = padded[..., 2:] + padded[..., :-2] - 2.0 * deeper
    return deeper + 0.5 * broadening * curvature


def _with_cores(
    components: np.ndarray, arrays: dict[str, np.ndarray], knots: dict[str, list[list[float]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Two more components, the cores at 4800 K and their change per 300 K, with scores 1 and (Teff - 4800 K) / 300 K.

    The cores are as wide as the line spread function; below 4200 K and above 5400 K they change no more.
    """
    lines = np.array(knots["cores"])
    profiles = np.exp(-0.5 * ((arrays["wavelength"] / lines[:, :1] - 1.0) * 2.3548 * 1800.0) ** 2)
    warmth = np.clip((arrays["labels"][:, 0] - 4800.0) / 300.0, -2.0, 2.0)
    scores = np.column_stack([arrays["scores"], np.ones_like(warmth), warmth])
    return np.concatenate([components, lines[:, 1:].T @ profiles]), scores


def _between(dwarf: np.ndarray, giants_edge: float, dwarfs_edge: float | np.ndarray) -> np.ndarray:
    """(N,) edge of the grid of stars that are to a share `dwarf` (N,) on the way from giants' nodes to dwarfs'."""
    return giants_edge + dwarf * (dwarfs_edge - giants_edge)


def _scaled(labels: np.ndarray) -> np.ndarray:
    inverse = np.column_stack([5040.0 / labels[:, 0], labels[:, 1:]])
    return (inverse - ORIGIN) / UNIT


@compiled(error_model="python")
def _matern(distance: np.ndarray) -> np.ndarray:
    r = np.sqrt(5.0) * distance
    return (1.0 + r + r * r / 3.0) * np.exp(-r)


@compiled(error_model="python")
def _trend(x: np.ndarray) -> np.ndarray:
    """(N, 15) constant, linear and quadratic terms of four labels."""
    n, d = x.shape
    terms = np.empty((n, 1 + d + d * (d + 1) // 2))
    for i in range(n):
        terms[i, 0] = 1.0
        k = 1
        for a in range(d):
            terms[i, k] = x[i, a]
            k += 1
        for a in range(d):
            for b in range(a, d):
                terms[i, k] = x[i, a] * x[i, b]
                k += 1
    return terms


@compiled(error_model="python")
def _kriging(
    x: np.ndarray, nodes: np.ndarray, lengths: np.ndarray, weights: np.ndarray, trend_weights: np.ndarray
) -> np.ndarray:
    """Star by star, always in the same order of sums: a star's scores do not depend on its neighbours in the block."""
    scores = np.zeros((x.shape[0], weights.shape[1]))
    trend = _trend(x)
    for i in range(x.shape[0]):
        for k in range(trend.shape[1]):
            for c in range(scores.shape[1]):
                scores[i, c] += trend[i, k] * trend_weights[k, c]
        for n in range(nodes.shape[0]):
            square = 0.0
            for a in range(x.shape[1]):
                square += ((x[i, a] - nodes[n, a]) / lengths[a]) ** 2
            r = np.sqrt(5.0 * square)
            kernel = (1.0 + r + r * r / 3.0) * np.exp(-r)
            for c in range(scores.shape[1]):
                scores[i, c] += kernel * weights[n, c]
    return scores
