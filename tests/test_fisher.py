from dataclasses import replace

import numpy as np
import pytest

import oracle
from labeltransfer.fisher import cramer_rao, fisher_information
from labeltransfer.inference import infer

MODEL = oracle.known_model(90)
REFERENCE = oracle.draw(MODEL, 25)


def test_information_is_the_sum_over_pixels():
    values = REFERENCE.labels.values
    found = fisher_information(MODEL, REFERENCE.spectra, values)
    for n in range(3):
        expected = np.zeros((5, 5))
        for p, slope in enumerate(MODEL.gradient(values[n : n + 1])[0].T):
            ivar = REFERENCE.spectra.ivar[n, p]
            if ivar > 0:
                expected += np.outer(slope, slope) / (MODEL.scatter[p] ** 2 + 1 / ivar)
        np.testing.assert_allclose(found[n], expected, rtol=1e-9)


def test_formal_errors_of_a_fit_reach_the_bound():
    fit = infer(MODEL, REFERENCE.spectra, REFERENCE.labels.values[:3])
    bound = cramer_rao(fisher_information(MODEL, REFERENCE.spectra, fit.labels.values))
    np.testing.assert_allclose(fit.labels.errors, bound, rtol=1e-9)


def test_windows_add_up_to_the_whole():
    middle = MODEL.wavelength[40]
    windows = [(0, middle), (np.nextafter(middle, 1e9), 1e9)]
    parts = fisher_information(MODEL, REFERENCE.spectra, MODEL.pivots, windows)
    whole = fisher_information(MODEL, REFERENCE.spectra, MODEL.pivots)
    assert parts.shape == (2, 25, 5, 5)
    np.testing.assert_allclose(parts.sum(axis=0), whole, rtol=1e-9, atol=1e-9 * whole.max())


def test_knowing_the_other_labels_helps():
    information = fisher_information(MODEL, REFERENCE.spectra, MODEL.pivots)
    jointly, alone = cramer_rao(information), cramer_rao(information, jointly=False)
    assert (alone <= jointly * (1 + 1e-12)).all()
    np.testing.assert_allclose(jointly, np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2)), rtol=1e-6)


def test_a_window_that_says_nothing_has_infinite_errors():
    nothing = fisher_information(MODEL, REFERENCE.spectra, MODEL.pivots, [(1.0, 2.0)])
    assert np.isinf(cramer_rao(nothing)).all()
    assert np.isinf(cramer_rao(nothing, jointly=False)).all()
    one_pixel = fisher_information(MODEL, REFERENCE.spectra, MODEL.pivots, [(3999.0, 4000.1)])
    seen = REFERENCE.spectra.ivar[:, 0] > 0
    assert np.isinf(cramer_rao(one_pixel)).all()
    assert np.isfinite(cramer_rao(one_pixel, jointly=False)[0][seen]).all()


def test_other_pixels_are_refused():
    with pytest.raises(ValueError, match="are not those of"):
        fisher_information(MODEL, REFERENCE.spectra.window(4000, 4020), MODEL.pivots)
    with pytest.raises(ValueError, match="are not those of"):
        fisher_information(MODEL, replace(REFERENCE.spectra, wavelength=MODEL.wavelength + 1), MODEL.pivots)


def test_spectra_as_they_were_observed_are_refused():
    with pytest.raises(ValueError, match="normalize the spectra first"):
        fisher_information(MODEL, replace(REFERENCE.spectra, normalized=False), MODEL.pivots)


@pytest.mark.parametrize("jointly", [True, False])
def test_a_star_with_unknown_labels_loses_only_its_own_errors(jointly):
    values = REFERENCE.labels.values.copy()
    values[3, 1] = np.nan
    errors = cramer_rao(fisher_information(MODEL, REFERENCE.spectra, values), jointly)
    expected = cramer_rao(fisher_information(MODEL, REFERENCE.spectra, REFERENCE.labels.values), jointly)
    assert np.isnan(errors[3]).all()
    np.testing.assert_allclose(np.delete(errors, 3, axis=0), np.delete(expected, 3, axis=0), rtol=1e-9)
