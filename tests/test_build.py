"""Pages: exactly one run, executed once, with its provenance at the foot."""

import errno
import json
from types import SimpleNamespace

import nbformat
import pytest
from docutils.utils import new_document

from labeltransfer.files.locks import only_writer
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.build import _put_in_place, banner, build
from labeltransfer.reproduction.record import Run, read_record
from labeltransfer.reproduction.runs import run
from labeltransfer.reproduction.sphinx_extension import ShownRun, edit_text
from miniature_book import small_files


def article(page):
    text = page.read_text(encoding="utf-8")
    return text[text.index("<article") : text.rindex("</article>")]


def test_pages_show_the_run(small_copy):
    # Outputs that no execution would give: if they are on the page, the page shows the run.
    path = small_copy / "_runs" / "default" / "02_mean.ipynb"
    text = path.read_text()
    number = json.loads((small_copy / "_runs" / "default" / "numbers.json").read_text())["numbers"]["02_mean:mean"]
    path.write_text(text.replace(number["text"].lstrip("-"), "98.765"))
    pages = build(Book(small_copy)).parent
    shown = article(pages / "book" / "02_mean.html")
    assert "The mean is" in shown
    assert shown.count("Parameters and imports") == 1
    assert shown.count("98.765") >= 2
    words = json.loads((pages / "searchindex.js").read_text()[len("Search.setIndex(") : -1])["terms"]
    assert "histogram" not in words or "plt" not in words, "code is not searched"
    assert "page" in words
    assert 'alt="Histogram of the values."' in shown
    assert 'class="ledger"' in article(pages / "book" / "03_ledger.html")
    assert "the first chapter found" in article(pages / "book" / "index.html")
    foot = article(pages / "book" / "01_stars.html").split('<footer class="provenance">')[1]
    assert "default" in foot
    assert "this chapter:" in foot
    assert "simulated" in foot


def test_any_run_becomes_a_book_with_a_banner(small_copy):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(
        page.read_text().replace("The mean is", "Of {glue:text}`03_ledger.md::n_claims:s` claims: the mean is")
    )
    book = Book(small_copy)
    record = run(book, "part", {"n_overlap": 60}, "1-2", say=lambda line: None)
    record.status, record.failure = "failed", "03_ledger: cell 2 ('a') failed: ValueError: no `star`\nthe notebook"
    record.write(small_copy / "_runs" / "part")
    pages = build(book, "part").parent
    whole = (pages / "book" / "01_stars.html").read_text(encoding="utf-8")
    assert "n_overlap = 60" in whole
    assert "failed before its end, simulated data" in whole
    assert "Of n/a claims" in article(pages / "book" / "02_mean.html"), "a number of a chapter that did not run"
    absent = article(pages / "book" / "03_ledger.html")
    assert "This run did not execute this chapter" in absent
    assert "ValueError: no 'star'" in absent
    assert pages == small_copy / "_build" / "html" / "variants" / "part"
    assert not (small_copy / "_build" / "html" / "index.html").exists()
    first = pages / "book" / "index.html"
    assert 'href="../../index.html"' in first.read_text(encoding="utf-8")
    listed = (first.parent / "../../index.html").read_text(encoding="utf-8")
    assert 'href="part/index.html"' in listed
    assert "../book/index.html" not in listed, "there is no default run to lead to"


def test_variants_are_listed_on_the_first_page_of_the_book_and_travel_with_it(small_copy):
    book = Book(small_copy)
    run(book, "other", {"n_overlap": 60}, say=lambda line: None)
    build(book, "other")
    record = read_record("default", small_copy)
    record.parameters["n_folds"] = 4  # of no chapter, so that nothing else changes
    record.write(small_copy / "_runs" / "default")
    first = build(book).parent / "book" / "index.html"
    variant = first.parents[1] / "variants" / "other" / "book" / "index.html"
    assert variant.exists(), "it stays when the book is rendered again"
    build(book, "other")
    assert first.read_text(encoding="utf-8").count('href="../variants/index.html"') == 1
    assert variant.read_text(encoding="utf-8").count('href="../../index.html"') == 1
    listed = (first.parents[1] / "variants" / "index.html").read_text(encoding="utf-8")
    assert listed.count('href="other/index.html"') == 1
    assert "n_overlap = 60" in (first.parents[1] / "variants" / "other" / "book" / "01_stars.html").read_text("utf-8")
    own = (first.parent / "01_stars.html").read_text(encoding="utf-8")
    assert "n_overlap = 60" not in own
    assert "simulated data: n_folds = 4" in own, "the main book has a banner if its parameters are not the default"


def test_code_that_changed_since_the_run_is_not_shown_as_if_it_had_run(small_copy):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(page.read_text().replace("plt.hist(values);", "plt.plot(values);"))
    with pytest.raises(ValueError, match=r"02_mean\.ipynb: the chapter's code has changed"):
        build(Book(small_copy))


def test_a_warning_stops_the_build_and_is_told(small_copy):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(page.read_text().replace("{numref}`fig-values`", "{numref}`fig-valuse`"))
    with pytest.raises(RuntimeError, match="fig-valuse"):
        build(Book(small_copy))


def test_a_warning_printed_by_a_cell_stops_the_build(small_copy):
    path = small_copy / "_runs" / "default" / "02_mean.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.source == "plt.hist(values);")
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="RuntimeWarning: mean of empty slice"))
    nbformat.write(notebook, path)
    with pytest.raises(RuntimeError, match="stderr"):
        build(Book(small_copy))


