"""Wheel and source distribution, built and installed into bare environments, as users do."""

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NO_INDEX = ("No matching distribution", "Could not find a version", "Connection", "Temporary failure", "Max retries")
BARE = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LABELTRANSFER_", "PYTEST"))}
QUICKLY = ("--quiet", "--no-compile")
"""Modules are compiled when they are imported, and most are not."""
SIZES = ("--overlap", "80", "--dr2", "5", "--apogee", "120")

pytestmark = pytest.mark.slow


def pythons():
    """Every Python from 3.11 on that the command line finds, and starts."""
    found = []
    for minor in range(11, 20):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


def do(*command, folder, code=0, **more):
    """Run a command in a folder, without this environment's variables; its outputs."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**BARE, **more}, capture_output=True, text=True, check=False
    )
    if any(word in done.stderr + done.stdout for word in NO_INDEX) and "pip" in map(str, command):
        pytest.skip(f"pip has no package index here: {done.stderr.strip()[-200:]}")
    assert done.returncode == code, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


def tracked(*folders):
    """Files that git knows."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing to build from")
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The two files that are published, built from a copy of what git knows."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("made")
    for name in tracked():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    tool = tmp_path_factory.mktemp("tool") / "venv"
    do(pythons()[0], "-m", "venv", tool, folder=made)
    do(tool / "bin" / "python", "-m", "pip", "install", *QUICKLY, "build", folder=made)
    do(tool / "bin" / "python", "-m", "build", "--outdir", made, source, folder=made, PIP_QUIET="1")
    (wheel,), (sdist,) = made.glob("*.whl"), made.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module", params=pythons(), ids=lambda path: Path(path).name)
def bare(request, distributions, tmp_path_factory):
    """An environment with the wheel and what it needs, no more; its folder of commands."""
    folder = tmp_path_factory.mktemp("bare")
    do(request.param, "-m", "venv", folder / "venv", folder=folder)
    commands = folder / "venv" / "bin"
    lock = ROOT / "requirements.lock"
    do(commands / "python", "-m", "pip", "install", *QUICKLY, "--constraint", lock, distributions[0], folder=folder)
    return commands


def test_the_wheel_holds_library_and_tables_and_no_tests(distributions):
    names = set(zipfile.ZipFile(distributions[0]).namelist())
    wanted = {name.removeprefix("lib/") for name in tracked("lib")}
    assert not wanted - names
    assert not {name for name in names if not name.startswith("labeltransfer") or "/tests/" in name}


def test_the_source_distribution_holds_what_a_checkout_holds(distributions):
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = {name for name in tracked() if name not in names and not name.startswith(".git")}
    assert not missing
    assert not {name for name in names if "__pycache__" in name}


def test_building_in_a_checkout_leaves_nothing_to_commit():
    tracked()
    left = ["build/lib/x", "dist/x.whl", "lib/labeltransfer.egg-info/PKG-INFO"]
    done = subprocess.run(["git", "check-ignore", *left], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == left


def test_a_bare_installation_gets_from_nothing_to_labels(bare, tmp_path):
    command = bare / "labeltransfer"
    assert "labeltransfer" in do(command, "--version", folder=tmp_path).stdout
    do(command, "simulate", "survey", *SIZES, folder=tmp_path)
    trained = do(command, "train", "survey", "-o", "model.npz", "--label-names", "teff,logg", folder=tmp_path)
    assert "reference stars" in trained.stdout
    labelled = do(command, "infer", "model.npz", "survey/spectra", "-o", "labels.fits", folder=tmp_path)
    assert "85 stars labelled" in labelled.stdout
    again = do(command, "infer", "model.npz", "survey/spectra", "-o", "labels.fits", folder=tmp_path, code=2)
    assert "--replace" in again.stderr
    do(command, "infer", "model.npz", "survey/spectra", "-o", "labels.fits", "--replace", folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["run", "mine"], "book"),
        (["build"], "book"),
        (["compare", "a", "b"], "book"),
        (["ingest", ".", "-o", "store"], "survey"),
        (["fetch", "tutorial", "-o", "data"], "survey"),
    ],
)
def test_a_bare_installation_says_what_else_to_install(bare, tmp_path, arguments, extra):
    done = do(bare / "labeltransfer", *arguments, folder=tmp_path, code=2)
    assert f'pip install "labeltransfer[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    assert "usage" in do(bare / "labeltransfer", arguments[0], "--help", folder=tmp_path).stdout


def test_the_source_distribution_passes_its_own_quick_tests(bare, distributions, tmp_path):
    with tarfile.open(distributions[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    python = bare / "python"
    do(python, "-m", "pip", "install", *QUICKLY, "--no-deps", source, folder=tmp_path)
    lock = ROOT / "requirements.lock"
    do(python, "-m", "pip", "install", *QUICKLY, "--constraint", lock, "pytest", "hypothesis", folder=tmp_path)
    quick = "not book and not slow and not statistical"
    files = [
        f"tests/test_{name}.py"
        for name in ("labels", "spectra", "cannon", "continuum", "fisher", "reference", "tables")
    ]
    done = do(python, "-m", "pytest", "-p", "no:cacheprovider", "-m", quick, *files, folder=source)
    assert " passed" in done.stdout
