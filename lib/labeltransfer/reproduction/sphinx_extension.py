"""What the book adds to Sphinx: the run at the foot of a page, data below figures, and search that finds prose.

`labeltransfer build` names the run in $LABELTRANSFER_RUN; without it pages are rendered as they are.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx

from .book import Book
from .drawings import IN_THE_PAPER, all_drawings, kept
from .record import DEFAULT, Run
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
        self.run, self.record, self.data = run, run.record, run.folder / "data"
        self.copies: dict[Path, Path] = {}

    def add_to(self, app: Sphinx, doctree: nodes.document, docname: str) -> None:
        """Add links to the data of figures and the foot of the page; take away what is of simulated runs alone."""
        to_root, stem = "../" * docname.count("/"), docname.rpartition("/")[2]
        for part in [] if self.record.simulated else _of_class(doctree, SIMULATED_ONLY):
            part.parent.remove(part)
        cost = self.record.chapters.get(stem, {})
        for chapter in (one for one in self.run.book.chapters if cost and one.stem == stem):
            for name, sources in kept(self.run.book, chapter, self.data, *self.run.inputs).items():
                self._link_data(doctree, to_root, name, sources)
        for box in _of_class(doctree, AIMS) if cost else ():
            box.append(_raw(html("aims", cost)))
        for place in _of_class(doctree, GALLERY):
            place.append(_raw(gallery(app, self.run.book, to_root)))
        for part in doctree.findall(nodes.raw):
            self.copies |= {Path("_static") / name: self.data / name for name in EXPLORER.findall(part.astext())}
        list_of_runs = f"{to_root}{'variants' if self.run.name == DEFAULT else '..'}/index.html"
        others = list_of_runs if docname == app.config.root_doc else ""
        doctree.append(_raw(html("provenance", self.record, cost, self.record.made_with | cost, others)))

    def _link_data(self, doctree: nodes.document, to_root: str, name: str, sources: list[Path]) -> None:
        """Links below a figure, or below the excerpt of the catalogue in the section of this name."""
        place = next((node for node in doctree.findall(nodes.Element) if name in node["ids"]), None)
        if place is None:
            return
        names = [f"{name}.csv"] if len(sources) == 1 else [f"{name}-{k + 1}.csv" for k in range(len(sources))]
        addresses = [f"{to_root}{(DOWNLOADS / one).as_posix()}" for one in names]
        self.copies |= {DOWNLOADS / one: source for one, source in zip(names, sources, strict=True)}
        figure = next(place.findall(nodes.figure), None)
        tables = [node for node in place.findall(nodes.raw) if 'class="table excerpt"' in node.astext()]
        if figure is not None:
            figure.append(nodes.legend("", _raw(html("data_links", addresses, "figure"))))
        elif tables:
            table = tables[0]
            table.parent.insert(table.parent.index(table) + 1, _raw(html("data_links", addresses, "table")))

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
        figures = app.env.get_doctree(page).findall(nodes.figure) if page in app.env.all_docs else ()
        images = [image for one in figures if drawing.name in one["ids"] for image in one.findall(nodes.image)]
        for _, file in [app.env.images[image["uri"]] for image in images[:1]]:
            shown.append(html("small_picture", drawing, f"{to_root}_images/{file}"))
    return "".join(shown)


def link_the_paper(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let the number that a figure has in the paper lead there."""
    for text in [text for caption in doctree.findall(nodes.caption) for text in caption.findall(nodes.Text)]:
        if found := IN_THE_PAPER.search(text):
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
        for part in _of_class(said, CODE):
            part.parent.remove(part)
        index(pagename, said, title)

    app.builder.index_page = index_page


def without_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out the scripts of sphinx-thebe, which is switched off: it declares its constants twice."""

    def text(script: Any) -> str:
        return f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}".lower()

    context["script_files"] = [script for script in context.get("script_files", []) if "thebe" not in text(script)]


def edit_text(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let the button to edit a page lead to the chapter's text: it is rendered from a notebook."""
    for button in (button for group in context.get("header_buttons", []) for button in group.get("buttons", [])):
        if button.get("label") == "source-edit-button":
            button["url"] = button["url"].replace(".ipynb", ".md")


def _of_class(doctree: nodes.document, name: str) -> list[nodes.Element]:
    return [node for node in doctree.findall(nodes.Element) if name in node.get("classes", ())]


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")
