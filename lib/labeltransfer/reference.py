"""The reference set: stars with a spectrum from one survey and labels from the other (Ho et al. 2017, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import read_arrays, write_arrays
from .labels import LABELS, Labels, Rows, register_label
from .spectra import Spectra

BOUNDARY_LABELS = ("teff", "logg", "fe_h")


@dataclass(frozen=True, repr=False, eq=False)
class ReferenceSet:
    """N stars with spectra and known labels, in one order.

    Attributes
    ----------
    spectra : N spectra on one grid
    labels : labels of the same stars in the same order, all of them finite
    """

    spectra: Spectra
    labels: Labels

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

    @classmethod
    def join(cls, spectra: Spectra, labels: Labels) -> ReferenceSet:
        """Every star that has a spectrum with unmasked pixels and all labels, in the order of `spectra`.

        Raises
        ------
        ValueError
            If no star has both.
        """
        row_of = {name: row for row, name in enumerate(labels.ids.tolist())}
        label_rows = np.array([row_of.get(name, -1) for name in spectra.ids.tolist()], dtype=int)
        usable = (label_rows >= 0) & (spectra.good_pixels > 0)
        usable[usable] &= labels.known[label_rows[usable]]
        if not usable.any():
            raise ValueError(
                f"ReferenceSet: of {len(spectra)} spectra and {len(labels)} rows of labels, {(label_rows >= 0).sum()} "
                "ids are common and none has unmasked pixels and all labels; check how the tables name their stars"
            )
        return cls(spectra[usable], labels[label_rows[usable]])

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
