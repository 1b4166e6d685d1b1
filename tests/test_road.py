"""From any source to a catalogue: the same stars, the same labels, whatever happens on the way."""

import importlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from labeltransfer import catalogue, lamost
from labeltransfer.archive import open_survey
from labeltransfer.archive.ingest import ingest_folder, ingest_survey, read_manifest
from labeltransfer.command import main
from labeltransfer.files.locks import only_writer
from labeltransfer.files.parts import Parts
from labeltransfer.labels import Labels, register_label
from labeltransfer.lamost import Unreadable
from labeltransfer.mock import SimulatedSurvey, write_survey
from labeltransfer.parallel import workers as crews
from labeltransfer.survey import label_survey
from labeltransfer.survey.blocks import blocks_of
from labeltransfer.survey.labelled import Labelled
from labeltransfer.survey.road import _facts
from labeltransfer.transfer import LabelTransfer, learn
from labeltransfer.transfer.total_errors import ErrorModel

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")
NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def survey_folder(tmp_path_factory):
    survey = SimulatedSurvey(n_overlap=120, n_dr2=10, n_apogee=200, seed=8)
    return write_survey(survey, tmp_path_factory.mktemp("survey") / "new", progress=False)


@pytest.fixture(scope="module")
def transfer(survey_folder):
    return learn(open_survey("folder", survey_folder, NAMES, progress=False), order=1, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def store(survey_folder, tmp_path_factory):
    return ingest_folder(survey_folder, tmp_path_factory.mktemp("store") / "s", block_size=40, progress=False)


@pytest.mark.slow
def test_a_store_gives_the_catalogue_of_its_files(transfer, survey_folder, store, tmp_path):
    from_files = label_survey(transfer, survey_folder / "spectra", progress=False)
    done = label_survey(transfer, store, tmp_path / "labels.fits", progress=False)
    table = catalogue.read(done.path)
    assert (done.n_stars, len(done.unreadable)) == (130, 0)
    assert done.n_failed == int((~np.asarray(from_files["converged"])).sum())
    assert table.colnames == from_files.colnames
    assert table["id"].tolist() == from_files["id"].tolist()
    good = np.asarray(from_files["converged"])
    np.testing.assert_allclose(table["teff"][good], from_files["teff"][good], atol=0.5)
    assert {"glon", "glat", "outside", "edge", "cool", "converged"} <= set(table.colnames)
    facts = json.loads(table.meta["PROVENAN"])
    assert facts["model_hash"]
    n_terms = transfer.model.coefficients.shape[1]
    assert facts["stars_per_term"] == pytest.approx(facts["n_reference"] / n_terms, abs=0.06)
    assert json.loads(table.meta["VERSIONS"])["labeltransfer"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".ecsv"])
def test_formats_hold_the_same(transfer, store, tmp_path, suffix):
    parts = tmp_path / "parts"
    one = label_survey(transfer, store, tmp_path / "a.fits", parts=parts, progress=False)
    other = label_survey(transfer, store, tmp_path / f"a{suffix}", parts=parts, progress=False)
    first, second = catalogue.read(one.path), catalogue.read(other.path)
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        assert first[name].meta.get("ucd") == second[name].meta.get("ucd")
    with fits.open(one.path) as hdus:
        hdus.verify("exception")


def _label_until_killed(transfer, store, output):
    label = LabelTransfer.label

    def kill_in_the_third(*arguments):
        if len(list(output.with_name("labels.parquet.parts").glob("part-*.json"))) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return label(*arguments)

    LabelTransfer.label = kill_in_the_third
    label_survey(transfer, store, output, progress=False)


