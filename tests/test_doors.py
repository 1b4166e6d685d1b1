"""The doors for people who run chapters: `jupyter execute`, plain papermill, and what Binder reads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ALONE = ("01_data_preparation", "A2_parameters", "A4_figure_map", "A7_data_model")
"""Chapters that need no other chapter's results: the others are executed one by one by nbval."""


def outside(folder):
    """The environment of somebody who works elsewhere, with runs of their own."""
    return {**os.environ, "LABELTRANSFER_RUNS": str(folder / "runs"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def jupyter(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=outside(folder), capture_output=True, text=True, timeout=600
    )


def checked(notebook):
    """What the checked cells printed."""
    cells = [cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


@pytest.mark.parametrize("stem", ALONE)
def test_a_twin_alone_in_a_folder_elsewhere_can_be_executed(tmp_path, stem):
    twin = ROOT / "book" / f"{stem}.ipynb"
    copy = shutil.copy(twin, tmp_path)
    done = jupyter("jupyter", "execute", "--inplace", Path(copy).name, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert checked(nbformat.read(copy, as_version=4)) == checked(nbformat.read(twin, as_version=4))


def test_plain_papermill_runs_a_chapter_and_first_those_that_it_needs(tmp_path):
    given = {"n_overlap": 900, "n_dr2": 200, "n_apogee": 1500, "n_starts": 2}
    options = [word for name, value in given.items() for word in ("-p", name, str(value))]
    twin = ROOT / "book" / "02_training.ipynb"
    done = jupyter("papermill", str(twin), "out.ipynb", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    shown = "".join(output.get("text", "") for cell in out.cells for output in cell.get("outputs", []))
    assert "01_data_preparation has not run with these parameters yet" in shown
    lines = dict(line.split()[:2] for text in checked(out) for line in text.splitlines() if line.strip())
    accepted = dict(
        line.split()[:2]
        for text in checked(nbformat.read(twin, as_version=4))
        for line in text.splitlines()
        if line.strip()
    )
    assert 300 < int(lines["n_reference"].replace(",", "")) <= 900
    assert lines["n_terms"] == accepted["n_terms"]
    assert lines["n_reference"] != accepted["n_reference"]


def test_papermill_with_a_misspelt_or_mistyped_parameter_says_what_is_wanted(tmp_path):
    twin = ROOT / "book" / "02_training.ipynb"
    done = jupyter("papermill", str(twin), "out.ipynb", "-p", "model_order", "seven", folder=tmp_path)
    assert done.returncode != 0
    assert "model_order" in done.stderr
    assert "seven" in done.stderr
    done = jupyter("papermill", str(twin), "out.ipynb", "-p", "modle_order", "1", folder=tmp_path)
    assert done.returncode != 0
    assert "did you mean 'model_order'" in done.stderr


def test_binder_installs_the_lock_and_opens_the_book():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][-1]["pip"] == ["-r requirements.lock", "-e ."]
    assert "\njupyterlab==" in (ROOT / "requirements.lock").read_text()
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert settings["launch_buttons"]["binderhub_url"].startswith("https://")
    assert settings["launch_buttons"]["notebook_interface"] == "jupyterlab"
    assert settings["repository"]["url"].startswith("https://")
    assert settings["repository"].get("branch")
    for chapter in (ROOT / "book").glob("*.ipynb"):
        kernel = json.loads(chapter.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"]
        assert kernel == "python3", "the only kernel that Binder has"
