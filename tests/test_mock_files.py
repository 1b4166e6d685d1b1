"""The simulated survey in the surveys' own file formats: what is read back is what is made in memory."""

import errno
import json
import multiprocessing
import os
import signal
import threading
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from labeltransfer import apogee, lamost
from labeltransfer.archive import open_survey
from labeltransfer.files import read_arrays
from labeltransfer.files.arrays import temporary_name
from labeltransfer.labels import Labels
from labeltransfer.mock import SimulatedSurvey, survey_files, write_survey
from labeltransfer.options import MASKS


@pytest.fixture(scope="module")
def survey():
    return SimulatedSurvey(n_overlap=30, n_dr2=12, n_apogee=400, seed=5)


@pytest.fixture(scope="module", params=[("image", False), ("table", True)], ids=["image", "table, compressed"])
def folder(request, survey, tmp_path_factory):
    spectra_format, compress = request.param
    target = tmp_path_factory.mktemp("survey") / "new"
    return write_survey(survey, target, spectra_format=spectra_format, compress=compress, progress=False)


def assert_same_table(found, wanted):
    assert found.colnames == wanted.colnames
    for name in wanted.colnames:
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(wanted[name]), err_msg=name)
        assert found[name].unit == wanted[name].unit, name


@pytest.mark.slow
@pytest.mark.parametrize("mask", MASKS)
def test_spectra_from_files_are_the_spectra_from_memory(survey, folder, mask):
    files = sorted((folder / "spectra").rglob("*.fits*"))
    reading = lamost.read_spectra(files, mask=mask, progress=False)
    assert not reading.unreadable
    rows = [list(survey.ids).index(name) for name in reading.spectra.ids]
    made = survey.spectra(rows, mask=mask)
    np.testing.assert_array_equal(reading.spectra.ids, made.ids)
    np.testing.assert_array_equal(reading.spectra.flux, made.flux)
    np.testing.assert_array_equal(reading.spectra.ivar, made.ivar)
    np.testing.assert_array_equal(reading.stars["z"], survey.redshift[rows])


def test_catalogue_and_allstar_from_files_are_those_from_memory(survey, folder):
    found, wanted = lamost.read_catalogue(folder / "lamost_catalogue.fits"), survey.catalogue()
    np.testing.assert_allclose(found["z"], wanted["z"], rtol=0, atol=0.005 / 299_792.458, err_msg="rv has two digits")
    found["z"] = wanted["z"]
    assert_same_table(found, wanted)
    read, made = apogee.read_allstar(folder / "allStar-simulated.fits"), survey.allstar()
    unknown = np.isnan(np.asarray(made["teff"]))
    for name in [name for name in made.colnames if name.endswith("_err")]:
        assert not (np.asarray(read[name])[unknown] > 0).any(), (
            "the real table has errors of -1 where labels are missing"
        )
        read[name][unknown] = np.nan
    assert_same_table(read[made.colnames], made)


def test_lamosts_catalogue_has_its_sentinels(folder):
    with fits.open(folder / "lamost_catalogue.fits") as ours:
        for name in ("z", "rv"):
            values = ours[1].data[name]
            assert np.unique(values[values < -990.0]).tolist() == [-9999.0], name
            assert (values < -990.0).sum() == 1
    assert np.isfinite(lamost.read_catalogue(folder / "lamost_catalogue.fits")["z"]).all()


def test_the_allstar_file_is_like_the_real_one(folder, real_spectra):
    """Every column has the real name, type and shape, in the real order; what is missing is written as there."""
    with (
        fits.open(real_spectra / "apogee_dr12" / "allStar-v603-extract.fits") as real,
        fits.open(folder / "allStar-simulated.fits") as ours,
    ):
        theirs = real[1].columns
        order = [theirs.names.index(name) for name in ours[1].columns.names]
        assert order == sorted(order)
        assert len(order) >= 55
        for column in ours[1].columns:
            wanted = theirs[column.name]
            if "A" in wanted.format:
                assert "A" in column.format
                assert int(column.format[:-1]) <= int(wanted.format[:-1]), column.name
            else:
                assert column.format == wanted.format, column.name
            assert wanted.dim is None
            assert column.dim in (None, f"({wanted.format[:-1]})"), "of one dimension"
        data = ours[1].data
        for name in ("AK_WISE", "AK_TARG"):
            absent = data[name] < -9000
            assert 0 < absent.mean() < 0.3
            assert set(data[name][absent].tolist()) == {float(np.float32(-9999.99))}
        absent = data["TEFF"] < -9000
        assert 0 < absent.sum() < 20
        for name in ("TEFF", "LOGG", "PARAM_M_H", "PARAM_ALPHA_M", "FE_H", "MG_H"):
            assert set(data[name][absent].tolist()) == {-9999.0}
        assert (
            set(data["TEFF_ERR"][absent].tolist()) == {-1.0} == set(real[1].data["TEFF_ERR"][real[1].data["TEFF"] < 0])
        )
        np.testing.assert_array_equal(data["PARAM"][:, [0, 1, 3, 6]][~absent], np.column_stack(
            [data[name] for name in ("TEFF", "LOGG", "PARAM_M_H", "PARAM_ALPHA_M")])[~absent])  # fmt: skip