@pytest.mark.slow
def test_kill_9_during_inference_ends_with_the_same_bytes(transfer, store, tmp_path, monkeypatch):
    output = tmp_path / "labels.parquet"
    process = multiprocessing.get_context("spawn").Process(target=_label_until_killed, args=(transfer, store, output))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    parts = sorted((tmp_path / "labels.parquet.parts").glob("part-*.parquet"))
    assert len(parts) == 2
    parts[0].write_bytes(parts[0].read_bytes()[:500])
    label, made = LabelTransfer.label, []
    monkeypatch.setattr(LabelTransfer, "label", lambda *arguments: made.append(1) or label(*arguments))
    label_survey(transfer, store, output, progress=False)
    assert len(made) == 3
    label_survey(transfer, store, tmp_path / "whole.parquet", progress=False)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.slow
def test_workers_of_a_cluster_make_the_same_catalogue(transfer, survey_folder, store, tmp_path):
    label_survey(transfer, store, tmp_path / "alone.parquet", progress=False)
    label_survey(transfer, store, tmp_path / "shared.parquet", scheduler="processes", n_workers=1, progress=False)
    assert (tmp_path / "alone.parquet").read_bytes() == (tmp_path / "shared.parquet").read_bytes()
    options = {"block_size": 40, "scheduler": "processes", "n_workers": 1, "progress": False}
    again = ingest_folder(survey_folder, tmp_path / "store", **options)
    assert again.data_hash == store.data_hash


@pytest.mark.slow
def test_schedulers_that_are_none(transfer, store, tmp_path):
    with pytest.raises(ValueError, match="scheduler: found 'slurm', wanted threads, processes or an address such as"):
        label_survey(transfer, store, tmp_path / "a.fits", scheduler="slurm", progress=False)


def test_a_store_made_otherwise_is_refused(transfer, store, tmp_path):
    with pytest.raises(ValueError, match=r"width of the store is 50.0, the model wants 40.0"):
        label_survey(replace(transfer, width=40.0), store, tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"mask of the store is 'none', the model wants 'or'"):
        label_survey(replace(transfer, mask="or"), store, tmp_path / "a.fits")
    short = replace(transfer.model, wavelength=transfer.model.wavelength + 1.0)
    with pytest.raises(ValueError, match="the pixels of the store are not the model's"):
        label_survey(replace(transfer, model=short), store, tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"found suffix '.doc'"):
        label_survey(transfer, store, tmp_path / "a.doc")


