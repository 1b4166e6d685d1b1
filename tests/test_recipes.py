"""Learning by recipe: wrong flux errors, wrong labels, label errors, order; what is refused, and what is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

import oracle
from labeltransfer.labels import Labels
from labeltransfer.reference import ReferenceSet, usual_distance
from labeltransfer.spectra import Spectra
from labeltransfer.transfer import LabelTransfer, compare_recipes, learn, learning
from labeltransfer.transfer.choices import Asked, Trials, label_covariance
from labeltransfer.transfer.recipes import GIVEN_BACK, ROUND, _rounds, every_so_many_pixels, suspects
from labeltransfer.transfer.report import balance
from labeltransfer.validation import cross_fit

TRUTH = oracle.known_model(60, 3)
REFERENCE = oracle.draw(TRUTH, 400)
NAMES = TRUTH.label_names
STARS = oracle.draw(TRUTH, 200, seed=50)


def with_values(values, reference=REFERENCE):
    return Labels(reference.ids, NAMES, values)


def with_wrong_labels(share=0.03):
    """Labels of which some are wrong by 3 scales in Teff, and which."""
    values = REFERENCE.labels.values.copy()
    wrong = np.random.default_rng(1).random(len(values)) < share
    values[wrong, 0] += 3 * TRUTH.scales[0]
    return with_values(values), wrong


def reported(spectra, factor):
    """With flux errors too large by a factor, a number or (P,)."""
    return replace(spectra, ivar=spectra.ivar / np.square(factor))


@pytest.fixture(scope="module")
def learnt():
    labels, wrong = with_wrong_labels()
    return learn(reported(REFERENCE.spectra, 2.5), labels), wrong


@pytest.mark.slow
def test_wrong_labels_are_excised_and_wrong_errors_found(learnt):
    transfer, wrong = learnt
    kept = np.isin(REFERENCE.ids, transfer.reference_labels.ids)
    assert not (kept & wrong).any()
    assert (~kept & ~wrong).sum() < 4
    assert transfer.error_factor == pytest.approx(2.5, rel=0.05)
    assert transfer.recipe == "robust"
    rounds = [count for what, count in transfer.counts.items() if "cross-fitted clip" in what]
    assert 2 <= len(rounds) <= 4
    assert rounds[-1] == rounds[-2] == (~kept).sum()


@pytest.mark.slow
def test_a_wrong_label_leaves_no_trace(learnt):
    transfer, _ = learnt
    clean = learn(REFERENCE.spectra, REFERENCE.labels, error_factor=1.0)
    table = transfer.label(reported(STARS.spectra, 2.5))
    error = np.asarray(table["teff"]) - STARS.labels.column("teff")
    best = np.asarray(clean.label(STARS.spectra)["teff"]) - STARS.labels.column("teff")
    assert np.std(error) < 1.03 * np.std(best)
    paper = learn(reported(REFERENCE.spectra, 2.5), with_wrong_labels()[0], recipe="paper")
    worse = np.asarray(paper.label(reported(STARS.spectra, 2.5))["teff"]) - STARS.labels.column("teff")
    assert np.std(error) < np.std(worse)


@pytest.mark.slow
def test_the_error_factor_may_depend_on_wavelength():
    truth = oracle.known_model(300, 2)
    stars = oracle.draw(truth, 1500)
    factor = np.where(np.arange(300) < 150, 1.0, 2.0)
    transfer = learn(reported(stars.spectra, factor), stars.labels, error_factor="by wavelength")
    assert transfer.error_factor.shape == (300,)
    assert np.median(transfer.error_factor[:120]) == pytest.approx(1.0, rel=0.05)
    assert np.median(transfer.error_factor[180:]) == pytest.approx(2.0, rel=0.05)


def test_the_paper_takes_errors_and_labels_as_section_3_does():
    labels, wrong = with_wrong_labels()
    paper = learn(reported(REFERENCE.spectra, 2.5), labels, recipe="paper")
    assert (paper.error_factor, paper.errors, paper.distance_cut) == (1.0, None, 2.5)
    assert 0 < paper.counts["excised by the 4 sigma clip"] < 2 * wrong.sum()
    assert "teff_err_formal" not in paper.label(STARS.spectra).colnames


@pytest.mark.slow
def test_the_data_choose_the_order():
    for order, n_stars in ((1, 500), (2, 500)):
        truth = oracle.known_model(60, 2, order=order)
        reference = oracle.draw(truth, n_stars)
        transfer = learn(reference.spectra, reference.labels, order="auto", label_errors="none")
        assert transfer.model.order == order
        tried = transfer.tried
        assert set(tried["order"]) == set(range(1, order + 2)), "until one does no better"
        assert tried["chosen"].sum() == 1


def test_few_stars_choose_among_ridges_and_orders_they_can_determine():
    reference = oracle.draw(TRUTH, 26)
    transfer = learn(reference.spectra, reference.labels, order="auto", label_errors="none")
    assert set(transfer.tried["order"]) <= {1.0, 2.0}
    assert (transfer.tried["ridge"] > 0).any()


@pytest.mark.slow
def test_the_same_call_gives_the_same_transfer():
    one, two = (learn(REFERENCE.spectra, REFERENCE.labels) for _ in range(2))
    np.testing.assert_array_equal(one.model.coefficients, two.model.coefficients)
    np.testing.assert_array_equal(one.starts, two.starts)
    np.testing.assert_array_equal(one.errors.floor, two.errors.floor)


@pytest.mark.slow
def test_small_sets_are_never_made_worse_by_the_correction():
    """With few stars and large errors of the labels the strength is small, and the labels as good as without."""
    for seed in range(3):
        reference = oracle.draw(TRUTH, 60, seed=seed)
        noise = np.random.default_rng(seed).normal(size=(60, 3)) * TRUTH.scales * 0.4
        labels = with_values(reference.labels.values + noise, reference)
        options = {"error_factor": 1.0}
        scatter = []
        for stated in ("none", dict(zip(NAMES, TRUTH.scales * 0.4, strict=True))):
            table = learn(reference.spectra, labels, label_errors=stated, **options).label(STARS.spectra)
            scatter.append(np.nanmedian(np.abs(table["teff"] - STARS.labels.column("teff"))))
        assert scatter[1] < 1.1 * scatter[0]


@pytest.mark.slow
@pytest.mark.parametrize("stated_by", ["table", "option"])
def test_errors_of_some_labels_are_used_though_those_of_others_are_unknown(stated_by):
    """Of labels with known errors the floor comes from cross-validation, so that pulls about the truth are one wide."""
    error = 0.3 * TRUTH.scales[0]
    values = REFERENCE.labels.values.copy()
    values[:, 0] += np.random.default_rng(4).normal(size=len(values)) * error
    covariance = np.zeros((len(values), 3, 3))
    covariance[:, [1, 2], [1, 2]] = np.nan
    covariance[:, 0, 0] = error**2
    covariance[:40, 0, 0] = np.nan  # a few have none
    if stated_by == "table":
        transfer = learn(REFERENCE.spectra, Labels(REFERENCE.ids, NAMES, values, covariance))
    else:
        transfer = learn(REFERENCE.spectra, with_values(values), label_errors={"teff": error})
    line = next(line for line in transfer.report if "errors of the reference labels" in line)
    assert "those of logg, fe_h are not known" in line
    assert transfer.label_error_strength > 0
    table = transfer.label(STARS.spectra)
    pulls = (table["teff"] - STARS.labels.column("teff")) / table["teff_err"]
    assert 1.48 * np.median(np.abs(pulls)) == pytest.approx(1.0, abs=0.25)
    assert np.isfinite(table["logg_err"]).all()


def test_a_star_that_lacks_an_error_has_the_usual_one_without_correlation():
    """Else the covariances that it has may not fit the error that it is given, and training would refuse them."""
    covariance = np.tile(np.diag(TRUTH.scales**2 * 0.01), (len(REFERENCE), 1, 1))
    covariance[0] = 90 * covariance[0]
    covariance[0, 0, 1] = covariance[0, 1, 0] = 0.8 * TRUTH.scales[0] * TRUTH.scales[1]
    covariance[0, 1, 1] = np.nan
    labels = Labels(REFERENCE.ids, NAMES, REFERENCE.labels.values, covariance)
    found, known = label_covariance(labels, "auto", None, None)
    assert known.all()
    np.testing.assert_allclose(found[0], np.diag(TRUTH.scales**2 * [0.9, 0.01, 0.9]))
    np.testing.assert_array_equal(found[1:], covariance[1:])


def test_what_was_learnt_survives_the_file(learnt, tmp_path):
    transfer, _ = learnt
    transfer.write(tmp_path / "model.npz")
    again = LabelTransfer.read(tmp_path / "model.npz")
    one, two = (each.label(reported(STARS.spectra, 2.5)) for each in (transfer, again))
    assert one.colnames == two.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    for name in ("recipe", "report", "counts", "distance_cut", "error_factor", "label_error_strength", "simulated"):
        assert getattr(again, name) == getattr(transfer, name), name
    assert again.tried is None or again.tried.colnames == transfer.tried.colnames
    np.testing.assert_array_equal(again.validation.residuals, transfer.validation.residuals)
    np.testing.assert_array_equal(again.validation.kept, transfer.validation.kept)
    with pytest.raises(ValueError, match="has no spectra; learn again"):
        again.cross_validate()


def test_own_cross_validation_judges_excised_stars_too(learnt):
    transfer, wrong = learnt
    checked = transfer.cross_validate(4)
    assert len(checked.labels) == 400
    assert not checked.kept[wrong].any()
    table = checked.table
    assert table["robust_scatter"][0] < 0.5 * table["scatter"][0]
    assert "teff" in repr(checked)
    by_group = transfer.cross_validate(4, groups=np.arange(400) // 20)
    assert by_group.table["n"][0] == 400


@pytest.mark.slow
def test_groups_are_left_out_whole():
    groups = np.repeat(np.arange(40), 10)
    transfer = learn(REFERENCE.spectra, REFERENCE.labels, groups=groups, n_folds=5)
    by_id = learn(REFERENCE.spectra, REFERENCE.labels, n_folds=5, groups=dict(zip(REFERENCE.ids, groups, strict=True)))
    np.testing.assert_array_equal(transfer.validation.residuals, by_id.validation.residuals)
    random = learn(REFERENCE.spectra, REFERENCE.labels, n_folds=5)
    assert not np.array_equal(transfer.validation.residuals, random.validation.residuals)


@pytest.mark.slow
def test_cross_validation_keeps_the_groups_that_it_learnt_with():
    groups = np.arange(400) // 20
    transfer = learn(REFERENCE.spectra, REFERENCE.labels, groups=groups, error_factor=1.0, label_error_strength=0.0)
    as_learnt, same, random = (transfer.cross_validate(8, groups=of).residuals for of in (None, groups, REFERENCE.ids))
    np.testing.assert_array_equal(as_learnt, same)
    assert not np.array_equal(as_learnt, random)


@pytest.mark.slow
def test_errors_contain_what_the_stars_of_a_group_have_in_common():
    """Of label errors that are not known halves of spectra say nothing; groups tell what is common to theirs."""
    groups = np.repeat(np.arange(50), 8)
    offset = 0.4 * TRUTH.scales[0] * np.random.default_rng(3).standard_normal(50)
    values = REFERENCE.labels.values.copy()
    values[:, 0] += offset[groups]
    options = {"error_factor": 1.0, "label_error_strength": 0.0}
    transfer, alone = (learn(REFERENCE.spectra, with_values(values), groups=of, **options) for of in (groups, None))
    assert "what is common to the stars of a group" in " ".join(transfer.report)
    of_all, of_spectra = (
        np.std((one.validation.residuals / one.validation.fit.labels.errors)[:, :2], axis=0)
        for one in (transfer, alone)
    )
    assert of_all[0] == pytest.approx(1.0, abs=0.25), "fifty offsets tell their width to a tenth"
    assert of_all[1] == pytest.approx(of_spectra[1], rel=0.1), "another label is as it was"
    assert of_spectra[0] > 2.0


# ---- errors that hold, with few reference stars and large label errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("true", "stated", "low", "high"),
    [(0.3, 0.3, 0.75, 1.2), (0.3, None, 0.75, 1.2), (0.3, 0.6, 0.75, 1.25), (0.0, None, 0.85, 1.15)],
)
def test_errors_are_those_of_the_result_and_not_of_the_reference_labels(true, stated, low, high):
    """Whether label errors are known, unknown, or stated too large: pulls about the truth, of stars of any S/N."""
    noise = np.random.default_rng(5).standard_normal(REFERENCE.labels.values.shape)
    labels = with_values(REFERENCE.labels.values + true * TRUTH.scales * noise)
    errors = "auto" if stated is None else dict(zip(NAMES, stated * TRUTH.scales, strict=True))
    transfer = learn(REFERENCE.spectra, labels, order=2, n_folds=4, label_errors=errors)
    table = transfer.label(STARS.spectra)
    pulls = [(table[name] - STARS.labels.column(name)) / table[f"{name}_err"] for name in NAMES]
    width = np.exp(np.log(1.4826 * np.median(np.abs(pulls), axis=1)).mean())
    assert low < width < high, width
    told = "are larger than its scatter in cross-validation" in " ".join(transfer.report)
    assert told == (stated == 0.6)


@pytest.mark.parametrize("errors", ["none", "auto", {"teff": 50.0}])
def test_spectra_too_short_for_halves_have_errors_by_cross_validation(errors):
    """One label is told by pixels of one half alone."""
    short = oracle.draw(oracle.known_model(6, 3), 120)
    transfer = learn(short.spectra, short.labels, order=1, label_errors=errors)
    table = transfer.label(short.spectra)
    pulls = (table["teff"] - short.labels.column("teff")) / table["teff_err"]
    assert np.isfinite(np.asarray(table["teff_err"])[table["converged"]]).all()
    assert 0.5 < 1.4826 * np.nanmedian(np.abs(pulls)) < 1.5


@pytest.mark.slow
def test_few_stars_may_determine_a_quadratic():
    """By labels of stars that are held out, not by a rule of thumb."""
    bent = replace(TRUTH, coefficients=TRUTH.coefficients * np.r_[1.0, np.ones(3), np.full(6, 5.0)])
    few = oracle.draw(bent, 40, snr=(100, 200))
    transfer = learn(few.spectra, few.labels)
    assert transfer.model.order == 2
    linear = learn(few.spectra, few.labels, order=1)
    stars = oracle.draw(bent, 100, seed=9)
    wrong, more = (np.std(one.label(stars.spectra)["teff"] - stars.labels.column("teff")) for one in (transfer, linear))
    assert wrong < 0.7 * more


@pytest.mark.slow
def test_errors_that_are_alike_give_the_least_factor():
    """Noise cannot be told from misfit by stars of one S/N; but residuals are never smaller than right errors."""
    alike = oracle.draw(replace(TRUTH, scatter=np.full(60, 1e-4)), 200, snr=(50, 50))
    for wrong in (1.0, 3.0):
        transfer = learn(reported(alike.spectra, wrong), alike.labels, label_errors="none")
        assert transfer.error_factor == pytest.approx(wrong, rel=0.08)
    below = learn(reported(alike.spectra, 0.5), alike.labels, label_errors="none")
    assert below.error_factor == 1.0


# ---- who is not good


@pytest.mark.slow
def test_stars_far_out_in_any_label_are_outside():
    truth = oracle.known_model(80, 5)
    stars = oracle.draw(truth, 400)
    transfer = learn(stars.spectra, stars.labels, label_errors="none", error_factor=1.0)
    values = stars.labels.values[:60].copy()
    values[:, 4] = truth.pivots[4] + 6 * truth.scales[4]
    far = replace(stars.spectra[:60], flux=truth.model_flux(values), ivar=np.full((60, 80), 1e4))
    assert np.mean(transfer.label(far)["outside"]) > 0.9
    assert np.mean(transfer.label(stars.spectra)["outside"]) < 0.03


@pytest.mark.slow
def test_two_stars_in_one_spectrum_are_not_good():
    truth = oracle.known_model(300, 3, scatter=(1e-4, 2e-4))
    stars = oracle.draw(truth, 300)
    transfer = learn(stars.spectra, stars.labels, label_errors="none", error_factor=1.0)
    kinds = (stars.labels.column("teff") - truth.pivots[0]) / truth.scales[0]
    cool, hot = np.argsort(kinds)[:40], np.argsort(kinds)[-40:]
    flux = 0.6 * truth.model_flux(stars.labels.values[cool]) + 0.4 * truth.model_flux(stars.labels.values[hot])
    noise = np.random.default_rng(4).standard_normal(flux.shape) / 100
    table = transfer.label(Spectra(stars.ids[:40], truth.wavelength, flux + noise, np.full(flux.shape, 1e4), True))
    blended = np.asarray(table["reduced_chi2"]) > transfer.chi2_cut
    assert not np.asarray(table["good"])[blended].any()
    assert np.mean(transfer.label(stars.spectra)["good"]) > 0.97
    assert 1.0 < transfer.chi2_cut < 3.0


# ---- what is told


def test_a_label_that_most_stars_lack_is_named(caplog):
    values = REFERENCE.labels.values.copy()
    values[100:, 2] = np.nan
    told = "300 stars lack fe_h alone, more than have all labels; leave it out"
    transfer = learn(REFERENCE.spectra, with_values(values), recipe="paper")
    assert told in " ".join(transfer.report)
    assert told in caplog.text


@pytest.mark.slow
def test_shifted_rows_are_noticed(caplog):
    shifted = with_values(np.roll(REFERENCE.labels.values, 1, axis=0))
    transfer = learn(REFERENCE.spectra, shifted)
    assert "check that the ids belong together and no rows are shifted" in " ".join(transfer.report)
    assert "no rows are shifted" in caplog.text


def test_few_stars_per_term_are_warned_of(caplog):
    transfer = learn(REFERENCE.spectra[:30], REFERENCE.labels[:30], order=2)
    assert "warning: only 3.0 reference stars per term" in " ".join(transfer.report)
    assert "stars per term" in caplog.text


def test_dropped_stars_are_counted():
    values = REFERENCE.labels.values.copy()
    values[:7, 1] = np.nan
    transfer = learn(REFERENCE.spectra, with_values(values)[:390])
    assert transfer.counts["of them without labels"] == 10
    assert transfer.counts["a label is missing"] == 7
    assert transfer.counts["reference stars"] <= 383
    assert any(line.startswith("cross-validation: teff bias") for line in transfer.report)


@pytest.mark.slow
def test_the_distance_cut_keeps_the_reference_stars_themselves():
    few = REFERENCE.labels[:80]
    assert usual_distance(few) > usual_distance(REFERENCE.labels)
    transfer = learn(REFERENCE.spectra[:80], few)
    assert np.mean(transfer.label(REFERENCE.spectra[:80])["outside"]) < 0.1
    paper = learn(REFERENCE.spectra[:80], few, recipe="paper")
    assert np.mean(paper.label(REFERENCE.spectra[:80])["outside"]) > 0.5


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "best"}, "recipe: found 'best', wanted one of robust, paper"),
        ({"order": 4}, "order: found 4, wanted one of 1, 2, 3"),
        ({"order": -1}, "order: found -1, wanted one of 1, 2, 3"),
        ({"order": 2.0}, "order: found 2.0, wanted one of 1, 2, 3"),
        ({"order": True}, "order: found True, wanted one of 1, 2, 3"),
        ({"width": None}, "width: found None, wanted a positive length"),
        ({"order": "auto", "recipe": "paper"}, "recipe 'paper' chooses no order"),
        ({"error_factor": "auto", "recipe": "paper"}, "recipe 'paper' chooses no order and no error factor"),
        ({"label_errors": {"teff": 80.0}, "recipe": "paper"}, "recipe 'paper' undoes no errors of labels"),
        ({"error_factor": 0.0}, "error_factor: found 0.0, wanted positive"),
        ({"error_factor": "guess"}, "error_factor: found 'guess'"),
        ({"error_factor": np.ones(7)}, r"error_factor has shape \(7,\)"),
        ({"label_errors": {"mass": 0.1}}, "label_errors: no label 'mass'; the labels are teff, logg, fe_h"),
        ({"label_errors": {"teff": -3.0}}, "label_errors: that of 'teff' is -3.0, wanted a number in K"),
        ({"label_errors": {"teff": "60"}}, "label_errors: that of 'teff' is '60', wanted a number in K"),
        (
            {"label_errors": {"teff": np.ones(400)}},
            r"wanted a number in K, one for all stars \(errors of each",
        ),
        ({"label_errors": "some"}, "label_errors: found 'some'"),
        ({"label_error_strength": 2.0}, "label_error_strength: found 2.0, wanted 0 to 1"),
        ({"label_error_strength": "half"}, "label_error_strength: found 'half', wanted 0 to 1"),
        ({"groups": np.zeros(3)}, r"groups have shape \(3,\), wanted \(400,\)"),
        ({"groups": {"star00000": 1}}, "groups: none given for 399 stars"),
        ({"groups": np.zeros(400)}, "groups: found 1, wanted at least 8"),
        ({"groups": ["a", None] * 200}, "groups: that of 200 stars, first number 1, is missing"),
        ({"groups": np.ma.masked_equal(np.arange(400), 3)}, "groups: that of 1 stars, first number 3, is missing"),
        ({"groups": np.arange(400), "recipe": "paper"}, "recipe 'paper' holds no stars out"),
        ({"n_folds": 2.5}, "n_folds: found 2.5, wanted a whole number"),
        ({"n_folds": 1}, "n_folds: found 1, wanted 2 to 400"),
        ({"n_starts": 1000}, "found 400 stars with spectra and good labels, wanted 1000 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_training(options, message):
    with pytest.raises(ValueError, match=message):
        learn(REFERENCE.spectra, REFERENCE.labels, **options)


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_stars_are_called_too_few(n):
    with pytest.raises(ValueError, match=rf"learn: {n} stars with .* cannot determine .* terms .*wanted more stars"):
        learn(REFERENCE.spectra[:n], REFERENCE.labels[:n])


def test_groups_of_a_series_are_those_of_its_index():
    pandas = pytest.importorskip("pandas")
    groups = pandas.Series(np.arange(400) % 7, index=REFERENCE.ids)
    for given in (groups, groups[::-1], groups.reset_index(drop=True), groups.to_dict()):
        assert learning._groups_of(given, REFERENCE.spectra, REFERENCE).tolist() == groups.tolist()


def test_a_label_of_two_values_is_named_as_the_cause():
    values = np.column_stack([REFERENCE.labels.values[:, :2], np.arange(400) % 2])
    with pytest.raises(ValueError, match=r"0 come out near their labels with 10 terms, order 2: .* or take order=1"):
        learn(REFERENCE.spectra, with_values(values), order=2)


def test_spectra_that_came_normalized_are_labelled_only_by_their_like(tmp_path):
    assert REFERENCE.spectra.normalized
    learn(REFERENCE.spectra, REFERENCE.labels, order=np.int64(1), simulated=np.bool_(True)).write(tmp_path / "t.npz")
    transfer = LabelTransfer.read(tmp_path / "t.npz")
    assert len(transfer.label(REFERENCE.spectra)) == 400
    with pytest.raises(ValueError, match=r"not normalized.*learnt from spectra that came normalized; normalize"):
        transfer.label(replace(REFERENCE.spectra, normalized=False))


def test_labels_that_cannot_be_learnt_are_refused_before_training():
    values = REFERENCE.labels.values
    with pytest.raises(ValueError, match="label 'logg' is 2 for every reference star"):
        learn(REFERENCE.spectra, with_values(np.where(np.arange(3) == 1, 2.0, values)))
    with pytest.raises(ValueError, match="teff of 400 of 400 stars lies outside 1500 to 60000 K"):
        learn(REFERENCE.spectra, with_values(values * [1e-3, 1.0, 1.0]))
    wrong = np.where((np.arange(400) == 3)[:, None], [4800.0, -9999.0, 0.0], values)
    with pytest.raises(ValueError, match=r"logg of 1 of 400 stars lies outside -2 to 8 dex, first -9999 of 'star00003"):
        learn(REFERENCE.spectra, with_values(wrong))
    ratios = np.column_stack([values[:, :2], np.minimum(10.0 ** values[:, 2], 1.9)])
    with pytest.raises(ValueError, match=r"fe_h of all 400 stars is positive, up to .*, as ratios are"):
        learn(REFERENCE.spectra, with_values(ratios))
    rich = np.column_stack([values[:, :2], np.where(np.arange(400) == 7, 0.9, 0.1 + 0.02 * np.abs(values[:, 2]))])
    assert learn(REFERENCE.spectra[:60], with_values(rich)[:60], recipe="paper").counts["a label is missing"] == 0
    both = np.column_stack([values[:, :2], values[:, 0] / 5000 - 1.5])
    with pytest.raises(ValueError, match="labels teff, logg, fe_h: one follows exactly from the others"):
        learn(REFERENCE.spectra, with_values(both))
    in_nm = replace(REFERENCE.spectra, wavelength=REFERENCE.spectra.wavelength / 10)
    with pytest.raises(ValueError, match="wanted wavelengths in Å"):
        learn(in_nm, REFERENCE.labels)
    with pytest.raises(ValueError, match="9 stars with spectra and all labels in 8 folds cannot determine 10 terms"):
        learn(REFERENCE.spectra[:9], REFERENCE.labels[:9], order=2)
    with pytest.raises(ValueError, match="7 stars with spectra and all labels in 8 folds cannot determine 10 terms"):
        learn(REFERENCE.spectra[:7], REFERENCE.labels[:7], order=2)
    with pytest.raises(TypeError, match="found labels of type NoneType, wanted Labels"):
        learn(REFERENCE.spectra)


def test_spectra_that_are_not_normalized_are_normalized_in_the_same_way():
    spectra = REFERENCE.spectra
    raw = Spectra(spectra.ids, spectra.wavelength, 3.0 * spectra.flux, spectra.ivar / 9.0)
    transfer = learn(raw, REFERENCE.labels, width=30.0, label_errors="none")
    assert transfer.width == 30.0
    table = transfer.label(raw)
    np.testing.assert_allclose(np.median(table["teff"] - REFERENCE.labels.column("teff")), 0.0, atol=60.0)


@pytest.mark.parametrize("figure", ["one_to_one", "residuals", "gradients", "spectrum"])
def test_figures_say_simulated_only_of_simulated_spectra(learnt, figure):
    transfer, _ = learnt
    for simulated in (False, True):
        drawn = getattr(replace(transfer, simulated=simulated).plot, figure)()
        words = " ".join(text.get_text() for text in drawn.findobj(lambda one: hasattr(one, "get_text")))
        assert ("simulated" in words) is simulated
        assert "APOGEE" not in words


# --- detectors


@pytest.mark.parametrize(("option", "wrong"), [("width", 0.0), ("width", np.nan), ("convention", "mine")])
def test_a_normalization_that_makes_no_sense_is_refused_also_where_it_is_done(option, wrong):
    with pytest.raises(ValueError, match=option):
        learn(STARS.spectra, STARS.labels, **{option: wrong})


def test_detectors_are_normalized_apart_in_learning_and_in_labelling(tmp_path):
    """What each detector's level is changes nothing, also of a transfer that comes from a file."""
    wavelength = np.concatenate([4700 + np.arange(20.0), 5650 + np.arange(20.0), 5675 + np.arange(20.0)])
    segments = [(5675, 5700), (4700, 4720), (5650, 5670)]

    def observed(spectra, seed):
        levels = np.random.default_rng(seed).uniform(1, 50, (len(spectra), 3)).repeat(20, axis=1)
        return Spectra(spectra.ids, wavelength, spectra.flux * levels, spectra.ivar / levels**2)

    transfer = learn(observed(REFERENCE.spectra, 1), REFERENCE.labels, segments=segments, order=1)
    transfer.write(tmp_path / "model.npz")
    again = LabelTransfer.read(tmp_path / "model.npz")
    assert again.segments == transfer.segments == ((5675.0, 5700.0), (4700.0, 4720.0), (5650.0, 5670.0))
    first, second = (one.label(observed(STARS.spectra, 2 + n)) for n, one in enumerate((transfer, again)))
    for name in NAMES:
        np.testing.assert_allclose(first[name], second[name], atol=0.01 * np.median(first[f"{name}_err"]))
    assert json.loads(first.meta["PROVENAN"])["segments"][1] == [4700.0, 4720.0]
    with pytest.raises(ValueError, match=r"segments: found .*, wanted \(low, high\) in Å of every detector"):
        learn(observed(REFERENCE.spectra, 1), REFERENCE.labels, segments=(4700, 4720))
    with pytest.raises(ValueError, match="a wavelength occurs in two parts"):
        learn(observed(REFERENCE.spectra, 1), REFERENCE.labels, segments=[(4700, 4720), (4710, 5700)])


