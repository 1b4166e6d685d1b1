"""A command that is interrupted ends at once, also while a file hangs, and says what is kept."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from labeltransfer.archive import open_survey
from labeltransfer.mock import SimulatedSurvey, write_survey
from labeltransfer.transfer import learn

HANGING = """
import os, sys, threading
from {module} import {room}
def hang(*arguments):
    os.write(1, b"hangs\\n")  # at once: lines of two threads must not mix
    threading.Event().wait()
{room}.{name} = hang
from labeltransfer.command import main
sys.exit(main(sys.argv[1:]))
"""
"""The command, when a file neither opens nor fails, as on a network that is gone."""

READ = {"module": "labeltransfer.lamost", "room": "spectrum", "name": "read_content"}
WRITE = {"module": "pathlib", "room": "Path", "name": "write_bytes"}


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted") / "survey"
    return write_survey(SimulatedSurvey(n_overlap=60, n_dr2=0, n_apogee=80, seed=3), folder, progress=False)


@pytest.fixture(scope="module")
def model(survey):
    open_one = open_survey("folder", survey, ("teff", "logg"), progress=False)
    path = survey.parent / "model.npz"
    learn(open_one, rng=np.random.default_rng(1), order=1).write(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signalled", "hanging", "command", "kept", "written"),
    [
        (
            signal.SIGTERM,
            READ,
            "infer model.npz survey -o labels.fits",
            "what is finished is kept",
            "labels.fits.parts",
        ),
        (signal.SIGINT, READ, "ingest survey -o store", "what is finished is kept", "store"),
        (signal.SIGINT, READ, "train survey -o new.npz", "nothing was written", ""),
        (signal.SIGTERM, WRITE, "simulate again --overlap 2 --dr2 1", "the same command goes on", "again"),
    ],
    ids=["infer", "ingest", "train", "simulate"],
)
def test_a_file_that_hangs_does_not_hold_up_the_end(model, tmp_path, signalled, hanging, command, kept, written):
    name = command.split()[0]
    if name == "ingest":
        pytest.importorskip("zarr")
    (tmp_path / "model.npz").symlink_to(model)
    (tmp_path / "survey").symlink_to(model.parent / "survey")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}  # in the background, too
    call = [sys.executable, "-c", HANGING.format(**hanging), *command.split()]
    with subprocess.Popen(call, cwd=tmp_path, **pipes, **heard) as process:
        limit = threading.Timer(300, process.kill)
        limit.start()
        try:
            assert "hangs\n" in iter(process.stdout.readline, ""), "it ended before a file hung"
            process.send_signal(signalled)
            said = process.communicate()[1]
        finally:
            limit.cancel()
            process.kill()
    assert process.returncode == 130
    assert f"labeltransfer {name}: interrupted; " in said
    assert kept in said
    assert {path.name for path in tmp_path.iterdir()} - {"model.npz", "survey"} == set(written.split())
