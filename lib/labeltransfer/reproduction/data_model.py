"""The page that says what a catalogue holds, made from the code that makes catalogues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
from astropy.table import Table

from .. import catalogue
from ..inference import LabelFit
from ..labels import PAPER_LABELS, Labels

HEADER = {
    "CREATOR": "this library and its version",
    "VERSIONS": f"versions of {', '.join(catalogue.PACKAGES)}, as JSON",
    "PROVENAN": "as JSON: fingerprints of model and reference set, labels, normalization, mask, and whether the "
    "survey is simulated",
}

MANIFEST = {
    "file": "below the folder that was ingested",
    "id": "name of the spectrum, as in the catalogue",
    "status": "read or skipped",
    "reason": "why it was skipped: what was found and what was wanted",
}


def example_catalogue(label_names: Sequence[str] = PAPER_LABELS) -> Table:
    """A catalogue of one star that has every column there is."""
    n_labels, one = len(label_names), np.ones(1)
    ids = np.array(["spec-55859-PLAN_sp01-001"])
    labels = Labels(ids, tuple(label_names), np.ones((1, n_labels)), np.eye(n_labels)[None])
    fit = LabelFit(labels, one, one, one, one, one, one, n_free=n_labels)
    stars = Table({name: [1.0] for name in catalogue.STAR_COLUMNS if name != "id"})
    stars["obsid"] = np.array([1])
    stars["id"] = ids
    label_range = np.array([np.zeros(n_labels), 2 * np.ones(n_labels)])
    return catalogue.assemble(fit, stars, distance=one, reference=False, label_range=label_range)


@dataclass(frozen=True)
class DataModel:
    """Every column of a catalogue with unit, type, UCD and meaning; shown by notebooks."""

    label_names: tuple[str, ...] = PAPER_LABELS

    @cached_property
    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Name, type, unit, UCD, description, see `catalogue.data_model`."""
        return catalogue.data_model(example_catalogue(self.label_names))

    def __repr__(self) -> str:
        return "\n".join(f"{name:20} {unit or '-':8} {words}" for name, _, unit, _, words in self.rows)

    def _repr_html_(self) -> str:
        return _table(
            ("Column", "Unit and type", "Meaning and UCD"),
            [
                (
                    f"<code>{escape(name)}</code>",
                    f"{escape(_raised(unit)) or '–'}<br><small>{_kind(kind)}</small>",
                    f"{escape(words)}<br><small>{escape(ucd) or '–'}</small>",
                )
                for name, kind, unit, ucd, words in self.rows
            ],
        )

    def header(self) -> Listing:
        """What the header says about where the catalogue comes from."""
        return Listing(HEADER)

    def manifest(self) -> Listing:
        """What a store says of every file."""
        return Listing(MANIFEST)


@dataclass(frozen=True)
class Listing:
    """Names and what they mean; shown by notebooks."""

    words: dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(f"{name:10} {words}" for name, words in self.words.items())

    def _repr_html_(self) -> str:
        return _table(
            ("Name", "Meaning"), [(f"<code>{name}</code>", escape(text)) for name, text in self.words.items()]
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(
        f'<tr class="first"><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<table class="ledger data-model"><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>'


def _raised(unit: str) -> str:
    """A unit as it is printed: dex² for dex2."""
    return unit.replace("2", "²")


def _kind(dtype: str) -> str:
    words = {"f": "number", "i": "whole number", "b": "yes or no", "U": "text", "S": "text"}
    return words[np.dtype(dtype).kind]