def test_stars_far_from_the_others_may_deviate_more():
    labels, wrong = with_wrong_labels()
    folds = np.arange(len(labels)) % 4
    fit = cross_fit(ReferenceSet(REFERENCE.spectra, labels), folds, labels.values[:4], kept=~wrong).fit
    lever = np.zeros(len(labels))
    assert suspects(labels, fit, lever, 4.0)[wrong].all()
    lever[np.flatnonzero(wrong)[0]] = 1e4
    assert list(suspects(labels, fit, lever, 4.0)[wrong][:2]) == [False, True]


def test_of_trials_the_simplest_is_chosen_that_is_no_worse_than_chance_allows():
    labels, wrong = with_wrong_labels()
    folds, starts = np.arange(len(labels)) % 4, labels.values[:4]
    clipped, unclipped = (
        cross_fit(ReferenceSet(REFERENCE.spectra, labels), folds, starts, kept=kept).fit for kept in (~wrong, None)
    )
    for one, two, better in ((unclipped, clipped, 1), (clipped, clipped, 0), (clipped, unclipped, 0)):
        trials = Trials(REFERENCE, folds, ~wrong, starts)
        for fit in (one, two):
            trials.judge({}, fit)
        choice = trials.choice("clip")
        assert choice.chosen == better
        assert list(np.flatnonzero(choice.table["chosen"])) == [better]


