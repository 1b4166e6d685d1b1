"""The stars to pick from: chosen all over the label planes, in few bytes, and nothing missing."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer_stars import N_PIXELS, giants, picked, survey
from labeltransfer.figures import star_picker as explorer
from labeltransfer.figures.star_picker import error_bytes, flux_steps, spread_over_planes
from labeltransfer.labels import PAPER_LABELS
from labeltransfer.reproduction.sphinx_extension import EXPLORER
from labeltransfer.reproduction.tables import StarPage


def decoded(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_fluxes_and_errors_come_back_from_their_bytes():
    rng = np.random.default_rng(0)
    flux, error = rng.normal(1, 0.4, (30, 50)), 10 ** rng.uniform(-3.8, 0.2, (30, 50))
    ivar = np.where(rng.random(flux.shape) < 0.1, 0, error**-2)
    steps, number = flux_steps(flux, ivar), error_bytes(ivar)
    assert (steps.dtype, number.dtype) == (np.int16, np.uint8)
    good = ivar > 0
    np.testing.assert_allclose(steps[good] * explorer.FLUX_STEP, flux[good], atol=0.51 * explorer.FLUX_STEP)
    back = explorer.ERROR_LOW * explorer.ERROR_RATIO ** (number[good] - 1.0)
    np.testing.assert_allclose(back, error[good], rtol=0.021)
    assert not number[~good].any()
    assert not steps[~good].any()


def test_wild_fluxes_are_cut_off_and_wild_errors_stay_unmasked():
    assert flux_steps(np.array([99.0, -99.0]), np.ones(2)).tolist() == [32767, -32767]
    assert error_bytes(np.array([1e30, 1e-30, 0.0])).tolist() == [1, 255, 0]


def test_a_missing_flux_is_refused_but_not_where_masked():
    flux = np.array([1.0, np.nan])
    assert flux_steps(flux, np.array([1.0, 0.0]))[1] == 0
    with pytest.raises(ValueError, match="the flux of 1 pixels is missing"):
        flux_steps(flux, np.ones(2))


def test_stars_are_chosen_all_over_the_planes_and_again_the_same():
    labels = giants(4000, np.random.default_rng(3))
    rows = spread_over_planes(labels, 100, rng=np.random.default_rng(1))
    assert len(np.unique(rows)) == 100
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, spread_over_planes(labels, 100, rng=np.random.default_rng(1)))
    for name in PAPER_LABELS[:4]:
        everywhere, chosen = labels.column(name), labels.column(name)[rows]
        far = np.abs(everywhere - np.median(everywhere)) > 3 * np.subtract(*np.percentile(everywhere, [75, 25]))
        assert far[rows].mean() > 3 * far.mean(), f"{name}: rare stars are chosen more often"
        assert np.ptp(chosen) > 0.6 * np.ptp(everywhere)


@pytest.mark.parametrize("names", [("teff", "logg"), ("alpha_m", "a_k"), ("teff",)])
def test_stars_are_chosen_whatever_the_labels(names):
    labels = giants(500, np.random.default_rng(3)).select(names)
    assert len(spread_over_planes(labels, 50, rng=np.random.default_rng(1))) == 50
    assert len(spread_over_planes(labels[:20], 50, rng=np.random.default_rng(1))) == 20
    assert set(explorer.planes(names)[0]) <= set(names)


def test_the_script_holds_what_it_was_given(tmp_path):
    reference, fit, model, snr = survey()
    fit = replace(fit, converged=np.arange(300) % 2 == 0)
    picker = picked(reference, fit, model, snr)
    page = picker.write(tmp_path / "explorer_data-abc.js")
    text = page.read_text(encoding="utf-8")
    content = json.loads(text.removeprefix("window.labeltransferExplorer = ").rstrip(";\n"))
    assert len(content["stars"]) == len(picker) == 60
    assert content["simulated"] is True
    row = reference.labels.ids.tolist().index(content["stars"][7]["id"])
    assert row % 2 == 0, "converged"
    np.testing.assert_allclose(content["stars"][7]["reference"], reference.labels.values[row], rtol=1e-6)
    np.testing.assert_allclose(content["stars"][7]["fitted"], fit.labels.values[row], rtol=1e-6)
    flux = decoded(content["flux"], "<i2").reshape(60, -1) * content["flux_step"]
    np.testing.assert_allclose(flux[7], reference.spectra.flux[row], atol=1e-4)
    assert (decoded(content["error"], "u1") > 0).all()
    coefficients = decoded(content["coefficients"], "<f4").reshape(N_PIXELS, -1)
    x = (fit.labels.values[row] - content["pivots"]) / content["scales"]
    vector = [np.prod([x[i] for i in term]) for term in content["terms"]]
    np.testing.assert_allclose(coefficients @ vector, model.model_flux(fit.labels.values[[row]])[0], atol=1e-5)


@pytest.mark.parametrize("order", [2, 3])
def test_the_script_is_never_larger_than_agreed(tmp_path, order):
    picker = picked(*survey(200, order, 3626), n=explorer.N_STARS)
    assert len(picker) > 50
    page = picker.write(tmp_path / "data.js")
    assert page.stat().st_size <= explorer.SIZE_LIMIT
    if order == 2:
        assert len(picker) == explorer.N_STARS


def test_a_script_that_is_too_large_is_refused(tmp_path, monkeypatch):
    picker = picked(*survey())
    monkeypatch.setattr(explorer, "SIZE_LIMIT", 1000)
    with pytest.raises(ValueError, match="bytes for 60 stars, wanted 1,000 at most"):
        picker.write(tmp_path / "data.js")
    assert not list(tmp_path.iterdir())


def test_missing_values_and_strangers_are_refused():
    reference, fit, model, snr = survey()
    with pytest.raises(ValueError, match="S/N of 60 stars are missing"):
        picked(reference, fit, model, np.full(300, np.nan))
    with pytest.raises(ValueError, match="no star converged"):
        picked(reference, replace(fit, converged=np.zeros(300, bool)), model, snr)
    with pytest.raises(ValueError, match=r"errors of fitted labels .* first star-"):
        picked(reference, replace(fit, labels=replace(fit.labels, covariance=None)), model, snr)
    with pytest.raises(ValueError, match="same stars"):
        picked(reference, fit[::-1], model, snr)


def test_the_page_names_its_script_where_the_build_finds_it():
    html = StarPage(Path("data") / "explorer_data-0a1b.js")._repr_html_()
    assert "<noscript>" in html
    assert "http" not in html
    assert EXPLORER.findall(html) == ["explorer_data-0a1b.js"]


def test_in_jupyter_the_page_holds_everything(tmp_path):
    page = StarPage(picked(*survey()).write(tmp_path / "data.js")).embedded()
    assert page.data.startswith("<div><iframe")
    assert "labeltransferExplorer" in page.data
    assert 'src="../' not in page.data
