from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from labeltransfer.cannon import train
from labeltransfer.inference import infer, starting_points
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet
from labeltransfer.validation import (
    CrossValidation,
    assign_folds,
    bias_and_scatter,
    bootstrap,
    bootstrap_errors,
    bootstrap_scatter,
    cross_fit,
    cross_validate,
    residuals,
    scatter_by_snr,
    scatter_change,
    trends,
)

TRUTH = oracle.known_model(60, 3)
REFERENCE = oracle.draw(TRUTH, 300)
STARTS = starting_points(REFERENCE.labels, 3, rng=np.random.default_rng(0))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 200), data=st.data())
def test_folds_are_even_and_reproducible(n, data):
    n_folds = data.draw(st.integers(2, n))
    folds = assign_folds(n, n_folds, np.random.default_rng(3))
    sizes = np.bincount(folds, minlength=n_folds)
    assert sizes.size == n_folds
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds, assign_folds(n, n_folds, np.random.default_rng(3)))


def test_folds_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="wanted 2 to 10"):
        assign_folds(10, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"wanted \(300,\)"):
        cross_validate(REFERENCE, np.zeros(4), STARTS)
    with pytest.raises(ValueError, match="wanted at least two"):
        cross_validate(REFERENCE, np.zeros(300), STARTS)
    with pytest.raises(ValueError, match="that of 1 stars, first number 7, is missing"):
        cross_validate(REFERENCE, np.where(np.arange(300) == 7, np.nan, np.arange(300) % 3), STARTS)


def test_residuals_are_those_of_the_fits_that_converged():
    fit = infer(TRUTH, REFERENCE.spectra[:5], STARTS)
    fit = replace(fit, converged=np.arange(5) != 3)
    found = residuals(fit, REFERENCE.labels[:5])
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(found[:3], (fit.labels.values - REFERENCE.labels.values[:5])[:3])


def test_each_star_is_labelled_by_the_model_that_never_saw_it():
    folds = assign_folds(300, 4, np.random.default_rng(1))
    fit = cross_validate(REFERENCE, folds, STARTS)
    np.testing.assert_array_equal(fit.labels.ids, REFERENCE.ids)
    for k in range(4):
        alone = infer(train(REFERENCE[folds != k]), REFERENCE.spectra[folds == k], STARTS)
        difference = (alone.labels.values - fit.labels.values[folds == k]) / alone.labels.errors
        assert np.abs(difference).max() < 1e-4
        np.testing.assert_allclose(alone.chi2, fit.chi2[folds == k], rtol=1e-5)


