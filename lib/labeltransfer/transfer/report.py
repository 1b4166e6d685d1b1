"""What `learn` says of what it did, and of what to beware."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from ..labels import LABELS
from .choices import Asked
from .recipes import ROUND, Learnt

FEW_STARS_PER_TERM = 6.0
"""With fewer, formal errors are too small: pulls are 2.6 to 3.5 wide at 2.5 stars a term and 1.1 at 6."""

UNLEARNT = 0.7
"""Share of a label's spread above which its scatter means that spectra hardly tell it."""

LARGER = 1.2
"""Stated errors over a scatter of which they are but a part: more than chance makes of it."""

MANY_EXCISED = 0.15
"""Share of the stars that a clip should not reach."""

MANY_OUTSIDE = 1 / 3
"""Share of the reference stars that should not lie outside the label distance which is to tell stars unlike them."""

WIDE = 1.5
"""Width of the pulls of cross-validation from which on errors are called too small."""


def lines(
    learnt: Learnt, counts: Mapping[str, int], asked: Asked, logger: logging.Logger, outside: float = 0.0
) -> list[str]:
    """The report; lines that begin with "warning:" are logged as warnings, too.

    Parameters
    ----------
    outside : share of the reference stars that the catalogue will call `outside`
    """
    model = learnt.model
    found = [f"{count:,} {what}" for what, count in balance(counts).items() if count]
    per_term = model.n_reference / model.coefficients.shape[1]
    found.append(f"{per_term:.1f} reference stars per term (order {model.order}, {model.coefficients.shape[1]} terms)")
    if np.median(learnt.error_factor) != 1.0:
        found.append(f"flux errors divided by {np.median(learnt.error_factor):.3g}")
    if learnt.errors is not None:
        found.append(_of_label_errors(learnt, asked))
    found += _of_validation(learnt)
    warnings = _warnings(learnt, per_term, outside)
    for warning in warnings:
        logger.warning("learn: %s", warning)
    return found + [f"warning: {warning}" for warning in warnings]


def balance(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts as a sheet whose lines add up: of the rounds of a clip, each of which judges all stars, the last."""
    rounds = {what: count for what, count in counts.items() if what.startswith(ROUND)}
    after = f" ({', '.join(map(str, rounds.values()))} after each round)" if len(rounds) > 1 else ""
    sheet: dict[str, int] = {}
    for what, count in counts.items():
        sheet[f"excised by the cross-fitted clip{after}" if what in rounds else what] = count
    return sheet


def _of_label_errors(learnt: Learnt, asked: Asked) -> str:
    if learnt.label_errors_known.any():
        of = "stated" if isinstance(asked.label_errors, Mapping) else "those of the table"
        lacking = [name for name, known in zip(asked.names, learnt.label_errors_known, strict=True) if not known]
        besides = f"; those of {', '.join(lacking)} are not known" if lacking else ""
        all_or_none = {0.0: " (none)", 1.0: " (all)"}.get(learnt.strength, "")
        share = f"share undone in training: {learnt.strength:.2g}{all_or_none}"
        return f"errors of the reference labels ({of}): {share}{besides}"
    undone = f"; share of what residuals allow undone in training: {learnt.strength:.2g}" if learnt.strength else ""
    groups = " and what is common to the stars of a group" if learnt.in_groups else ""
    return (
        f"errors of the reference labels are not known{undone}; errors of labels are those that halves of each "
        f"spectrum tell{groups}"
    )


def _of_validation(learnt: Learnt) -> list[str]:
    if learnt.validation is None:
        return []
    how = "cross-validation" if learnt.errors is not None else "first pass, on the stars trained on"
    units = [f" {LABELS[name].unit}".rstrip() for name in learnt.validation.labels.names]
    return [
        f"{how}: {row['label']} bias {row['bias']:.3g}, scatter {row['scatter']:.3g}, median {row['median']:.3g}, "
        f"robust scatter {row['robust_scatter']:.3g}{unit}, spread of the labels {row['spread']:.3g}{unit}, "
        f"pulls {row['pull']:.3g} wide"
        for row, unit in zip(learnt.validation.table, units, strict=True)
    ]


def _warnings(learnt: Learnt, per_term: float, outside: float) -> list[str]:
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
    if too_small := _too_small(learnt):
        found.append(
            f"residuals of cross-validation are wider than the errors ({too_small}): either the reference labels are "
            "that uncertain (then state their errors: `label_errors`, in the shell --label-errors), or the errors are "
            "too small by that factor"
        )
    if outside > MANY_OUTSIDE:
        found.append(
            f"{outside:.0%} of the reference stars themselves lie outside the label distance of recipe 'paper', which "
            "is for dense reference sets, of thousands of stars: hardly a star will be `good`; take recipe 'robust', "
            "which measures the distance on the reference stars"
        )
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


def _too_small(learnt: Learnt) -> str:
    """Labels whose errors are too small for the residuals of cross-validation, and by what factor."""
    if learnt.validation is None or learnt.errors is None:
        return ""
    return ", ".join(f"{row['label']} by {row['pull']:.2g}" for row in learnt.validation.table if row["pull"] > WIDE)


def _overstated(learnt: Learnt) -> list[str]:
    """Labels whose stated errors the residuals, of which they are but a part, do not reach."""
    if learnt.validation is None or not learnt.label_errors_known.any():
        return []
    table, stated = learnt.validation.table, np.median(learnt.reference.labels.errors[learnt.kept], axis=0)
    return [
        str(row["label"]) for row, error in zip(table, stated, strict=True) if error > LARGER * row["robust_scatter"]
    ]
