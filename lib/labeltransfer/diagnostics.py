"""Questions one asks of a finished fit: are the reported errors right, is a distribution made of two parts?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize

from .cannon import CannonModel
from .inference import LabelFit
from .spectra import Spectra
from .validation import bias_and_scatter


def error_factor(spectra: Spectra, model: CannonModel, fit: LabelFit, block: int = 1000) -> float:
    """By what factor the reported flux errors are too large (section 4.1: "a factor of three").

    At each pixel, the squared residuals r² of the stars follow σ²/k² + s²: noise, which grows with the reported σ,
    and misfit, which does not. A weighted straight line through r² against σ² gives 1/k²; its median over pixels
    is turned into k. Weights are 1/σ⁴, because the variance of r² is proportional to σ⁴. Squared residuals above
    25 σ² (cosmic rays, sky lines) are left out.

    Parameters
    ----------
    spectra : N normalized spectra with reported inverse variances
    model : the model of P pixels
    fit : labels of the same N stars; stars that did not converge are left out

    Returns
    -------
    float
        k; 1 when the reported errors are right. NaN when no pixel determines it.
    """
    if not np.array_equal(spectra.ids, fit.labels.ids):
        raise ValueError("error_factor: spectra and fit are not of the same stars in the same order")
    rows = np.flatnonzero(fit.converged)
    sums = np.zeros((5, spectra.wavelength.size))
    for start in range(0, rows.size, block):
        part = rows[start : start + block]
        ivar = spectra.ivar[part].astype(float)
        chi2 = ivar * (spectra.flux[part] - model.predict(fit.labels.values[part])) ** 2
        ivar[chi2 > 25.0] = 0.0
        chi2[chi2 > 25.0] = 0.0
        sums += [term.sum(axis=0) for term in (ivar > 0, ivar, ivar**2, chi2, ivar * chi2)]
    # The straight line divided by σ²: r²/σ² = 1/k² + s²/σ², with equal weights.
    count, x, xx, y, xy = sums
    determinant = count * xx - x**2
    usable = (count > 20) & (determinant > 1e-6 * count * xx)
    slope = (xx * y - x * xy)[usable] / determinant[usable]
    middle = np.median(slope) if slope.size else np.nan
    return float(1.0 / np.sqrt(middle)) if middle > 0 else float("nan")


def error_floor(error: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """What must be added in quadrature to error bars so that pulls have a robust width of one, label by label.

    Parameters
    ----------
    error, bar : (N, L) errors and their formal error bars, in the same units; rows with NaN are left out

    Returns
    -------
    (L,) in the unit of the errors; zero where the bars are large enough as they are
    """
    floors = np.zeros(error.shape[1])
    for column in range(error.shape[1]):
        good = np.isfinite(error[:, column]) & np.isfinite(bar[:, column])
        e, b = error[good, column], bar[good, column]

        def excess(floor: float, e: np.ndarray = e, b: np.ndarray = b) -> float:
            return float(bias_and_scatter(e / np.hypot(b, floor), robust=True)[1][0]) - 1.0

        if e.size and excess(0.0) > 0:
            floors[column] = brentq(excess, 0.0, 10.0 * np.abs(e).max(), xtol=1e-6 * np.abs(e).max())
    return floors


@dataclass(frozen=True)
class TwoGaussians:
    """One Gaussian against a mixture of two, for one sample.

    Attributes
    ----------
    means, widths, weights : of the two parts, in order of the means, in the sample's unit
    bic_gain : Bayesian information criterion of one Gaussian minus that of two; positive favours two
    ashman_d : separation √2 |μ₁ - μ₂| / √(σ₁² + σ₂²)
    """

    means: tuple[float, float]
    widths: tuple[float, float]
    weights: tuple[float, float]
    bic_gain: float
    ashman_d: float

    @property
    def bimodal(self) -> bool:
        """Two parts are favoured and lie more than D = 2 apart (Ashman, Bird & Zepf 1994)."""
        return self.bic_gain > 0 and self.ashman_d > 2

    def __str__(self) -> str:
        return (
            f"means {self.means[0]:.3f}, {self.means[1]:.3f}; widths {self.widths[0]:.3f}, {self.widths[1]:.3f}; "
            f"shares {self.weights[0]:.2f}, {self.weights[1]:.2f}; D = {self.ashman_d:.1f}; "
            f"{'two' if self.bic_gain > 0 else 'one'} favoured by BIC"
        )


def two_gaussians(values: np.ndarray) -> TwoGaussians | None:
    """Describe a sample by a mixture of two Gaussians, by maximum likelihood.

    Parameters
    ----------
    values : (N,) NaN is left out

    Returns
    -------
    TwoGaussians, or None for fewer than 20 values
    """
    x = np.asarray(values, float)
    x = x[np.isfinite(x)]
    if x.size < 20 or x.std() == 0:
        return None
    unit = (x - x.mean()) / x.std()

    def negative(parameters: np.ndarray) -> float:
        m1, m2, log_s1, log_s2, logit = parameters
        share = 1.0 / (1.0 + np.exp(-logit))
        first = np.log(share) - log_s1 - 0.5 * ((unit - m1) * np.exp(-log_s1)) ** 2
        other = np.log1p(-share) - log_s2 - 0.5 * ((unit - m2) * np.exp(-log_s2)) ** 2
        return float(-np.logaddexp(first, other).sum())

    low, high = np.percentile(unit, [20, 80])
    bounds = [(-5, 5), (-5, 5), (-3, 1), (-3, 1), (-4, 4)]
    best = min(
        (
            minimize(negative, (low, high, np.log(s), np.log(s), logit), method="L-BFGS-B", bounds=bounds)
            for s in (0.3, 0.6)
            for logit in (-1.0, 0.0, 1.0)
        ),
        key=lambda end: end.fun,
    )
    share = 1.0 / (1.0 + np.exp(-best.x[4]))
    parts = sorted(
        [(best.x[0], np.exp(best.x[2]), share), (best.x[1], np.exp(best.x[3]), 1.0 - share)], key=lambda part: part[0]
    )
    means, widths, weights = (np.array(column, float) for column in zip(*parts, strict=True))
    one = 0.5 * x.size
    gain = 2 * one + 2 * np.log(x.size) - (2 * best.fun + 5 * np.log(x.size))
    distance = np.sqrt(2) * abs(means[1] - means[0]) / np.hypot(*widths)
    means, widths = means * x.std() + x.mean(), widths * x.std()
    return TwoGaussians(
        (float(means[0]), float(means[1])),
        (float(widths[0]), float(widths[1])),
        (float(weights[0]), float(weights[1])),
        float(gain),
        float(distance),
    )
