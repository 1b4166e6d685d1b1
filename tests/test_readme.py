"""README's blocks, run in order, in one folder, as a reader does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
NOT_HERE = ("pip install", "make", "labeltransfer fetch")
"""Lines of shell blocks that are left out: they set up an environment, call these tests, or need the network."""


def blocks():
    """Language and text of every code block."""
    text = README.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block):
    """Lines of a shell block that are run here."""
    return [line for line in block.splitlines() if line.strip() and not line.startswith(NOT_HERE)]


def test_every_block_is_shell_or_python_and_most_are_run():
    assert {language for language, _ in blocks()} == {"bash", "python"}
    assert not re.findall(r"^ {4,}(?:labeltransfer|pip|make|import) ", README.read_text(encoding="utf-8"), re.MULTILINE)
    left_out = [line for language, text in blocks() if language == "bash"
                for line in text.splitlines() if line not in commands(text)]  # fmt: skip
    assert len(left_out) == 7, f"{left_out}: three of pip, three of make, one of the network"


@pytest.mark.slow
def test_the_blocks_run_in_order_in_one_folder(tmp_path):
    own = {
        **os.environ,
        "LABELTRANSFER_RUNS": str(tmp_path / "runs"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for language, text in blocks():
        text = "\n".join(commands(text)) if language == "bash" else text
        # The command of this environment, whichever library it was installed with.
        call = f'labeltransfer() {{ "{sys.executable}" -m labeltransfer "$@"; }}\nset -eu\n{text}'
        command = ["bash", "-c", call] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    written = {"model.npz", "labels.fits", "store", "labels.parquet", "mine.npz", "lamost.npz", "lamost.csv"}
    assert written <= {path.name for path in tmp_path.iterdir()}
