"""Are reported errors right, does a distribution have two parts: answers where they are known."""

from dataclasses import replace

import numpy as np
import pytest

from labeltransfer.diagnostics import (
    branch_width,
    cross_fitted_error_factor,
    error_factor,
    error_floor,
    stands_out,
    two_gaussians,
)
from labeltransfer.inference import infer, starting_points
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet
from labeltransfer.validation import cross_fit
from oracle import draw, known_model


@pytest.fixture(scope="module")
def fitted():
    """A model, spectra drawn from it with right errors, and the labels inferred from them."""
    rng = np.random.default_rng(4)
    model = known_model(n_pixels=400)
    reference = draw(model, 1500)
    starts = starting_points(reference.labels, 3, rng=rng)
    return model, reference.spectra, infer(model, reference.spectra, starts)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_the_factor_of_overestimated_errors_is_found(fitted, factor):
    model, spectra, fit = fitted
    reported = replace(spectra, ivar=spectra.ivar / factor**2)
    assert error_factor(reported, model, fit) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("smooth", [0.0, 60.0])
def test_the_factor_is_found_by_models_that_have_not_seen_the_stars(smooth):
    reference = draw(known_model(n_pixels=300), 300)
    reported = replace(reference.spectra, ivar=reference.spectra.ivar / 4.0)
    starts = starting_points(reference.labels, 3, rng=np.random.default_rng(0))
    crossed = cross_fit(ReferenceSet(reported, reference.labels), np.arange(300) % 5, starts)
    kept = np.ones(300, bool)
    found = cross_fitted_error_factor(reported, crossed, kept, smooth)
    assert np.shape(found) == ((300,) if smooth else ())
    assert np.nanmedian(found) == pytest.approx(2.0, rel=0.05)
    assert np.isnan(cross_fitted_error_factor(reported, crossed, ~kept, smooth)).all()


def test_the_factor_wants_the_same_stars_and_says_nothing_without_any(fitted):
    model, spectra, fit = fitted
    with pytest.raises(ValueError, match="same stars"):
        error_factor(spectra[::-1], model, fit)
    gap = replace(model, scatter=np.where(np.arange(400) < 50, np.inf, model.scatter))
    assert error_factor(spectra, gap, fit) == pytest.approx(1.0, rel=0.05), "undetermined pixels do not count"
    failed = replace(fit, converged=np.zeros(len(fit), bool))
    assert np.isnan(error_factor(spectra, model, failed))


def test_the_floor_makes_pulls_of_width_one_and_is_zero_when_they_are():
    rng = np.random.default_rng(0)
    bar = rng.uniform(0.5, 1.5, (20000, 2))
    error = rng.normal(size=bar.shape) * np.hypot(bar, [0.0, 2.0])
    error[0] = np.nan
    floor = error_floor(error, bar)
    assert floor[0] < 0.2
    assert floor[1] == pytest.approx(2.0, rel=0.05)
    assert error_floor(error, bar / 2)[0] > 0.5, "halved errors need a floor"


@pytest.mark.slow
def test_two_parts_are_told_from_one_with_and_without_outliers():
    rng = np.random.default_rng(1)
    one = rng.normal(0.05, 0.04, 4000)
    two = np.concatenate([one, rng.normal(0.25, 0.04, 1500)])
    outliers = rng.uniform(-0.3, 0.6, 100)
    for sample, bimodal in ((one, False), (two, True)):
        for extra in ([], outliers):
            found = two_gaussians(np.concatenate([sample, extra, [np.nan]]))
            assert found is not None
            assert found.bimodal is bimodal, str(found)
    assert found.means == pytest.approx((0.05, 0.25), abs=0.01)
    assert found.weights[1] == pytest.approx(1500 / 5500, abs=0.03)
    assert "two favoured" in str(found)


@pytest.mark.parametrize("values", [np.arange(10.0), np.ones(50), np.full(50, np.nan)])
def test_too_few_values_have_no_parts(values):
    assert two_gaussians(values) is None


def test_the_width_of_the_giant_branch_is_the_scatter_about_a_curve():
    rng = np.random.default_rng(8)
    teff = rng.uniform(4200, 5000, 2000)
    x = (teff - 4600) / 400
    logg = 2.2 + 1.2 * x - 0.3 * x**3 + rng.normal(0, 0.15, teff.size)
    teff[:5], logg[5:10] = np.nan, np.nan
    ids = [f"{row}" for row in range(teff.size)]
    labels = Labels(ids, ("teff", "logg"), np.column_stack([teff, logg]))
    assert branch_width(labels) == pytest.approx(0.15, rel=0.1)
    assert np.isnan(branch_width(labels[:20])), "ten stars that have both"
    assert np.isnan(branch_width(labels.select(("teff",))))


def test_a_line_stands_out_where_the_gradient_has_a_peak_among_its_neighbours():
    rng, wavelength = np.random.default_rng(1), np.arange(4000.0, 5000.0, 2.0)
    gradients = rng.uniform(0.5, 1.0, (2, wavelength.size))
    gradients[:, wavelength < 4300] *= 10  # a crowd of lines
    gradients[0, wavelength == 4700] = -3.0
    coefficients = np.column_stack([np.ones_like(wavelength), *gradients, np.zeros((wavelength.size, 3))])
    known = known_model(n_pixels=wavelength.size, n_labels=2)
    model = replace(known, wavelength=wavelength, coefficients=coefficients)
    lines = [4699.0, 4706.0, 7000.0]
    assert stands_out(model, lines)[0].tolist() == [True, False, False]
    assert stands_out(model, lines, reach=6.0)[0].tolist() == [True, True, False]
    share = stands_out(model, wavelength[wavelength < 4750], reach=0.0).mean()
    assert share == pytest.approx(0.05, abs=0.03), "by chance alone"