def test_what_stops_the_build_leaves_the_pages_of_before(small_copy, monkeypatch):
    from labeltransfer.reproduction import build as building

    book = Book(small_copy)
    pages = build(book).parent
    before = {path: path.read_bytes() for path in pages.rglob("*") if path.is_file()}

    def full(run, out):
        (out / "_build" / "html" / "book").mkdir(parents=True)
        (out / "_build" / "html" / "book" / "index.html").write_text("half a pa", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device", str(out))

    with monkeypatch.context() as patched:
        patched.setattr(building, "_render", full)
        with pytest.raises(OSError, match=r"No space left.*pages that were there before.*make room.*rendering-default"):
            build(book)
    page = small_copy / "book" / "02_mean.md"
    text = page.read_text()
    page.write_text(text.replace("{numref}`fig-values`", "{numref}`fig-valuse`"))
    with pytest.raises(RuntimeError, match="fig-valuse"):
        build(book)
    assert {path: path.read_bytes() for path in pages.rglob("*") if path.is_file()} == before
    page.write_text(text)
    assert "half a pa" not in (build(book).parent / "book" / "index.html").read_text(encoding="utf-8")


def test_runs_that_cannot_be_shown(small_copy):
    book = Book(small_copy)
    with pytest.raises(FileNotFoundError, match="no run 'defualt'"):
        build(book, "defualt")
    with pytest.raises(ValueError, match="run name 'default/'"):
        build(book, "default/")
    folder = small_copy / "_runs" / "default"
    executed = (folder / "02_mean.ipynb").read_text()
    for damaged in ("{}", "[]", executed[:400]):
        (folder / "02_mean.ipynb").write_text(damaged)
        with pytest.raises(ValueError, match=r"02_mean\.ipynb: not a notebook .*`labeltransfer run default` makes it"):
            build(book)
    (folder / "02_mean.ipynb").write_text(executed)
    record = read_record("default", small_copy)
    record.parameters["seed"] = 5
    record.write(folder)
    with pytest.raises(ValueError, match=r"01_stars\.ipynb: the chapter's code has changed"):
        build(book)
    for status, message in (("running", "was stopped"), ("stopped", "was stopped"), ("failed", "cell 3 failed")):
        record.status, record.failure = status, "02_mean: cell 3 failed" * (status == "failed")
        record.write(folder)
        with pytest.raises(ValueError, match=f"{message}\n`labeltransfer run default --resume` goes on"):
            build(book)
    record.status = "finished"
    record.write(folder)
    (folder / "03_ledger.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="has no 03_ledger"):
        build(book)


def test_only_a_full_disk_asks_for_room(small_run, monkeypatch):
    from labeltransfer.reproduction import build as building

    for number, wanted in ((errno.ENOSPC, "so make room and build again"), (errno.EACCES, "so build again")):

        def failing(*arguments, number=number):
            raise OSError(number, "no")

        monkeypatch.setattr(building, "_render", failing)
        with pytest.raises(OSError, match=wanted):
            build(Book(small_run))


def test_one_process_renders_at_a_time(small_run):
    with only_writer(small_run / "_build"), pytest.raises(RuntimeError, match="is writing here; wait for it"):
        build(Book(small_run))


def test_no_room_for_the_copy_names_the_place(small_copy):
    with small_files(0), pytest.raises(OSError, match=r"File too large.*rendering-default"):
        build(Book(small_copy))


@pytest.mark.parametrize("stopped", ["before", "after"])
def test_variants_outlive_a_build_that_was_killed(tmp_path, stopped):
    finished, aside = tmp_path / "html", tmp_path / ".html.before"
    for folder in [aside, finished][: 1 if stopped == "before" else 2]:
        (folder / "book").mkdir(parents=True)
    (aside / "variants" / "wide").mkdir(parents=True)
    for number in range(2):
        pages = tmp_path / "new"
        (pages / f"pages{number}").mkdir(parents=True)
        _put_in_place(pages, finished)
        assert {path.name for path in finished.iterdir()} == {f"pages{number}", "variants"}
        assert (finished / "variants" / "wide").is_dir()
        assert not aside.exists()


def foot(run, stem):
    """What stands below a page of a run."""
    page = new_document("page")
    ShownRun(run).add_to(SimpleNamespace(config=SimpleNamespace(root_doc="book/index")), page, f"book/{stem}")
    return page[-1].astext()


def test_a_chapter_tells_the_versions_that_it_ran_with(small_run):
    default = Run.of(Book(small_run), "default")
    default.record.commit, default.record.chapters["02_mean"]["commit"] = "new", "old"
    assert "commit <code>old</code>" in foot(default, "02_mean")
    assert "commit <code>new</code>" in foot(default, "index")


def test_banner_and_provenance_are_plain_html(small_run):
    default = Run.of(Book(small_run), "default")
    default.record.data = "<script>"
    assert "&lt;script&gt;" in foot(default, "02_mean")
    default.record.parameters["survey_dir"] = "<b>"
    assert "&lt;b&gt;" in banner(default)


def test_the_button_to_edit_a_page_leads_to_its_text():
    edit, issue = (
        {"label": f"source-{kind}-button", "url": "https://x.org/edit/main/book/02_mean.ipynb"}
        for kind in ("edit", "issue")
    )
    edit_text(
        None, "book/02_mean", "page.html", {"header_buttons": [{"label": "print"}, {"buttons": [edit, issue]}]}, None
    )
    assert edit["url"].endswith("edit/main/book/02_mean.md")
    assert issue["url"].endswith(".ipynb")
