import os
import subprocess
import sys

from labeltransfer.parallel.compiled import __file__ as SOURCE

INNER = "from house.parallel.compiled import compiled\n\n@compiled()\ndef inner(x):\n    return x + {}\n"
OUTER = (
    "from house.parallel.compiled import compiled\nfrom house.inner import inner\n\n"
    "@compiled()\ndef outer(x):\n    return inner(x)\n"
)


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
