import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltransfer.files import check_output, kind_of, outputs, read_arrays, reading, write_arrays, written_whole
from labeltransfer.files.arrays import temporary_name
from labeltransfer.files.locks import is_held, only_writer


def test_written_and_read_again(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "names": np.array(["x", "é"])}
    write_arrays(tmp_path / "new folder" / "thing.npz", "Thing", arrays, answer=42, words=("b", "c"))
    again, facts = read_arrays(tmp_path / "new folder" / "thing.npz", "Thing")
    assert kind_of(tmp_path / "new folder" / "thing.npz") == "Thing"
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    assert facts == {"answer": 42, "words": ["b", "c"]}


def test_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"array 'a'.*dtype object"):
        write_arrays(tmp_path / "x.npz", "Thing", {"a": np.array([None, 1])})
    assert list(tmp_path.iterdir()) == []


def test_an_array_called_header_is_refused(tmp_path):
    with pytest.raises(ValueError, match="header"):
        write_arrays(tmp_path / "x.npz", "Thing", {"header": np.zeros(2)})


def test_another_kind_and_another_version_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    write_arrays(path, "Labels", {"a": np.zeros(2)})
    with pytest.raises(ValueError, match=r"x.npz: holds something else than a Spectra \(found 'Labels'\)"):
        read_arrays(path, "Spectra")
    monkeypatch.setattr("labeltransfer.files.arrays.FORMAT_VERSION", 2)
    with pytest.raises(ValueError, match="format version 1, but this labeltransfer reads version 2"):
        read_arrays(path, "Labels")


def test_a_pipe_or_a_folder_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "model.npz")
    for path in (tmp_path / "model.npz", tmp_path):
        with pytest.raises(ValueError, match="a folder, pipe or device, wanted a CannonModel"):
            read_arrays(path, "CannonModel")


def test_no_file_is_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; wanted a Labels"):
        read_arrays(tmp_path / "x.npz", "Labels")


@pytest.mark.parametrize("keep", [0, 1, 30, 200, -1])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    path = tmp_path / "x.npz"
    write_arrays(path, "Thing", {"a": np.zeros(50)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"x.npz: not a complete labeltransfer file"):
        read_arrays(path, "Thing")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x.npz"
    write_arrays(path, "Thing", {"a": np.arange(50.0), "b": np.array(["x", "yz"])})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        arrays, _ = read_arrays(path, "Thing")
    except ValueError:
        return
    for name in set(arrays) & {"a"}:
        np.testing.assert_array_equal(arrays[name], np.arange(50.0))


def test_a_plain_numpy_file_or_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}]), allow_pickle=True)
    for name in ("plain.npy", "pickle.npy"):
        with pytest.raises(ValueError, match=f"{name}: not a complete labeltransfer file"):
            read_arrays(tmp_path / name, "Thing")


