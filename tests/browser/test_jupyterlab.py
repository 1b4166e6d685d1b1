"""A chapter run through the interface of JupyterLab, as its reader would."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "A7_data_model"
KERNEL_IS_READY = ".jp-StatusBar-TextItem:has-text('| Idle')"
"""The notebook's own indicator says idle before there is a kernel."""
pytestmark = pytest.mark.browser


@pytest.fixture
def checkout(tmp_path):
    """A copy of the book under git, with nothing changed."""
    shutil.copytree(ROOT / "book", tmp_path / "checkout" / "book")
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(ROOT / name, tmp_path / "checkout" / name)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=tmp_path / "checkout", check=True)
    return tmp_path / "checkout"


@pytest.fixture
def lab(tmp_path, checkout):
    """Address of a JupyterLab that shows the checkout, with the settings that the package brings."""
    if find_spec("jupyterlab") is None:
        pytest.skip("JupyterLab is not installed: `make setup` does it")
    settings = tmp_path / "jupyter" / "jupyter_server_config.d"
    settings.mkdir(parents=True)
    shutil.copy(ROOT / "lib" / "labeltransfer" / "reproduction" / "labeltransfer.json", settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), tmp_path / "server.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={checkout}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    places = {f"JUPYTER{name}_DIR": str(tmp_path / "jupyter") for name in ("_CONFIG", "_DATA", "_RUNTIME")}
    environment = {**os.environ, **places, "LABELTRANSFER_RUNS": str(tmp_path / "runs"), "HOME": str(tmp_path)}
    environment["LABELTRANSFER_BOOK"] = str(checkout)
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=checkout, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=2):
                    break
            except OSError:
                time.sleep(0.5)
        yield lambda name: f"{address}/doc/tree/book/{name}?token={token}&reset"
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.mark.slow
def test_a_chapter_runs_in_jupyterlab_and_leaves_the_checkout_as_it_was(lab, browser, checkout):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(lab(f"{CHAPTER}.ipynb"), wait_until="load")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_selector(KERNEL_IS_READY)
    page.click(".jp-NotebookPanel-toolbar [data-command='notebook:restart-run-all']")
    page.click(".jp-Dialog button:has-text('Restart')")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(one => /[0-9]/.test(one.textContent))"
    )
    assert "n_columns" in page.inner_text(".jp-Notebook")
    assert page.query_selector_all("[data-mime-type='application/vnd.jupyter.stderr']") == []
    page.keyboard.press("Control+S")
    page.wait_for_timeout(2_000)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=checkout, capture_output=True, text=True, check=True)
    assert changed.stdout == "", "the checkout is as it was"
    page.close()
