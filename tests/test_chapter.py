"""What a chapter sees: parameters, results of earlier chapters, numbers."""

import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

from labeltransfer import Labels
from labeltransfer.evidence.numbers import Number, read_numbers
from labeltransfer.reproduction import open_chapter
from labeltransfer.reproduction.book import Book, declared, read_cells
from labeltransfer.reproduction.numbers import table

DEFAULT = {"run": "default", "n_overlap": 100, "clip_sigma": 4.0, "seed": 2017}


def test_code_cells_with_both_ways_to_write_options():
    text = (
        "# T\n\n```{code-cell} ipython3\n:tags: [a, b]\n\nx = 1\n```\n\n"
        "```{code-cell} ipython3\n---\ntags: [c]\nmystnb:\n  image: {alt: A}\n---\ny = 2\n```\n\n"
        "```{code-cell} ipython3\nz = 3\n```\n\n```python\nno = 4\n```\n"
    )
    first, second, third = [cell for cell in read_cells(text) if cell.is_code]
    assert (first.tags, first.source) == (("a", "b"), "x = 1")
    assert (second.tags, second.source) == (("c",), "y = 2")
    assert second.options["mystnb"]["image"]["alt"] == "A"
    assert (third.tags, third.source) == ((), "z = 3")


def test_a_parameters_cell_holds_nothing_else():
    cells = read_cells("```{code-cell} ipython3\n:tags: [parameters]\n\nx: int = 1\ny = 2\n```\n")
    with pytest.raises(ValueError, match="y = 2"):
        declared(cells)


def test_the_book_knows_who_makes_and_who_needs(small_run):
    book = Book(small_run)
    assert book.writer("values").stem == "01_stars"
    assert [one.stem for one in book.upstream(book.chapter("02_mean"))] == ["01_stars"]
    assert [one.stem for one in book.select("1-2")] == ["01_stars", "02_mean"]
    assert [one.stem for one in book.select("3,1")] == ["01_stars", "03_ledger"]
    assert book.chapter("1").title == book.chapter("01").title == "1 · Stars"
    with pytest.raises(ValueError, match="no chapter saves 'valuse'"):
        book.writer("valuse")
    with pytest.raises(ValueError, match="no chapter '9'"):
        book.select("1-9")


def test_parameters_are_checked_when_a_chapter_opens(small_run):
    book = Book(small_run)
    assert open_chapter("02_mean", {**DEFAULT, "clip_sigma": 3}, book).parameters.clip_sigma == 3.0
    with pytest.raises(ValueError, match="range"):
        open_chapter("02_mean", {**DEFAULT, "clip_sigma": -3.0}, book)
    with pytest.raises(ValueError, match="seed have no value"):
        open_chapter("02_mean", {"run": "default", "n_overlap": 100, "clip_sigma": 4.0}, book)


def test_a_parameter_that_papermill_set_and_nobody_knows_is_refused(small_run):
    book = Book(small_run)
    with pytest.raises(ValueError, match=r"'clip_sgima': .*did you mean 'clip_sigma'"):
        open_chapter("02_mean", {**DEFAULT, "In": ["", "x = 1", "# Parameters\nseed = 3\nclip_sgima = 2\n"]}, book)
    others = ["", "clip_sgima = 2", "# Parameters\nn_folds = 4\nseed = 2017\n"]
    open_chapter("02_mean", {**DEFAULT, "clip_sgima": 2, "In": others}, book)


def test_a_misspelt_parameter_in_the_first_cell_is_refused_until_it_is_mended(small_run):
    book, cell = Book(small_run), 'import numpy as np\n\nrun: str = "default"\nclip_sigma: float = 4.0\n'
    with pytest.raises(ValueError, match=r"'n_overlpa': .*did you mean 'n_overlap'"):
        open_chapter("02_mean", {**DEFAULT, "In": ["", f"{cell}n_overlpa: int = 200"]}, book)
    executed = ["", f"{cell}n_overlpa: int = 200", f"{cell}n_overlap: int = 200"]
    open_chapter("02_mean", {**DEFAULT, "In": executed}, book)


def test_parameters_of_the_chapters_before_follow_and_act(small_copy, capfd):
    page = small_copy / "book" / "02_mean.md"
    page.write_text(page.read_text().replace("n_overlap: int = 100\n", "").replace("seed: int = 2017\n", ""))
    book = Book(small_copy)
    assert list(book.chapter("02_mean").parameters) == ["run", "clip_sigma"]
    assert book.parameters(book.chapter("02_mean")) == DEFAULT
    here = {"run": "default", "clip_sigma": 4.0}
    assert open_chapter("02_mean", here, book).values == DEFAULT
    chapter = open_chapter("02_mean", {**here, "n_overlap": 70, "In": ["", "# Parameters\nn_overlap = 70\n"]}, book)
    assert chapter.load("values")["values"].shape == (70,)
    assert "01_stars has not run with these parameters yet" in capfd.readouterr().out
    assert book.key(chapter.text, chapter.values) != book.key(chapter.text, DEFAULT)
    with pytest.raises(ValueError, match="range"):
        open_chapter("02_mean", {**here, "n_overlap": 1}, book)