def test_whole_plates_may_be_left_out():
    plates = np.array(["plate A", "plate B", "plate C"])[np.arange(300) // 100]
    fit = cross_validate(REFERENCE, plates, STARTS, order=1)
    alone = infer(train(REFERENCE[100:], order=1), REFERENCE.spectra[:100], STARTS)
    np.testing.assert_allclose(fit.labels.values[:100], alone.labels.values, rtol=1e-5, atol=1e-6)


def test_what_is_known_of_the_stars_goes_with_them():
    folds, truth = np.arange(300) % 3, REFERENCE.labels
    means = truth.column("logg") + 0.05
    options = {"fixed": {"teff": truth.column("teff")}, "priors": {"logg": (means, 0.1)}}
    fit = cross_validate(REFERENCE, folds, STARTS, **options, infer_dtype=np.float32)
    np.testing.assert_allclose(fit.labels.column("teff"), truth.column("teff"), rtol=1e-12)
    held = folds == 1
    alone = infer(
        train(REFERENCE[~held]),
        REFERENCE.spectra[held],
        STARTS,
        fixed={"teff": truth.column("teff")[held]},
        priors={"logg": (means[held], 0.1)},
    )
    np.testing.assert_allclose(
        (fit.labels.values[held] - alone.labels.values)[:, 1:] / alone.labels.errors[:, 1:], 0, atol=1e-2
    )


@pytest.mark.statistical
def test_cross_validation_tells_the_true_scatter():
    reference = oracle.draw(TRUTH, 12_000)
    folds = assign_folds(len(reference), 8, np.random.default_rng(0))
    fit = cross_validate(reference, folds, STARTS)
    pull = (fit.labels.values - reference.labels.values) / fit.labels.errors
    np.testing.assert_allclose(pull.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.03)


def test_bias_and_scatter_are_mean_and_deviation():
    residuals = np.random.default_rng(0).normal([1.0, -2.0], [3.0, 0.5], (5000, 2))
    bias, scatter = bias_and_scatter(residuals)
    np.testing.assert_allclose(bias, residuals.mean(axis=0))
    np.testing.assert_allclose(scatter, residuals.std(axis=0))
    robust_bias, robust_scatter = bias_and_scatter(residuals, robust=True)
    np.testing.assert_allclose(robust_bias, bias, atol=0.1)
    np.testing.assert_allclose(robust_scatter, scatter, rtol=0.05)


def test_missing_labels_and_outliers_are_handled():
    residuals = np.random.default_rng(0).normal(size=(1000, 2))
    residuals[:100, 0] = np.nan
    residuals[100:120, 1] = 1e4
    bias, scatter = bias_and_scatter(residuals, robust=True)
    np.testing.assert_allclose(bias, 0, atol=0.15)
    np.testing.assert_allclose(scatter, 1, atol=0.15)
    assert bias_and_scatter(residuals[:, 0])[0] == pytest.approx(np.nanmean(residuals[:, 0]))
    assert np.isnan(bias_and_scatter(np.full((3, 1), np.nan))[0]).all()


def test_scatter_in_bins_of_snr():
    snr = np.array([10.0, 20.0, 29.9, 30.0, 70.0])
    residuals = np.array([[1.0], [2.0], [4.0], [7.0], [9.0]])
    bias, scatter, count = scatter_by_snr(residuals, snr, np.array([10, 30, 50, 60]))
    assert count.tolist() == [3, 1, 0]
    assert bias[:2, 0] == pytest.approx([7 / 3, 7.0])
    assert scatter[0, 0] == pytest.approx(np.std([1, 2, 4]))
    assert np.isnan(bias[2, 0])
    with pytest.raises(ValueError, match="increasing"):
        scatter_by_snr(residuals, snr, np.array([30, 10]))


def test_a_change_of_scatter_is_known_better_when_the_stars_are_the_same():
    rng = np.random.default_rng(4)
    shared = rng.normal(0, 3.0, (600, 2))
    before, after = shared + rng.normal(0, 1.0, (600, 2)), 1.2 * (shared + rng.normal(0, 0.3, (600, 2)))
    before[0, 0] = after[1, 1] = np.nan
    change, error = scatter_change(before, after, np.random.default_rng(5))
    expected = 1.2 * np.hypot(3, 0.3) / np.hypot(3, 1) - 1
    np.testing.assert_allclose(change, expected, atol=3 * error.max())
    independent = np.sqrt(2) * 1.17 / np.sqrt(600) * (1 + expected)
    assert (error < 0.75 * independent).all()
    _, unpaired = scatter_change(before, rng.permutation(after), np.random.default_rng(5))
    np.testing.assert_allclose(unpaired, independent, rtol=0.25)


@pytest.mark.slow
@pytest.mark.statistical
def test_the_error_of_a_change_of_scatter_is_the_spread_between_samples():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(150):
        shared = rng.normal(0, 3.0, (300, 1))
        pair = [shared + rng.normal(0, 1.0, (300, 1)) for _ in range(2)]
        found.append(scatter_change(*pair, rng))
    change, error = np.array(found)[..., 0].T
    assert change.mean() == pytest.approx(0, abs=4 * change.std() / np.sqrt(150))
    assert np.median(error) == pytest.approx(change.std(), rel=0.3)


def test_residuals_of_other_stars_are_no_pair():
    with pytest.raises(ValueError, match=r"shapes \(5, 2\) and \(1, 2\), wanted \(N, L\) twice"):
        scatter_change(np.ones((5, 2)), np.ones((1, 2)), np.random.default_rng(0))
    for n in (0, 5):
        change, error = scatter_change(np.zeros((n, 2)), np.ones((n, 2)), np.random.default_rng(0))
        assert change.shape == error.shape == (2,)
        assert np.isnan([change, error]).all()


def test_bootstrap_is_reproducible_and_different_each_time():
    one = bootstrap(REFERENCE, 3, np.random.default_rng(5))
    two = bootstrap(REFERENCE, 3, np.random.default_rng(5))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.coefficients, b.coefficients)
    assert not np.allclose(one[0].coefficients, one[1].coefficients)
    assert {model.n_reference for model in one} == {300}


@pytest.mark.statistical
def test_bootstrap_scatter_does_not_show_that_models_rest_early():
    reference = oracle.draw(TRUTH, 1200)
    early, exact = (
        bootstrap_scatter(
            bootstrap(reference, 8, np.random.default_rng(5), exact=exact), reference[:300].spectra, STARTS
        )
        for exact in (False, True)
    )
    np.testing.assert_allclose(early, exact, rtol=3e-3)


def test_bootstrap_scatter_is_the_spread_between_independent_reference_sets():
    truth = oracle.known_model(60, 2)
    stars = oracle.draw(truth, 200, seed=99)
    models = bootstrap(oracle.draw(truth, 400), 20, np.random.default_rng(0))
    others = [train(oracle.draw(truth, 400, seed=seed)) for seed in range(100, 120)]
    from_one = bootstrap_scatter(models, stars.spectra, STARTS[:, :2])
    from_many = bootstrap_scatter(others, stars.spectra, STARTS[:, :2])
    assert from_one.shape == (2,)
    np.testing.assert_allclose(from_one, from_many, rtol=0.35)
    assert bootstrap_errors(models, stars.spectra, STARTS[:, :2]).shape == (200, 2)


