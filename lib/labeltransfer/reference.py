"""The reference set: stars with a spectrum from one survey and labels from the other (Ho et al. 2017, section 3)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import comb
from pathlib import Path
from types import MappingProxyType

import numpy as np
from astropy import units
from scipy.spatial import cKDTree

from .files import read_arrays, write_arrays
from .labels import LABELS, Labels, Rows, register_label
from .parallel import over_blocks
from .spectra import Spectra

_log = logging.getLogger(__name__)

LABEL_SCALES = MappingProxyType({"teff": 100.0, "logg": 0.20, "fe_h": 0.10})
"""K of eq. 7, the approximate uncertainty of each label [K, dex, dex]."""


@dataclass(frozen=True, repr=False, eq=False)
class ReferenceSet:
    """N stars with spectra and known labels, in one order.

    Attributes
    ----------
    spectra : N spectra on one grid
    labels : labels of the same stars in the same order, all of them finite
    dropped : how many stars `join` left out, by reason
    """

    spectra: Spectra
    labels: Labels
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not np.array_equal(self.spectra.ids, self.labels.ids):
            raise ValueError(
                f"ReferenceSet: {len(self.spectra)} spectra and {len(self.labels)} rows of labels do not name the "
                "same stars in the same order; ReferenceSet.join() matches them by id"
            )
        unknown = np.count_nonzero(~self.labels.known)
        if unknown:
            raise ValueError(
                f"ReferenceSet: {unknown} of {len(self.labels)} stars lack a label; ReferenceSet.join() leaves them out"
            )

    def __repr__(self) -> str:
        return f"ReferenceSet({len(self)} stars; {', '.join(self.labels.names)}; {self.spectra.wavelength.size} pixels)"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Rows) -> ReferenceSet:
        return ReferenceSet(self.spectra[rows], self.labels[rows])

    @property
    def ids(self) -> np.ndarray:
        """(N,) identifiers of the stars."""
        return self.labels.ids

    def fingerprint(self) -> bytes:
        """A digest of all numbers and the names of the labels."""
        flux, ivar, hashed = self.spectra.flux, self.spectra.ivar, hashlib.sha256
        arrays = (self.spectra.wavelength, self.labels.values, self.labels.covariance)
        parts = [repr(self.labels.names).encode(), *(b"" if one is None else one.tobytes() for one in arrays)]
        parts += over_blocks(lambda n: hashed(flux[n].tobytes() + ivar[n].tobytes()).digest(), len(self), 128)
        return hashed(b"".join(hashed(part).digest() for part in parts)).digest()

    @classmethod
    def join(cls, spectra: Spectra, labels: Labels) -> ReferenceSet:
        """Every star that has a spectrum with unmasked pixels and all labels, in the order of `spectra`.

        How many stars are left out for which reason is logged, and kept in `dropped`.

        Raises
        ------
        ValueError
            If no star has both.
        """
        row_of = {name: row for row, name in enumerate(labels.ids.tolist())}
        label_rows = np.array([row_of.get(name, -1) for name in spectra.ids.tolist()], dtype=int)
        common = label_rows >= 0
        seen = common & (spectra.good_pixels > 0)
        unknown = np.zeros((len(spectra), len(labels.names)), bool)
        unknown[common] = ~np.isfinite(labels.values[label_rows[common]])
        usable = seen & ~unknown.any(axis=1)
        counts = {
            "spectra without a row of labels": int((~common).sum()),
            "rows of labels without a spectrum": len(labels) - int(common.sum()),
            "spectra without an unmasked pixel": int((common & ~seen).sum()),
            "stars without all labels": int((seen & ~usable).sum()),
            **{f"of them without {name}": int((seen & unknown[:, n]).sum()) for n, name in enumerate(labels.names)},
        }
        dropped = {reason: number for reason, number in counts.items() if number}
        words = "; ".join(f"{number:,} {reason}" for reason, number in dropped.items()) or "none left out"
        if not usable.any():
            first = [str(ids[0]) if len(ids) else "none" for ids in (spectra.ids, labels.ids)]
            raise ValueError(
                f"ReferenceSet: of {len(spectra)} spectra (the first: {first[0]!r}) and {len(labels)} rows of labels "
                f"(the first: {first[1]!r}), {common.sum()} ids are common and none has unmasked pixels and all labels "
                f"({words}); check how the tables name their stars"
            )
        _log.info("reference set of %s stars: %s", f"{usable.sum():,}", words)
        return cls(spectra[usable], labels[label_rows[usable]], dropped)

    def stars_per_term(self, order: int = 2) -> float:
        """Stars for each coefficient of a pixel: below 1 nothing is determined, below some 5 errors are too small."""
        return len(self) / comb(len(self.labels.names) + order, order)

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {
            "ids": self.ids,
            "wavelength": self.spectra.wavelength,
            "flux": self.spectra.flux,
            "ivar": self.spectra.ivar,
            "values": self.labels.values,
        }
        if self.labels.covariance is not None:
            arrays["covariance"] = self.labels.covariance
        names = self.labels.names
        units = {name: LABELS[name].unit for name in names}
        write_arrays(path, "ReferenceSet", arrays, names=names, units=units, normalized=self.spectra.normalized)

    @classmethod
    def read(cls, path: str | Path) -> ReferenceSet:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "ReferenceSet")
        for name, unit in facts["units"].items():
            register_label(name, unit)
        ids = arrays["ids"]
        spectra = Spectra(ids, arrays["wavelength"], arrays["flux"], arrays["ivar"], facts["normalized"])
        return cls(spectra, Labels(ids, tuple(facts["names"]), arrays["values"], arrays.get("covariance")))


def cross_match(
    ra1: np.ndarray,
    dec1: np.ndarray,
    ra2: np.ndarray,
    dec2: np.ndarray,
    radius: float | units.Quantity = 3.0,
    snr1: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pair the stars of two tables by their place on the sky, one to one.

    A star of the first table is paired with the nearest of the second; of several that claim the same one, the
    nearest gets it, or that of highest `snr1`. Coordinates that are NaN match nothing.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : (N1,), (N1,), (N2,), (N2,) deg
    radius : largest separation, arcsec if a number
    snr1 : (N1,) S/N, if the first table may hold repeat observations of one star

    Returns
    -------
    rows1, rows2 : (pairs,) row numbers in the two tables, increasing in the first
    """
    first, second = _directions(ra1, dec1), _directions(ra2, dec2)
    rows1, rows2 = np.flatnonzero(np.isfinite(first).all(axis=1)), np.flatnonzero(np.isfinite(second).all(axis=1))
    if not rows1.size or not rows2.size:
        return np.empty(0, int), np.empty(0, int)
    largest = 2.0 * np.sin(units.Quantity(radius, units.arcsec).to_value(units.rad) / 2.0)
    chord, nearest = cKDTree(second[rows2]).query(first[rows1], distance_upper_bound=np.nextafter(largest, 1.0))
    close = np.isfinite(chord)
    rows1, partners, chord = rows1[close], rows2[nearest[close]], chord[close]
    claim = chord if snr1 is None else -np.nan_to_num(np.asarray(snr1, dtype=float)[rows1])
    best_first = np.lexsort((rows1, chord, claim))
    _, winners = np.unique(partners[best_first], return_index=True)
    pairs = np.sort(best_first[winners])
    return rows1[pairs], partners[pairs]


