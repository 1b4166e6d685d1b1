"""From the maximum of eq. 5 for all stars to those for folds and resamplings of them, for a block of B pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .ascent import POOR, approach, maximize, slopes_at, undisputed
from .blocks import PRODUCTS_LIMIT, Design, Maximum, PixelBlock, normal_matrices
from .newton import Derivatives

CANCELLED = 1e-3
"""Share of its weight below which what a subset leaves of the sums for all stars is too little to start from."""


@dataclass(frozen=True)
class Subset:
    """How often each star is taken, counts (N,); the rows of those not taken once; what those share, if kept."""

    counts: np.ndarray
    others: np.ndarray
    design: Design | None


def subsets_of(design: Design, counts: np.ndarray) -> list[Subset]:
    """From (K, N) counts. Designs are kept for all blocks if their products of terms find room beside the whole's."""
    others = [np.flatnonzero(once != 1) for once in counts]
    bytes_per_star = 0 if design.products is None else design.products[0].nbytes
    size = (design.vectors.shape[1] + sum(map(len, others))) * bytes_per_star
    designs = [design.of_stars(rows) if size <= PRODUCTS_LIMIT else None for rows in others]
    return [Subset(*one) for one in zip(counts, others, designs, strict=True)]


@dataclass(frozen=True)
class Summit:
    """The maximum for all stars, with the normal matrices and derivatives right there; (B,) stars with weight.

    `witnesses` are the rows of the stars that tell of other maxima, the sample if there is one, and `testimony` what
    they measured.
    """

    maximum: Maximum
    slopes: Derivatives
    measured: np.ndarray
    witnesses: np.ndarray
    testimony: PixelBlock

    @classmethod
    def of(cls, block: PixelBlock, design: Design, maximum: Maximum) -> Summit:
        everyone = np.ones(block.flux.shape[1])
        packed = normal_matrices(block, design, everyone, maximum.variance)
        slopes = slopes_at(block, design, everyone, maximum)
        rows = design.sample if design.sample.size else np.arange(everyone.size)
        testimony = block.of_stars(rows) if design.sample.size else block
        return cls(replace(maximum, packed=packed), slopes, block.measured(everyone), rows, testimony)


def adjusted(block: PixelBlock, design: Design, whole: Maximum, subsets: Iterable[Subset]) -> Iterator[Maximum]:
    """The maximum for each subset, from that for all stars."""
    summit = Summit.of(block, design, whole)
    for subset in subsets:
        yield _adjust(block, design, subset, summit)


def _adjust(block: PixelBlock, design: Design, subset: Subset, summit: Summit) -> Maximum:
    """Stars taken once change nothing, the others correct matrices and derivatives.

    Where that leaves little, where the way is too far, or where eq. 5 may have other maxima, it is climbed anew.
    """
    whole, counts, rows = summit.maximum, subset.counts, subset.others
    others = block.of_stars(rows)
    correction = others, subset.design or design.of_stars(rows), counts[rows] - 1
    packed = whole.packed + normal_matrices(*correction, whole.variance)
    richness = (summit.measured - others.measured(counts[rows] == 0)) / block.allowed.sum(axis=1)
    solved = whole.solved & whole.alone & (richness > POOR) & (packed[:, 0] > CANCELLED * whole.packed[:, 0])
    near = Maximum(whole.coefficients.copy(), whole.variance.copy(), packed, solved, whole.alone.copy())
    near.solved &= approach(block, design, counts, near, first=summit.slopes + slopes_at(*correction, whole))
    seen = summit.witnesses
    near.solved &= undisputed(summit.testimony, design.vectors[:, seen], counts[seen], near)
    again = np.flatnonzero(~near.solved & (richness > 1))
    if again.size:
        near.put(again, maximize(block[again], design, counts))
    return near
