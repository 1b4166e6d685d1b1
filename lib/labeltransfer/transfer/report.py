"""What `learn` says of what it did, and of what to beware."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from ..labels import LABELS
from .choices import Asked
from .recipes import Learnt

FEW_STARS_PER_TERM = 6.0
"""With fewer, formal errors are too small: pulls are 2.6 to 3.5 wide at 2.5 stars a term and 1.1 at 6."""

UNLEARNT = 0.7
"""Share of a label's spread above which its scatter means that spectra hardly tell it."""

LARGER = 1.2
"""Stated errors over a scatter of which they are but a part: more than chance makes of it."""

MANY_EXCISED = 0.15
"""Share of the stars that a clip should not reach."""


def lines(learnt: Learnt, counts: Mapping[str, int], asked: Asked, logger: logging.Logger) -> list[str]:
    """The report; lines that begin with "warning:" are logged as warnings, too."""
    model = learnt.model
    found = [f"{count:,} {what}" for what, count in counts.items() if count]
    per_term = model.n_reference / model.coefficients.shape[1]
    found.append(f"{per_term:.1f} reference stars per term (order {model.order}, {model.coefficients.shape[1]} terms)")
    if np.median(learnt.error_factor) != 1.0:
        found.append(f"flux errors divided by {np.median(learnt.error_factor):.3g}")
    if learnt.errors is not None:
        found.append(_of_label_errors(learnt, asked))
    found += _of_validation(learnt)
    warnings = list(_warnings(learnt, per_term))
    for warning in warnings:
        logger.warning("learn: %s", warning)
    return found + [f"warning: {warning}" for warning in warnings]


def _of_label_errors(learnt: Learnt, asked: Asked) -> str:
    if learnt.label_errors_known.any():
        of = "stated" if isinstance(asked.label_errors, Mapping) else "those of the table"
        lacking = [name for name, known in zip(asked.names, learnt.label_errors_known, strict=True) if not known]
        besides = f"; those of {', '.join(lacking)} are not known: halves of spectra tell the floor" if lacking else ""
        return f"errors of the reference labels ({of}): {learnt.strength:.2g} of them undone in training{besides}"
    undone = f", {learnt.strength:.2g} of what residuals allow was undone in training" if learnt.strength else ""
    groups = " but for what is common to the stars of a group" if learnt.in_groups else ""
    return (
        f"errors of the reference labels are not known{undone}: the floor of the errors is found from the two halves "
        f"of each spectrum, so that it lacks what is common to both{groups}; give `label_errors` for one from "
        "cross-validation"
    )


def _of_validation(learnt: Learnt) -> list[str]:
    if learnt.validation is None:
        return []
    how = "cross-validation" if learnt.errors is not None else "first pass, on the stars trained on"
    return [
        f"{how}: {row['label']} bias {row['bias']:.3g}, scatter {row['scatter']:.3g}, "
        f"robust {row['robust_scatter']:.3g} {LABELS[str(row['label'])].unit}, spread of the labels {row['spread']:.3g}"
        for row in learnt.validation.table
    ]


def _warnings(learnt: Learnt, per_term: float) -> list[str]:
    found = []
    if per_term < FEW_STARS_PER_TERM:
        found.append(
            f"only {per_term:.1f} reference stars per term; errors are large and uncertain: fewer labels, order=1, or "
            f"more stars (from {FEW_STARS_PER_TERM:g} per term on they hold)"
        )
    undetermined = int((~learnt.model.determined).sum())
    if undetermined:
        found.append(f"{undetermined:,} of {learnt.model.wavelength.size:,} pixels are undetermined and are not used")
    found += [
        f"the errors stated for {name} are larger than its scatter in cross-validation: state smaller ones, or none"
        for name in _overstated(learnt)
    ]
    excised = 1.0 - learnt.kept.mean()
    if excised > MANY_EXCISED:
        found.append(f"the clip excised {excised:.0%} of the stars; are spectra and labels of the same stars?")
    if learnt.validation is not None:
        table = learnt.validation.table
        unlearnt = table["robust_scatter"] > UNLEARNT * table["spread"]
        if unlearnt.all():
            found.append(
                "labels from the spectra scatter as much as the labels themselves: check that the ids belong together "
                "and no rows are shifted, that bad pixels are masked, and that these pixels tell these labels"
            )
        else:
            found += [f"the spectra hardly tell {name}" for name in table["label"][unlearnt]]
    return found


def _overstated(learnt: Learnt) -> list[str]:
    """Labels whose stated errors the residuals, of which they are but a part, do not reach."""
    if learnt.validation is None or not learnt.label_errors_known.any():
        return []
    table, stated = learnt.validation.table, np.median(learnt.reference.labels.errors[learnt.kept], axis=0)
    return [
        str(row["label"]) for row, error in zip(table, stated, strict=True) if error > LARGER * row["robust_scatter"]
    ]
