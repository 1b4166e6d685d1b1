import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltransfer.labels import Labels
from labeltransfer.reference import (
    LABEL_SCALES,
    ReferenceSet,
    cross_match,
    label_distance,
    label_shift,
    outliers,
    quality_cuts,
)
from labeltransfer.spectra import Spectra

NAMES = ("teff", "logg", "fe_h")


def some_labels(n=40, seed=0, prefix="r"):
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.normal(4800, 300, n), rng.normal(2.5, 0.6, n), rng.normal(-0.2, 0.3, n)])
    return Labels(np.array([f"{prefix}{i}" for i in range(n)]), NAMES, values)


def some_spectra(ids, n_pixels=5):
    shape = (len(ids), n_pixels)
    return Spectra(np.array(ids), np.arange(4000.0, 4000.0 + n_pixels), np.ones(shape), np.ones(shape))


# --- cross-match


def sky(n, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def test_cross_match_finds_the_pairs_astropy_finds():
    ra, dec = sky(500, 1)
    rng = np.random.default_rng(2)
    ra2 = np.concatenate([ra[:300] + rng.normal(0, 1.5 / 3600, 300) / np.cos(np.radians(dec[:300])), sky(400, 3)[0]])
    dec2 = np.concatenate([dec[:300] + rng.normal(0, 1.5 / 3600, 300), sky(400, 3)[1]])
    rows1, rows2 = cross_match(ra, dec, ra2, dec2, 3 * units.arcsec)
    nearest, separation, _ = SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(SkyCoord(ra2, dec2, unit="deg"))
    expected = np.flatnonzero(separation.arcsec <= 3)
    np.testing.assert_array_equal(rows1, expected)
    np.testing.assert_array_equal(rows2, nearest[expected])
    assert 150 < rows1.size < 300


def test_cross_match_across_the_zero_meridian_and_at_the_pole():
    rows1, rows2 = cross_match([359.9999, 10.0], [0.0, 89.99999], [190.0, 0.0001], [89.99999, 0.0], 3.0)
    assert rows1.tolist() == [0, 1]
    assert rows2.tolist() == [1, 0]


def test_cross_match_radius_is_the_great_circle_distance():
    second = 1 / 3600
    assert cross_match([10.0], [60.0], [10.0 + 5.98 * second], [60.0], 3.0)[0].size == 1
    assert cross_match([10.0], [60.0], [10.0 + 6.02 * second], [60.0], 3.0)[0].size == 0


def test_cross_match_is_one_to_one():
    second = 1 / 3600
    ra, dec = [0.0, 0.0, 0.0], [2 * second, 1 * second, -2 * second]
    rows1, rows2 = cross_match(ra, dec, [0.0], [0.0])
    assert (rows1.tolist(), rows2.tolist()) == ([1], [0])
    rows1, rows2 = cross_match(ra, dec, [0.0], [0.0], snr1=[10.0, 20.0, 90.0])
    assert (rows1.tolist(), rows2.tolist()) == ([2], [0])


def test_unknown_coordinates_match_nothing():
    rows1, rows2 = cross_match([np.nan, 5.0], [0.0, 5.0], [np.nan, 5.0], [0.0, 5.0])
    assert (rows1.tolist(), rows2.tolist()) == ([1], [1])
    assert cross_match([np.nan], [0.0], [1.0], [0.0])[0].size == 0
    assert cross_match([], [], [1.0], [0.0])[0].size == 0


# --- cuts


def test_quality_cuts_are_those_of_section_3():
    values = [
        [3499, 0.0],
        [3500, 0.0],
        [6000, 0.0],
        [6001, 0.0],
        [5000, -0.101],
        [5000, -0.1],
        [5000, 0.0],
        [np.nan, 0],
    ]
    labels = Labels(np.arange(8), ("teff", "alpha_m"), values)
    flagged = np.arange(8) == 6
    excised = quality_cuts(labels, flagged)
    assert [mask.sum() for mask in excised.values()] == [1, 2, 1, 1]
    assert np.flatnonzero(~np.any(list(excised.values()), axis=0)).tolist() == [1, 2, 5]


def test_quality_cuts_leave_out_labels_that_are_not_there():
    labels = Labels(["a", "b"], ("logg",), [[1.0], [np.nan]])
    excised = quality_cuts(labels)
    assert [mask.tolist() for mask in excised.values()] == [[False, True]]
    with pytest.raises(ValueError, match="flagged has shape"):
        quality_cuts(labels, np.zeros(3, bool))


def test_outliers_are_beyond_four_scatters_in_any_label():
    reference = some_labels(200)
    rng = np.random.default_rng(5)
    values = reference.values + rng.uniform(-1, 1, reference.values.shape) * [50, 0.1, 0.1]
    values[7, 1] += 2.0
    values[9] = np.nan
    outlier, scatter = outliers(reference, Labels(reference.ids, NAMES, values))
    usable = np.arange(200) != 9
    np.testing.assert_allclose(scatter, (values - reference.values)[usable].std(axis=0))
    assert np.flatnonzero(outlier).tolist() == [7, 9]


def test_outliers_do_not_mind_the_order_of_labels():
    reference, other = some_labels(60), some_labels(60, seed=1)
    first = outliers(reference, other, 1.0)[0]
    np.testing.assert_array_equal(first, outliers(reference, other.select(NAMES[::-1]), 1.0)[0])
    with pytest.raises(ValueError, match="same stars"):
        outliers(reference, other[::-1])


# --- eq. 7


def distance_by_loops(labels, reference, root):
    """Eq. 7 as it is written."""
    distances = []
    for star in labels.values:
        each = []
        for other in reference.values:
            squared = sum(((star[i] - other[i]) / LABEL_SCALES[name]) ** 2 for i, name in enumerate(NAMES))
            each.append(squared**0.5 if root else squared)
        distances.append(np.mean(sorted(each)[:10]))
    return np.array(distances)


@pytest.mark.parametrize("root", [False, True])
def test_label_distance_is_equation_7(root):
    labels, reference = some_labels(25, 1, "s"), some_labels(60, 2)
    np.testing.assert_allclose(
        label_distance(labels, reference, root=root), distance_by_loops(labels, reference, root), rtol=1e-12
    )


def test_the_two_conventions_select_different_stars():
    labels, reference = some_labels(300, 1, "s"), some_labels(60, 2)
    without, with_root = (label_distance(labels, reference, root=root) < 2.5 for root in (False, True))
    assert with_root.sum() > without.sum()


def test_label_distance_of_unknown_labels_is_nan_and_too_few_neighbours_are_refused():
    labels, reference = some_labels(5, 1, "s"), some_labels(20, 2)
    values = labels.values.copy()
    values[2, 0] = np.nan
    distance = label_distance(Labels(labels.ids, NAMES, values), reference)
    assert np.isnan(distance).tolist() == [False, False, True, False, False]
    with pytest.raises(ValueError, match="n_nearest: found 10, wanted between 1 and the 9"):
        label_distance(labels, reference[:9])
    assert np.isfinite(label_distance(labels, reference[:1], n_nearest=1)).all()


@settings(max_examples=25, deadline=None)
@given(st.permutations(NAMES), st.floats(0.1, 10), st.integers(0, 2**31))
def test_label_distance_does_not_mind_order_or_units(order, factor, seed):
    labels, reference = some_labels(8, seed, "s"), some_labels(15, seed + 1)
    scales = {name: LABEL_SCALES[name] * factor for name in order}
    rescaled = label_distance(labels.select(order), reference, scales=scales)
    np.testing.assert_allclose(rescaled * factor**2, label_distance(labels, reference), rtol=1e-9)


def test_label_shift_is_equation_7_between_two_labels_of_a_star():
    a, b = some_labels(4, 1), some_labels(4, 2)
    expected = (((a.values - b.values) / list(LABEL_SCALES.values())) ** 2).sum(axis=1)
    np.testing.assert_allclose(label_shift(a, b), expected)
    np.testing.assert_allclose(label_shift(a, b, root=True), np.sqrt(expected))
    with pytest.raises(ValueError, match="at least one of teff, logg, fe_h in both"):
        label_shift(a, Labels(a.ids, ("a_k",), np.zeros((4, 1))))


# --- the set


def test_join_keeps_stars_with_spectrum_and_all_labels():
    labels = some_labels(6)
    values = labels.values.copy()
    values[1, 2] = np.nan
    spectra = some_spectra(["r5", "r1", "nobody", "r0", "r2"])
    ivar = spectra.ivar.copy()
    ivar[4] = 0.0
    spectra = Spectra(spectra.ids, spectra.wavelength, spectra.flux, ivar)
    reference = ReferenceSet.join(spectra, Labels(labels.ids, NAMES, values))
    assert reference.ids.tolist() == ["r5", "r0"]
    np.testing.assert_array_equal(reference.labels.values, values[[5, 0]])
    assert reference.dropped == {
        "spectra without a row of labels": 1, "rows of labels without a spectrum": 2,
        "spectra without an unmasked pixel": 1, "stars without all labels": 1, "of them without fe_h": 1,
    }  # fmt: skip
    assert reference.stars_per_term() == 0.2
    with pytest.raises(ValueError, match="0 ids are common"):
        ReferenceSet.join(some_spectra(["x"]), labels)


def test_the_set_is_checked():
    labels = some_labels(3)
    with pytest.raises(ValueError, match="same stars in the same order"):
        ReferenceSet(some_spectra(labels.ids[::-1]), labels)
    values = labels.values.copy()
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 3 stars lack a label"):
        ReferenceSet(some_spectra(labels.ids), Labels(labels.ids, NAMES, values))


def test_written_and_read_again_it_is_the_same(tmp_path):
    labels = some_labels(3)
    labels = Labels(labels.ids, NAMES, labels.values, np.ones((3, 3, 3)))
    reference = ReferenceSet(some_spectra(labels.ids), labels)
    reference.write(tmp_path / "reference.npz")
    again = ReferenceSet.read(tmp_path / "reference.npz")
    for mine, read in ((reference.spectra.flux, again.spectra.flux), (labels.covariance, again.labels.covariance)):
        np.testing.assert_array_equal(mine, read)
    assert again.labels.names == NAMES
    assert repr(again) == "ReferenceSet(3 stars; teff, logg, fe_h; 5 pixels)"
    assert len(again[[2, 0]]) == 2
