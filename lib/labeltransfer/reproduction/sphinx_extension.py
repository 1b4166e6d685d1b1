"""What the book adds to Sphinx: the run at the foot of a page, data below figures, and search that finds prose.

`labeltransfer build` names the run in $LABELTRANSFER_RUN; without it pages are rendered as they are.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx

from .book import Book
from .drawings import IN_THE_PAPER, all_drawings, kept
from .record import DEFAULT, Record, Run
from .tables import html

DOWNLOADS = Path("_downloads") / "figures"
EXPLORER = re.compile(r"_static/(explorer_data[\w.-]*\.js)")
SIMULATED_ONLY = "simulated-only"
"""Class of what a run on real spectra does not show."""
AIMS = "aims"
"""Class of the box at the top of a chapter, which says what it costs."""
GALLERY = "gallery"
"""Class of the place for small pictures of all figures."""
CODE = "cell_input"
THE_PAPER = "https://arxiv.org/abs/1602.00303"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", index_prose)
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("html-page-context", edit_text, priority=900)
    app.connect("doctree-resolved", link_the_paper)
    name = os.environ.get("LABELTRANSFER_RUN")
    if name:
        shown = ShownRun(Run.of(Book(), name))
        app.connect("doctree-resolved", shown.add_to)
        app.connect("build-finished", shown.copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": False}


class ShownRun:
    """The run that the pages show: adds to each page what belongs to it, and copies the files that pages ask for."""

    def __init__(self, run: Run) -> None:
        self.run, self.book, self.record, self.data = run, run.book, run.record, run.folder / "data"
        self.copies: dict[Path, Path] = {}

    def add_to(self, app: Sphinx, doctree: nodes.document, docname: str) -> None:
        """Add links to the data of figures and the foot of the page; take away what is of simulated runs alone."""
        if not self.record.simulated:
            for part in list(doctree.findall(lambda node: _has_class(node, SIMULATED_ONLY))):
                part.parent.remove(part)
        stem = docname.rpartition("/")[2]
        for chapter in (one for one in self.book.chapters if one.stem == stem and stem in self.record.chapters):
            found = kept(self.book, chapter, self.data, *self.run.inputs)
            for name, sources in found.items():
                self._link_data(doctree, docname, name, sources)
        cost = self.record.chapters.get(stem) or {}
        for box in doctree.findall(lambda node: _has_class(node, AIMS)) if cost else ():
            box.append(_raw(html("aims", cost)))
        for place in doctree.findall(lambda node: _has_class(node, GALLERY)):
            place.append(_raw(gallery(app, self.book, "../" * docname.count("/"))))
        for part in doctree.findall(nodes.raw):
            for name in EXPLORER.findall(part.astext()):
                self.copies[Path("_static") / name] = self.data / name
        foot = provenance(self.record, stem)
        if docname == app.config.root_doc:
            others = "variants" if self.record.name == DEFAULT else ".."
            foot += f' · <a href="{"../" * docname.count("/")}{others}/index.html">other runs</a>'
        doctree.append(_raw(f'<footer class="provenance">{foot}</footer>'))

    def _link_data(self, doctree: nodes.document, docname: str, name: str, sources: list[Path]) -> None:
        """Links below a figure, or below the excerpt of the catalogue in the section of this name."""
        place = next(doctree.findall(lambda node: isinstance(node, nodes.Element) and name in node["ids"]), None)
        if place is None:
            return
        figure = next((node for node in [place, *place.findall(nodes.figure)] if isinstance(node, nodes.figure)), None)
        names = [f"{name}.csv"] if len(sources) == 1 else [f"{name}-{k + 1}.csv" for k in range(len(sources))]
        self.copies |= {DOWNLOADS / one: source for one, source in zip(names, sources, strict=True)}
        paths = ["../" * docname.count("/") + (DOWNLOADS / one).as_posix() for one in names]
        shown = _raw(html("data_links", paths, "figure" if figure is not None else "table"))
        if figure is not None:
            figure.append(nodes.legend("", shown))
            return
        tables = (node for node in place.findall(nodes.raw) if 'class="table excerpt"' in node.astext())
        for table in list(tables)[:1]:
            table.parent.insert(table.parent.index(table) + 1, shown)

    def copy_files(self, app: Sphinx, failure: Exception | None) -> None:
        """Copy the files that pages ask for from the run's data."""
        for target, source in self.copies.items():
            if not source.exists():
                raise FileNotFoundError(f"{source}: not there; run the chapter that writes it again, without --resume")
            (Path(app.outdir) / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, Path(app.outdir) / target)


def gallery(app: Sphinx, book: Book, to_root: str) -> str:
    """HTML of a small picture of each figure of the book, which links to it."""
    shown = []
    for drawing in all_drawings(book):
        page = f"book/{drawing.chapter.stem}"
        if page not in app.env.all_docs:
            continue
        figures = [one for one in app.env.get_doctree(page).findall(nodes.figure) if drawing.name in one["ids"]]
        for image in [image for figure in figures for image in figure.findall(nodes.image)][:1]:
            _, file = app.env.images[image["uri"]]
            shown.append(html("small_picture", drawing, f"{to_root}_images/{file}"))
    return "".join(shown)


def provenance(record: Record, stem: str) -> str:
    """HTML text about a run and about what one chapter of it cost."""
    cost = record.chapters.get(stem, {})
    return html("provenance", record, cost, record.made_with | cost)


def link_the_paper(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let the number that a figure has in the paper lead there."""
    for caption in doctree.findall(nodes.caption):
        for text in list(caption.findall(nodes.Text)):
            found = IN_THE_PAPER.search(text)
            if found:
                link = nodes.reference("", found[0], refuri=THE_PAPER, internal=False)
                around = nodes.Text(text[: found.start()]), nodes.Text(text[found.end() :])
                text.parent.replace(text, [around[0], link, around[1]])


def index_prose(app: Sphinx) -> None:
    """Let the search index hold what a page says, and not the code of its cells."""
    index = getattr(app.builder, "index_page", None)
    if index is None:
        return

    def index_page(pagename: str, doctree: nodes.document, title: str) -> None:
        said = doctree.deepcopy()
        for part in list(said.findall(lambda node: _has_class(node, CODE))):
            part.parent.remove(part)
        index(pagename, said, title)

    app.builder.index_page = index_page  # type: ignore[attr-defined]


def without_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out the scripts of sphinx-thebe, which is switched off: it declares its constants twice."""
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in _script(script).lower()]


def edit_text(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let the button to edit a page lead to the chapter's text: it is rendered from a notebook."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "source-edit-button":
                button["url"] = button["url"].replace(".ipynb", ".md")


def _script(script: Any) -> str:
    attributes: Mapping[str, Any] = getattr(script, "attributes", {})
    return f"{getattr(script, 'filename', script)} {attributes.get('body', '')}"


def _has_class(node: Any, name: str) -> bool:
    return isinstance(node, nodes.Element) and name in node.get("classes", ())


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")
