"""Pages for people who read by keyboard or by ear: what is mended after rendering."""

import pytest

from labeltransfer.reproduction.access import accessible, make_accessible

PAGE = """<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar"><p>Title</p></div>
<div class="pst-scrollable-table-container"><table><thead>
<tr class="row-odd"><th class="head"><p>Label</p></th><th class="head stub"><p>Error</p></th></tr></thead></table></div>
<div role="list" class="citation-list"><div class="citation" id="id2" role="doc-biblioentry"><p>Ho</p></div></div>
"""


@pytest.mark.parametrize(
    "mended",
    [
        '<div class="pst-scrollable-table-container" tabindex="0" role="group" aria-label="Table"><table>',
        '<th class="head" scope="col"><p>Label</p></th><th class="head stub" scope="col"><p>Error</p>',
        '<div class="citation-list"><div class="citation" id="id2"><p>Ho</p>',
        'class="bd-sidebar-primary bd-sidebar" role="region" aria-label="Title, search and contents"><p>Title</p>',
    ],
)
def test_what_the_theme_leaves_out_is_added(mended):
    assert mended not in PAGE
    assert mended in accessible(PAGE)


def test_a_page_is_mended_once_and_the_rest_of_it_stays():
    once = accessible(PAGE)
    assert accessible(once) == once
    assert (
        accessible("<table class='ledger'><th scope='row'>ä</th></table>")
        == "<table class='ledger'><th scope='row'>ä</th></table>"
    )


def test_every_page_of_a_folder_is_mended(tmp_path):
    (tmp_path / "book").mkdir()
    for page in (tmp_path / "search.html", tmp_path / "book" / "index.html"):
        page.write_text(PAGE, encoding="utf-8")
    make_accessible(tmp_path)
    assert (tmp_path / "search.html").read_text(encoding="utf-8") == accessible(PAGE)
    assert (tmp_path / "book" / "index.html").read_text(encoding="utf-8") == accessible(PAGE)
