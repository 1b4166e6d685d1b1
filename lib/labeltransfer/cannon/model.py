"""The spectral model: flux at each pixel as a polynomial of the labels (Ho et al. 2017, eqs. 3, 4 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from ..files import read_arrays, write_arrays
from ..labels import LABELS, Labels, NamesLabels, check_names, frozen, register_label

ORDERS = (1, 2, 3)

SAME_PIXEL = 0.01
"""Of the step to the nearer neighbour; wavelengths that differ by less, as rounded ones do, are the same."""


def terms(n_labels: int, order: int) -> list[tuple[int, ...]]:
    """Which labels are multiplied in each of the M terms of the label vector, eq. 6.

    >>> terms(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    >>> len(terms(5, 2))
    21
    """
    if order not in ORDERS:
        raise ValueError(f"order of the model: found {order!r}, wanted 1, 2 or 3")
    return [term for degree in range(order + 1) for term in combinations_with_replacement(range(n_labels), degree)]


def term_tree(n_labels: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Each term m as an earlier term times one label: v[m] = v[parents[m]] · x[factors[m]]; v[0] = 1.

    Returns
    -------
    parents, factors : (M,), (M,)
    """
    every = terms(n_labels, order)
    number = {term: m for m, term in enumerate(every)}
    parents = np.array([number[term[:-1]] for term in every])
    factors = np.array([term[-1] if term else 0 for term in every])
    return parents, factors


def label_vector(scaled: np.ndarray, order: int) -> np.ndarray:
    """(N, L) scaled labels to (N, M) label vectors: 1, every label, every product of `order` labels at most (eq. 6)."""
    parents, factors = term_tree(scaled.shape[1], order)
    vector = np.ones((len(scaled), parents.size))
    for m in range(1, parents.size):
        vector[:, m] = vector[:, parents[m]] * scaled[:, factors[m]]
    return vector


def label_vector_derivatives(scaled: np.ndarray, order: int) -> np.ndarray:
    """(N, L) scaled labels to (N, L, M): the derivative of each term by each scaled label."""
    parents, factors = term_tree(scaled.shape[1], order)
    vector = label_vector(scaled, order)
    derivatives = np.zeros((*scaled.shape, parents.size))
    for m in range(1, parents.size):
        derivatives[:, :, m] = derivatives[:, :, parents[m]] * scaled[:, factors[m], None]
        derivatives[:, factors[m], m] += vector[:, parents[m]]
    return derivatives


@dataclass(frozen=True, repr=False, eq=False)
class CannonModel(NamesLabels):
    """A trained model of P pixels in L labels: flux = θ · v(x) + noise of variance s² + σ², x = (ℓ - pivot) / scale.

    Attributes
    ----------
    label_names : (L,)
    pivots, scales : (L,) in the labels' units; see `scaling`
    wavelength : (P,) Å
    coefficients : (P, M) θ; zero at undetermined pixels
    scatter : (P,) s of eq. 5, in units of the normalized flux; infinite at undetermined pixels, which gives them weight
        zero in every fit
    label_range : (2, L) lowest and highest reference label
    order : of the polynomial: 1, 2 (the paper) or 3
    n_reference : stars trained on
    training_hash : fingerprint of the reference set and of the options of the training
    """

    label_names: tuple[str, ...]
    pivots: np.ndarray
    scales: np.ndarray
    wavelength: np.ndarray
    coefficients: np.ndarray
    scatter: np.ndarray
    label_range: np.ndarray
    order: int = 2
    n_reference: int = 0
    training_hash: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_names", tuple(self.label_names))
        check_names(self.label_names)
        n_labels, n_pixels = len(self.label_names), np.size(self.wavelength)
        shapes = {
            "pivots": (n_labels,),
            "scales": (n_labels,),
            "wavelength": (n_pixels,),
            "coefficients": (n_pixels, len(terms(n_labels, self.order))),
            "scatter": (n_pixels,),
            "label_range": (2, n_labels),
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), float))
            if getattr(self, name).shape != shape:
                raise ValueError(f"CannonModel: {name} has shape {getattr(self, name).shape}, wanted {shape}")
        if not (self.scales > 0).all():
            raise ValueError("CannonModel: scales must be positive")
        if not np.isfinite(self.coefficients).all() or not (self.scatter >= 0).all():
            raise ValueError("CannonModel: coefficients must be finite and scatter must not be negative or NaN")

    def __repr__(self) -> str:
        left_out = np.count_nonzero(~self.determined)
        without = f", {left_out} of them undetermined" if left_out else ""
        return (
            f"CannonModel(order {self.order} in {', '.join(self.label_names)}; {self.wavelength.size} pixels{without}; "
            f"trained on {self.n_reference} stars)"
        )

    @property
    def determined(self) -> np.ndarray:
        """(P,) False at pixels that too few reference stars measured."""
        return np.isfinite(self.scatter)

    def why_other_pixels(self, wavelength: np.ndarray) -> str:
        """How wavelengths [Å] differ from those of the model; empty text if they are the same within `SAME_PIXEL`."""
        if wavelength.shape != self.wavelength.shape:
            return f"found {wavelength.size} pixels, wanted {self.wavelength.size}"
        step = np.minimum(np.diff(self.wavelength, prepend=0.0), np.diff(self.wavelength, append=np.inf))
        off = np.abs(wavelength - self.wavelength)
        worst = (off / step).max(initial=0.0)
        return f"they differ by up to {off.max():.2g} Å, {worst:.2g} of a pixel" if worst > SAME_PIXEL else ""

    def scaled(self, values: np.ndarray | Labels) -> np.ndarray:
        """(N, L) physical labels, or `Labels` that have those of the model, to the x of the label vector."""
        values = np.asarray(values.select(self.label_names).values if isinstance(values, Labels) else values, float)
        if values.ndim != 2 or values.shape[1] != len(self.label_names):
            raise ValueError(
                f"labels have shape {values.shape}, wanted (N, {len(self.label_names)}): {', '.join(self.label_names)}"
            )
        return (values - self.pivots) / self.scales

    def label_vector(self, values: np.ndarray | Labels) -> np.ndarray:
        """(N, L) physical labels to (N, M) label vectors (eq. 6)."""
        return label_vector(self.scaled(values), self.order)

    def model_flux(self, values: np.ndarray | Labels) -> np.ndarray:
        """(N, L) physical labels to (N, P) model fluxes θ · v (eq. 3); NaN at undetermined pixels."""
        flux = self.label_vector(values) @ self.coefficients.T
        flux[:, ~self.determined] = np.nan
        return flux

    def gradient(self, values: np.ndarray | Labels) -> np.ndarray:
        """(N, L) physical labels to (N, L, P): derivative of the model flux by each label, per physical unit."""
        derivatives = label_vector_derivatives(self.scaled(values), self.order) / self.scales[:, None]
        return derivatives @ self.coefficients.T

    @property
    def linear_coefficients(self) -> np.ndarray:
        """(L, P) the coefficients linear in each label per physical unit: the gradient at the pivots (Fig. 5)."""
        return self.coefficients[:, 1 : len(self.label_names) + 1].T / self.scales[:, None]

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        names = ("pivots", "scales", "wavelength", "coefficients", "scatter", "label_range")
        write_arrays(
            path,
            "CannonModel",
            {name: getattr(self, name) for name in names},
            label_names=self.label_names,
            units={name: LABELS[name].unit for name in self.label_names},
            order=self.order,
            n_reference=self.n_reference,
            training_hash=self.training_hash,
        )

    @classmethod
    def read(cls, path: str | Path) -> CannonModel:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "CannonModel")
        for name, unit in facts.pop("units").items():
            register_label(name, unit)
        return cls(**{**facts, **arrays})


def scaling(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pivots and scales of (N, L) reference labels: median, and a quarter of the range from 2.5 to 97.5 %.

    Raises
    ------
    ValueError
        If a label is the same for all stars: no model can be trained in it.
    """
    low, pivots, high = np.percentile(values, [2.5, 50.0, 97.5], axis=0)
    scales = (high - low) / 4
    scales = np.where(scales > 0, scales, values.std(axis=0))
    for name, scale, value in zip(names, scales, values[0], strict=True):
        if not scale > 0:
            raise ValueError(f"label {name!r} is {value:g} for every reference star; leave it out, or vary it")
    return pivots, scales