def test_iron_is_another_number_than_metallicity():
    table = SimulatedSurvey(n_overlap=4000, n_dr2=0, n_apogee=4000, seed=5).allstar_file()
    known = (table["FE_H"] > -9000) & (table["PARAM_M_H"] > -9000)
    difference = np.asarray(table["FE_H"] - table["PARAM_M_H"])[known]
    assert abs(difference.mean() - 0.018) < 0.012, "in the real overlap +0.018 and 0.070"
    assert abs(difference.std() - 0.070) < 0.01
    assert 0 < ((table["FE_H"] < -9000) & (table["PARAM_M_H"] > -9000)).sum() < 25
    words, bits = np.asarray(table["ASPCAPFLAGS"]), np.asarray(table["ASPCAPFLAG"])
    assert set(words[bits == 392]) == {"M_H_WARN,STAR_WARN,CHI2_WARN"}
    assert set(words[bits == 0]) == {" "}
    assert abs(((bits & 8) != 0).sum() - 457 * 4000 / 11061) < 45
    assert abs(((bits & 256) != 0).sum() - 320 * 4000 / 11061) < 40
    assert (bits < 0).sum() > 20, "bit 31 is the sign of a 32-bit integer"


def test_the_folder_opens_as_the_same_survey(survey, folder):
    from_files = open_survey("folder", folder, progress=False).overlap()
    from_memory = open_survey("simulated", n_overlap=30, n_dr2=12, n_apogee=400, seed=5).overlap()
    order = np.argsort(from_files.spectra.ids), np.argsort(from_memory.spectra.ids)
    np.testing.assert_array_equal(from_files.spectra.ids[order[0]], from_memory.spectra.ids[order[1]])
    np.testing.assert_array_equal(from_files.labels.values[order[0]], from_memory.labels.values[order[1]])
    np.testing.assert_array_equal(from_files.spectra.flux[order[0]], from_memory.spectra.flux[order[1]])
    assert len(from_files) == 30


def test_files_are_valid_fits(folder):
    path = next((folder / "spectra").rglob("*.fits*"))
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["CLASS"] == "STAR"
        assert np.isfinite(hdus[0].header["Z"])
    with fits.open(folder / "allStar-simulated.fits") as hdus:
        assert hdus[1].data["ASPCAPFLAG"].dtype.itemsize == 4


