"""The recipes against each other on a survey whose truth is known, and on one whose truth is not."""

from dataclasses import replace

import numpy as np
import pytest

import labeltransfer as lt


@pytest.fixture(scope="module")
def survey():
    names = ("teff", "logg", "fe_h")
    return lt.open_survey(label_names=names, n_overlap=360, n_dr2=0, n_apogee=360, progress=False)


class WithoutTruth:
    """A survey as a real one is: nobody knows the true labels."""

    simulated, description, mask = False, "stars", "none"

    def __init__(self, overlap):
        self._overlap = replace(overlap, truth=None)

    def overlap(self):
        return self._overlap


@pytest.mark.slow
def test_recipes_are_compared_on_the_same_stars_with_the_truth_and_beside_a_training_on_it(survey):
    table = lt.transfer.compare_recipes(
        [survey], np.random.default_rng(0), n_folds=3, n_stars=270, n_reference=(90, 180, 500), pixel_step=30
    )
    assert list(dict.fromkeys(table["recipe"])) == ["paper", "robust", "true labels"]
    assert list(dict.fromkeys(table["n_reference"])) == [90, 180], "no more than the two folds that are left"
    assert len(table) == 2 * 3 * 3
    assert (table["n"] <= 90).all()
    assert (table["n"] > 20).all()
    assert np.isfinite([list(table[name]) for name in ("bias", "robust_scatter", "pull", "seconds")]).all()
    teff = table[(table["label"] == "teff") & (table["recipe"] == "true labels")]
    assert (teff["robust_scatter"] < 250).all()


def test_of_a_survey_without_truth_every_star_is_kept_aside_once(survey):
    table = lt.transfer.compare_recipes(
        [WithoutTruth(survey.overlap())], np.random.default_rng(0), {"as printed": {"recipe": "paper"}},
        n_folds=3, n_stars=240, pixel_step=30,
    )  # fmt: skip
    assert list(table["recipe"]) == 3 * ["as printed"]
    assert (table["n"] > 220).all()
    assert set(table["n_reference"]) == {160}


def test_a_step_below_one_is_refused(survey):
    with pytest.raises(ValueError, match="pixel_step: found 0"):
        lt.transfer.compare_recipes([survey], np.random.default_rng(0), pixel_step=0)
