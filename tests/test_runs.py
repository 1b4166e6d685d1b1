"""Runs: chapters in order, with a record; a run that fails leaves what was there."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from labeltransfer.files.locks import only_writer
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.compare import compare_runs
from labeltransfer.reproduction.execute import ChapterFailed, environment
from labeltransfer.reproduction.record import check_name, commit, list_runs, read_record
from labeltransfer.reproduction.runs import run
from miniature_book import small_files


def edit(folder, stem, old, new):
    page = folder / "book" / f"{stem}.md"
    text = page.read_text(encoding="utf-8")
    assert old in text
    page.write_text(text.replace(old, new), encoding="utf-8")


def test_a_run_leaves_notebooks_numbers_claims_and_its_record(small_run):
    folder = small_run / "_runs" / "default"
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["simulated"] is True
    assert record["data_hash"]
    assert record["versions"]["numpy"]
    assert record["parameters"]["n_overlap"] == 100
    for stem in ("01_stars", "02_mean", "03_ledger"):
        assert nbformat.read(folder / f"{stem}.ipynb", as_version=4).cells
        assert record["chapters"][stem]["seconds"] > 0
        assert record["chapters"][stem]["peak_memory"] > 10
    content = json.loads((folder / "numbers.json").read_text())
    assert content["numbers"]["01_stars:n_stars"] == {"value": 100, "unit": "", "text": "100"}
    assert content["numbers"]["01_stars:nothing"]["value"] is None
    assert content["timings"]["02_mean:train_seconds"]["value"] == 1.0
    assert json.loads((folder / "claims.json").read_text())["claims"]


def test_a_changed_parameter_changes_what_it_should(small_copy):
    lines = []
    book = Book(small_copy)
    run(book, "clipped", {"clip_sigma": 1.0}, "1-2", take_from="default", say=lines.append)
    numbers = {
        name: json.loads((small_copy / "_runs" / name / "numbers.json").read_text())["numbers"]
        for name in ("default", "clipped")
    }
    assert numbers["default"]["01_stars:n_stars"] == numbers["clipped"]["01_stars:n_stars"]
    assert numbers["default"]["02_mean:mean"] != numbers["clipped"]["02_mean:mean"]
    assert any("02_mean" in line and " s " in line and "MB" in line for line in lines)
    shown = compare_runs(book, ["default", "clipped"]).lines()
    assert any(re.match(r"  mean .*\d .*[+-]\d", line) for line in shown)
    assert shown[-1].endswith("--all shows everything")
    listed = list_runs(book)
    assert any(line.startswith("clipped") and "clip_sigma=1.0" in line for line in listed)
    with pytest.raises(FileNotFoundError, match="there are: clipped, default"):
        compare_runs(book, ["default", "clpped"])


def test_resume_runs_only_what_has_changed(small_copy):
    book, lines = Book(small_copy), []
    run(book, "default", resume=True, say=lines.append)
    assert sum("as before" in line for line in lines) == 3
    edit(small_copy, "02_mean", "# 2 · Mean", "# 2 · The mean")
    lines.clear()
    run(Book(small_copy), "default", resume=True, say=lines.append)
    assert [line.split()[0] for line in lines if "as before" in line] == ["01_stars", "03_ledger"]


def test_what_goes_on_must_be_there(small_copy):
    with pytest.raises(FileNotFoundError, match=r"no run 'defualt'.*there are: default"):
        run(Book(small_copy), "defualt", resume=True)
    assert not (small_copy / "_runs" / "defualt").exists()


def test_a_run_keeps_its_parameters_unless_it_is_replaced(small_copy):
    book, folder, lines = Book(small_copy), small_copy / "_runs" / "v", []

    def numbers():
        return {key.split(":")[0] for key in json.loads((folder / "numbers.json").read_text())["numbers"]}

    run(book, "v", {"clip_sigma": 1.0}, "1", say=lines.append)
    assert any(line.split()[:3] == ["v", "finished", "1/3"] for line in list_runs(book))
    run(book, "v", chapters="2", resume=True, say=lines.append)
    assert numbers() == {"01_stars", "02_mean"}, "those of the chapters before stay"
    lines.clear()
    record = run(book, "v", resume=True, say=lines.append)
    assert record.parameters["clip_sigma"] == 1.0
    assert [line.split()[0] for line in lines if "as before" in line] == ["01_stars", "02_mean"]
    assert list(record.chapters) == ["01_stars", "02_mean", "03_ledger"]
    assert json.loads((folder / "claims.json").read_text())["parameters"]["clip_sigma"] == 1.0
    for given, resume in (({}, False), ({"clip_sigma": 2.0}, False), ({"clip_sigma": 2.0}, True)):
        with pytest.raises(ValueError, match=r"'v' is there with clip_sigma = 1.0, .*--resume` without -p .*--replace"):
            run(book, "v", given, resume=resume)
    assert read_record("v", small_copy) == record
    run(book, "v", {"clip_sigma": 2.0}, "1", replace=True, say=lines.append)
    assert numbers() == {"01_stars"}
    assert not (folder / "claims.json").exists(), "the ledger of other parameters"
    assert list(read_record("v", small_copy).chapters) == ["01_stars"]


def test_a_crash_names_cell_and_error_and_keeps_both_notebooks(small_copy):
    folder = small_copy / "_runs" / "default"
    before = (folder / "02_mean.ipynb").read_bytes()
    edit(small_copy, "02_mean", "plt.hist(values);", "raise ZeroDivisionError('no star left')")
    with pytest.raises(ChapterFailed, match=r"02_mean: cell \d+ .*ZeroDivisionError: no star left") as failure:
        run(Book(small_copy), "default", say=lambda line: None)
    assert "02_mean.failed.ipynb" in str(failure.value)
    assert (folder / "02_mean.ipynb").read_bytes() == before
    assert "no star left" in (folder / "02_mean.failed.ipynb").read_text()
    record = read_record("default", small_copy)
    assert record.status == "failed"
    assert "no star left" in record.failure
    assert list(record.chapters) == ["03_ledger", "01_stars"]


def test_a_kernel_that_is_killed_is_told_and_the_run_goes_on(small_copy, tmp_path):
    numbers = json.loads((small_copy / "_runs" / "default" / "numbers.json").read_text())["numbers"]
    once = tmp_path / "killed"
    killer = f"""from pathlib import Path
