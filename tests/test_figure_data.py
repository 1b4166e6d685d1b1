"""The data of figures: kept while a chapter runs, offered below each figure of its page."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table

from labeltransfer import figures
from labeltransfer.reproduction.book import Book, default_values
from labeltransfer.reproduction.chapter import open_chapter
from labeltransfer.reproduction.figure_data import DOWNLOADS, Watch, kept, offer_figure_data
from miniature_book import write_book

CELL = "plt.hist(values);"
PAGE = '<article><figure id="fig-values"><img alt="x"><figcaption><p>The values.</p>{}</figcaption></figure></article>'


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELTRANSFER_RUNS", str(tmp_path / "runs"))
    book = Book(write_book(tmp_path / "small"))
    return open_chapter("02_mean", {**default_values(), "run": "mine"}, book)


@pytest.fixture
def draw():
    def one(values, ax=None):
        return figures.share_against_latitude(np.array([0, 10, 90]), {"here": np.array(values)}, simulated=True, ax=ax)

    yield one
    plt.close("all")


def done(source, success=True):
    return SimpleNamespace(info=SimpleNamespace(raw_cell=source), success=success)


def pages_of(chapter, folder):
    page = folder / "book" / "02_mean.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE.format(""), encoding="utf-8")
    return page


def test_a_figure_is_kept_under_the_key_of_its_chapter_and_linked(chapter, draw, tmp_path):
    before = draw([0.9, 0.9])
    watch = Watch(chapter.text, chapter.path)
    first = draw([0.1, 0.5])
    watch(done("values = 1"))
    second = draw([0.2, 0.6])
    watch(done(CELL + "\n"))
    data = Table.read(chapter.path("fig-values", ".csv"), format="ascii.csv")
    assert 0.6 in data.columns[-1], "the figure of its own cell, not of others"
    assert before is not first is not second

    page = pages_of(chapter, tmp_path / "html")
    values = {**default_values(), "run": "mine"}
    (copy,) = offer_figure_data(tmp_path / "html", chapter.book, chapter.data_folder, values)
    assert copy == tmp_path / "html" / DOWNLOADS / "fig-values.csv"
    assert copy.read_bytes() == chapter.path("fig-values", ".csv").read_bytes()
    text = page.read_text(encoding="utf-8")
    assert 'href="../_downloads/figures/fig-values.csv" download' in text
    assert text.index("figure-data") < text.index("</figcaption>")


def test_data_of_other_parameters_are_not_offered(chapter, draw, tmp_path):
    Watch(chapter.text, chapter.path).keep("fig-values", [draw([0.2, 0.6])])
    page = pages_of(chapter, tmp_path / "html")
    assert offer_figure_data(tmp_path / "html", chapter.book, chapter.data_folder, default_values() | {"seed": 1}) == []
    assert page.read_text(encoding="utf-8") == PAGE.format("")


def test_panels_that_keep_their_own_data_become_parts(chapter, draw):
    _, (left, right) = plt.subplots(1, 2)
    watch = Watch(chapter.text, chapter.path)
    panels = [draw([0.1, 0.2], left), draw([0.3, 0.4], right)]
    watch(done(CELL))
    found = kept(chapter.book, chapter.data_folder, default_values())
    names = [path.name.rsplit("-", 1)[0] for path in found["02_mean"]["fig-values"]]
    assert names == ["fig-values-1", "fig-values-2"]
    assert len(panels) == 2


def test_a_cell_that_failed_or_draws_without_data_keeps_nothing(chapter, draw):
    watch = Watch(chapter.text, chapter.path)
    figure = draw([0.2, 0.6])
    watch(done(CELL, success=False))
    plt.figure()
    watch(done(CELL))
    assert not chapter.data_folder.exists()
    assert figure is not None


def test_a_page_without_the_figure_stays_as_it_is(chapter, draw, tmp_path):
    Watch(chapter.text, chapter.path).keep("fig-values", [draw([0.2, 0.6])])
    page = pages_of(chapter, tmp_path / "html")
    page.write_text("<article>This run did not execute this chapter.</article>", encoding="utf-8")
    offer_figure_data(tmp_path / "html", chapter.book, chapter.data_folder, default_values())
    assert "download" not in page.read_text(encoding="utf-8")


def test_an_excerpt_of_the_catalogue_is_kept_too(chapter):
    row = {"id": ["1"], "ra": [1.0], "dec": [2.0], "teff": [4800.0], "teff_err": [30.0], "reduced_chi2": [1.0]}
    excerpt = figures.excerpt_table(Table(row), rows=1, simulated=True)
    (path,) = Watch(chapter.text, chapter.path).keep("fig-values", [excerpt])
    assert Table.read(path, format="ascii.csv")["teff"][0] == 4800
