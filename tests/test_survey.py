import multiprocessing
import os
import signal

import numpy as np
import pytest

from labeltransfer import Spectra
from labeltransfer.archive import open_survey
from labeltransfer.cannon import train
from labeltransfer.continuum import normalize
from labeltransfer.inference import infer, starting_points
from labeltransfer.reference import ReferenceSet
from labeltransfer.survey import infer_survey, infer_to_folder

SIZES = {"n_overlap": 150, "n_dr2": 60, "n_apogee": 300, "seed": 5}
NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def survey():
    return open_survey("simulated", label_names=NAMES, **SIZES)


@pytest.fixture(scope="module")
def trained(survey):
    overlap = survey.overlap()
    reference = ReferenceSet.join(normalize(overlap.spectra), overlap.labels)
    return train(reference), starting_points(reference.labels, 3, rng=np.random.default_rng(1))


def same(first, second):
    assert first.labels.ids.tolist() == second.labels.ids.tolist()
    for name in ("values", "covariance"):
        np.testing.assert_array_equal(getattr(first.labels, name), getattr(second.labels, name))
    for name in ("chi2", "n_pixels", "converged", "start"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_survey_is_labelled_as_one_set_of_spectra_would_be(survey, trained):
    model, starts = trained
    rows = np.arange(100, 210)
    fit = infer_survey(model, survey.dr2_blocks(rows, 40), starts, total=rows.size, progress=False)
    spectra = next(survey.dr2_blocks(rows, 1000))
    whole = infer(model, normalize(spectra), starts)
    assert fit.labels.ids.tolist() == whole.labels.ids.tolist()
    np.testing.assert_array_equal(fit.converged, whole.converged)
    both = fit.converged & whole.converged
    assert both.sum() > 50
    shift = np.abs(fit.labels.values - whole.labels.values)[both] / whole.labels.errors[both]
    assert np.median(shift) < 1e-3


def test_spectra_that_are_normalized_are_taken_as_they_are(survey, trained):
    model, starts = trained
    blocks = [normalize(block) for block in survey.dr2_blocks(slice(0, 30), 10)]
    same(
        infer_survey(model, blocks, starts, progress=False),
        infer_survey(model, survey.dr2_blocks(slice(0, 30), 10), starts, progress=False),
    )


def test_a_star_without_good_pixels_fails_alone(survey, trained):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    flux, ivar = block.flux.copy(), block.ivar.copy()
    ivar[4], flux[4] = 0.0, 0.0
    fit = infer_survey(model, [Spectra(block.ids, block.wavelength, flux, ivar)], starts, progress=False)
    assert not fit.converged[4]
    assert np.isnan(fit.labels.values[4]).all()
    others = np.arange(10) != 4
    expected = infer_survey(model, [block], starts, progress=False)
    moved = (fit.labels.values - expected.labels.values) / expected.labels.errors
    np.testing.assert_allclose(moved[others], 0, atol=1e-4)


def one_pixel(array, value):
    return np.where(np.arange(array.size) == 1800, value, array)


ABSURD = {
    "huge flux": lambda flux, ivar: (flux * 1e30, ivar),
    "huge inverse variance": lambda flux, ivar: (flux, np.minimum(ivar * 1e36, 3e38)),
    "everything huge": lambda flux, ivar: (np.full(flux.size, 3e38), np.full(flux.size, 3e38)),
    "negative flux": lambda flux, ivar: (-flux, ivar),
    "no flux": lambda flux, ivar: (0 * flux, ivar),
    "tiny flux": lambda flux, ivar: (flux * 1e-40, ivar),
    "one huge pixel": lambda flux, ivar: (one_pixel(flux, 1e38), ivar),
    "one huge inverse variance": lambda flux, ivar: (flux, one_pixel(ivar, 3e38)),
    "five pixels": lambda flux, ivar: (flux, np.where(np.arange(flux.size) < 5, ivar, 0)),
    "one pixel": lambda flux, ivar: (flux, np.where(np.arange(flux.size) < 1, ivar, 0)),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_spectrum_stops_nothing_and_changes_no_other_star(survey, trained, what):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    flux, ivar = block.flux.astype(float), block.ivar.astype(float)
    flux[4], ivar[4] = ABSURD[what](flux[4], ivar[4])
    spoilt = Spectra(block.ids, block.wavelength, flux.astype(np.float32), ivar.astype(np.float32))
    spoilt.signal_to_noise()
    fit = infer_survey(model, [spoilt], starts, progress=False)
    expected = infer_survey(model, [block], starts, progress=False)
    others = np.arange(10) != 4
    np.testing.assert_array_equal(fit.labels.values[others], expected.labels.values[others])


def test_spectra_in_physical_units_give_the_same_labels(survey, trained):
    model, starts = trained
    block = next(survey.dr2_blocks(slice(0, 10)))
    scaled = Spectra(block.ids, block.wavelength, block.flux * np.float32(2.0**-56), block.ivar * np.float32(2.0**112))
    fit = infer_survey(model, [scaled], starts, progress=False)
    expected = infer_survey(model, [block], starts, progress=False)
    np.testing.assert_array_equal(fit.labels.values, expected.labels.values)


def test_no_block_at_all_is_refused(trained):
    with pytest.raises(ValueError, match="found no spectra, wanted at least one block"):
        infer_survey(trained[0], iter(()), trained[1], progress=False)


# --- parts that survive


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(survey, trained, tmp_path):
    model, starts = trained
    whole = infer_to_folder(model, survey, starts, tmp_path / "whole", block_size=50, progress=False)
    parts = sorted((tmp_path / "whole").glob("part-*.npz"))
    assert len(parts) == 5
    written = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    parts[2].write_bytes(parts[2].read_bytes()[:1000])
    again = infer_to_folder(model, survey, starts, tmp_path / "whole", block_size=50, progress=False)
    same(whole, again)
    assert parts[0].stat().st_mtime_ns == written


def _run_until_killed(folder, model, starts):
    survey = open_survey("simulated", label_names=NAMES, **SIZES)

    def kill_after_two(rows, block_size=None):
        if len(list(folder.glob("part-*.npz"))) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return type(survey).dr2_blocks(survey, rows, block_size)

    survey.dr2_blocks = kill_after_two
    infer_to_folder(model, survey, starts, folder, block_size=50, progress=False)


def test_kill_9_loses_nothing(survey, trained, tmp_path):
    model, starts = trained
    process = multiprocessing.get_context("spawn").Process(target=_run_until_killed, args=(tmp_path, model, starts))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob("part-*.npz"))) == 2
    resumed = infer_to_folder(model, survey, starts, tmp_path, block_size=50, progress=False)
    same(resumed, infer_to_folder(model, survey, starts, tmp_path / "other", block_size=50, progress=False))


