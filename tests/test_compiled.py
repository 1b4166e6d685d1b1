import ast
import errno
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labeltransfer.mock.detector import median
from labeltransfer.parallel.compiled import __file__ as SOURCE

SLOW_TO_COMPILE = {"diff", "interp", "median", "nanmedian", "partition", "percentile", "quantile", "sort", "argsort"}
"""Functions of NumPy that numba compiles for seconds, each in every new environment."""

INNER = "from house.parallel.compiled import compiled\n\n@compiled()\ndef inner(x):\n    return x + {}\n"
OUTER = (
    "from house.parallel.compiled import compiled\nfrom house.inner import inner\n\n"
    "@compiled()\ndef outer(x):\n    return inner(x)\n"
)


@pytest.mark.slow
def test_a_kept_compilation_ends_when_an_inlined_function_of_another_file_changes(tmp_path):
    house = tmp_path / "house"
    (house / "parallel").mkdir(parents=True)
    (house / "__init__.py").write_text("")
    (house / "parallel" / "__init__.py").write_text("")
    with open(SOURCE, encoding="utf-8") as source:
        (house / "parallel" / "compiled.py").write_text(source.read())
    (house / "outer.py").write_text(OUTER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    code = "from house.outer import outer; print(outer(1.0), sum(outer.stats.cache_hits.values()))"
    found = []
    for added in (1, 1, 10):
        (house / "inner.py").write_text(INNER.format(added))
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        found.append(done.stdout.split())
    assert found == [["2.0", "0"], ["2.0", "1"], ["11.0", "0"]]


@pytest.fixture
def twice(tmp_path, monkeypatch):
    """Compiles a function of a file, as a new process would."""
    (tmp_path / "twice.py").write_text(
        "from labeltransfer.parallel.compiled import compiled\n\n@compiled()\ndef twice(x):\n    return 2 * x\n"
    )
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "kept"))
    return lambda: runpy.run_path(str(tmp_path / "twice.py"))["twice"]


def test_without_a_place_to_keep_a_compilation_it_is_made_each_time(twice, monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert twice()(2.0) == 4.0


def test_a_full_disk_keeps_no_compilation_and_stops_nothing(twice, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert twice()(2.0) == 4.0
    assert not list(tmp_path.rglob("*.nbi"))


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 20])
def test_a_kept_compilation_that_was_cut_short_is_made_again(twice, tmp_path, suffix, left):
    assert twice()(2.0) == 4.0
    (kept,) = tmp_path.rglob(f"*.{suffix}")
    kept.write_bytes(kept.read_bytes()[:left])
    assert twice()(2.0) == 4.0
    assert len(kept.read_bytes()) > left
    again = twice()
    assert again(2.0) == 4.0
    assert sum(again.stats.cache_hits.values()) == 1


def compiled_functions():
    """Syntax tree of every compiled function of the package."""
    for path in sorted(Path(SOURCE).parents[1].rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
            if any(text.startswith("compiled") for text in decorators):
                yield path, node


@pytest.mark.slow
def test_compiled_functions_call_nothing_that_takes_seconds_to_compile():
    functions = list(compiled_functions())
    assert len(functions) > 25
    calls = [(path.name, node.name, call.func) for path, node in functions
             for call in ast.walk(node) if isinstance(call, ast.Call)]  # fmt: skip
    slow = [one for one in calls if isinstance(one[2], ast.Attribute) and one[2].attr in SLOW_TO_COMPILE]
    assert not slow


@pytest.mark.parametrize("number", [1, 2, 7, 230])
def test_the_compiled_median_is_that_of_numpy(number):
    values = np.random.default_rng(number).normal(size=2 * number)[::2].round(1)
    assert median(values) == np.median(values)