def test_the_ledger_of_a_notebook_alone_harms_no_run(small_copy, monkeypatch):
    claims = small_copy / "_runs" / "default" / "claims.json"
    before = claims.read_bytes()
    monkeypatch.setenv("LABELTRANSFER_CHAPTERS", "")
    open_chapter("03_ledger", {**DEFAULT, "clip_sigma": 1.0}, Book(small_copy)).ledger().write()
    assert claims.read_bytes() == before


def test_the_ledger_is_done_again_with_other_recorded_numbers(small_copy):
    book = Book(small_copy)
    ledger, other = book.chapter("03_ledger"), book.chapter("02_mean")
    before = book.outputs_key(ledger, DEFAULT), book.outputs_key(other, DEFAULT)
    (small_copy / "sweeps").mkdir()
    (small_copy / "sweeps" / "seeds.json").write_text("{}")
    assert book.outputs_key(ledger, DEFAULT) != before[0]
    assert book.outputs_key(other, DEFAULT) == before[1]


def test_results_of_other_parameters_are_never_misread(small_run):
    book = Book(small_run)
    chapter, text = book.chapter("02_mean"), book.chapter("01_stars")
    keys = {
        book.key(chapter, DEFAULT),
        book.key(chapter, {**DEFAULT, "clip_sigma": 3.0}),
        book.key(chapter, {**DEFAULT, "seed": 1}),
        book.key(chapter, DEFAULT, data_hash="other data"),
        book.key(text, DEFAULT),
    }
    assert len(keys) == 5
    assert book.key(text, DEFAULT) == book.key(text, {**DEFAULT, "clip_sigma": 3.0, "run": "other"})


@pytest.mark.parametrize(
    "thing",
    [
        Table({"id": ["a", "b"], "x": [1.0, np.nan]}),
        {"x": np.arange(3)},
        Labels(["a", "b"], ("teff", "logg"), [[4500.0, 2.0], [4600.0, np.nan]]),
    ],
    ids=["table", "arrays", "labels"],
)
def test_what_is_saved_is_loaded(small_copy, thing):
    book = Book(small_copy)
    chapter = open_chapter("01_stars", DEFAULT, book)
    chapter.save("values", thing)
    loaded = open_chapter("02_mean", DEFAULT, book).load("values")
    assert isinstance(loaded, type(thing))
    if isinstance(thing, Labels):
        np.testing.assert_array_equal(loaded.values, thing.values)
    else:
        assert loaded["x"][0] == thing["x"][0]
        assert loaded["x"].dtype == thing["x"].dtype


def test_several_results_are_loaded_at_once(small_copy):
    page = small_copy / "book" / "02_mean.md"
    several = 'values, labels = chapter.load(\n    "values", "own_labels")\nvalues = values["values"]'
    page.write_text(page.read_text().replace('values = chapter.load("values")["values"]', several))
    first = small_copy / "book" / "01_stars.md"
    saved = 'chapter.save("values", {"values": values})\n'
    first.write_text(first.read_text().replace(saved, f'{saved}chapter.save("own_labels", values)\n'))
    book = Book(small_copy)
    assert book.chapter("02_mean").reads == ("values", "own_labels")
    assert book.chapter("01_stars").writes == ("values", "own_labels")
    chapter = open_chapter("01_stars", DEFAULT, book)
    chapter.save("values", {"values": np.arange(3)})
    chapter.save("own_labels", Labels(["a"], ("teff",), [[4500.0]]))
    values, labels = open_chapter("02_mean", DEFAULT, book).load("values", "own_labels")
    assert values["values"].tolist() == [0, 1, 2]
    assert (labels.names, labels.values.tolist()) == (("teff",), [[4500.0]])


def test_what_cannot_be_kept_is_refused(small_copy):
    with pytest.raises(TypeError, match="found list"):
        open_chapter("01_stars", DEFAULT, Book(small_copy)).save("values", [1])


def test_a_chapter_alone_runs_the_earlier_ones_first(small_copy, capfd):
    chapter = open_chapter("02_mean", {**DEFAULT, "seed": 5}, Book(small_copy))
    values = chapter.load("values")["values"]
    assert "01_stars has not run with these parameters yet" in capfd.readouterr().out
    assert values.shape == (100,)
    again = chapter.load("values")["values"]
    assert capfd.readouterr().out == ""
    np.testing.assert_array_equal(values, again)
    assert chapter.numbers_of("01_stars")["n_stars"] == (100, "", "100")


def test_when_the_earlier_chapter_fails_its_error_is_told(small_copy):
    page = small_copy / "book" / "01_stars.md"
    page.write_text(page.read_text().replace("values = chapter", "raise OSError('no sky today')\nvalues = chapter"))
    chapter = open_chapter("02_mean", DEFAULT, Book(small_copy))
    with pytest.raises(RuntimeError, match="no sky today"):
        chapter.load("values")


