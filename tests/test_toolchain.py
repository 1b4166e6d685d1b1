"""The environment: one set of versions for pip, conda, Binder and continuous integration."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = dict(
    (canonicalize_name(name), number)
    for name, number in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lock_holds_exact_versions_and_no_host():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len(LOCK) > 100
    assert not [line for line in lines if "://" in line or "@" in line or line.startswith("-")]


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_every_dependency_is_locked_at_a_version_that_fits(extra):
    for text in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(LOCK[canonicalize_name(wanted.name)]), text


def test_what_is_installed_is_what_is_locked():
    wrong = {}
    for name, number in LOCK.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != number:
            wrong[name] = (found, number)
    assert not wrong, "stale environment: `make setup`"


def test_the_lock_lacks_nothing_that_its_packages_need():
    wrong = []
    for name in LOCK:
        for text in requires(name) or ():
            wanted = Requirement(text)
            needed = canonicalize_name(wanted.name)
            if needed == "setuptools" or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            if needed not in LOCK or not wanted.specifier.contains(LOCK[needed], prereleases=True):
                wrong.append(f"{name} needs {text}, locked is {LOCK.get(needed, 'none')}")
    assert not wrong


def test_conda_and_binder_get_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, with_pip = environment["dependencies"]
    assert with_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert environment["channels"] == ["conda-forge"]
    versions = dict(entry.split("=") for entry in conda if "=" in entry)
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{versions.pop('python')}.0")
    for name, number in versions.items():
        assert LOCK[canonicalize_name(name)] == number


def test_the_pins_that_matter_are_kept():
    assert LOCK["jupyter-book"].startswith("1.")
    assert LOCK["sphinx-book-theme"] == "1.2.0"
    assert LOCK["pydata-sphinx-theme"] == "0.16.1"


def test_package_and_git_hold_the_library():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing to compare with")
    listed = subprocess.run(["git", "ls-files", "lib"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "lib/labeltransfer/cannon/model.py" in listed
    assert "lib/labeltransfer/mock/synthetic_grid.npz" in listed


def test_pages_bring_their_mathematics_along():
    static = ROOT / "book" / "_static" / "mathjax"
    assert (static / "tex-chtml-full.js").stat().st_size > 1e6
    assert len(list((static / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff"))) > 20
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["sphinx"]["config"]["mathjax_path"] == "mathjax/tex-chtml-full.js"
    assert config["launch_buttons"]["thebe"] is False


def test_every_page_is_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text()
    assert not [page.stem for page in (ROOT / "book").glob("*.md") if f"book/{page.stem}" not in toc]


def test_labels_can_be_had_without_the_tools_of_the_book():
    hidden = ["papermill", "jupytext", "nbformat", "myst_nb", "jinja2", "psutil", "IPython"]
    code = (
        f"import sys\nfor name in {hidden!r}: sys.modules[name] = None\n"
        "from labeltransfer.command import main\nmain(['infer', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MODEL" in done.stdout


def test_the_workflow_does_what_the_readme_says_and_publishes_its_pages():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())
    jobs = workflow["jobs"]
    steps = jobs["test-and-build"]["steps"]
    commands = [step["run"].strip() for step in steps if "run" in step]
    assert commands.index("make test") < commands.index("make book")
    upload = next(step for step in steps if step.get("uses", "").startswith("actions/upload-pages-artifact@"))
    assert upload["with"]["path"] == "_build/html"
    publish = jobs["publish"]
    assert publish["needs"] == "test-and-build"
    assert "refs/heads/main" in publish["if"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert "pull_request" in str(workflow["concurrency"]["cancel-in-progress"]), "a deployment is never cut off"