def test_a_file_of_another_kind_is_told_by_its_beginning(tmp_path):
    """A catalogue given for a model: what it is not, and no advice to trust it."""
    (tmp_path / "labels.fits").write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(ValueError, match=r"labels.fits: not a complete .*b'SIMP'.*wanted .*npz") as refused:
        read_arrays(tmp_path / "labels.fits", "Thing")
    assert "pickle" not in str(refused.value)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write_and_fail():
        with written_whole(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*x.txt'"):
        write_and_fail()
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["x.txt"]


def test_the_suffix_is_kept_for_writers_that_look_at_it(tmp_path):
    with written_whole(tmp_path / "a.fits.gz") as temporary:
        assert temporary.name.endswith(".fits.gz")
        temporary.write_text("")
    assert (tmp_path / "a.fits.gz").stat().st_mode & 0o444 == 0o444


def test_what_a_file_lacks_is_named_with_the_file(tmp_path):
    path = tmp_path / "model.npz"
    write_arrays(path, "Thing", {"a": np.zeros(2)}, order=2)
    arrays, facts = read_arrays(path, "Thing")
    for contents, name in ((arrays, "starts"), (facts, "units")):
        with pytest.raises(ValueError, match=rf"model.npz: damaged, it is without '{name}'; write it anew"):
            contents[name]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: {}["order"], "it is without 'order'"),
        (lambda: np.zeros(3).reshape(2, 2), "cannot reshape"),
        (lambda: int(None), "int"),
        (lambda: None.items(), "items"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_the_file(tmp_path, make, what):
    with (
        pytest.raises(ValueError, match=rf"model.npz: not a whole LabelTransfer: .*{what}"),
        reading(tmp_path / "model.npz", "LabelTransfer"),
    ):
        make()


@pytest.mark.parametrize("kind", [OSError, RuntimeError, ValueError, PermissionError])
def test_a_temporary_name_is_never_told(tmp_path, kind):
    path = tmp_path / "labels.fits"

    def fail(temporary):
        if issubclass(kind, PermissionError):
            raise kind(errno.EACCES, "Permission denied", str(temporary))
        raise kind(f"cannot write {temporary}")

    with pytest.raises(kind) as told, written_whole(path) as temporary:
        fail(temporary)
    assert str(path) in str(told.value)
    assert ".labels-" not in str(told.value)
    (tmp_path / "a file").write_text("")
    with pytest.raises(OSError, match=r"a file/x.npz") as told:
        write_arrays(tmp_path / "a file" / "x.npz", "Thing", {})
    assert ".x-" not in str(told.value)


def test_a_lock_tells_who_holds_it_and_is_free_afterwards(tmp_path):
    assert not is_held(tmp_path)
    with only_writer(tmp_path):
        assert is_held(tmp_path)
        again = only_writer(tmp_path)
        with pytest.raises(RuntimeError, match=rf"another run \(process {os.getpid()}\) is writing here"):
            again.__enter__()
    assert not is_held(tmp_path)


# --- outputs


def test_outputs_that_would_destroy_something_are_refused(tmp_path):
    source, store = tmp_path / "spectrum.fits", tmp_path / "store"
    source.write_text("precious")
    (store / "blocks").mkdir(parents=True)
    (store / "store.json").write_text("{}")
    (tmp_path / "link.fits").symlink_to(source)
    for name in ("spectrum.fits", "link.fits", "store/../spectrum.fits"):
        with pytest.raises(ValueError, match="is an input; the catalogue would replace it"):
            check_output(tmp_path / name, "catalogue", inputs=[source], replace=True)
    for name in ("manifest.csv", "blocks/a.csv"):
        with pytest.raises(ValueError, match=r"lies within the store .*store, which nothing else may change"):
            check_output(store / name, "catalogue", replace=True)
    with pytest.raises(ValueError, match="is a folder, wanted the name of the model"):
        check_output(tmp_path, "model")
    with pytest.raises(ValueError, match=r"a model is there already; give another name, or replace it .--replace"):
        check_output(source, "model")
    with pytest.raises(ValueError, match="exists already and is no model that labeltransfer wrote"):
        check_output(source, "model", replace=True, is_ours=lambda path: bool(read_arrays(path, "LabelTransfer")))
    assert check_output(source, "model", replace=True) == source
    assert check_output(tmp_path / "new" / "model.npz", "model", inputs=[source])


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"file: nothing can be written there \(.*file: is a file, wanted a folder\)"):
        check_output(tmp_path / "file" / "model.npz", "model")
    check_output(tmp_path / "new" / "newer" / "model.npz", "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "the test of it leaves nothing behind"

    def refuse(**options):
        raise PermissionError(13, "Permission denied", str(options["dir"]))

    monkeypatch.setattr(outputs, "TemporaryFile", refuse)
    for path in (tmp_path / "model.npz", tmp_path / "new" / "model.npz"):
        with pytest.raises(ValueError, match=r"nothing can be written there .*Permission denied\); give another place"):
            check_output(path, "model")


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "far" / "there.npz")
    for number in (1, 2):
        write_arrays(tmp_path / "link.npz", "Thing", {"a": np.array([number])})
        assert (tmp_path / "link.npz").is_symlink()
        assert read_arrays(tmp_path / "far" / "there.npz", "Thing")[0]["a"].tolist() == [number]


def test_files_have_the_rights_that_the_user_asks_for_whoever_else_writes(tmp_path):
    umask = os.umask(0o027)
    try:

        def write(number):
            with written_whole(tmp_path / f"{number}.txt") as temporary:
                temporary.write_text("x")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(400)))
        assert os.umask(0o027) == 0o027
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
    finally:
        os.umask(umask)


def test_a_name_as_long_as_the_system_allows_is_written(tmp_path):
    path = tmp_path / f"{'a' * 250}.npz"
    write_arrays(path, "Thing", {"a": np.array([1])})
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


# --- two processes, one output


@pytest.mark.parametrize("links", [True, False])
def test_what_another_wrote_meanwhile_stays_and_nothing_is_lost(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    path = tmp_path / "cc.npz"
    with written_whole(path, replace=False) as temporary:
        temporary.write_text("0")
    for number in (1, 2):
        said = f"cc.npz: was written by another meanwhile, and stays; what was made here is .*cc-{number}.npz"
        with pytest.raises(FileExistsError, match=said), written_whole(path, replace=False) as temporary:
            temporary.write_text(str(number))
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "cc.npz": "0",
        "cc-1.npz": "1",
        "cc-2.npz": "2",
    }
    with written_whole(path) as temporary:
        temporary.write_text("3")
    assert path.read_text() == "3"


def test_of_many_that_write_one_output_each_has_a_file(tmp_path):
    def write(number):
        try:
            with written_whole(tmp_path / "a.fits.gz", replace=False) as temporary:
                temporary.write_text(str(number))
        except FileExistsError:
            return 1
        return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(20))) == 19
    assert sorted(int(path.read_text()) for path in tmp_path.glob("a*.fits.gz")) == list(range(20))
    assert len(list(tmp_path.iterdir())) == 20


def test_what_dead_processes_left_half_written_is_removed_in_time(tmp_path):
    gone, own = subprocess.Popen([sys.executable, "-c", ""]), os.getpid()
    gone.wait()
    names = {}
    for who, process, age in (("dead", gone.pid, 7200), ("just now", gone.pid, 60), ("alive", own, 7200)):
        names[who] = Path(str(temporary_name(tmp_path / "a.fits")).replace(f"-{own}-", f"-{process}-"))
        names[who].touch()
        os.utime(names[who], (time.time() - age,) * 2)
    (tmp_path / ".unfinished-mine").touch()
    check_output(tmp_path / "a.fits", "catalogue")
    assert {who for who, path in names.items() if path.exists()} == {"just now", "alive"}
    assert (tmp_path / ".unfinished-mine").exists()