def test_random_numbers_depend_on_seed_and_purpose_alone(small_run):
    book = Book(small_run)
    draw = {
        (seed, purpose): open_chapter("02_mean", {**DEFAULT, "seed": seed}, book).rng(purpose).integers(2**60)
        for seed in (1, 2)
        for purpose in ("folds", "starts")
    }
    assert len(set(draw.values())) == 4
    assert draw[1, "folds"] == open_chapter("01_stars", {**DEFAULT, "seed": 1}, book).rng("folds").integers(2**60)


def test_numbers_are_quoted_as_formatted(small_run, capsys, tmp_path):
    chapter = open_chapter("02_mean", DEFAULT, Book(small_run))
    chapter.number("mean", np.float64(1234.567), "K", ",.1f")
    chapter.number("count", np.int64(11057), "", ",d")
    chapter.number("none", np.nan, "K")
    chapter.number("tiny", -0.0001, "dex", ".2f")
    chapter.key_numbers("mean", "count", "none", "tiny")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["mean     1,234.6 K", "count     11,057", "none         n/a K", "tiny        0.00 dex"]
    with pytest.raises(ValueError, match="no number typo"):
        chapter.key_numbers("typo")
    with pytest.raises(ValueError, match="longer than"):
        table({"k" * 70: Number.of(1.0)}, ["k" * 70])


def test_numbers_of_labels_are_recorded_for_those_that_the_run_has(small_run):
    chapter = open_chapter("02_mean", DEFAULT, Book(small_run))
    chapter.values["label_names"] = ["fe_h", "teff"]
    chapter.numbers("scatter", np.array([0.12345, 70.12]))
    chapter.numbers("slope_{}_error", {"teff": 1.239, "logg": 3.0}, ("teff", "logg", "fe_h"), unit="", digits=2)
    chapter.numbers("none", None, ("teff",))
    chapter.numbers("shift", {"teff": 3.4}, ("teff",), digits=(0, 2), sign="+")
    chapter.numbers("other", [0.5, 80.0, 2.0], of=("fe_h", "teff", "logg"))
    chapter.numbers("few", [80.0], ("teff", "fe_h"), of=("teff",))
    chapter.quote(",d", n_stars=np.int64(1200), n_none=None)
    texts = {key: (one.text, one.unit) for key, one in chapter.recorded_numbers.items()}
    assert texts["scatter_teff"] == ("70.1", "K")
    assert texts["scatter_fe_h"] == ("0.1235", "dex")
    assert texts["scatter_alpha_m"] == ("n/a", "dex")
    assert [texts[f"slope_{name}_error"][0] for name in ("teff", "logg", "fe_h")] == ["1.24", "n/a", "n/a"]
    assert (texts["none_teff"][0], texts["shift_teff"][0]) == ("n/a", "+3")
    assert [texts[f"other_{name}"][0] for name in ("fe_h", "teff", "logg")] == ["0.5000", "80.0", "n/a"]
    assert "other_alpha_m" not in texts
    assert (texts["few_teff"][0], texts["few_fe_h"][0]) == ("80.0", "n/a")
    assert (texts["n_stars"][0], texts["n_none"][0]) == ("1,200", "n/a")
    assert chapter.pick([0.1, 70.0], "teff") == 70.0
    assert np.isnan(chapter.pick([0.1, 70.0], "logg"))
    assert np.isnan(chapter.pick(None, "teff"))
    with pytest.raises(ValueError, match="shorter"):
        chapter.numbers("scatter", np.ones(1))


def test_numbers_survive_the_file_and_a_damaged_file_is_named(small_copy, tmp_path):
    files = list((small_copy / "_runs" / "default" / "data").glob("numbers_01_stars-*.json"))
    content = read_numbers(files[0])
    assert content["numbers"]["n_stars"] == Number(100, "", "100")
    assert content["numbers"]["nothing"].value is None
    assert content["simulated"] is True
    files[0].write_text(files[0].read_text()[:50])
    with pytest.raises(ValueError, match=files[0].name):
        read_numbers(files[0])


def test_a_run_that_papermill_names_lies_among_the_runs(small_run):
    for name in ("../../x", "a/b", ""):
        with pytest.raises(ValueError, match="run name"):
            open_chapter("02_mean", {**DEFAULT, "run": name}, Book(small_run))


def test_outside_a_source_tree_the_message_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="LABELTRANSFER_BOOK"):
        Book(tmp_path)


@pytest.mark.parametrize("module", ["book", "chapter", "execute", "jupyter"])
def test_the_machinery_starts_without_what_takes_seconds_to_load(module):
    code = f"import json, sys, labeltransfer.reproduction.{module}; print(json.dumps([n for n in sys.modules if "
    code += "n in ('numba', 'matplotlib.figure', 'scipy')])); sys.exit(sys.modules['rfc3987_syntax'] is not None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
