"""Errors that hold: the floor that makes pulls one, the share of few reference stars, and a check that must fail."""

from dataclasses import replace

import numpy as np
import pytest

import oracle
from labeltransfer.labels import Labels
from labeltransfer.transfer import learn, total_errors
from labeltransfer.validation import bias_and_scatter

TRUTH = oracle.known_model(80, 3)
NOISE = np.array([40.0, 0.08, 0.03])
STATED = dict(zip(TRUTH.label_names, NOISE, strict=True))


def noisy(reference, seed=0):
    """The same spectra with labels that have errors."""
    labels = reference.labels
    noise = np.random.default_rng(seed).normal(size=labels.values.shape) * NOISE
    return Labels(labels.ids, labels.names, labels.values + noise)


def pulls(table, truth, ending="_err"):
    columns = [(table[name] - truth.column(name)) / table[name + ending] for name in truth.names]
    return bias_and_scatter(np.column_stack(columns), robust=True)[1]


@pytest.fixture(scope="module")
def many():
    reference = oracle.draw(TRUTH, 3000)
    return learn(reference.spectra, noisy(reference), label_errors=STATED), oracle.draw(TRUTH, 2000, seed=77)


@pytest.mark.slow
@pytest.mark.statistical
def test_pulls_about_the_truth_are_one_and_the_check_fails_when_errors_are_halved(many):
    transfer, stars = many
    table = transfer.label(stars.spectra)
    np.testing.assert_allclose(pulls(table, stars.labels), 1.0, atol=0.12)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(2.0 * pulls(table, stars.labels), 1.0, atol=0.12)
    snr = np.asarray(stars.spectra.signal_to_noise())
    for rows in (snr < np.median(snr), snr >= np.median(snr)):
        np.testing.assert_allclose(pulls(table[rows], stars.labels[rows]), 1.0, atol=0.12)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("n_stars", [25, 60])
def test_few_reference_stars_are_told_by_the_errors(n_stars):
    found, formal = [], []
    for seed in range(6):
        reference = oracle.draw(TRUTH, n_stars, seed=100 + seed)
        transfer = learn(reference.spectra, reference.labels, label_errors="none", error_factor=1.0)
        stars = oracle.draw(TRUTH, 300, seed=77)
        table = transfer.label(stars.spectra)
        good = np.asarray(table["converged"])
        found.append(pulls(table[good], stars.labels[good]))
        formal.append(pulls(table[good], stars.labels[good], "_err_formal"))
    assert np.mean(found) == pytest.approx(1.0, abs=0.3), str(found)
    assert np.mean(found) < np.mean(formal)


@pytest.mark.slow
@pytest.mark.statistical
def test_a_misfit_that_no_formal_error_knows_is_in_the_floor():
    """Labels that scatter by 60 K more than they are said to: the floor has it, where their errors are known."""
    reference = oracle.draw(TRUTH, 2500)
    moved = reference.labels.values.copy()
    moved[:, 0] += np.random.default_rng(3).normal(size=len(reference)) * 60.0
    labels = Labels(reference.ids, reference.labels.names, moved)
    transfer = learn(reference.spectra, labels, label_errors=dict.fromkeys(TRUTH.label_names, 1e-3))
    floor = transfer.errors.constant(transfer.model)
    assert floor[0] == pytest.approx(60.0, rel=0.15)
    assert floor[1] < 0.03


@pytest.mark.slow
@pytest.mark.statistical
def test_halves_of_spectra_find_a_floor_that_reference_labels_would_hide():
    """Pixels whose errors go together in stretches: formal errors do not know, halves do, whatever the labels are."""
    truth = oracle.known_model(400, 3)
    truth = replace(truth, coefficients=np.repeat(truth.coefficients[::5], 5, axis=0))
    reference, stars = oracle.draw(truth, 1500, snr=(80, 120)), oracle.draw(truth, 600, seed=9, snr=(80, 120))

    def disturbed(spectra, seed):
        common = np.random.default_rng(seed).normal(size=(len(spectra), 80)) * 0.02
        flux = spectra.flux + np.where(spectra.ivar > 0, np.repeat(common, 5, axis=1), 0.0)
        return replace(spectra, flux=flux)

    transfer = learn(disturbed(reference.spectra, 1), noisy(reference), label_error_strength=0.0)
    table = transfer.label(disturbed(stars.spectra, 2))
    np.testing.assert_allclose(pulls(table, stars.labels), 1.0, atol=0.15)
    assert (pulls(table, stars.labels, "_err_formal") > 1.2).all()


def test_total_errors_keep_the_correlations_and_are_never_below_the_formal_ones(many):
    transfer, stars = many
    fit = transfer.infer(stars.spectra[:50])
    total = transfer.total_covariance(fit)
    formal = fit.labels.covariance
    assert (np.diagonal(total, axis1=1, axis2=2) >= np.diagonal(formal, axis1=1, axis2=2)).all()

    def correlations(covariance):
        sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return covariance / (sigma[:, :, None] * sigma[:, None, :])

    np.testing.assert_allclose(correlations(total), correlations(formal), atol=1e-9)


def test_a_star_far_from_the_others_has_larger_errors(many):
    transfer, _ = many
    model = transfer.model
    near, far = (total_errors.leverage(np.full((1, 3), x), 2, transfer.errors.inverse)[0] for x in (0.0, 4.0))
    assert far > 20 * near
    assert near == pytest.approx(model.coefficients.shape[1] / model.n_reference, rel=0.9)


def test_a_star_without_a_fit_has_no_errors_and_disturbs_no_other(many):
    transfer, stars = many
    spectra = stars.spectra[:6]
    dark = replace(spectra, ivar=np.where(np.arange(6)[:, None] == 2, 0.0, spectra.ivar))
    table, whole = transfer.label(dark), transfer.label(spectra)
    assert np.isnan(table["teff_err"][2])
    assert not table["converged"][2]
    others = np.arange(6) != 2
    np.testing.assert_allclose(table["teff_err"][others], whole["teff_err"][others], rtol=1e-6)


@pytest.mark.slow
def test_the_floor_of_few_stars_has_few_parts():
    reference = oracle.draw(TRUTH, 120)
    errors = learn(reference.spectra, reference.labels).errors
    assert errors.floor.shape == (3, 2)
    assert (errors.floor >= 0).all()