import os, signal
if not Path({str(once)!r}).exists():
    Path({str(once)!r}).touch()
    os.kill(os.getpid(), signal.SIGKILL)
plt.hist(values);"""
    edit(small_copy, "02_mean", "plt.hist(values);", killer)
    with pytest.raises(ChapterFailed, match=r"(?s)02_mean: stopped: .*labeltransfer run again --resume"):
        run(Book(small_copy), "again", say=lambda line: None)
    record = read_record("again", small_copy)
    assert (record.status, list(record.chapters)) == ("failed", ["01_stars"])
    assert not (small_copy / "_runs" / "again" / "02_mean.ipynb").exists()
    lines = []
    assert run(Book(small_copy), "again", resume=True, say=lines.append).status == "finished"
    assert [line.split()[0] for line in lines if "as before" in line] == ["01_stars"]
    assert json.loads((small_copy / "_runs" / "again" / "numbers.json").read_text())["numbers"] == numbers
    assert read_record("default", small_copy).status == "finished"


def test_a_kernel_that_does_not_start_gets_another_chance(small_copy, monkeypatch):
    from labeltransfer.reproduction import execute

    starts, papermill = [], execute.papermill.execute_notebook

    def busy(*arguments, **options):
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return papermill(*arguments, **options)

    monkeypatch.setattr(execute.papermill, "execute_notebook", busy)
    assert run(Book(small_copy), "busy", chapters="1", say=lambda line: None).status == "finished"
    assert len(starts) == 2


def test_a_run_has_one_writer(small_copy):
    with only_writer(small_copy / "_runs" / "default"), pytest.raises(RuntimeError, match="another run"):
        run(Book(small_copy), "default", resume=True, say=lambda line: None)


def test_a_run_that_is_interrupted_says_so_and_goes_on(small_copy, monkeypatch):
    from labeltransfer.reproduction import runs

    def interrupted(book, chapter, values, out, check):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(runs, "execute_chapter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(Book(small_copy), "stopped", chapters="1", say=lambda line: None)
    assert any(line.split()[:2] == ["stopped", "stopped"] for line in list_runs(Book(small_copy)))
    assert run(Book(small_copy), "stopped", chapters="1", resume=True, say=lambda line: None).status == "finished"


def test_a_run_that_was_killed_is_not_running(small_copy):
    sleeper = "import os, pathlib, time\npathlib.Path('kernel').write_text(str(os.getpid()))\ntime.sleep(100)\nvalues ="
    edit(small_copy, "01_stars", "values =", sleeper)
    command = [sys.executable, "-m", "labeltransfer", "run", "slow", "--chapters", "1"]
    own = {**os.environ, "LABELTRANSFER_BOOK": str(small_copy)}
    process = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    kernel = small_copy / "book" / "kernel"
    while process.poll() is None and not (kernel.exists() and kernel.read_text()):
        time.sleep(0.05)
    assert read_record("slow", small_copy).status == "running"
    process.send_signal(signal.SIGTERM)
    assert "interrupted" in process.communicate(timeout=30)[1]
    folder = small_copy / "_runs" / "slow"
    assert json.loads((folder / "run.json").read_text())["status"] == "stopped"
    assert not psutil.pid_exists(int(kernel.read_text()))
    record = read_record("slow", small_copy)
    record.status = "running"
    record.write(folder)  # what SIGKILL leaves
    with only_writer(folder):
        assert read_record("slow", small_copy).status == "running"
    assert read_record("slow", small_copy).status == "stopped"


def test_a_full_disk_hides_neither_the_place_nor_what_went_wrong(small_copy, monkeypatch):
    from labeltransfer.reproduction import runs

    with small_files(0), pytest.raises(OSError, match=r"full/run\.json"):
        run(Book(small_copy), "full", chapters="1", say=lambda line: None)

    def full(book, chapter, values, out, check):
        monkeypatch.setattr(runs.Record, "write", no_room)
        raise ChapterFailed("01_stars: cell 3 failed")

    def no_room(record, folder):
        raise OSError(28, "No space left on device", str(folder / "run.json"))

    monkeypatch.setattr(runs, "execute_chapter", full)
    with pytest.raises(ChapterFailed, match=r"01_stars: cell 3 failed\n.*labeltransfer run full --resume"):
        run(Book(small_copy), "full", chapters="1", say=lambda line: None)
    assert read_record("full", small_copy).status == "stopped"
    monkeypatch.setattr(runs, "execute_chapter", lambda *arguments, check: no_room(None, small_copy))
    with pytest.raises(OSError, match=r"No space left.*labeltransfer run default --resume` goes on.*run\.json"):
        run(Book(small_copy), "default", say=lambda line: None)


@pytest.mark.parametrize(
    ("given", "chapters", "message"),
    [
        ({"clip_sgima": 2.0}, None, "did you mean 'clip_sigma'"),
        ({"clip_sigma": 0.0}, None, "range 1 to 100"),
        ({"n_folds": 4}, None, "no chapter of this book declares it"),
        ({}, "7", "no chapter '7'"),
        ({}, "", "chapters '': found '', wanted for example"),
        ({}, "1-", "chapters '1-': found '1-', wanted for example"),
        ({"run": "other"}, None, "parameter run: found 'other', but the name of the run is given by itself: 'wrong'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(small_run, given, chapters, message):
    with pytest.raises(ValueError, match=message):
        run(Book(small_run), "wrong", given, chapters)
    assert not (small_run / "_runs" / "wrong").exists()


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "a/b"])
def test_names_of_runs_are_plain(name):
    with pytest.raises(ValueError, match="run name"):
        check_name(name)


def test_damaged_and_older_records_are_named(small_copy):
    path = small_copy / "_runs" / "default" / "run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format_version": 0}))
    with pytest.raises(ValueError, match="format version 0"):
        read_record("default", small_copy)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match=r"run\.json: not a readable record"):
        read_record("default", small_copy)
    (small_copy / "_runs" / "good").mkdir()
    (small_copy / "_runs" / "good" / "run.json").write_text(json.dumps({**content, "name": "renamed"}))
    chapters = {"01_stars": {"peak_memory": 1, "key": "a"}}
    for bad, message in (([], "whole file: [] is not of type 'object'"),
                         ({**content, "parameters": None}, "parameters: None is not of type 'object'"),
                         ({**content, "chapters": chapters}, "01_stars: 'seconds' is a required property"),
                         ({**content, "colour": 1}, "colour"),
                         ({**content, "chapters": {"01_stars": 3}}, "01_stars: 3 is not of type")):  # fmt: skip
        path.write_text(json.dumps(bad))
        damaged, good = list_runs(Book(small_copy))
        assert damaged.startswith(f"{path}: not a readable record")
        assert message in damaged
        assert "labeltransfer run default --replace" in damaged
        assert good.startswith("good ")
    with pytest.raises(ValueError, match="not a readable record"):
        run(Book(small_copy), "default", resume=True)


def test_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("LABELTRANSFER_TEST", "before")
    monkeypatch.delenv("LABELTRANSFER_TEST_2", raising=False)
    with environment(LABELTRANSFER_TEST="during", LABELTRANSFER_TEST_2="during"):
        assert os.environ["LABELTRANSFER_TEST"] == "during"
    assert os.environ["LABELTRANSFER_TEST"] == "before"
    assert "LABELTRANSFER_TEST_2" not in os.environ


def test_commit_outside_git_is_empty(tmp_path):
    assert commit(tmp_path) == ""
