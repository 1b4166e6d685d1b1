"""The picture of the README and the first page, drawn from a run: ``.venv/bin/python .ci/draw_picture.py [RUN]``."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
from astropy.table import Table

from labeltransfer.figures import cover
from labeltransfer.files import written_whole
from labeltransfer.inference import LabelFit
from labeltransfer.reference import ReferenceSet
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.chapter import Chapter
from labeltransfer.reproduction.record import read_record

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