@pytest.mark.slow
def test_spectra_without_a_star_are_neither_learnt_from_nor_labelled(learnt):
    transfer, _ = learnt
    spectra = replace(STARS.spectra[:4], flux=STARS.spectra.flux[:4] * [[1.0], [-1.0], [0.0], [1.0]])
    table = transfer.label(spectra)
    assert table["converged"].tolist() == [True, False, False, True]
    assert np.isnan(table["teff"]).tolist() == [False, True, True, False]
    dark = np.where((np.arange(400) < 30)[:, None], -REFERENCE.spectra.flux, REFERENCE.spectra.flux)
    counts = learn(replace(REFERENCE.spectra, flux=dark), REFERENCE.labels, error_factor=1.0).counts
    assert counts["without unmasked pixels, or constant, or not positive"] == 30


def test_what_was_counted_with_another_order_is_told_no_more():
    labels, wrong = with_wrong_labels()
    few = every_so_many_pixels(ReferenceSet(REFERENCE.spectra, labels), 1)
    asked, counts = Asked(NAMES), {GIVEN_BACK: 3, "excised in round 9": 1}
    kept = _rounds(few, labels.values[:4], np.arange(len(labels)) % 4, asked, asked.options(2), 1.0, counts)[2]
    assert not kept[wrong].any()
    assert set(counts).isdisjoint({GIVEN_BACK, "excised in round 9"})


