"""From LAMOST files to a catalogue of labels in two steps, for people who only want labels.

transfer = lt.learn(lt.open_survey("folder", "my_survey"), rng=np.random.default_rng(1))
transfer.write("model.npz")
labelled = lt.label_survey(transfer, "spectra", "labels.fits")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .archive.opening import Survey
from .cannon import CannonModel, train
from .files import read_arrays, reading, write_arrays
from .inference import infer, starting_points
from .labels import LABELS, Labels, register_label
from .reference import ReferenceSet, outliers, quality_cuts
from .survey import normalized

_MODEL_ARRAYS = ("pivots", "scales", "wavelength", "coefficients", "scatter", "label_range")
_MODEL_FACTS = ("order", "n_reference", "training_hash")


@dataclass(frozen=True, repr=False, eq=False)
class LabelTransfer:
    """A trained model and all that has to be the same when it is applied.

    Attributes
    ----------
    model : trained
    reference_labels : (N, L) of the stars it was trained on
    starts : (S, L) starting points of the test step
    width, convention : of the normalization
    mask : LAMOST's pixel mask that was applied
    simulated : whether it was trained on simulated spectra
    counts : how many stars there were, and why some were excised
    """

    model: CannonModel
    reference_labels: Labels
    starts: np.ndarray
    width: float = 50.0
    convention: str = "paper"
    mask: str = "none"
    simulated: bool = False
    counts: Mapping[str, int] | None = None

    def __repr__(self) -> str:
        kind = "simulated spectra" if self.simulated else "spectra"
        return f"LabelTransfer({', '.join(self.model.label_names)}; trained on {len(self.reference_labels)} {kind})"

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {name: getattr(self.model, name) for name in _MODEL_ARRAYS}
        labels = self.reference_labels
        arrays |= {"ids": labels.ids, "values": labels.values, "starts": np.asarray(self.starts)}
        facts = {name: getattr(self.model, name) for name in _MODEL_FACTS}
        settings = {"width": self.width, "convention": self.convention, "mask": self.mask, "simulated": self.simulated}
        units = {name: LABELS[name].unit for name in labels.names}
        write_arrays(path, "LabelTransfer", arrays, units=units, model=facts, settings=settings, counts=self.counts)

    @classmethod
    def read(cls, path: str | Path) -> LabelTransfer:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "LabelTransfer")
        with reading(path, "LabelTransfer"):
            for name, unit in facts["units"].items():
                register_label(name, unit)
            names = tuple(facts["units"])
            parts: dict[str, Any] = {name: arrays[name] for name in _MODEL_ARRAYS}
            model = CannonModel(names, **parts, **facts["model"])
            labels = Labels(arrays["ids"], names, arrays["values"])
            return cls(model, labels, arrays["starts"], **facts["settings"], counts=facts["counts"])


def learn(
    survey: Survey,
    *,
    rng: np.random.Generator,
    width: float = 50.0,
    convention: str = "paper",
    order: int = 2,
    clip_sigma: float = 4.0,
    alpha_m_min: float = -0.1,
    n_starts: int = 7,
) -> LabelTransfer:
    """Train on the stars that two surveys have in common, as section 3 does: cuts, a first pass, 4 σ clip, training.

    Parameters
    ----------
    survey : from `archive.open_survey`, which decides the labels and LAMOST's pixel mask
    rng : draws the starting points among the reference stars
    order, width, convention, clip_sigma, alpha_m_min, n_starts : as in the book's parameters of these names

    Raises
    ------
    ValueError
        If the surveys have too few good stars in common.
    """
    made = getattr(survey, "normalization", None)
    if made not in (None, (width, convention)):
        raise ValueError(f"{survey!r}: normalized with width {made[0]:g}, {made[1]}; ingest again, or train with that")
    overlap = survey.overlap()
    excised = quality_cuts(overlap.labels, overlap.flagged, alpha_m_min=alpha_m_min)
    keep = ~np.any(list(excised.values()), axis=0)
    spectra = normalized(overlap.spectra[keep], width, convention)
    candidates = ReferenceSet.join(spectra, overlap.labels[keep])
    if len(candidates) < n_starts:
        raise ValueError(
            f"{survey.description}: found {len(candidates)} stars with spectra and good labels, wanted {n_starts} or "
            "more; the table of labels, or the labels asked for, leave too few"
        )
    starts = starting_points(candidates.labels, n_starts, rng=rng)
    first = infer(train(candidates, order=order), candidates.spectra, starts)
    clipped, _ = outliers(candidates.labels, first.labels, clip_sigma)
    reference = candidates[~clipped]
    counts = {
        **overlap.counts,
        **{reason: int(stars.sum()) for reason, stars in excised.items()},
        f"excised by the {clip_sigma:g} sigma clip": int(clipped.sum()),
        "reference stars": len(reference),
        "unreadable files": len(overlap.unreadable),
    }
    model = train(reference, order=order)
    return LabelTransfer(model, reference.labels, starts, width, convention, survey.mask, survey.simulated, counts)