@pytest.mark.slow
def test_workers_of_a_dask_client_make_the_same_parts(survey, trained, tmp_path):
    distributed = pytest.importorskip("distributed")
    model, starts = trained
    alone = infer_to_folder(model, survey, starts, tmp_path / "alone", block_size=50, progress=False)
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        shared = infer_to_folder(
            model, survey, starts, tmp_path / "shared", block_size=50, client=client, progress=False
        )
    same(alone, shared)
    for part in (tmp_path / "alone").glob("part-*.npz"):
        assert part.read_bytes() == (tmp_path / "shared" / part.name).read_bytes()


def test_a_folder_of_another_run_is_refused(survey, trained, tmp_path):
    model, starts = trained
    infer_to_folder(model, survey, starts, tmp_path, rows=[1, 2, 3], progress=False)
    with pytest.raises(ValueError, match=r"holds parts of another run \(different: rows\)"):
        infer_to_folder(model, survey, starts, tmp_path, rows=[1, 2], progress=False)
    with pytest.raises(ValueError, match=r"different: starts, width"):
        infer_to_folder(model, survey, starts[:1], tmp_path, rows=[1, 2, 3], width=40.0, progress=False)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json: damaged"):
        infer_to_folder(model, survey, starts, tmp_path, rows=[1, 2, 3], progress=False)