def test_parts_of_another_run_and_two_runs_at_once_are_refused(transfer, store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "labels")

    monkeypatch.setattr(catalogue, "join", full)
    with pytest.raises(OSError, match="No space left"):
        label_survey(transfer, store, tmp_path / "a.parquet", progress=False)
    monkeypatch.undo()
    other = replace(transfer, starts=transfer.starts[:2])
    with pytest.raises(ValueError, match=r"holds parts of another run \(different: starts\)"):
        label_survey(other, store, tmp_path / "a.parquet", progress=False)
    with only_writer(tmp_path / "a.parquet.parts"), pytest.raises(RuntimeError, match="another run"):
        label_survey(transfer, store, tmp_path / "a.parquet", progress=False)
    label_survey(transfer, store, tmp_path / "a.parquet", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_blocks_without_a_readable_file_change_nothing(transfer, survey_folder, tmp_path):
    target = tmp_path / "files"
    target.mkdir()
    for path in sorted(survey_folder.rglob("spec-*.fits"))[:6]:
        shutil.copy(path, target)
    for path in sorted(target.iterdir())[2:4]:
        path.write_bytes(b"broken")
    holed = ingest_folder(target, tmp_path / "holed", block_size=2, progress=False)
    done = label_survey(transfer, holed, tmp_path / "a.parquet", progress=False)
    assert (done.n_stars, len(done.unreadable)) == (4, 2)
    assert len(catalogue.read(done.path)) == 4
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.fits").write_bytes(b"broken")
    nothing = ingest_folder(tmp_path / "none", tmp_path / "nothing", progress=False)
    with pytest.raises(ValueError, match=r"no readable spectrum in the store"):
        label_survey(transfer, nothing, tmp_path / "b.parquet")


@pytest.mark.slow
def test_the_memory_does_not_grow_with_the_survey(transfer, tmp_path, monkeypatch):
    survey = open_survey("simulated", n_overlap=60, n_dr2=340, n_apogee=100, seed=3)
    large = ingest_survey(survey, tmp_path / "store", block_size=50, progress=False)
    held = []
    block = type(large).block

    def count(self, number):
        spectra, stars = block(self, number)
        held.append(len(spectra))
        return spectra, stars

    monkeypatch.setattr(type(large), "block", count)
    label_survey(transfer, large, tmp_path / "a.parquet", progress=False)
    assert max(held) <= 50
    assert sum(held) == len(large)


@pytest.mark.slow
def test_from_the_shell(transfer, survey_folder, tmp_path, capsys):
    store, model = tmp_path / "store", tmp_path / "model.npz"
    assert main(["ingest", str(survey_folder), "-o", str(store), "--block", "50"]) == 0
    assert "130 spectra; 0 files skipped, see" in capsys.readouterr().out
    transfer.write(model)
    assert main(["infer", str(model), str(store), "-o", str(tmp_path / "labels.parquet")]) == 0
    assert "130 stars labelled" in capsys.readouterr().out
    assert len(catalogue.read(tmp_path / "labels.parquet")) == 130
    assert main(["infer", str(model), str(store), str(model), "-o", str(tmp_path / "b.parquet")]) == 2
    assert "wanted that store alone" in capsys.readouterr().err
    for name in ("lamost_catalogue.fits", "allStar-simulated.fits"):
        shutil.copy(survey_folder / name, store)
    arguments = ["train", str(store), "--label-names", "teff,logg,fe_h", "-o", str(tmp_path / "again.npz")]
    assert main(arguments) == 0
    assert LabelTransfer.read(tmp_path / "again.npz").model.label_names == NAMES


# --- from files


@pytest.fixture(scope="module")
def files(survey_folder):
    return sorted(survey_folder.rglob("spec-*.fits"))


def test_every_file_is_accounted_for_and_blocks_change_nothing(transfer, files, tmp_path):
    target = tmp_path / "spectra"
    (target / "copy").mkdir(parents=True)
    for path in files[:12]:
        shutil.copy(path, target)
    shutil.copy(files[3], target / "copy")
    (target / files[7].name).write_bytes(b"broken")
    whole = label_survey(transfer, target, tmp_path / "whole.parquet", progress=False)
    parts = label_survey(transfer, [str(target)], tmp_path / "parts.fits", block_size=4, progress=False)
    assert whole.n_stars == parts.n_stars == 11
    assert len(whole.unreadable) == len(parts.unreadable) == 2
    first, second = catalogue.read(whole.path), catalogue.read(parts.path)
    assert first["id"].tolist() == second["id"].tolist()
    np.testing.assert_allclose(first["teff"], second["teff"], rtol=1e-5)
    assert whole.n_good == int(catalogue.good(first).sum()) > 0
    for words in ("11 stars labelled", f"{whole.n_good} good by the", f"{whole.n_outside} outside", "2 files not read",
                  "1  not a FITS file", "1  same file name", "trained on simulated spectra"):  # fmt: skip
        assert words in whole.summary()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.fits", "spectra", "whole.parquet"]


def test_spectra_in_memory_and_an_open_survey_take_the_same_road(transfer, survey_folder, files, tmp_path):
    reading = lamost.read_spectra(files[:6], progress=False)
    table, by_file = (label_survey(transfer, one, progress=False) for one in (reading.spectra, files[:6]))
    for name in ("id", "teff", "teff_err", "cov_teff_logg", "good", "label_distance"):
        np.testing.assert_array_equal(table[name], by_file[name], err_msg=name)
    assert "ra" not in table.colnames
    survey = open_survey("folder", survey_folder, NAMES, progress=False)
    done = label_survey(transfer, survey, tmp_path / "a.parquet", block_size=70, progress=False)
    assert done.n_stars == len(survey.dr2_catalogue())
    with pytest.raises(TypeError, match="source: found int, wanted paths, a store, a survey"):
        label_survey(transfer, 3)
    with pytest.raises(ValueError, match="found an empty path"):
        label_survey(transfer, "")


def test_outputs_are_refused_where_they_would_destroy_something(transfer, store, files, tmp_path):
    spectrum = shutil.copy(files[0], tmp_path / "spec-a.fits")
    before = spectrum.read_bytes()
    with pytest.raises(ValueError, match=r"spec-a.fits: is an input; the catalogue would replace it"):
        label_survey(transfer, spectrum, spectrum, replace=True)
    with pytest.raises(ValueError, match=r"labels.fits: lies in .*, where it would be read as a spectrum"):
        label_survey(transfer, tmp_path, tmp_path / "labels.fits")
    with pytest.raises(ValueError, match="lies within the store"):
        label_survey(transfer, store, store.folder / "manifest.csv", replace=True)
    other = shutil.copy(files[1], tmp_path / "spec-b.fits")
    with pytest.raises(ValueError, match="exists already and is no catalogue that labeltransfer wrote"):
        label_survey(transfer, spectrum, other, replace=True)
    assert spectrum.read_bytes() == before
    output = tmp_path / "labels.csv"
    label_survey(transfer, spectrum, output, progress=False)
    with pytest.raises(ValueError, match=r"a catalogue is there already; .*--replace"):
        label_survey(transfer, spectrum, output, progress=False)
    another = replace(transfer, starts=transfer.starts[:2])
    assert label_survey(another, other, output, replace=True, progress=False).n_stars == 1
    assert catalogue.read(output)["id"].tolist() == ["spec-b"]


@pytest.mark.parametrize("wrong", [{"scheduler": "nonsense"}, {"n_workers": -7}])
def test_wrong_workers_are_refused_for_files_too(transfer, files, tmp_path, wrong):
    with pytest.raises(ValueError, match=r"scheduler: found 'nonsense'|workers: found -7"):
        label_survey(transfer, files[:1], tmp_path / "a.fits", progress=False, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_that_is_no_text_is_labelled(transfer, files, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/spec-\xff.fits")
    shutil.copy(files[0], odd)
    table = label_survey(transfer, [odd, files[1]], progress=False)
    assert table["id"].tolist() == ["spec-\\udcff", files[1].name.removesuffix(".fits")]


def test_nothing_to_label(transfer, tmp_path):
    with pytest.raises(ValueError, match="no spectra in it or in its sub-folders; wanted LAMOST files"):
        label_survey(transfer, tmp_path, progress=False)
    (tmp_path / "a.fits").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"none of 1 files could be read; .*a.fits: not a FITS file"):
        label_survey(transfer, tmp_path / "a.fits", tmp_path / "out.csv", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]


def test_the_mask_of_the_model_is_applied_and_told(transfer, files):
    table = label_survey(replace(transfer, mask="or"), files[:5], progress=False)
    assert (table["n_pixels"] <= label_survey(transfer, files[:5], progress=False)["n_pixels"]).all()
    facts = json.loads(table.meta["PROVENAN"])
    assert (facts["mask"], facts["simulated"], facts["errors"]) == ("or", True, "total")
    assert facts["training_hash"] == transfer.model.training_hash


@pytest.mark.slow
def test_folders_not_entered_and_links_to_nowhere_are_losses(transfer, survey_folder, files, tmp_path, monkeypatch):
    survey, model = tmp_path / "survey", tmp_path / "model.npz"
    transfer.write(model)
    for name in ("a", "closed"):
        (survey / name).mkdir(parents=True)
    for path in files[:8]:
        shutil.copy(path, survey / "a")
    for path in files[8:]:
        shutil.copy(path, survey / "closed")
    (survey / "plate7").symlink_to(tmp_path / "disk not mounted")
    (survey / "a" / "spec-gone.fits").symlink_to(tmp_path / "gone.fits")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    wanted = {
        "closed": "folder not entered: Permission denied",
        "plate7": f"a link that leads nowhere: {tmp_path / 'disk not mounted'}",
        "a/spec-gone.fits": f"a link that leads nowhere: {tmp_path / 'gone.fits'}",
    }
    assert main(["ingest", str(survey), "-o", str(tmp_path / "store")]) == 3
    lines = read_manifest(tmp_path / "store")
    assert {line["file"]: line["reason"] for line in lines if line["status"] == "skipped"} == wanted
    for number, source in enumerate((survey, tmp_path / "store")):
        output = tmp_path / f"{number}.fits"
        assert main(["infer", str(model), str(source), "-o", str(output)]) == 3
        assert len(catalogue.read(output)) == 8
        for name in ("lamost_catalogue.fits", "allStar-simulated.fits"):
            shutil.copy(survey_folder / name, source)
        opened = open_survey("folder", source, NAMES, progress=False)
        done = label_survey(transfer, opened, tmp_path / f"opened-{number}.fits", progress=False)
        found = {os.path.relpath(one.path, survey) if number == 0 else one.path: one.reason for one in done.unreadable}
        assert found == wanted
    (survey / "plate7").unlink()
    assert main(["ingest", str(survey), "-o", str(tmp_path / "store")]) == 3
    assert len([line for line in read_manifest(tmp_path / "store") if line["status"] == "skipped"]) == 2


def test_a_file_that_is_given_twice_counts_once(transfer, files, tmp_path):
    folder = tmp_path / "spectra"
    folder.mkdir()
    paths = [shutil.copy(path, folder) for path in files[:3]]
    done = label_survey(transfer, [folder, *paths, folder / ".." / "spectra"], tmp_path / "a.fits", progress=False)
    assert (done.n_stars, done.unreadable) == (3, [])


def test_reasons_of_one_kind_are_counted_together():
    reasons = [f"same file name as a/{n}.fits; the first is used" for n in range(30)]
    reasons += [f"only {n} of 3626 pixels are good: spectrum of 3700-9100 Å" for n in range(20)]
    reasons += [f"strong lines lie {n:+d} km/s from their places at rest: wrong redshift" for n in range(60, 70)]
    done = Labelled(Path("labels.fits"), unreadable=[Unreadable(f"{n}", reason) for n, reason in enumerate(reasons)])
    assert done.summary().splitlines()[1:] == [
        "       30  same file name", "       20  only … of … pixels are good",
        "       10  strong lines lie … km/s from their places at rest",
    ]  # fmt: skip
    many = [Unreadable("a", "".join(chr(97 + (n + k) % 26) for k in range(5))) for n in range(26)]
    assert Labelled(Path("labels.fits"), unreadable=many).summary().splitlines()[-1] == "       18  for other reasons"


def test_a_survey_folder_is_labelled_without_its_tables(transfer, survey_folder, tmp_path):
    done = label_survey(transfer, survey_folder, tmp_path / "labels.fits", progress=False)
    assert (done.n_stars, done.unreadable) == (130, [])


# --- on processes


def sleep_long(folder, job):
    """Work that tells who does it, and does not end."""
    (folder / str(os.getpid())).write_text("")
    time.sleep(600)
    return job


def _with_a_worker(folder):
    with crews.workers("processes", 1) as crew:
        list(crew.carry_out(sleep_long, folder, [1]))


SCRIPT = """
import sys
from labeltransfer.survey import label_survey
from labeltransfer.survey.blocks import blocks_of
from labeltransfer.transfer import LabelTransfer

transfer, spectra, output = sys.argv[1:]
options = {"scheduler": "processes", "n_workers": 2, "block_size": 40, "progress": False}
print(label_survey(LabelTransfer.read(transfer), spectra, output, **options))
"""


@pytest.mark.slow
def test_a_script_that_processes_would_run_again_is_told(transfer, survey_folder, tmp_path):
    script, model = tmp_path / "script.py", tmp_path / "model.npz"
    script.write_text(SCRIPT)
    transfer.write(model)
    call = [sys.executable, script, model, survey_folder / "spectra", tmp_path / "labels.csv"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "RuntimeError: a worker process ended before its work was done" in done.stderr
    assert "the call must stand under `if __name__ == '__main__':`" in done.stderr
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.slow
def test_labels_that_other_processes_have_not_met(survey_folder, tmp_path):
    survey = open_survey("folder", survey_folder, NAMES, progress=False)
    overlap = survey.overlap()
    register_label("ti_fe", "dex")
    labels = Labels(overlap.labels.ids, (*NAMES[:2], "ti_fe"), overlap.labels.values)
    transfer = learn(overlap.spectra, labels, order=1, n_folds=3, recipe="robust")
    done = label_survey(
        transfer, survey_folder / "spectra", tmp_path / "l.csv", scheduler="processes", n_workers=1, progress=False
    )
    assert done.n_stars == 130


def is_running(pid):
    """Whether there is such a process; one that has ended, and that nobody asked about yet, is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are told by /proc here")
    parent = multiprocessing.get_context("spawn").Process(target=_with_a_worker, args=(tmp_path,))
    parent.start()
    until = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.1)
    (worker,) = (int(path.name) for path in tmp_path.iterdir())
    assert is_running(worker)
    parent.kill()
    parent.join()
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(worker)


# --- on a cluster


@pytest.mark.slow
def test_an_address_that_does_not_speak_dask_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(crews, "PATIENCE", 1.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"{address}: no Dask scheduler answers"), crews.workers(address):
            pass
    with pytest.raises(OSError, match=rf"{address}: no Dask scheduler answers"), crews.workers(address):
        pass


def leave_for_ever(shared, job):
    """Work that ends with the only worker."""
    worker = importlib.import_module("distributed").get_worker()
    worker.loop.add_callback(worker.close)
    return job


@pytest.mark.slow
def test_workers_that_are_lost_for_good_are_not_waited_for_for_ever(monkeypatch, caplog):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(crews, "LOOK", 0.2)
    monkeypatch.setattr(crews, "DESERTED", 0.5)
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(1, **options) as cluster,
        crews.workers(cluster.scheduler_address) as crew,
        pytest.raises(OSError, match=r"has had no workers for .* s; what is finished is kept: start one"),
    ):
        list(crew.carry_out(leave_for_ever, None, range(1000)))
    assert "all Dask workers are lost; waiting for one" in caplog.text


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_is_replaced_and_its_blocks_are_done_again(transfer, store, tmp_path):
    distributed = pytest.importorskip("distributed")
    killed = tmp_path / "killed"

    class Mortal(LabelTransfer):
        """Its second block takes the worker with it, once."""

        def label(self, *arguments):
            if list(tmp_path.glob("labels.parquet.parts/part-*.json")) and not killed.exists():
                killed.write_text("")
                os.kill(os.getpid(), signal.SIGKILL)
            return LabelTransfer.label(self, *arguments)

    mortal = Mortal(**{one.name: getattr(transfer, one.name) for one in fields(transfer)})
    with distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        done = label_survey(mortal, store, tmp_path / "labels.parquet", scheduler=address, progress=False)
    assert killed.exists()
    assert done.n_stars == len(store)
    label_survey(transfer, store, tmp_path / "alone.parquet", scheduler="processes", n_workers=1, progress=False)
    assert done.path.read_bytes() == (tmp_path / "alone.parquet").read_bytes()


# --- nothing of the user's is lost, and nothing is advised that does not help


def test_parts_are_not_kept_among_files_of_the_user(transfer, files, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-00001.csv").write_text("mine")
    with pytest.raises(
        ValueError, match=r"mine: not empty \(part-00001.csv\), and no parts of a run; give a new folder"
    ):
        label_survey(transfer, files[:1], tmp_path / "a.fits", parts=tmp_path / "mine", progress=False)
    assert (tmp_path / "mine" / "part-00001.csv").read_text() == "mine"


def test_spectra_without_redshifts_are_told_how_to_get_them(transfer, files, tmp_path):
    with fits.open(files[0]) as hdus:
        del hdus[0].header["Z"]
        hdus.writeto(tmp_path / files[0].name)
    with pytest.raises(ValueError, match=r"redshift Z: found unknown.*LAMOST's catalogue \(`labeltransfer ingest`\)"):
        label_survey(transfer, tmp_path, progress=False)


# --- two calls, one folder of parts or one output


@pytest.mark.parametrize(
    ("change", "what"),
    [({"normalized": True}, "normalized"), ({"wavelength": lamost.COMMON_GRID * 1.0001}, "wavelength")],
)
def test_parts_of_spectra_that_were_given_otherwise_are_not_taken_up(transfer, files, tmp_path, change, what):
    spectra = lamost.read_spectra(files[:4], progress=False).spectra
    first, now = (blocks_of(one, transfer).facts() for one in (spectra, replace(spectra, **change)))
    Parts(tmp_path, first)
    with pytest.raises(ValueError, match=rf"holds parts of another run \(different: {what}\)"):
        Parts(tmp_path, now)


@pytest.mark.parametrize("what", ["error_factors", "reference_labels", "errors_floor"])
def test_parts_of_another_model_are_not_taken_up(transfer, tmp_path, what):
    pixels, labels, errors = transfer.model.wavelength.size, transfer.reference_labels, transfer.errors
    steep = np.linspace(0.5, 1.5, pixels)
    first = replace(transfer, error_factor=steep, errors=errors or ErrorModel(*np.ones((3, 1, 1))))
    change = {
        "error_factors": {"error_factor": steep[::-1]},
        "reference_labels": {"reference_labels": replace(labels, values=labels.values + 1.0)},
        "errors_floor": {"errors": replace(first.errors, floor=first.errors.floor + 1.0)},
    }[what]
    Parts(tmp_path / "parts", _facts(first))
    with pytest.raises(ValueError, match=rf"holds parts of another run \(different: {what}\)"):
        Parts(tmp_path / "parts", _facts(replace(first, **change)))


def test_a_catalogue_that_another_wrote_meanwhile_stays(transfer, files, tmp_path, monkeypatch):
    output, join = tmp_path / "a.csv", catalogue.join

    def meanwhile(*arguments):
        output.write_text("another's")
        return join(*arguments)

    monkeypatch.setattr(catalogue, "join", meanwhile)
    with pytest.raises(
        FileExistsError, match=r"a.csv: was written by another meanwhile.*what was made here is .*a-1.csv"
    ):
        label_survey(transfer, files[:3], output, progress=False)
    assert output.read_text() == "another's"
    assert len(catalogue.read(tmp_path / "a-1.csv")) == 3
    with pytest.raises(ValueError, match="exists already and is no catalogue"):
        label_survey(transfer, files[:3], output, progress=False)


@pytest.mark.slow
def test_a_model_that_another_wrote_meanwhile_stays(survey_folder, tmp_path, monkeypatch, capsys):
    output, write = tmp_path / "cc.npz", LabelTransfer.write

    def meanwhile(self, path):
        output.write_text("another's")
        write(self, path)

    monkeypatch.setattr(LabelTransfer, "write", meanwhile)
    assert main(["train", str(survey_folder), "--label-names", "teff", "--order", "1", "-o", str(output)]) == 2
    assert f"{output}: was written by another meanwhile, and stays" in capsys.readouterr().err
    assert output.read_text() == "another's"
    assert LabelTransfer.read(tmp_path / "cc-1.npz").model.label_names == ("teff",)


def test_an_output_whose_parts_would_have_too_long_a_name_is_named_itself(transfer, files, tmp_path):
    name = f"{'a' * 246}.fits"
    with pytest.raises(ValueError, match=rf"{name}: beside it there can be no folder .*\.parts \(File name too long\)"):
        label_survey(transfer, files[:1], tmp_path / name, progress=False)
    label_survey(transfer, files[:1], tmp_path / name, parts=tmp_path / "parts", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]