def test_the_folder_says_how_it_was_made(survey, folder):
    facts = json.loads((folder / "simulated.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 5
    assert facts["error_factor"] == survey.error_factor


def test_the_folder_says_which_stars_are_not_what_was_drawn(survey, folder):
    arrays, _ = read_arrays(folder / "drawn.npz", "DrawnStars")
    truth = Labels.read(folder / "truth.npz")
    assert arrays["ids"].tolist() == truth.ids.tolist() == survey.ids.tolist()
    assert tuple(arrays["names"]) == truth.names[:4]
    moved = np.any(arrays["drawn"] != truth.values[:, :4], axis=1)
    np.testing.assert_array_equal(arrays["outside"], moved)
    assert 0 < moved.sum() < len(survey)
    np.testing.assert_array_equal(arrays["giant"], survey.stars.giant)


def test_a_folder_in_use_is_refused(survey, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        write_survey(survey, tmp_path)


def test_an_unknown_format_is_refused(survey, tmp_path):
    with pytest.raises(ValueError, match="spectra_format: found 'dr2'"):
        write_survey(survey, tmp_path / "new", spectra_format="dr2")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_and_be_killed(folder, after, compress):
    """In a process of its own: killed in the middle of its `after`-th spectrum."""
    survey_files.BLOCK = 8
    made, written = threading.Semaphore(after), survey_files.spectrum_bytes

    def spectrum_bytes(block, n, spectra_format):
        if not made.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)
        return written(block, n, spectra_format)

    survey_files.spectrum_bytes = spectrum_bytes
    survey = SimulatedSurvey(n_overlap=30, n_dr2=12, n_apogee=400, seed=5)
    write_survey(survey, folder, compress=compress, progress=False)


def killed(folder, after, compress=False):
    process = multiprocessing.get_context("spawn").Process(target=write_and_be_killed, args=(folder, after, compress))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("compress", [False, True])
def test_writing_that_was_killed_goes_on_where_it_stopped(survey, tmp_path, monkeypatch, compress):
    whole = write_survey(survey, tmp_path / "whole", compress=compress, progress=False)
    folder = killed(tmp_path / "killed", 21, compress)
    assert not (folder / "simulated.json").exists()
    spectra = list((folder / "spectra").rglob("*.fits*"))
    assert 1 <= len([path for path in spectra if path.suffix != ".part"]) < len(survey)
    cut_short = next(path for path in spectra if path.suffix != ".part")
    cut_short.write_bytes(b"")
    made, written = [], survey_files.spectrum_bytes

    def counted(block, n, spectra_format):
        made.append(block.ids[n])
        return written(block, n, spectra_format)

    monkeypatch.setattr(survey_files, "spectrum_bytes", counted)
    write_survey(survey, folder, compress=compress, progress=False)
    assert len(made) < len(survey)
    assert contents(folder) == contents(whole)


@pytest.mark.slow
def test_an_unfinished_folder_of_another_survey_is_refused(survey, tmp_path):
    folder = killed(tmp_path / "killed", 5)
    before = contents(folder)
    other = SimulatedSurvey(n_overlap=30, n_dr2=12, n_apogee=400, seed=6)
    with pytest.raises(FileExistsError, match=r"left unfinished \(different: seed\)"):
        write_survey(other, folder)
    with pytest.raises(FileExistsError, match="different: spectra_format"):
        write_survey(survey, folder, spectra_format="table")
    assert contents(folder) == before


def test_too_little_room_is_said_before_anything_is_written(survey, tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(survey_files.shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(OSError, match=r"42 spectra need 0\.0035 GB, 0\.001 GB are free"):
        write_survey(survey, tmp_path / "new", progress=False)
    assert not list((tmp_path / "new").rglob("*.fits*"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_spectra(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_files, "BLOCK", 16)

    def peak(n_stars, attempt):
        survey = SimulatedSurvey(n_overlap=n_stars, n_dr2=0, n_apogee=n_stars, seed=5)
        survey.stars, survey.ids, survey.allstar()
        survey.raw_block(0, 2)
        tracemalloc.start()
        write_survey(survey, tmp_path / f"{n_stars}-{attempt}", progress=False)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(48, 0)  # compiles what is not kept yet
    few, many = ([peak(n_stars, k) for k in range(3)] for n_stars in (320, 576))  # more blocks than are made at once
    # how many are at work when most is taken hangs on the moment
    assert min(many) - max(few) < 256 * 1500, "a star more costs its row of the tables, a tenth of its flux"


def test_a_full_disk_names_the_spectrum(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*spec-[^']*\.fits'"):
        write_survey(SimulatedSurvey(n_overlap=2, n_dr2=0, n_apogee=2), tmp_path, progress=False)


def test_more_stars_than_there_are_spectra_are_refused():
    with pytest.raises(ValueError, match="n_overlap: found 100,000,000,000, wanted at most 20,000,000 stars"):
        SimulatedSurvey(n_overlap=100_000_000_000)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_damaged_note_on_an_unfinished_survey_is_named(survey, tmp_path, text):
    (tmp_path / "unfinished.json").write_text(text)
    with pytest.raises(ValueError, match=r"unfinished.json: damaged .*; remove the folder or give another"):
        write_survey(survey, tmp_path)


def test_what_was_left_half_written_is_not_part_of_the_survey(tmp_path, monkeypatch):
    small = SimulatedSurvey(n_overlap=2, n_dr2=1, n_apogee=4, seed=5)
    monkeypatch.setattr(survey_files, "lamost_catalogue", lambda survey: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_survey(small, tmp_path, progress=False)
    monkeypatch.undo()
    temporary_name(tmp_path / "truth.npz").write_bytes(b"half")
    write_survey(small, tmp_path, progress=False)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
