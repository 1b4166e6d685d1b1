"""The picture of the README and the first page, drawn from a run: ``python -m labeltransfer.reproduction.picture``."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
from astropy.table import Table

from ..figures import cover
from ..files import written_whole
from ..inference import LabelFit
from ..reference import ReferenceSet
from .book import Book
from .chapter import Chapter
from .record import read_record

PICTURE = "book/_static/ho2017_reproduction.png"


def draw_picture(name: str = "default") -> None:
    """Draw the results of a finished run into ``book/_static``."""
    matplotlib.use("agg")
    book = Book()
    chapter = Chapter(book, book.chapter("06_ledger"), read_record(name, book.root).parameters)
    reference = chapter.load("reference", ReferenceSet)
    fit = chapter.load("cross_validation", LabelFit)
    stars = chapter.load("catalogue", Table)
    lon, lat, alpha = (np.asarray(stars[column], float) for column in ("glon", "glat", "alpha_m"))
    figure = cover(reference.labels, fit.labels, (lon, lat, alpha), simulated=chapter.simulated)
    with written_whole(book.root / PICTURE) as temporary:
        figure.savefig(temporary, dpi=110)


if __name__ == "__main__":
    draw_picture(*sys.argv[1:])
