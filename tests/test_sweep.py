"""Sweeps and comparisons: many runs, what they share computed once, their numbers side by side."""

import json
import os
import subprocess
import sys
import time
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest

from labeltransfer.command import main
from labeltransfer.evidence.verdicts import Spread
from labeltransfer.reproduction import execute as schedule
from labeltransfer.reproduction import sweep as sweeping
from labeltransfer.reproduction.book import Book, project_root
from labeltransfer.reproduction.compare import SCREEN, Comparison, NumberRow, compare_runs
from labeltransfer.reproduction.record import Run, read_record
from labeltransfer.reproduction.runs import run
from labeltransfer.reproduction.sweep import collect, read_sweep, run_sweep

SWEEP = "name: cuts\nbase: {n_overlap: 60}\nruns: [{clip_sigma: 1.0}]\ngrid: {seed: [1, 2]}\n"


@pytest.fixture
def sweep_file(tmp_path):
    def write(text):
        path = tmp_path / "sweep.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_sweep_file_names_its_runs(small_run, sweep_file):
    sweep = read_sweep(sweep_file(SWEEP), Book(small_run))
    assert sweep.runs == {
        "cuts-base": {"n_overlap": 60},
        "cuts-clip_sigma-1.0": {"n_overlap": 60, "clip_sigma": 1.0},
        "cuts-seed-1": {"n_overlap": 60, "seed": 1},
        "cuts-seed-2": {"n_overlap": 60, "seed": 2},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nrnus: []\n", r"sweep.yml: unknown entry 'rnus'; did you mean 'runs'"),
        ("name: a\nruns: [{clip_sgima: 2.0}]\n", "did you mean 'clip_sigma'"),
        ("name: a\nruns: [{clip_sigma: 0.0}]\n", "range 1 to 100"),
        ("name: a\nruns: [{n_overlap: many}]\n", "found 'many', wanted int"),
        ("name: a\nruns: {clip_sigma: 2.0}\n", r"sweep.yml: sweep: runs: .*is not of type 'array'"),
        ("name: a\ngrid: {clip_sigma: 2.0}\n", r"grid.clip_sigma: 2.0 is not of type 'array'"),
        ("name: a\ngrid: {clip_sigma: []}\n", "grid.clip_sigma"),
        ("name: a\nbase: 3\n", "base: 3 is not of type 'object'"),
        ("name: a\n", "nothing to vary"),
        ("runs: [{clip_sigma: 2.0}]\n", "'name' is a required property"),
        ("name: ../up\nruns: [{clip_sigma: 2.0}]\n", "run name"),
        ("name: a\nchapters: 7\nruns: [{clip_sigma: 2.0}]\n", "no chapter '7'"),
        ("- 1\n", "found list"),
        ("name: a\nruns: [{seed: 1, seed: 2}]\n", "seed stands twice"),
        ("name: a\nname: b\n", "name stands twice"),
        ("name: a\nruns: [{seed: 010}]\n", "found 010, wanted a number without leading zeros"),
        ("name: a\nbase: {run: b}\nruns: [{seed: 1}]\n", "parameter 'run'"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_sweep_file_is_refused_before_anything_runs(small_run, sweep_file, text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        read_sweep(sweep_file(text), Book(small_run))


def test_folders_can_be_varied(sweep_file):
    book, base = Book(project_root()), "name: a\nbase: {source: folder, survey_dir: old}\n"
    sweep = read_sweep(sweep_file(base + "grid: {survey_dir: [/data/New one, ../b]}\n"), book)
    assert list(sweep.runs) == ["a-base", "a-survey_dir-data_New_one", "a-survey_dir-.._b"]
    with pytest.raises(ValueError, match="two runs would be called 'a-survey_dir-c_d'"):
        read_sweep(sweep_file(base + "grid: {survey_dir: [c/d, c_d]}\n"), book)


def test_as_many_runs_at_a_time_as_memory_holds(small_copy, monkeypatch):
    class Memory:
        available = 10e9

    monkeypatch.setattr(schedule.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(schedule, "available_cores", lambda: 64)
    assert sweeping._memory_of(Book(small_copy), "nothing") is None
    assert schedule.room() == int(10e9 / (1.2 * schedule.MEMORY_OF_A_CHAPTER))
    record = read_record("default", small_copy)
    for peak_memory, wanted in ((1000, 8), (100_000, 1)):
        record.chapters["02_mean"]["peak_memory"] = peak_memory
        record.write(small_copy / "_runs" / "default")
        assert schedule.room(sweeping._memory_of(Book(small_copy), "default")) == wanted


def test_a_base_without_a_record_stops_no_other_run(small_copy, sweep_file, monkeypatch, capsys):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_copy))
    (small_copy / "_runs" / "s-base").mkdir()
    (small_copy / "_runs" / "s-base" / "run.json").write_text("[]")
    assert main(["sweep", str(sweep_file("name: s\nchapters: 1\nruns: [{seed: 3}]\n")), "--workers", "1"]) == 3
    shown = capsys.readouterr()
    assert "s-base: labeltransfer run: " in shown.err
    assert "1 of 2 runs finished" in shown.out
    assert "compare" not in shown.out
    assert read_record("s-seed-3", small_copy).status == "finished"


def test_a_sweep_file_that_is_not_there(small_run, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; wanted a sweep"):
        read_sweep(tmp_path / "none.yml", Book(small_run))


def test_the_sweeps_that_come_with_the_book_can_be_read():
    root = project_root()
    for path in sorted((root / "sweeps").glob("*.yml")):
        assert len(read_sweep(path, Book(root)).runs) > 2


def test_a_sweep_computes_once_what_its_runs_share_and_one_failure_stops_nothing(small_copy, sweep_file):
    page = small_copy / "book" / "02_mean.md"
    broken = "assert chapter.parameters.clip_sigma != 2.0\nvalues = chapter.load("
    page.write_text(page.read_text(encoding="utf-8").replace("values = chapter.load(", broken), encoding="utf-8")
    book, lines = Book(small_copy), []
    sweep = read_sweep(sweep_file("name: cuts\nchapters: 1-2\nruns: [{clip_sigma: 2.0}, {clip_sigma: 1.0}]\n"), book)
    outcomes = run_sweep(book, sweep, workers=2, say=lines.append)
    assert outcomes["cuts-base"] == outcomes["cuts-clip_sigma-1.0"] == ""
    assert "02_mean" in outcomes["cuts-clip_sigma-2.0"]
    assert "AssertionError" in outcomes["cuts-clip_sigma-2.0"]
    assert [name for name, why in outcomes.items() if not why] == ["cuts-base", "cuts-clip_sigma-1.0"]
    record = read_record("cuts-clip_sigma-1.0", small_copy)
    assert record.chapters["01_stars"]["taken_from"] == "cuts-base"
    assert "taken_from" not in record.chapters["02_mean"]
    times = [one["finished"] for one in record.chapters.values()]
    run_sweep(book, sweep, workers=1, say=lines.append)
    again = read_record("cuts-clip_sigma-1.0", small_copy)
    assert [one["finished"] for one in again.chapters.values()] == times, "what is finished stays as it is"


def test_a_run_takes_from_another_what_has_the_same_inputs(small_copy):
    book, lines = Book(small_copy), []
    run(book, "same", take_from="default", say=lines.append)
    assert sum("from default" in line for line in lines) == 3
    folders = [small_copy / "_runs" / name for name in ("default", "same")]
    for name in ("numbers.json", "claims.json", "02_mean.ipynb"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    lines.clear()
    run(book, "other", {"seed": 5}, take_from="default", say=lines.append)
    assert not any("from default" in line for line in lines)
    with pytest.raises(FileNotFoundError, match="no run 'defualt'"):
        run(book, "third", take_from="defualt")
    assert not (small_copy / "_runs" / "third").exists()


def test_a_comparison_is_text_json_and_a_page_of_its_own(small_copy, tmp_path):
    book = Book(small_copy)
    run(book, "clipped", {"clip_sigma": 1.0, "n_overlap": 50}, "1", say=lambda line: None)
    found = compare_runs(book, ["default", "clipped"])
    rows = {row.number: row for row in found.rows}
    stars = rows["01_stars:n_stars"]
    assert (stars.values, stars.differences, stars.difference_texts()) == ((100, 50), (0, -50), ("+0 %", "-50 %"))
    assert rows["01_stars:nothing"].differences == (None, None)
    content = json.loads(found.write_json(tmp_path / "c.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in content["runs"]] == ["default", "clipped"]
    page = found.write_html(tmp_path / "c.html").read_text(encoding="utf-8")
    assert "Simulated data" in page
    assert "<td>clip_sigma</td><td>4.0</td><td>1.0</td>" in page
    assert "http" not in page
    ElementTree.fromstring(page[page.index("<main>") : page.index("</main>") + 7])


def test_tolerances_are_those_of_the_ledger(small_copy):
    path = small_copy / "_runs" / "default" / "numbers.json"
    content = json.loads(path.read_text())
    content["numbers"]["02_training:n_clipped"] = {"value": 428, "unit": "", "text": "428"}
    path.write_text(json.dumps(content))
    run(Book(small_copy), "other", take_from="default", say=lambda line: None)
    other = small_copy / "_runs" / "other" / "numbers.json"
    content["numbers"]["02_training:n_clipped"] = {"value": 490, "unit": "", "text": "490"}
    other.write_text(json.dumps(content))
    row = next(one for one in compare_runs(Book(small_copy), ["default", "other"]).rows if one.tolerance)
    assert (row.tolerance, row.difference_texts()) == (62, ("+0.0 × tolerance", "+1.0 × tolerance"))


def row_of(*texts, number="01_stars:x", unit="dex", tolerance=None, spread=None):
    values = tuple(None if text == "-" else float(text.replace(",", "")) for text in texts)
    return NumberRow(number, unit, values, texts, tolerance, spread)


@pytest.mark.parametrize(
    ("row", "matters", "text"),
    [
        (row_of("0.100", "0.101"), False, "+1 %"),
        (row_of("0.100", "0.120"), True, "+20 %"),
        (row_of("0.001", "0.015"), True, "+0.014"),  # near zero, +1400 % says nothing
        (row_of("0.000", "0.001"), False, "+0.001"),
        (row_of("10,000", "10,100", unit=""), False, "+1 %"),
        (row_of("10,000", "10,400", unit=""), True, "+4 %"),
        (row_of("3", "7", unit=""), False, "+4"),
        (row_of("3", "12", unit=""), True, "+9"),
        (row_of("5", "6", unit="%"), False, "+1"),
        (row_of("70.0", "80.0", tolerance=17.2, unit="K"), False, "+0.6 × tolerance"),
        (row_of("70.0", "90.0", tolerance=17.2, unit="K"), True, "+1.2 × tolerance"),
        (row_of("70.0", "90.0", spread=11.0, unit="K"), False, "+29 %"),
        (row_of("70.0", "95.0", spread=11.0, unit="K"), True, "+36 %"),
        (row_of("-", "95.0"), True, ""),
    ],
)
def test_a_number_matters_if_it_changed_by_more_than_chance(row, matters, text):
    assert row.matters == matters
    assert row.difference_texts()[1] == text


def test_a_comparison_is_a_screen_grouped_by_chapter_unless_everything_is_asked_for(small_run):
    default = Run.of(Book(small_run), "default")
    rows = [row_of("1.00", "2.00", number=f"0{1 + k // 40}_stars:x{k}") for k in range(80)]
    rows += [row_of("1.00", "1.00", number="03_mean:same")]
    found = Comparison((default, default), tuple(rows))
    short, long = found.lines(), found.lines(everything=True)
    assert len(short) <= SCREEN
    assert short[1] == "01_stars:"
    assert any("more numbers that changed" in line for line in short)
    assert "1 numbers differ by no more" in short[-1]
    assert sum(line.startswith("  x") for line in long) == 80
    assert any(line.startswith("  same") for line in long)


def test_numbers_of_a_sweep_are_gathered_and_their_spread_counts(small_copy, sweep_file):
    book, lines = Book(small_copy), []
    file = sweep_file("name: seeds\nchapters: 1-2\nruns: [{seed: 1}, {seed: 2}]\n")
    sweep = read_sweep(file, book)
    with pytest.raises(FileNotFoundError, match="no run 'seeds-base'"):
        collect(book, sweep, file.with_suffix(".json"))
    run_sweep(book, sweep, workers=2, say=lines.append)
    content = json.loads(collect(book, sweep, file.with_suffix(".json")).read_text())
    means = [
        json.loads((small_copy / "_runs" / name / "numbers.json").read_text())["numbers"]["02_mean:mean"]["value"]
        for name in sweep.runs
    ]
    found = content["numbers"]["02_mean:mean"]
    assert (found["mean"], found["sd"], found["n"]) == pytest.approx((np.mean(means), np.std(means, ddof=1), 3))
    assert "seed" not in content["parameters"]
    assert content["parameters"]["n_overlap"] == 100
    spread = Spread.read(file.with_suffix(".json"), {"n_overlap": 100, "seed": 5})
    assert spread.of("02_mean:mean") == pytest.approx(found["sd"])
    assert Spread.read(file.with_suffix(".json"), {"n_overlap": 60}).of("02_mean:mean") == 0, "of another survey"


def test_runs_that_cannot_be_compared_are_named(small_copy):
    folder = small_copy / "_runs" / "default"
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "running"}))
    with pytest.raises(ValueError, match=r"'default': it was stopped\n`labeltransfer run default --resume`"):
        compare_runs(Book(small_copy), ["default"])
    (folder / "run.json").write_text(json.dumps(record))
    for damaged in ("{", "[]", '{"numbers": {}}', '{"format_version": 0, "numbers": {}}'):
        (folder / "numbers.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"numbers\.json: not readable"):
            compare_runs(Book(small_copy), ["default"])


def test_the_commands(small_copy, sweep_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_copy))
    assert main(["sweep", str(sweep_file("name: s\nchapters: 1\nruns: [{seed: 1}]\n")), "--workers", "1"]) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out
    assert main(["compare", "s-base", "s-seed-1", "--json", str(tmp_path / "c.json")]) == 0
    assert "written:" in capsys.readouterr().out
    assert main(["sweep", str(sweep_file("nmae: s\n"))]) == 2
    assert "did you mean 'name'" in capsys.readouterr().err
    assert main(["sweep", str(sweep_file(SWEEP)), "--workers", "0"]) == 2


def test_a_sweep_that_is_killed_leaves_no_process(small_copy, sweep_file):
    page = small_copy / "book" / "01_stars.md"
    sleeper = "import os, pathlib, time\npathlib.Path('kernel').write_text(f'{os.getpid()} {os.getppid()}')\n"
    text = page.read_text(encoding="utf-8").replace("values =", sleeper + "time.sleep(300)\nvalues =", 1)
    page.write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "labeltransfer.reproduction.sweep",
        str(sweep_file("name: s\nruns: [{seed: 1}]\n")),
    ]
    environment = {**os.environ, "LABELTRANSFER_BOOK": str(small_copy)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kernel = small_copy / "book" / "kernel"
    try:
        while process.poll() is None and len((kernel.read_text() if kernel.exists() else "").split()) < 2:
            time.sleep(0.1)
        children = [int(one) for one in kernel.read_text().split()]
    finally:
        process.kill()
        process.wait()
    for _ in range(600):
        left = [one for one in children if psutil.pid_exists(one) and psutil.Process(one).status() != "zombie"]
        if not left:
            break
        time.sleep(0.1)
    assert not left


def test_a_folder_in_the_place_of_a_sweep_file(tmp_path, capsys):
    assert main(["sweep", str(tmp_path)]) == 2
    assert f"{tmp_path}: a folder, wanted the file of a sweep" in capsys.readouterr().err
