"""The paper's choices, varied: steps that are those of the chapters, and errors of changes that are right."""

import json

import numpy as np
import pytest

from labeltransfer.evidence.sensitivity import Variant, changes, variants
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.chapter import Chapter
from labeltransfer.reproduction.parameters import default_values
from labeltransfer.reproduction.sweep import Sweep
from test_label_subsets import run_chapters

SIZE = {"n_overlap": 700, "n_dr2": 100, "n_apogee": 1200, "n_starts": 3}


def variant(residuals, ids=None, good=None, **changed):
    n = len(residuals)
    ids = np.arange(n).astype(str) if ids is None else ids
    return Variant(changed, ("teff",), ids, residuals, np.ones(n, bool) if good is None else good)


def test_the_page_does_the_steps_of_the_chapters(tmp_path):
    book = Book()
    made = run_chapters(book, {**SIZE, "n_folds": 4}, tmp_path, lambda chapter: chapter.short in ("1", "2", "3"))
    recorded = next((made / "data").glob("numbers_03_cross_validation-*.json"))
    numbers = json.loads(recorded.read_text(encoding="utf-8"))["numbers"]

    values = default_values()
    chapter = Chapter(book, book.chapter("03_cross_validation"), values)
    sweep = Sweep({"base": SIZE, "four": {**SIZE, "n_folds": 4}, "bright": {**SIZE, "snr_min": 90.0}}, "1-3")
    base, four, bright = variants(sweep.runs, values, chapter.rng, progress=False)
    assert (base.name, four.name, bright.name) == ("as in this run", "n_folds = 4", "snr_min = 90.0")
    for name, scatter, bias in zip(four.label_names, *four.bias_and_scatter[::-1], strict=True):
        assert numbers[f"scatter_{name}"]["value"] == pytest.approx(scatter, rel=1e-3)
        assert numbers[f"bias_{name}"]["value"] == pytest.approx(bias, rel=1e-3, abs=1e-3 * scatter)
    np.testing.assert_array_equal(base.residuals, bright.residuals)
    assert bright.good.sum() < base.good.sum()
    assert not np.array_equal(base.residuals, four.residuals)


def test_errors_of_changes_are_those_of_many_draws():
    rng = np.random.default_rng(1)
    ratios, errors = [], []
    for _ in range(60):
        common, own = rng.normal(size=(2, 400, 1))
        pair = variant(common), variant(1.1 * common + 0.2 * own, n_folds=4)
        change, error = changes(pair, rng, n_resamplings=100)
        assert change[0] == error[0] == 0
        ratios.append(change[1, 0])
        errors.append(error[1, 0])
    assert np.mean(ratios) == pytest.approx(np.hypot(1.1, 0.2) - 1, abs=0.01)
    assert np.median(errors) == pytest.approx(np.std(ratios), rel=0.35)
    assert np.median(errors) < 0.5 * np.sqrt(1 / 400), "the stars in common cancel"


def test_stars_that_only_one_side_has_are_no_obstacle():
    rng = np.random.default_rng(2)
    residuals = rng.normal(size=(300, 1))
    ids = np.arange(300).astype(str)
    less = variant(residuals[50:], ids[50:], np.arange(250) % 2 == 0, mask="or")
    change, error = changes((variant(residuals), less), rng)
    assert np.isfinite(change).all()
    assert 0.01 < error[1, 0] < 0.2
