import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("run", "stars", "memory", "peers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run

    return run


@pytest.mark.slow
def test_the_benchmark_writes_its_numbers_and_prints_a_table(run, tmp_path, capsys):
    out = tmp_path / "benchmarks.json"
    run.main(["--stars", "800", "--pixels", "48", "--loop", "3", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["size"] == {"n_stars": 800, "n_pixels": 48, "n_labels": 5}
    assert found["training"]["scatter_over_truth"] == pytest.approx(1, abs=0.1)
    assert found["training"]["looped_scatter_over_ours"] == pytest.approx(1, abs=1e-3)
    assert found["test_step"]["labels_beside_curve_fit_errors"] < 0.01
    assert len(found["growth"]) == 12
    assert all(np.isfinite([row["training_s"], row["folds_s"], row["stars_per_s"]]).all() for row in found["growth"])
    assert {row["order"] for row in found["growth"]} == {1, 2, 3}
    assert set(found["wanted"]) == set(run.WANTED)
    for row in found["wanted"].values():
        sign, limit = row["wanted"].split()
        assert row["met"] == (row["found"] <= float(limit) if sign == "<=" else row["found"] >= float(limit))
    assert set(found["fraction_of_product_rate"]) == {"training", "folds", "test_step"}
    assert all(0 <= gigabytes < 1 for gigabytes in found["memory"].values())
    table = capsys.readouterr().out
    for words in ("training [s]", "8 folds", "test step, 7 starts", "normalization", "GFLOP/s", "training memory gb"):
        assert words in table
