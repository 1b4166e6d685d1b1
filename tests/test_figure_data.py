"""The data of figures: kept while a chapter runs, offered below each figure of its page."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table
from docutils import nodes
from docutils.utils import new_document

from labeltransfer import figures
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.chapter import open_chapter
from labeltransfer.reproduction.drawings import Watch, kept
from labeltransfer.reproduction.parameters import default_values
from labeltransfer.reproduction.record import Record, Run
from labeltransfer.reproduction.sphinx_extension import DOWNLOADS, ShownRun, gallery
from miniature_book import write_book

CELL = "plt.hist(values);"
APP = SimpleNamespace(config=SimpleNamespace(root_doc="book/index"))


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


def page_with(*parts):
    """A page as Sphinx has it before it is written."""
    page = new_document("page")
    page.extend(parts)
    return page


def figure_node():
    return nodes.figure("", nodes.image(uri="x.png"), nodes.caption("", "The values."), ids=["fig-values"])


def shown(chapter, **more):
    parameters = {**default_values(), "run": "mine", **more}
    chapters = {"02_mean": {"seconds": 1.0, "peak_memory": 100, "key": "a"}}
    return ShownRun(Run(chapter.book, Record("mine", parameters, chapters=chapters)))


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

    page, run = page_with(figure_node()), shown(chapter)
    run.add_to(APP, page, "book/02_mean")
    (legend,) = page.findall(nodes.legend)
    assert 'href="../_downloads/figures/fig-values.csv" download' in legend.astext()
    run.copy_files(SimpleNamespace(outdir=tmp_path / "html"), None)
    copy = tmp_path / "html" / DOWNLOADS / "fig-values.csv"
    assert copy.read_bytes() == chapter.path("fig-values", ".csv").read_bytes()
    assert "Run <code>mine</code>" in page[-1].astext()
    chapter.path("fig-values", ".csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"fig-values-\w+\.csv: not there; run the chapter"):
        run.copy_files(SimpleNamespace(outdir=tmp_path / "html"), None)


def test_data_of_other_parameters_are_not_offered(chapter, draw):
    Watch(chapter.text, chapter.path).keep("fig-values", [draw([0.2, 0.6])])
    page = page_with(figure_node())
    shown(chapter, seed=1).add_to(APP, page, "book/02_mean")
    assert not list(page.findall(nodes.legend))


def test_panels_that_keep_their_own_data_become_parts(chapter, draw):
    _, (left, right) = plt.subplots(1, 2)
    watch = Watch(chapter.text, chapter.path)
    panels = [draw([0.1, 0.2], left), draw([0.3, 0.4], right)]
    watch(done(CELL))
    found = kept(chapter.book, chapter.text, chapter.data_folder, default_values())
    names = [path.name.rsplit("-", 1)[0] for path in found["fig-values"]]
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


def test_a_page_without_the_figure_stays_as_it_is(chapter, draw):
    Watch(chapter.text, chapter.path).keep("fig-values", [draw([0.2, 0.6])])
    page = page_with(nodes.paragraph("", "This run did not execute this chapter."))
    shown(chapter).add_to(APP, page, "book/02_mean")
    assert "download" not in page.astext()


def test_the_table_of_the_paper_has_its_data_below(chapter, draw):
    Watch(chapter.text, chapter.path).keep("fig-values", [draw([0.2, 0.6])])
    table = nodes.raw("", '<table class="table excerpt"></table>', format="html")
    page = page_with(nodes.section("", nodes.paragraph("", "Rows."), table, ids=["fig-values"]))
    shown(chapter).add_to(APP, page, "book/02_mean")
    after = table.parent[table.parent.index(table) + 1]
    assert "Data of this table, CSV" in after.astext()


def test_what_is_of_simulated_data_alone_is_not_shown_on_real_spectra(chapter):
    for simulated in (True, False):
        page = page_with(nodes.container("", nodes.paragraph("", "A simulated cover."), classes=["simulated-only"]))
        run = shown(chapter)
        run.record.simulated = simulated
        run.add_to(APP, page, "book/index")
        assert ("A simulated cover." in page.astext()) == simulated
        assert 'href="../../index.html"' in page[-1].astext(), "the list of runs, from one among them"


def test_the_box_at_the_top_says_what_the_chapter_cost_in_this_run(chapter):
    run = shown(chapter)
    costs = {"02_mean": {"seconds": 12.3, "peak_memory": 1234.0}, "03_none": None}
    for stem, cost in costs.items():
        run.record.chapters = {stem: cost} if cost else {}
        page = page_with(nodes.container("", nodes.paragraph("", "Aims."), classes=["aims"]))
        run.add_to(APP, page, f"book/{stem}")
        assert ("In this run: 12.3&nbsp;s, 1,234&nbsp;MB." in page.astext()) == bool(cost)


def test_the_gallery_has_a_small_picture_of_each_figure_that_links_to_it(chapter):
    picture = nodes.figure("", nodes.image(uri="a/b.png"), ids=["fig-values"])
    environment = SimpleNamespace(
        all_docs={"book/02_mean"},
        images={"a/b.png": ({"book/02_mean"}, "b1.png")},
        get_doctree=lambda _: page_with(picture),
    )
    html = gallery(SimpleNamespace(env=environment), chapter.book, "../")
    assert html.startswith('<a href="02_mean.html#fig-values"><img src="../_images/b1.png"')
    assert html.count("<a ") == 1


def test_an_excerpt_of_the_catalogue_is_kept_too(chapter):
    row = {"id": ["1"], "ra": [1.0], "dec": [2.0], "teff": [4800.0], "teff_err": [30.0], "reduced_chi2": [1.0]}
    excerpt = figures.excerpt_table(Table(row), rows=1, simulated=True)
    (path,) = Watch(chapter.text, chapter.path).keep("fig-values", [excerpt])
    assert Table.read(path, format="ascii.csv")["teff"][0] == 4800