def test_arguments_of_other_types_are_named(learnt):
    transfer = learnt[0]
    spectra = transfer.reference.spectra[:3]
    with pytest.raises(TypeError, match="label: found ndarray, wanted Spectra"):
        transfer.label(spectra.flux)
    with pytest.raises(TypeError, match="stars: found a Table, wanted an astropy Table with a column id"):
        transfer.label(spectra, Table({"ra": np.zeros(3)}))
    with pytest.raises(TypeError, match="learn: found ndarray, wanted Spectra"):
        learn(spectra.flux, transfer.reference.labels)
    for sigma in (0, np.nan, -1.0):
        with pytest.raises(ValueError, match=r"clip_sigma: found .*, wanted a positive number"):
            learn(transfer.reference.spectra, transfer.reference.labels, clip_sigma=sigma)


def test_a_seed_is_as_good_as_a_generator():
    wavelength, grid = np.linspace(5000.0, 5100.0, 40), np.random.default_rng(1).normal(size=(50, 2))
    flux = 1.0 + 0.02 * grid @ np.random.default_rng(2).normal(size=(2, 40))
    spectra = Spectra.from_arrays(wavelength, flux, error=0.01, normalized=True)
    labels = Labels(spectra.ids, ("teff", "logg"), [5000.0, 2.5] + grid * [200.0, 0.3])
    by_seed, by_generator = (
        learn(spectra, labels, recipe="paper", order=1, rng=rng).starts for rng in (7, np.random.default_rng(7))
    )
    np.testing.assert_array_equal(by_seed, by_generator)