def _directions(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors."""
    ra, dec = np.radians(np.asarray(ra, dtype=float)), np.radians(np.asarray(dec, dtype=float))
    if ra.ndim != 1 or ra.shape != dec.shape:
        raise ValueError(f"coordinates: found shapes {ra.shape} and {dec.shape}, wanted two of (N,)")
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def quality_cuts(
    labels: Labels,
    flagged: np.ndarray | None = None,
    *,
    teff_range: tuple[float, float] = (3500.0, 6000.0),
    alpha_m_min: float = -0.1,
) -> dict[str, np.ndarray]:
    """Stars that are excised before training (section 3), reason by reason; a star may have several reasons.

    The paper prints "[α/M] < 0.1"; the minus sign was lost.

    Parameters
    ----------
    flagged : (N,) True where the survey itself calls the labels unreliable, or None
    teff_range : K
    alpha_m_min : dex

    Returns
    -------
    reason to (N,) mask of the excised stars; a cut on a label that `labels` does not have is left out
    """
    excised = {"a label is missing": ~labels.known}
    if "teff" in labels.names:
        low, high = teff_range
        teff = labels.column("teff")
        excised[f"Teff outside {low:g}-{high:g} K"] = (teff < low) | (teff > high)
    if "alpha_m" in labels.names:
        excised[f"[α/M] below {alpha_m_min:g} dex"] = labels.column("alpha_m") < alpha_m_min
    if flagged is not None:
        mask = np.asarray(flagged, dtype=bool)
        if mask.shape != (len(labels),):
            raise ValueError(f"flagged has shape {mask.shape}, wanted {(len(labels),)} = (N,)")
        excised["flagged as unreliable"] = mask
    return excised


def outliers(reference: Labels, fitted: Labels, clip_sigma: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Stars of which any fitted label differs from the reference by more than `clip_sigma` scatters (section 3).

    A star that could not be fitted counts as an outlier.

    Parameters
    ----------
    reference, fitted : labels of the same stars in the same order; `fitted` may have its labels in another order

    Returns
    -------
    outlier : (N,) mask
    scatter : (L,) standard deviation of fitted minus reference, over the stars that could be fitted
    """
    if not np.array_equal(reference.ids, fitted.ids):
        raise ValueError("outliers: the two tables of labels do not name the same stars in the same order")
    residual = fitted.select(reference.names).values - reference.values
    usable = np.isfinite(residual).all(axis=1)
    if not usable.any():
        raise ValueError(
            f"outliers: none of {len(reference)} stars has both reference and fitted labels: no star could be fitted, "
            "as with fewer reference stars than terms of the model; wanted more stars, fewer labels, or order 1"
        )
    scatter = residual[usable].std(axis=0)
    return ~usable | (np.abs(residual) > clip_sigma * scatter).any(axis=1), scatter


def label_distance(
    labels: Labels,
    reference_labels: Labels,
    *,
    scales: Mapping[str, float] = LABEL_SCALES,
    n_nearest: int = 10,
    root: bool = False,
) -> np.ndarray:
    """How far stars lie from the reference set: mean of eq. 7 over the `n_nearest` nearest reference stars.

    Eq. 7 is a squared distance, without a root. The authors' code takes the root of every one before the mean is
    formed (`root=True`); the cut at 2.5 then selects different stars.

    Parameters
    ----------
    labels : N stars; only the labels of `scales` that both tables have are used
    scales : K of eq. 7, by label, in the units of the labels

    Returns
    -------
    (N,) NaN where one of the labels is unknown
    """
    names = _common_names(labels, reference_labels, scales)
    known = reference_labels.select(names)
    known = known[known.known]
    if not 0 < n_nearest <= len(known):
        raise ValueError(f"n_nearest: found {n_nearest}, wanted between 1 and the {len(known)} reference stars")
    stars = labels.select(names)
    distance = np.full(len(labels), np.nan)
    if stars.known.any():
        tree = cKDTree(_scaled(known, scales))
        nearest, _ = tree.query(_scaled(stars[stars.known], scales), k=range(1, n_nearest + 1))
        distance[stars.known] = (nearest if root else nearest**2).mean(axis=1)
    return distance


def usual_distance(
    reference_labels: Labels,
    share: float = 0.99,
    *,
    scales: Mapping[str, float] = LABEL_SCALES,
    n_nearest: int = 10,
) -> float:
    """The label distance (eq. 7) within which `share` of the reference stars lie from the *others*.

    With about ten thousand reference stars this is of the size of the paper's cut, 2.5; with few it is larger, because
    the ten nearest are further away.
    """
    n_nearest = min(n_nearest, len(reference_labels) - 1)
    if n_nearest < 1:
        return np.inf
    itself_too = label_distance(reference_labels, reference_labels, scales=scales, n_nearest=n_nearest + 1)
    return float(np.nanquantile(itself_too * (n_nearest + 1) / n_nearest, share))


def label_shift(
    labels: Labels, others: Labels, *, scales: Mapping[str, float] = LABEL_SCALES, root: bool = False
) -> np.ndarray:
    """(N,) eq. 7 between two labels of each star, for example inferred and pipeline (vertical axis of Fig. 11)."""
    if not np.array_equal(labels.ids, others.ids):
        raise ValueError("label_shift: the two tables of labels do not name the same stars in the same order")
    names = _common_names(labels, others, scales)
    squared = ((_scaled(labels.select(names), scales) - _scaled(others.select(names), scales)) ** 2).sum(axis=1)
    return np.sqrt(squared) if root else squared


def _common_names(labels: Labels, others: Labels, scales: Mapping[str, float]) -> list[str]:
    names = [name for name in scales if name in labels.names and name in others.names]
    if not names:
        raise ValueError(
            f"label distance: found labels {', '.join(labels.names)} and {', '.join(others.names)}, "
            f"wanted at least one of {', '.join(scales)} in both; give `scales` for the labels that are there"
        )
    return names


def _scaled(labels: Labels, scales: Mapping[str, float]) -> np.ndarray:
    return labels.values / np.array([scales[name] for name in labels.names])
