"""Text and twins: one way, byte for byte, with the outputs of checked cells alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.execute import ChapterFailed, NumbersDiffer
from labeltransfer.reproduction.runs import run
from labeltransfer.reproduction.sync import CHECKED, checked_outputs, printed, read_notebook, sync

ROOT = Path(__file__).resolve().parents[1]


def test_twins_hold_the_numbers_and_nothing_else(small_run):
    for chapter in Book(small_run).chapters:
        notebook = nbformat.read(chapter.path.with_suffix(".ipynb"), as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            checked = CHECKED in cell.metadata.get("tags", [])
            assert bool(cell.outputs) == checked
            assert (cell.execution_count is not None) == checked
        assert [cell.id for cell in notebook.cells] == [f"{chapter.stem}-{i:02d}" for i in range(len(notebook.cells))]


def test_sync_twice_changes_nothing(small_copy):
    assert sync(Book(small_copy), check=True).complaints == []
    assert sync(Book(small_copy)).written == []


def test_a_text_that_was_edited_is_noticed_and_written_with_its_numbers(small_copy):
    page = small_copy / "book" / "01_stars.md"
    page.write_text(page.read_text().replace("There are", "We count"))
    twin = page.with_suffix(".ipynb")
    before = twin.read_text()
    found = sync(Book(small_copy), check=True)
    assert "01_stars.ipynb: is not what its text gives" in found.complaints[0]
    assert twin.read_text() == before
    assert [path.name for path in sync(Book(small_copy)).written] == ["01_stars.ipynb"]
    assert "n_stars" in printed(next(iter(checked_outputs(twin).values())))


def test_a_twin_changed_by_hand_is_put_back(small_copy):
    twin = small_copy / "book" / "02_mean.ipynb"
    before = twin.read_text()
    content = json.loads(before)
    content["cells"][0]["source"] = ["# Something else"]
    twin.write_text(json.dumps(content))
    assert sync(Book(small_copy), check=True).complaints
    sync(Book(small_copy))
    assert twin.read_text() == before


def test_a_checked_cell_without_numbers_is_a_complaint(small_copy):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(page.read_text().replace('chapter.key_numbers("mean")', 'chapter.key_numbers("mean", "mean")'))
    found = sync(Book(small_copy))
    assert "checked cell 3 has no numbers yet" in found.complaints[0]


def test_accepting_a_run_shows_what_changes(small_copy):
    run = small_copy / "_runs" / "default" / "02_mean.ipynb"
    notebook = nbformat.read(run, as_version=4)
    for cell in notebook.cells:
        if CHECKED in cell.metadata.get("tags", []):
            cell.outputs[-1].text = cell.outputs[-1].text.replace("0.", "9.")
    nbformat.write(notebook, run)
    found = sync(Book(small_copy), accept=small_copy / "_runs" / "default")
    changed = [line for line in found.differences if line.startswith(("-mean", "+mean"))]
    assert len(changed) == 2
    assert "9." in changed[1]
    assert [path.name for path in found.written] == ["02_mean.ipynb"]


def test_a_chapter_missing_from_the_accepted_run_keeps_its_numbers(small_copy):
    (small_copy / "_runs" / "default" / "02_mean.ipynb").unlink()
    found = sync(Book(small_copy), accept=small_copy / "_runs" / "default")
    assert "stay as they were" in found.complaints[0]
    assert not found.written


def test_a_damaged_twin_is_named(small_copy):
    (small_copy / "book" / "02_mean.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"02_mean\.ipynb: not a notebook"):
        sync(Book(small_copy))


def test_nbval_passes_accepted_numbers_and_finds_one_changed_digit(small_copy):
    book, told = Book(small_copy), []
    run(book, "default", check=True, say=told.append)
    shown = read_notebook(small_copy / "_runs" / "default" / "02_mean.ipynb", "").cells
    assert all(cell.execution_count for cell in shown if cell.cell_type == "code")
    assert any("image/png" in output.get("data", {}) for cell in shown for output in cell.get("outputs", []))
    twin = small_copy / "book" / "02_mean.ipynb"
    text = printed(next(iter(checked_outputs(twin).values())))
    digit = text.split()[1][-1]
    changed = text.replace(text.split()[1], text.split()[1][:-1] + str((int(digit) + 1) % 10))
    content = twin.read_text()
    assert json.dumps(text)[1:-1] in content
    twin.write_text(content.replace(json.dumps(text)[1:-1], json.dumps(changed)[1:-1]))
    told.clear()
    with pytest.raises(NumbersDiffer, match=r"(?s)02_mean: numbers are not the accepted ones.*::Cell 3"):
        run(book, "default", check=True, resume=True, say=told.append)
    assert [line.split() for line in told if "02_mean" in line] == [["02_mean", "numbers", "differ"]]
    assert any(line.split() == ["01_stars", "as", "before"] for line in told)


def test_a_chapter_that_fails_under_nbval_is_named_with_its_error(small_copy):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(page.read_text().replace('chapter.key_numbers("mean")', 'chapter.key_numbers("mean"); 1 / 0'))
    sync(Book(small_copy))
    with pytest.raises(ChapterFailed, match=r"(?s)02_mean: nbval could not execute it:.*ZeroDivisionError"):
        run(Book(small_copy), "default", check=True, resume=True, say=lambda line: None)


def test_accepted_numbers_are_those_of_the_default_parameters(small_copy):
    with pytest.raises(ValueError, match="--check: accepted are the numbers of the run `default`"):
        run(Book(small_copy), "other", {"n_overlap": 50}, check=True)


def test_a_twin_runs_under_plain_papermill_from_anywhere(small_copy, tmp_path):
    command = [sys.executable, "-m", "papermill", str(small_copy / "book" / "02_mean.ipynb"), "out.ipynb"]
    command += ["-p", "clip_sigma", "1", "-p", "run", "plain", "--no-progress-bar"]
    environment = {**os.environ, "LABELTRANSFER_BOOK": str(small_copy)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = (tmp_path / "out.ipynb").read_text()
    assert "01_stars has not run with these parameters yet" in shown
    assert list((small_copy / "_runs" / "plain" / "data").glob("numbers_02_mean-*.json"))
