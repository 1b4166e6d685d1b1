"""Do real giants believe the simulated survey? A model of simulated stars alone labels real LAMOST spectra."""

import numpy as np
import pytest

from labeltransfer import lamost
from labeltransfer.cannon import train
from labeltransfer.continuum import normalize
from labeltransfer.files import read_arrays
from labeltransfer.files.sources import digest_of_contents
from labeltransfer.inference import infer, starting_points
from labeltransfer.mock import SimulatedSurvey, detector, lamost_instrument, realism
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra
from labeltransfer.tables import read_table


@pytest.fixture(scope="module")
def simulated_reference():
    survey = SimulatedSurvey(n_overlap=11_057, n_dr2=0, n_apogee=11_057)
    rows = np.flatnonzero(~survey.stars.outside)
    spectra = realism.trusted(normalize(survey.spectra(rows)))
    return ReferenceSet.join(spectra, survey.truth(rows))


@pytest.mark.slow
def test_a_model_of_simulated_stars_labels_real_giants(simulated_reference, real_spectra):
    folder = real_spectra / "lamost_dr10_giants"
    fluxes, ivars, ids, labels = [], [], [], []
    for row in read_table(folder / "labels.csv"):
        if float(row["snrg"]) > 30:
            flux, ivar = lamost.to_rest_frame(lamost.read_spectrum(folder / row["filename"]), redshift=float(row["z"]))
            fluxes.append(flux)
            ivars.append(ivar)
            ids.append(row["filename"])
            labels.append([float(row[name]) for name in realism.GOALS])
    spectra = normalize(Spectra(np.array(ids), lamost.COMMON_GRID, np.array(fluxes), np.array(ivars)))
    model = train(simulated_reference)
    starts = starting_points(simulated_reference.labels, 7, rng=np.random.default_rng(0))
    fit = infer(model, realism.trusted(spectra, model_error=realism.MODEL_ERROR), starts)
    residual = (fit.labels.values[:, :3] - np.array(labels))[fit.converged]
    assert len(residual) > 0.9 * len(labels)
    scatter = 1.4826 * np.median(np.abs(residual - np.median(residual, axis=0)), axis=0)
    assert (scatter <= list(realism.GOALS.values())).all(), scatter


def test_the_recorded_comparison_meets_its_goals_with_every_seed():
    found = realism.measured()
    goals = list(realism.GOALS.values())
    assert found["n_stars"] >= 60
    assert len(found["seeds"]) >= 5
    assert (np.array(found["windows"]["trusted, model error"]["truth"]["by_seed"]) <= goals).all()
    assert (np.array(found["windows"]["3925-8980 Å"]["truth"]["by_seed"]) <= goals).all()
    assert len(found["wavelength"]) == len(found["reduced_chi2"]) == len(found["rms"])


def test_the_record_is_of_the_spectra_at_hand(real_spectra):
    recorded = realism.measured()["inputs"]
    for name, folder in {"giants": "lamost_dr10_giants", "others": "lamost_pilot"}.items():
        paths = [path for path in (real_spectra / folder).rglob("*") if path.is_file()]
        assert recorded[name] == {
            "n_files": len(paths),
            "sha256": digest_of_contents(paths, real_spectra / folder),
        }


def test_training_on_real_giants_themselves_is_not_better():
    found = realism.measured()
    simulated, real = found["windows"]["trusted"]["truth"], found["trained_on_real"]["trusted"]
    assert (np.array(simulated["robust"]) <= np.array(real["robust"]) + real["robust_error"]).all()


def test_other_windows_and_other_giants_say_the_same_within_the_error():
    found = realism.measured()
    trusted = found["windows"]["trusted"]["truth"]
    for name, routes in found["windows"].items():
        moved = np.abs(np.array(routes["truth"]["robust"]) - trusted["robust"])
        assert (moved < 3 * np.array(trusted["robust_error"])).all(), name
    row = found["apart"]["truth"]
    assert (np.array(row["robust"]) <= np.array(list(realism.GOALS.values())) + 2 * np.array(row["robust_error"])).all()


def test_the_detector_has_the_numbers_measured_on_real_spectra():
    measured, _ = read_arrays(lamost_instrument.INSTRUMENT_FILE, "LamostInstrument")
    assert measured["star_share"] == pytest.approx(detector.STAR_SHARE, abs=0.01)
    assert measured["neighbour"].mean() == pytest.approx(detector.NEIGHBOUR, abs=0.02)
    assert measured["mask_bands"] == pytest.approx(detector.MASKED_BANDS, abs=0.01)
    per_spectrum, length, flagged_only = measured["mask_runs"]
    assert per_spectrum * 3909 / 3626 == pytest.approx(detector.MEAN_RUNS, rel=0.03)
    assert length == pytest.approx(detector.RUN_LENGTH, rel=0.03)
    assert flagged_only < 0.01
    blur = [float((detector.BLUR[lag:] * detector.BLUR[:-lag]).sum()) for lag in (1, 2)]
    assert blur == pytest.approx(measured["floor_correlation"], abs=0.1)


def test_the_features_are_where_most_of_the_misfit_is():
    found = realism.measured()
    assert list(found["features"]) == list(realism.FEATURES)
    pixels, excess = (sum(row[key] for row in found["features"].values()) for key in ("pixels", "excess"))
    assert pixels < 0.4
    assert excess > 0.4


@pytest.mark.slow
def test_windows_and_model_error(simulated_reference):
    spectra = simulated_reference.spectra
    assert not ((spectra.wavelength > 5560) & (spectra.wavelength < 5600)).any()
    softened = realism.trusted(spectra, model_error=0.02)
    assert softened.ivar.max() < 1 / 0.02**2
    assert softened.ivar.dtype == spectra.ivar.dtype
    assert ((softened.ivar == 0) == (spectra.ivar == 0)).all()
