"""From any source to a catalogue: the same stars, the same labels, whatever happens on the way."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from labeltransfer import catalogue
from labeltransfer.archive import open_survey
from labeltransfer.archive.ingest import ingest_folder, ingest_survey
from labeltransfer.command import main
from labeltransfer.files.locks import only_writer
from labeltransfer.mock import SimulatedSurvey, write_survey
from labeltransfer.survey import label_survey
from labeltransfer.transfer import LabelTransfer, learn

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")
NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def survey_folder(tmp_path_factory):
    survey = SimulatedSurvey(n_overlap=120, n_dr2=10, n_apogee=200, seed=8)
    return write_survey(survey, tmp_path_factory.mktemp("survey") / "new", progress=False)


@pytest.fixture(scope="module")
def transfer(survey_folder):
    return learn(open_survey("folder", survey_folder, NAMES, progress=False), rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def store(survey_folder, tmp_path_factory):
    return ingest_folder(survey_folder, tmp_path_factory.mktemp("store") / "s", block_size=40, progress=False)


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
    assert json.loads(table.meta["VERSIONS"])["labeltransfer"]


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


def test_kill_9_during_inference_ends_with_the_same_bytes(transfer, store, tmp_path):
    output = tmp_path / "labels.parquet"
    process = multiprocessing.get_context("spawn").Process(target=_label_until_killed, args=(transfer, store, output))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    parts = sorted((tmp_path / "labels.parquet.parts").glob("part-*.parquet"))
    assert len(parts) == 2
    written = parts[1].stat().st_mtime_ns
    parts[0].write_bytes(parts[0].read_bytes()[:500])
    label_survey(transfer, store, output, progress=False)
    assert parts[1].stat().st_mtime_ns == written
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