# ---- the report


def test_a_clip_in_rounds_is_one_line_of_the_balance(learnt):
    rounds = {"spectra": 80, f"{ROUND}1": 3, f"{ROUND}2": 5, "reference stars": 75}
    assert balance(rounds) == {
        "spectra": 80, "excised by the cross-fitted clip (3, 5 after each round)": 5, "reference stars": 75
    }  # fmt: skip
    assert balance({f"{ROUND}1": 2}) == {"excised by the cross-fitted clip": 2}
    assert sum("cross-fitted clip" in line for line in learnt[0].report) == 1


@pytest.mark.parametrize(("strength", "told"), [(1.0, "1 (all)"), (0.0, "0 (none)"), (0.25, "0.25")])
def test_the_share_of_label_errors_that_was_undone_is_called_a_share(strength, told):
    errors = dict(zip(NAMES, 0.1 * TRUTH.scales, strict=True))
    options = {"order": 1, "error_factor": 1.0, "n_folds": 2, "label_error_strength": strength}
    report = learn(REFERENCE.spectra, REFERENCE.labels, label_errors=errors, **options).report
    assert f"errors of the reference labels (stated): share undone in training: {told}" in report


def test_errors_that_are_smaller_than_cross_validation_shows_are_warned_of(tmp_path):
    """Unless the reference labels are known to be that uncertain, also after the transfer went through a file."""
    noise = 0.5 * TRUTH.scales * np.random.default_rng(5).standard_normal(REFERENCE.labels.values.shape)
    labels, options = with_values(REFERENCE.labels.values + noise), {"label_error_strength": 0.0, "order": 1}
    silent = learn(REFERENCE.spectra, labels, **options)
    stated = learn(REFERENCE.spectra, labels, label_errors=dict(zip(NAMES, 0.5 * TRUTH.scales, strict=True)), **options)
    warned = [any("wider than the errors (teff by" in line for line in one.report) for one in (silent, stated)]
    assert warned == [True, False]
    pull = silent.validation.table["pull"][0]
    assert any(line.startswith("cross-validation: teff") and f"pulls {pull:.3g} wide" in line for line in silent.report)
    assert all(pull > 1.5 for pull in silent.validation.table["pull"])
    stated.write(tmp_path / "model.npz")
    for one in (stated, LabelTransfer.read(tmp_path / "model.npz")):
        np.testing.assert_allclose(one.validation.table["pull"], 1.0, atol=0.3)
    np.testing.assert_array_equal(stated.cross_validate(3).labels.errors, stated.validation.labels.errors)


