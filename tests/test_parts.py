import json
import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest

from labeltransfer.files import written_whole
from labeltransfer.files.parts import Parts, digest_of_array, digest_of_files


def test_the_same_run_may_come_back_and_another_may_not(tmp_path):
    facts = {"seed": 1, "names": ("a", "b")}
    parts = Parts(tmp_path / "run", facts)
    assert parts.path(7, ".npz").name == "part-00007.npz"
    Parts(tmp_path / "run", facts)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    with pytest.raises(ValueError, match=r"holds parts of another run \(different: seed\); remove the folder"):
        Parts(tmp_path / "run", {**facts, "seed": 2})
    with pytest.raises(ValueError, match=r"different: names"):
        Parts(tmp_path / "run", {"seed": 1})


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_damaged_note_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"damaged|another run"):
        Parts(tmp_path, {"seed": 1})


def test_of_two_runs_at_once_one_wins_and_the_other_is_told(tmp_path):
    outcomes = []
    barrier = threading.Barrier(8)

    def claim(seed):
        barrier.wait()
        try:
            Parts(tmp_path / "run", {"seed": seed})
            outcomes.append(seed)
        except ValueError:
            outcomes.append(None)

    threads = [threading.Thread(target=claim, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = json.loads((tmp_path / "run" / "run.json").read_text())["seed"]
    assert sorted(outcomes, key=str) == sorted([winner] + [None] * 7, key=str)


def test_fingerprints_follow_what_they_are_of(tmp_path):
    path = tmp_path / "a"
    absent = digest_of_files([path])
    path.write_text("1")
    present = digest_of_files([path])
    path.write_text("22")
    assert len({absent, present, digest_of_files([path])}) == 3
    assert digest_of_array(np.arange(3)) != digest_of_array(np.arange(3)[::-1])


def test_parts_are_removed_and_nothing_else(tmp_path):
    for name in ("run", "shared"):
        parts = Parts(tmp_path / name, {"seed": 1})
        parts.path(0, ".npz").write_text("x")
        parts.path(0, ".json").write_text("x")
    (tmp_path / "shared" / "notes.txt").write_text("mine")
    Parts(tmp_path / "run", {"seed": 1}).remove()
    parts.remove()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["shared", "shared/notes.txt"]


def test_a_full_disk_under_the_parts_is_named(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*run.json'"):
        Parts(tmp_path / "run", {"seed": 1})


def test_a_folder_with_files_of_somebody_is_left_alone(tmp_path):
    (tmp_path / "part-one.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"not empty \(part-one.txt\), and no parts of a run; give a new folder"):
        Parts(tmp_path, {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["part-one.txt"]


def test_only_names_of_parts_are_removed(tmp_path):
    parts = Parts(tmp_path, {"seed": 1})
    parts.path(0, ".parquet").write_text("x")
    for name in ("part-one.txt", "part-2-of-my-thesis.pdf"):
        (tmp_path / name).write_text("mine")
    parts.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-2-of-my-thesis.pdf", "part-one.txt"]


def _write_until_killed(path):
    with written_whole(path) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    parts = Parts(tmp_path / "run", {"seed": 1})
    process = multiprocessing.get_context("fork").Process(target=_write_until_killed, args=(parts.path(0, ".parquet"),))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "run").iterdir())) == 2
    Parts(tmp_path / "run", {"seed": 1}).remove()
    assert list(tmp_path.iterdir()) == []
