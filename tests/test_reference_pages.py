"""Pages that the book writes about itself: parameters, and the map of figures."""

import re

import pytest
import yaml

from labeltransfer.evidence.claims import claims
from labeltransfer.mock import assumptions
from labeltransfer.reproduction.book import Book, ChapterText
from labeltransfer.reproduction.drawings import all_drawings, called, drawings
from labeltransfer.reproduction.parameters import PARAMETERS, default_values
from labeltransfer.reproduction.tables import AssumptionList, FigureMap, ParameterReference

BOOK = Book()
STEMS = {page.stem for page in BOOK.pages}

CHAPTER = """\
# 7 · Title

```{code-cell} ipython3
:tags: [parameters]

run: str = "default"
```

## A table, and $x$

```{code-cell} ipython3
lt.figures.excerpt_table(catalogue)
```

Rows as Table 1 of
the paper has them.

## A picture

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: Short words (Fig. 3 of the paper). Then, what they mean; more.
    name: fig-short
---
# a heading is no heading in a cell
ranges = lt.figures.residual_ranges(1)
figure = lt.figures.one_to_one(lt.figures.sky_maps(ranges))
```
"""


def test_the_whole_paper_is_drawn():
    figure_map = FigureMap(BOOK)
    wanted = [*(f"Fig. {number}" for number in range(1, 16)), "Table 1"]
    assert [one.paper for one in figure_map.of_the_paper] == wanted
    assert (figure_map.count("Fig."), figure_map.count("Table")) == (15, 1)
    assert all(one.functions for one in figure_map.of_the_paper)


def test_anchors_of_figures_are_unique():
    names = [one.name for one in all_drawings(BOOK)]
    assert len(names) == len(set(names))


def test_titles_of_figures_are_whole():
    titles = [one.title for one in all_drawings(BOOK)]
    assert not [title for title in titles if title.count("(") != title.count(")") or title.endswith("Fig")]


def test_drawings_are_read_from_the_text(tmp_path):
    path = tmp_path / "07_title.md"
    path.write_text(CHAPTER, encoding="utf-8")
    table, picture = drawings(ChapterText(path))
    assert (table.paper, table.name, table.functions) == ("Table 1", "a-table-and-x", ("excerpt_table",))
    assert (picture.paper, picture.link) == ("Fig. 3", "07_title.html#fig-short")
    assert picture.functions == ("one_to_one", "sky_maps"), "residual_ranges draws nothing"
    assert picture.title == "Short words: then, what they mean"


def test_a_function_that_does_not_exist_is_an_error():
    with pytest.raises(AttributeError):
        called("lt.figures.no_such_drawing(1)")


def test_links_lead_to_pages_and_anchors():
    parameters, figure_map = ParameterReference(BOOK), FigureMap(BOOK)
    pages = {
        "A2_parameters": parameters._repr_html_(),
        "A4_figure_map": figure_map._repr_html_() + figure_map.by_chapter()._repr_html_(),
    }
    anchors = {stem: set(re.findall(r'id="([^"]+)"', html)) for stem, html in pages.items()}
    anchors["06_ledger"] = {f"claim-{claim.id}" for claim in claims()}
    for one in all_drawings(BOOK):
        anchors.setdefault(one.chapter.stem, set()).add(one.name)
    for here, html in pages.items():
        for link in re.findall(r'href="([^"]+)"', html):
            page, _, anchor = link.partition("#")
            stem = page.removesuffix(".html") or here
            assert stem in STEMS
            assert not anchor or anchor in anchors[stem], link


def test_every_parameter_is_described():
    reference = ParameterReference(BOOK)
    html = reference._repr_html_()
    for parameter in PARAMETERS.values():
        assert f'id="parameter-{parameter.name}"' in html
        assert parameter.name in repr(reference)
    folds = PARAMETERS["n_folds"]
    assert "03_cross_validation" in [chapter.stem for chapter in reference.chapters(folds)]
    assert "05_alpha_maps" not in [chapter.stem for chapter in reference.chapters(folds)]
    assert {claim.chapter for claim in reference.claims(folds)} == {"03_cross_validation"}


def test_a_page_about_the_book_is_old_when_another_chapter_changes(monkeypatch):
    book = Book()
    page, values = book.chapter("A4_figure_map"), default_values()
    before = book.page_key(page, values)
    monkeypatch.setitem(vars(book.chapters[0]), "text", "something else")
    assert book.page_key(page, values) != before


def test_every_assumption_of_the_simulation_stands_in_the_list():
    table = assumptions()
    shown = AssumptionList(table)
    html = shown._repr_html_()
    assert len(repr(shown).splitlines()) == len(table)
    assert html.count("<tr><td>") == len(table)
    assert html.count('scope="rowgroup"') == len(set(table["where"]))
    assert "LamostAccuracy" in html


def test_the_page_of_references_cites_what_the_citation_file_says():
    root = Book().root
    said = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    page = (root / "book" / "references.md").read_text(encoding="utf-8")
    paper = said["references"][0]
    for words in (said["title"], said["version"], said["license"], said["repository-code"], paper["doi"]):
        assert words in page
    assert paper["title"] in page.replace("{", "").replace("}", "")