@pytest.mark.slow
def test_a_distance_cut_that_most_reference_stars_fail_is_warned_of():
    paper, robust = (learn(REFERENCE.spectra[:80], REFERENCE.labels[:80], recipe=of) for of in ("paper", "robust"))
    told = [any("reference stars themselves lie outside" in line for line in one.report) for one in (paper, robust)]
    assert told == [True, False]


# ---- where labels may act


@pytest.mark.parametrize(
    ("censoring", "message"),
    [
        (
            {"teff": np.ones(61, bool)},
            r"'teff': found bool of shape \(61,\), wanted booleans of shape \(60,\), True where",
        ),
        ({"teff": np.ones(60)}, r"'teff': found float64 of shape \(60,\), wanted booleans"),
        ({"teff": (5100.0, 5200.0)}, r"'teff': found float64 of shape \(2,\), wanted .* \[\(low, high\), …\] in Å"),
        ({"teff": [(5100.0, 5200.0), (5300.0,)]}, r"'teff': found object of shape \(2,\), wanted"),
        ({"teff": [(9900, 9950)]}, "'teff': no pixel between 9900 and 9950 Å; wanted ranges within"),
        ({"mass": [(5100, 5200)]}, "censoring: no label 'mass'; the labels are teff, logg, fe_h"),
        (np.ones((60, 2), bool), r"found ndarray of shape \(60, 2\), wanted .* or booleans of shape \(60, 3\)"),
    ],
)
def test_censoring_is_checked_before_the_spectra_are_normalized(monkeypatch, censoring, message):
    monkeypatch.setattr(learning, "normalize", None)
    with pytest.raises(ValueError, match=message):
        learn(replace(REFERENCE.spectra, normalized=False), REFERENCE.labels, censoring=censoring)


