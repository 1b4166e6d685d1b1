"""A survey's files read once: nothing lost, every file accounted for, whatever happens meanwhile."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeltransfer import lamost
from labeltransfer.archive import open_survey
from labeltransfer.archive import store_files as spectra_store
from labeltransfer.archive.ingest import ingest_folder, ingest_survey, read_manifest
from labeltransfer.archive.store import SpectraStore
from labeltransfer.command import main
from labeltransfer.continuum import normalize
from labeltransfer.files.arrays import temporary_name
from labeltransfer.files.locks import only_writer
from labeltransfer.transfer import learn
from lamost_files import arrays, write_folder, write_table_format

pytest.importorskip("zarr")
NAMES = ("teff", "logg", "fe_h")
OPTIONS = {"block_size": 5, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("files") / "Überprüfung 観測", 12)
    (folder / "plate0" / "spec-bad.fits").write_bytes(b"no FITS")
    (folder / "plate1" / "copy").mkdir()
    shutil.copy(folder / "plate0" / "spec-55555-PLAN_sp01-000.fits.gz", folder / "plate1" / "copy")
    write_table_format(folder / "plate2" / "spec-masked.fits", arrays(1, ivar=np.zeros(3909)))
    return folder


def contents(store):
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_a_store_gives_what_the_files_give(folder, tmp_path):
    store = ingest_folder(folder, tmp_path / "store", **OPTIONS)
    assert (len(store), store.n_blocks, store.counts["skipped"]) == (12, 3, 3)
    assert "12 stars of 14 files" in repr(store)
    paths = [folder / path for path in store.all_stars()["path"]]
    reading = lamost.read_spectra(paths, progress=False)
    whole = normalize(reading.spectra)
    blocks = [store.block(number)[0] for number in range(store.n_blocks)]
    assert np.concatenate([block.ids for block in blocks]).tolist() == whole.ids.tolist()
    assert all(block.normalized for block in blocks)
    np.testing.assert_allclose(np.concatenate([block.flux for block in blocks]), whole.flux, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([block.ivar for block in blocks]), whole.ivar, rtol=1e-5)
    for name in ("ra", "dec", "z", "snr", "snr_g", "obsid"):
        np.testing.assert_array_equal(store.all_stars()[name], reading.stars[name], err_msg=name)


def test_every_file_is_in_the_manifest(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    manifest = {line["file"]: line for line in read_manifest(tmp_path / "store")}
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*.fits*")}
    assert set(manifest) == on_disk
    skipped = {name: line["reason"] for name, line in manifest.items() if line["status"] == "skipped"}
    assert len(skipped) == 3
    assert skipped["plate0/spec-bad.fits"].startswith("not a FITS file")
    assert skipped["plate2/spec-masked.fits"].startswith("no good pixel")
    assert "same file name as plate0" in skipped["plate1/copy/spec-55555-PLAN_sp01-000.fits.gz"]


def test_the_second_time_nothing_is_read(folder, tmp_path, monkeypatch):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    monkeypatch.setattr("labeltransfer.archive.ingest.read_spectra", None)
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    assert contents(tmp_path / "store") == before


def _ingest_until_killed(folder, store):
    from labeltransfer.archive import ingest

    read = ingest.read_spectra

    def kill_in_the_third(paths, **options):
        if len(list((store / "blocks").glob("part-*"))) == 2:
            (store / "flux" / "c" / "2").mkdir(parents=True)
            (store / "flux" / "c" / "2" / "0.abc.partial").write_bytes(b"half a chunk")
            os.kill(os.getpid(), signal.SIGKILL)
        return read(paths, **options)

    ingest.read_spectra = kill_in_the_third
    ingest_folder(folder, store, **OPTIONS)


@pytest.mark.slow
def test_kill_9_during_ingest_loses_nothing_and_ends_with_the_same_bytes(folder, tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=_ingest_until_killed, args=(folder, tmp_path / "killed")
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(ValueError, match=r"unfinished store, 2 of 3 blocks; ingest again, it goes on where it stopped"):
        SpectraStore.open(tmp_path / "killed")
    ingest_folder(folder, tmp_path / "killed", **OPTIONS)
    ingest_folder(folder, tmp_path / "whole", **OPTIONS)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_of_two_ingests_at_once_one_is_refused(folder, tmp_path):
    with only_writer(tmp_path / "store"), pytest.raises(RuntimeError, match=rf"another run \(process {os.getpid()}\)"):
        ingest_folder(folder, tmp_path / "store", **OPTIONS)
    ingest_folder(folder, tmp_path / "store", **OPTIONS)


def test_threads_of_one_process_are_kept_apart_too(folder, tmp_path):
    barrier, outcomes = threading.Barrier(2), []

    def attempt():
        barrier.wait()
        try:
            outcomes.append(len(ingest_folder(folder, tmp_path / "store", **OPTIONS)))
        except RuntimeError:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 12 in outcomes
    assert set(outcomes) <= {12, "refused"}


def test_a_store_of_an_older_format_is_refused_by_name(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    note = tmp_path / "store" / "store.json"
    note.write_text(note.read_text().replace('"format_version": 2', '"format_version": 0'))
    for attempt in (SpectraStore.open, lambda path: ingest_folder(folder, path, **OPTIONS)):
        with pytest.raises(
            ValueError, match=r"store: a store of format version 0, but this labeltransfer reads version"
        ):
            attempt(tmp_path / "store")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_damaged_note_is_refused(tmp_path, text):
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(ValueError, match=r"store.json: damaged .*; remove the store and ingest again"):
        SpectraStore.open(tmp_path)


def test_a_store_of_other_files_or_choices_is_refused(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    with pytest.raises(ValueError, match=r"holds a store of other spectra \(different: mask, width\)"):
        ingest_folder(folder, tmp_path / "store", mask="or", width=40.0, **OPTIONS)
    other = write_folder(tmp_path / "other", 12)
    with pytest.raises(ValueError, match="different: files"):
        ingest_folder(other, tmp_path / "store", **OPTIONS)
    with pytest.raises(ValueError, match=r"not empty \(.*\), and no store"):
        ingest_folder(folder, other, **OPTIONS)


def test_a_full_disk_is_named_and_the_next_call_goes_on(folder, tmp_path, monkeypatch):
    write = spectra_store.write_block

    def full(store, number, *arguments):
        if number == 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(store))
        write(store, number, *arguments)

    monkeypatch.setattr(spectra_store, "write_block", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*store'"):
        ingest_folder(folder, tmp_path / "store", **OPTIONS)
    monkeypatch.undo()
    assert len(ingest_folder(folder, tmp_path / "store", **OPTIONS)) == 12


def test_a_full_disk_within_a_chunk_names_the_store(tmp_path, folder, monkeypatch):
    from zarr.storage import LocalStore

    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    (tmp_path / "store" / "blocks" / "part-00001.npz").unlink()

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("set", "set_sync"):
        monkeypatch.setattr(LocalStore, name, full, raising=False)
    with pytest.raises(OSError, match=r"No space left on device: '.*store'"):
        ingest_folder(folder, tmp_path / "store", **OPTIONS)


def test_damaged_chunks_are_noticed_and_made_again(folder, tmp_path):
    store = ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    chunk = tmp_path / "store" / "ivar" / "c" / "1" / "0"
    flipped = bytearray(chunk.read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    chunk.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"ivar of block 1 is damaged .*; ingest again, which makes anew"):
        store.block(1)
    chunk.unlink()
    with pytest.raises(ValueError, match=r"ivar of block 1 is not what was written .its chunk is missing"):
        store.block(1)
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    assert contents(tmp_path / "store") == before


DAMAGES = {
    "flux lost": lambda chunks: (chunks / "flux" / "c" / "1" / "0").unlink(),
    "ivar lost": lambda chunks: (chunks / "ivar" / "c" / "0" / "0").unlink(),
    "swapped": lambda chunks: swap(chunks / "flux" / "c" / "0" / "0", chunks / "flux" / "c" / "1" / "0"),
    "notes swapped": lambda chunks: swap(*sorted((chunks / "blocks").glob("part-*"))[:2]),
    "note lost": lambda chunks: (chunks / "blocks" / "part-00001.npz").unlink(),
    "count changed": lambda chunks: change(chunks / "complete.json", '"read": 12', '"read": 11'),
    "count lost": lambda chunks: change(chunks / "complete.json", '"read"', '"red"'),
}


def swap(first, second):
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def change(path, old, new):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("what", DAMAGES)
def test_a_store_that_is_not_what_was_written_is_refused_and_mended(folder, tmp_path, what):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    DAMAGES[what](tmp_path / "store")

    def read_all():
        store = SpectraStore.open(tmp_path / "store")
        return [store.block(number) for number in range(store.n_blocks)]

    with pytest.raises((ValueError, FileNotFoundError), match="store"):
        read_all()
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    assert contents(tmp_path / "store") == before
    assert sum(len(spectra) for spectra, _ in read_all()) == 12


@pytest.mark.parametrize("wrong", [{"width": -5.0}, {"width": np.nan}, {"convention": "box"}, {"n_workers": -7}])
def test_wrong_options_make_no_store(folder, tmp_path, wrong):
    with pytest.raises(ValueError, match=r"width|convention|workers"):
        ingest_folder(folder, tmp_path / "store", **OPTIONS, **wrong)
    assert not (tmp_path / "store").exists()


def test_without_zarr_nothing_is_made(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ImportError, match="needs Zarr"):
        ingest_folder(folder, tmp_path / "store", **OPTIONS)
    assert not (tmp_path / "store").exists()


def test_the_redshift_that_was_used_is_kept(tmp_path):
    (tmp_path / "files").mkdir()
    header = {"OBSID": 1, "RA": 1.0, "DEC": 2.0, "CLASS": "STAR"}
    write_table_format(tmp_path / "files" / "spec-1.fits", header=header)
    (tmp_path / "lamost.csv").write_text("filename,z,ra,dec,snrg\nspec-1.fits,0.0003,1,2,50\n")
    store = ingest_folder(tmp_path / "files", tmp_path / "store", catalogue=tmp_path / "lamost.csv", progress=False)
    assert store.all_stars()["z"].tolist() == [0.0003]


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("small") / "files", 3)
    store = ingest_folder(folder, folder.parent / "store", block_size=2, progress=False)
    return store.folder, [store.block(number)[0].flux for number in range(2)]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 100), place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_no_damage_to_a_store_gives_other_spectra(small_store, which, place, value, cut):
    folder, fluxes = small_store
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (".lock", "manifest.csv")
    ]
    path = files[which % len(files)]
    whole = path.read_bytes()
    spot = int(place * len(whole))
    path.write_bytes(whole[:spot] if cut else whole[:spot] + bytes([value]) + whole[spot + 1 :])
    try:
        store = SpectraStore.open(folder)
        for number, flux in enumerate(fluxes):
            np.testing.assert_array_equal(store.block(number)[0].flux, flux)
    except (ValueError, FileNotFoundError) as error:
        named = str(error)
    else:
        named = str(folder)
    finally:
        path.write_bytes(whole)
    assert str(folder) in named


def test_folders_without_spectra(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ingest_folder(tmp_path / "nowhere", tmp_path / "store")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no spectra in it or in its sub-folders"):
        ingest_folder(tmp_path / "empty", tmp_path / "store")
    with pytest.raises(FileNotFoundError, match=r"no store of spectra; make one with `labeltransfer ingest"):
        SpectraStore.open(tmp_path / "empty")
    with pytest.raises(ValueError, match="mask: found 'AND', wanted one of none, and, or"):
        ingest_folder(tmp_path, tmp_path / "store", mask="AND")
    with pytest.raises(ValueError, match="block_size: found 0"):
        ingest_folder(write_folder(tmp_path / "files", 1), tmp_path / "store", block_size=0)


def test_a_folder_in_which_nothing_can_be_read(folder, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.fits").write_bytes(b"no FITS")
    store = ingest_folder(tmp_path / "files", tmp_path / "store", **OPTIONS)
    assert len(store) == 0
    assert [line["status"] for line in read_manifest(tmp_path / "store")] == ["skipped"]


def test_a_simulated_survey_is_ingested_without_files(tmp_path):
    survey = open_survey("simulated", n_overlap=60, n_dr2=20, n_apogee=100, seed=3)
    store = ingest_survey(survey, tmp_path / "store", block_size=32, progress=False)
    assert len(store) == 80
    assert store.facts["simulated"]
    spectra, stars = store.block(1)
    expected = normalize(next(survey.dr2_blocks(np.arange(32, 64))))
    np.testing.assert_array_equal(spectra.flux, expected.flux)
    assert stars["id"].tolist() == expected.ids.tolist()


def test_a_store_is_a_survey_to_learn_from(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    from_files = open_survey("folder", folder, NAMES, progress=False).overlap()
    survey = open_survey("folder", tmp_path / "store", NAMES, label_table=folder / "labels.csv", progress=False)
    overlap = survey.overlap()
    assert overlap.spectra.normalized
    assert overlap.spectra.ids.tolist() == from_files.spectra.ids.tolist()
    np.testing.assert_array_equal(overlap.labels.values, from_files.labels.values)
    np.testing.assert_allclose(overlap.spectra.flux, normalize(from_files.spectra).flux, rtol=1e-5, atol=1e-5)
    assert [len(block) for block in survey.dr2_blocks(block_size=7)] == [7, 5]
    shutil.copy(folder / "labels.csv", tmp_path / "store")
    assert open_survey("folder", tmp_path / "store", None, progress=False).overlap().labels.names == NAMES
    with pytest.raises(ValueError, match=r"a store with mask 'none', wanted 'or'"):
        open_survey("folder", tmp_path / "store", NAMES, mask="or")


@pytest.mark.slow
def test_learning_from_a_store_is_learning_from_its_files(tmp_path):
    from labeltransfer.mock import SimulatedSurvey, write_survey

    survey = SimulatedSurvey(n_overlap=120, n_dr2=5, n_apogee=200, seed=8)
    folder = write_survey(survey, tmp_path / "survey", progress=False)
    ingest_folder(folder, tmp_path / "store", catalogue=folder / "lamost_catalogue.fits", progress=False)
    for name in ("lamost_catalogue.fits", "allStar-simulated.fits"):
        shutil.copy(folder / name, tmp_path / "store")
    first, second = (
        learn(open_survey("folder", one, NAMES, progress=False), rng=np.random.default_rng(1))
        for one in (folder, tmp_path / "store")
    )
    assert second.simulated
    assert first.reference_labels.ids.tolist() == second.reference_labels.ids.tolist()
    noise = np.nanmedian(first.model.scatter)
    np.testing.assert_allclose(first.model.scatter, second.model.scatter, rtol=1e-3, atol=0.01 * noise)
    assert json.loads((tmp_path / "store" / "store.json").read_text())["simulated"]
    with pytest.raises(ValueError, match=r"normalized with width 50"):
        learn(open_survey("folder", tmp_path / "store", NAMES), rng=np.random.default_rng(1), width=40.0)


def test_unreadable_files_whose_names_are_no_text(tmp_path):
    write_folder(tmp_path / "files", 3)
    strange = os.fsencode(tmp_path / "files") + b"/spec-\xff\xe9.fits"
    try:
        with open(strange, "wb") as stream:
            stream.write(b"no spectrum")
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    store = ingest_folder(tmp_path / "files", tmp_path / "store", progress=False)
    assert (len(store), store.counts["skipped"]) == (3, 1)
    assert [one.path for one in store.skipped] == ["spec-\\udcff\\udce9.fits"]


# --- in the place of a store that is there


def test_replacing_keeps_what_is_not_the_stores(folder, tmp_path):
    store = tmp_path / "store"
    ingest_folder(folder, store, **OPTIONS)
    (store / "labels.csv").write_text("filename,teff\n")
    (store / "blocks" / "notes.txt").write_text("mine")
    temporary_name(store / "blocks" / "part-00000.npz").write_bytes(b"half")
    again = ingest_folder(folder, store, width=40.0, replace=True, **OPTIONS)
    assert again.facts["width"] == 40.0
    assert (store / "labels.csv").read_text() == "filename,teff\n"
    (store / "labels.csv").unlink()
    (store / "blocks" / "notes.txt").unlink()
    ingest_folder(folder, tmp_path / "new", width=40.0, **OPTIONS)
    assert contents(store) == contents(tmp_path / "new")


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": "nowhere"},
        {"folder": "empty"},
        {"width": -5.0},
        {"width": 1e-9},
        {"width": 1e9},
        {"convention": "box"},
        {"block_size": 0},
        {"n_workers": -7},
        {"catalogue": "nowhere.fits"},
        {"catalogue": "notes.txt"},
    ],
)
def test_what_is_asked_wrongly_costs_no_store(folder, tmp_path, wrong):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no table")
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    given = {**OPTIONS, **wrong}
    source = tmp_path / given.pop("folder") if "folder" in given else folder
    if "catalogue" in given:
        given["catalogue"] = tmp_path / given["catalogue"]
    with pytest.raises((ValueError, FileNotFoundError)):
        ingest_folder(source, tmp_path / "store", replace=True, **given)
    assert contents(tmp_path / "store") == before


def test_a_mistyped_folder_costs_no_store(folder, tmp_path, capsys):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    assert main(["ingest", str(tmp_path / "nowhere"), "-o", str(tmp_path / "store"), "--replace"]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert contents(tmp_path / "store") == before


def test_a_store_that_is_being_written_is_not_replaced(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    before = contents(tmp_path / "store")
    with only_writer(tmp_path / "store"), pytest.raises(RuntimeError, match="another run"):
        ingest_folder(folder, tmp_path / "store", width=40.0, replace=True, **OPTIONS)
    assert contents(tmp_path / "store") == before


def test_a_store_of_an_older_format_is_replaced_and_a_thing_of_that_name_is_not(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    note = tmp_path / "store" / "store.json"
    note.write_text(note.read_text().replace('"format_version": 2', '"format_version": 0'))
    assert len(ingest_folder(folder, tmp_path / "store", replace=True, **OPTIONS)) == 12
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "store.json").write_text(
        '{"kind": "shop", "format_version": 2, "n_files": 1, "block_size": 1}'
    )
    with pytest.raises(ValueError, match="found 'shop', wanted a SpectraStore; give another folder"):
        ingest_folder(folder, tmp_path / "shop", replace=True, **OPTIONS)


@pytest.mark.parametrize("store", [".", ".."])
def test_a_store_is_no_place_of_the_files(tmp_path, store):
    files = write_folder(tmp_path / "files", 1)
    with pytest.raises(ValueError, match=r"is the folder of spectra .*, or holds it; give another place"):
        ingest_folder(files, files / store, replace=True, **OPTIONS)
    assert sorted(path.name for path in files.iterdir()) == ["labels.csv", "plate0"]


# --- which catalogue the redshifts are from


def write_without_redshifts(folder):
    (folder / "files").mkdir()
    for n in range(2):
        header = {"OBSID": n + 1, "RA": 1.0 + n, "DEC": 2.0, "CLASS": "STAR"}
        write_table_format(folder / "files" / f"spec-55555-P_sp01-{n:03d}.fits", arrays(n), header)
    return folder / "files"


def write_catalogue(path, z):
    rows = "".join(f"{n + 1},55555,P,1,{n},{1 + n},2,50,{z}\n" for n in range(2))
    path.write_text(f"obsid,lmjd,planid,spid,fiberid,ra,dec,snrg,z\n{rows}")
    return path


def test_of_several_catalogues_none_is_taken_unasked(tmp_path, capsys):
    files = write_without_redshifts(tmp_path)
    for name, z in (("dr7.csv", 0.0001), ("dr9.csv", 0.0003)):
        write_catalogue(files / name, z)
    with pytest.raises(ValueError, match=r"several tables might be LAMOST's catalogue: dr7.csv, dr9.csv; leave one"):
        ingest_folder(files, tmp_path / "store", progress=False)
    assert main(["ingest", str(files), "-o", str(tmp_path / "store"), "--catalogue", str(files / "dr9.csv")]) == 0
    assert f"redshifts that headers lack are those of {files / 'dr9.csv'}" in capsys.readouterr().out
    assert SpectraStore.open(tmp_path / "store").all_stars()["z"].tolist() == [0.0003, 0.0003]
    (files / "dr7.csv").unlink()
    assert main(["ingest", str(files), "-o", str(tmp_path / "store"), "--replace"]) == 0
    assert f"redshifts that headers lack are those of {files / 'dr9.csv'}" in capsys.readouterr().out


def test_a_catalogue_of_our_own_gives_no_redshifts(tmp_path):
    files = write_without_redshifts(tmp_path)
    path = write_catalogue(tmp_path / "mine.csv", 0.0003)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},id,reduced_chi2,converged", *(f"{line},a,1.0,True" for line in lines[1:])]))
    with pytest.raises(ValueError, match=r"mine.csv: found a catalogue of labels that `infer` wrote"):
        ingest_folder(files, tmp_path / "store", catalogue=path, progress=False)


@pytest.mark.parametrize("unfinished", [False, True])
def test_redshifts_of_another_catalogue_make_another_store(tmp_path, capsys, unfinished):
    files = write_without_redshifts(tmp_path)
    right, wrong = (write_catalogue(tmp_path / f"{z}.csv", z) for z in (0.0003, 0.0008))
    for before, now in ((wrong, right), (None, right)):
        store = tmp_path / f"store of {before and before.name}"
        first = ingest_folder(files, store, catalogue=before, **OPTIONS)
        assert len(first) == (2 if before else 0)
        if unfinished:
            (store / "complete.json").unlink()
        assert main(["ingest", str(files), "-o", str(store), "--block", "5", "--catalogue", str(now)]) == 2
        assert (
            "store of other spectra (different: the redshifts of a catalogue, of files whose" in capsys.readouterr().err
        )
    done = ingest_folder(files, tmp_path / "store", catalogue=right, **OPTIONS)
    right.write_text(right.read_text() + "9,55555,P,1,9,9,2,50,0.5\n")
    assert ingest_folder(files, tmp_path / "store", catalogue=right, **OPTIONS).data_hash == done.data_hash


def test_a_catalogue_that_no_header_needs_changes_nothing(folder, tmp_path):
    store = ingest_folder(folder, tmp_path / "store", **OPTIONS)
    ids = store.all_stars()["id"].tolist()
    (tmp_path / "all.csv").write_text("\n".join(["filename,ra,dec,snrg,z", *(f"{name},1,2,3,0.001" for name in ids)]))
    again = ingest_folder(folder, tmp_path / "store", catalogue=tmp_path / "all.csv", **OPTIONS)
    assert again.data_hash == store.data_hash


def test_the_hash_of_a_store_with_labels_follows_its_table(folder, tmp_path):
    ingest_folder(folder, tmp_path / "store", **OPTIONS)
    table = tmp_path / "store" / "labels.csv"
    shutil.copy(folder / "labels.csv", table)
    before = open_survey("folder", tmp_path / "store", NAMES, progress=False).data_hash
    assert open_survey("folder", tmp_path / "store", NAMES, progress=False).data_hash == before
    table.write_text(table.read_text() + "\n".join(table.read_text().splitlines()[-1:]))
    assert open_survey("folder", tmp_path / "store", NAMES, progress=False).data_hash != before