def test_groups_share_a_fold_and_folds_are_as_even_as_groups_allow():
    groups = np.array([f"cluster {k}" for k in np.random.default_rng(2).integers(0, 25, 300)])
    folds = assign_folds(300, 5, np.random.default_rng(1), groups)
    assert all(len(set(folds[groups == name])) == 1 for name in groups)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() < 20
    for wrong, message in (
        (groups[:9], r"groups have shape \(9,\)"),
        (np.zeros(300), "groups: found 1, wanted at least 5"),
        (np.where(np.arange(300) == 3, np.nan, np.arange(300.0)), "first number 3, is missing"),
    ):
        with pytest.raises(ValueError, match=message):
            assign_folds(300, 5, np.random.default_rng(1), wrong)


def test_stars_that_are_not_kept_are_labelled_and_teach_nobody():
    kept = np.arange(300) >= 20
    folds = np.arange(300) % 3
    spoilt = replace(REFERENCE.labels, values=np.where(kept[:, None], REFERENCE.labels.values, oracle.PIVOTS[:3] * 1.3))
    crossed = cross_fit(ReferenceSet(REFERENCE.spectra, spoilt), folds, STARTS, kept=kept)
    alone = infer(train(REFERENCE[kept & (folds != 1)]), REFERENCE.spectra[folds == 1], STARTS)
    difference = crossed.fit.labels.values[folds == 1] - alone.labels.values
    assert np.abs(difference / alone.labels.errors).max() < 1e-3
    assert len(crossed.models) == len(crossed.rows) == 3


def test_a_cross_validation_is_a_table_of_bias_and_scatter():
    folds = np.arange(300) % 3
    checked = CrossValidation(cross_validate(REFERENCE, folds, STARTS), REFERENCE.labels, np.ones(300, bool))
    bias, scatter = bias_and_scatter(checked.residuals)
    np.testing.assert_allclose(checked.table["bias"], bias)
    np.testing.assert_allclose(checked.table["scatter"], scatter)
    assert checked.table["label"].tolist() == ["teff", "logg", "fe_h"]
    assert repr(checked).startswith("CrossValidation(300 stars, 300 trained on; scatter teff")


def test_a_table_shows_five_digits_and_writes_all(tmp_path):
    checked = CrossValidation(cross_validate(REFERENCE, np.arange(300) % 3, STARTS), REFERENCE.labels, np.ones(300))
    table, path = checked.table, tmp_path / "t.ecsv"
    scatter = float(table["scatter"][0])
    for shown in ("".join(table.pformat()), repr(table), table._repr_html_(), str(table[:1])):
        assert f"{scatter:.5g}" in shown
        assert repr(scatter) not in shown
    table.write(path)
    assert Table.read(path)["scatter"][0] == scatter


def test_trends_of_labels_are_found_without_the_outliers():
    rng, ids = np.random.default_rng(5), np.arange(2000).astype(str)
    true = np.column_stack([rng.uniform(4000, 5000, 2000), rng.uniform(1, 3, 2000)])
    off = np.column_stack([50 + rng.normal(0, 20, 2000), -0.2 * (true[:, 1] - 2) + rng.normal(0, 0.1, 2000)])
    off[::20] += [3000.0, 40.0]
    off[7, 0] = np.nan
    reference, labels = (Labels(ids, ("teff", "logg"), values) for values in (true, true + off))
    bias, scatter, slope = trends(labels, reference, ("logg", "teff"))
    assert bias == pytest.approx([0.0, 50.0], abs=2.0)
    assert slope == pytest.approx([-0.2, 0.0], abs=0.01)
    assert scatter[1] == pytest.approx(20.0, rel=0.15)
    np.testing.assert_array_equal(trends(labels, reference.unknown(), ("teff",)), np.full((3, 1), np.nan))
    assert all(values.shape == (0,) for values in trends(labels, reference, ()))


def test_pulls_count_the_errors_of_the_reference_labels_where_they_are_known():
    values = REFERENCE.labels.values
    errors = np.full((300, 3, 3), np.nan)
    errors[:, 0, 0] = 4.0**2
    fitted = Labels(REFERENCE.ids, REFERENCE.labels.names, values + 10.0, np.tile(9.0 * np.eye(3), (300, 1, 1)))
    fit = replace(cross_validate(REFERENCE, np.arange(300) % 2, STARTS), labels=fitted, converged=np.arange(300) > 0)
    reference = Labels(REFERENCE.ids, REFERENCE.labels.names, values, errors)
    checked = CrossValidation(fit, reference, np.ones(300, bool))
    np.testing.assert_allclose(checked.pulls[1:], np.tile([10 / 5, 10 / 3, 10 / 3], (299, 1)))
    assert np.isnan(checked.pulls[0]).all()
    assert checked.table.colnames[-3:] == ["pull", "spread", "n"]


def test_starting_points_that_are_not_given_are_always_the_same():
    drawn, same = (starting_points(REFERENCE.labels, rng=rng) for rng in (None, 0))
    np.testing.assert_array_equal(drawn, same)
    model = train(REFERENCE)
    fits = [infer(model, REFERENCE.spectra[:50], starts) for starts in (None, None, drawn)]
    np.testing.assert_array_equal(fits[0].labels.values, fits[1].labels.values)
    assert (np.abs(fits[0].labels.values - fits[2].labels.values) < 0.01 * fits[2].labels.errors).mean() > 0.95