@pytest.mark.parametrize("recipe", ["paper", "robust"])
def test_ranges_of_wavelength_say_where_a_label_may_act(recipe):
    wave = REFERENCE.spectra.wavelength
    inside = ((wave >= wave[5]) & (wave <= wave[20])) | (wave >= wave[40])
    ranges = [(wave[5], wave[20]), (wave[40], wave[-1] + 9)]
    options = {"recipe": recipe, "order": 1, "error_factor": 1.0}
    one, two = (
        learn(REFERENCE.spectra, REFERENCE.labels, censoring={"logg": acts}, **options) for acts in (inside, ranges)
    )
    np.testing.assert_array_equal(one.model.coefficients, two.model.coefficients)
    np.testing.assert_array_equal(two.model.linear_coefficients[1] != 0, inside)


# ---- doors


def test_fewer_stars_than_folds_are_called_too_few():
    one = REFERENCE.labels.select(["teff"])
    with pytest.raises(
        ValueError, match="learn: 5 stars with spectra and all labels are too few for 8 folds; wanted more"
    ):
        learn(REFERENCE.spectra[:5], one)


def test_segments_that_are_no_list_are_told_what_one_is():
    with pytest.raises(ValueError, match=r"segments: found \(4700, 4720\), wanted .* in a list: \[\(low, high\), …\]"):
        learn(REFERENCE.spectra, REFERENCE.labels, segments=(4700, 4720))


def test_recipes_are_compared_on_own_spectra_too():
    options = {"recipes": {"paper": {"recipe": "paper", "order": 1}}, "n_folds": 2, "n_stars": 60}
    one, two = (compare_recipes(REFERENCE.spectra, rng, labels=REFERENCE.labels, **options) for rng in (None, 0))
    assert list(one["label"]) == list(NAMES)
    assert list(one["scatter"]) == list(two["scatter"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (REFERENCE.spectra, REFERENCE.labels),
            r"found Labels for rng; give them by name: compare_recipes\(spectra, labels=",
        ),
        ((REFERENCE.spectra,), "found spectra with labels of type NoneType, wanted labels=Labels"),
        (([REFERENCE.spectra],), r"found Spectra, wanted surveys \(open_survey\), or Spectra and labels"),
    ],
)
def test_recipes_are_compared_on_nothing_else(arguments, message):
    with pytest.raises(TypeError, match=message):
        compare_recipes(*arguments)


def test_errors_and_figures_say_what_they_are(learnt):
    assert repr(learnt[0].errors) == "ErrorModel(3 labels; a floor of 2 parts, leverage in 10 terms)"
    assert repr(learnt[0].plot).startswith(
        "TransferPlots(one_to_one, residuals, spectrum and gradients of LabelTransfer("
    )


# ---- figures


def words_of(figure):
    return "\n".join(text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text")))


def test_one_to_one_shows_equal_ranges_and_the_words_of_the_report(learnt):
    figure = learnt[0].plot.one_to_one(["logg"])
    (panel,) = figure.axes
    assert panel.get_xlim() == panel.get_ylim()
    assert panel.get_ylabel().startswith("cross-validated")
    assert "excised" in words_of(figure)
    row = learnt[0].validation.table[1]
    assert f"robust scatter {row['robust_scatter']:.3f} dex" in panel.get_title("left")
    all_kept = replace(learnt[0].validation, kept=np.ones(400, bool))
    assert "excised" not in words_of(replace(learnt[0], validation=all_kept).plot.one_to_one())


def test_residuals_are_total_pulls_and_those_beyond_the_axis_are_counted(learnt):
    panel = learnt[0].plot.residuals().axes[0]
    beyond = int((np.abs(learnt[0].validation.pulls[:, 0]) > 5).sum())
    assert beyond > 0
    pull = learnt[0].validation.table["pull"][0]
    assert panel.get_title("left") == f"pulls {pull:.2f} wide\n{beyond} of 400 beyond ±5"


def test_a_window_of_a_spectrum_is_shown_and_described(learnt):
    wave = learnt[0].model.wavelength
    figure = learnt[0].plot.spectrum(3, window=(wave[10], wave[30]))
    assert figure.axes[0].get_xlim() == pytest.approx((wave[10], wave[30]))
    assert "[Fe/H]" in figure.axes[0].get_title("left")
    assert r"reduced $\chi^2$" in figure.axes[0].get_title("left")


@pytest.mark.parametrize("window", [5, "ab", (5200, 5100), (1.0, 2.0), (np.nan, 5200)])
def test_a_window_without_pixels_is_refused(learnt, window):
    with pytest.raises(ValueError, match=r"plot.spectrum: window: found .*, wanted \(low, high\) with pixels within"):
        learnt[0].plot.spectrum(3, window=window)
