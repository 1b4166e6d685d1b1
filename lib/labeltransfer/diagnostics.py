"""Questions one asks of a finished fit: are reported errors right, do lines stand out, are there two parts?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, brentq, minimize

from .cannon import CannonModel
from .inference import LabelFit
from .labels import Labels
from .spectra import Spectra
from .validation import CrossFit, bias_and_scatter

ENOUGH_TOLD = 300.0
"""Stars times pixels that tell an error factor; with fewer it is uncertain by more than a tenth, and chance."""


def error_factor(spectra: Spectra, model: CannonModel, fit: LabelFit, block: int = 1000) -> float:
    """By what factor the reported flux errors are too large (section 4.1: "a factor of three").

    At each pixel, the squared residuals r² of the stars follow σ²/k² + s²: noise, which grows with the reported σ,
    and misfit, which does not. A weighted straight line through r² against σ² gives 1/k²; its median over pixels
    is turned into k. Weights are 1/σ⁴, because the variance of r² is proportional to σ⁴. Residuals beyond
    five times the root of σ² + s² (cosmic rays, sky lines) are left out.

    Parameters
    ----------
    spectra : N normalized spectra with reported inverse variances
    model : the model of P pixels
    fit : labels of the same N stars; stars that did not converge are left out

    Returns
    -------
    float
        k; 1 if the reported errors are right. Where errors of all stars are alike, noise cannot be told from misfit:
        k is then the least that makes residuals as large as errors, or NaN if they are larger.
    """
    if not np.array_equal(spectra.ids, fit.labels.ids):
        raise ValueError("error_factor: spectra and fit are not of the same stars in the same order")
    return _factor(_sums(spectra, model, fit, np.flatnonzero(fit.converged), block))


def cross_fitted_error_factor(spectra: Spectra, crossed: CrossFit, kept: np.ndarray, smooth: float = 0.0) -> Any:
    """As `error_factor`, from residuals of every star against the model that has not seen it.

    Parameters
    ----------
    spectra : N normalized spectra
    crossed : their cross-fit
    kept : (N,) stars that count
    smooth : if not 0, width [Å] of the window in which a factor of each pixel is formed, as the median of the window

    Returns
    -------
    float or (P,)
        k, or k at each pixel; NaN where nothing determines it.
    """
    use = np.asarray(kept, dtype=bool) & crossed.fit.converged
    parts = zip(crossed.models, crossed.rows, strict=True)
    sums = np.sum([_sums(spectra, model, crossed.fit, rows[use[rows]], 1000) for model, rows in parts], axis=0)
    if not smooth:
        return _factor(sums)
    pixels = np.searchsorted(spectra.wavelength, spectra.wavelength[:, None] + smooth * np.array([-0.5, 0.5]))
    return np.array([_factor(sums[:, low:high]) for low, high in pixels])


def _sums(spectra: Spectra, model: CannonModel, fit: LabelFit, rows: np.ndarray, block: int) -> np.ndarray:
    """(5, P) sums over stars of 1, 1/σ², 1/σ⁴, r²/σ² and r²/σ⁴."""
    variance = np.where(model.determined, model.scatter, 0.0) ** 2
    sums = np.zeros((5, spectra.wavelength.size))
    for start in range(0, rows.size, block):
        part = rows[start : start + block]
        ivar = spectra.ivar[part].astype(float)
        chi2 = ivar * (spectra.flux[part] - model.model_flux(fit.labels.values[part])) ** 2
        outlying = ~(chi2 <= 25.0 * (1.0 + ivar * variance))
        ivar[outlying] = 0.0
        chi2[outlying] = 0.0
        sums += [term.sum(axis=0) for term in (ivar > 0, ivar, ivar**2, chi2, ivar * chi2)]
    return sums


def _factor(sums: np.ndarray) -> float:
    """k from the straight line divided by σ², r²/σ² = 1/k² + s²/σ², with equal weights; the median over pixels.

    The variance of a pixel's 1/k² is that of r²/σ² over `told`, stars as many as would tell it without s².
    """
    count, x, xx, y, xy = sums[:, sums[0] > 20]
    determinant = np.maximum(count * xx - x**2, 0.0)
    told = np.divide(determinant, xx, out=np.zeros_like(xx), where=xx > 0)
    usable = determinant > 1e-6 * count * xx
    if told[usable].sum() >= ENOUGH_TOLD:
        middle = np.median((xx * y - x * xy)[usable] / determinant[usable])
    else:
        middle = np.median(y / count) if count.size else np.nan
        middle = middle if middle < 1 else np.nan  # s² is never negative
    return float(1.0 / np.sqrt(middle)) if middle > 0 else float("nan")


def stands_out(
    model: CannonModel, lines: Sequence[float] | np.ndarray, reach: float = 3.0, around: float = 150.0
) -> np.ndarray:
    """Where the flux answers to a label more than beside it: is a line among the peaks of the label's gradient?

    The largest absolute gradient near the line must lie above 95 % of those around it, so that a part of the spectrum
    with many lines is no advantage.

    Parameters
    ----------
    lines : (M,) wavelengths [Å]
    reach : how far from a line its peak may lie [Å]
    around : how far from it the gradients lie that it is compared with [Å]

    Returns
    -------
    (L, M) bool, for each label and line; False where the model has no pixel near the line
    """
    gradients = np.abs(model.linear_coefficients)
    found = np.zeros((len(gradients), len(lines)), dtype=bool)
    for k, line in enumerate(lines):
        away = np.abs(model.wavelength - line)
        near = gradients[:, away <= reach]
        if near.size:
            found[:, k] = near.max(axis=1) > np.quantile(gradients[:, away <= around], 0.95, axis=1)
    return found


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


def branch_width(labels: Labels) -> float:
    """Robust scatter of log g about its run with temperature, a cubic [dex]: the narrower, the more like giants.

    It judges labels without any others to compare with (Figs. 9 and 13). NaN for labels without Teff or log g, and for
    fewer than 20 stars that have both.
    """
    if not {"teff", "logg"} <= set(labels.names):
        return np.nan
    teff, logg = labels.column("teff"), labels.column("logg")
    known = np.isfinite(teff) & np.isfinite(logg)
    if known.sum() < 20:
        return np.nan
    x = (teff[known] - 4600.0) / 400.0
    left = logg[known] - np.polyval(np.polyfit(x, logg[known], 3), x)
    return float(bias_and_scatter(left, robust=True)[1][0])


@dataclass(frozen=True)
class TwoGaussians:
    """One Gaussian against a mixture of two, for one sample; outliers are a third part in both.

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
    """Describe a sample by a mixture of two Gaussians and a few outliers, by maximum likelihood.

    Outliers are a part that is uniform over the sample's range, of free weight, in the fit of one Gaussian, too.

    Parameters
    ----------
    values : (N,) NaN is left out

    Returns
    -------
    TwoGaussians, or None for fewer than 20 values or values that are all the same
    """
    x = np.asarray(values, float)
    x = np.sort(x[np.isfinite(x)])
    if x.size < 20 or x[0] == x[-1]:
        return None
    middle, unit = np.median(x), np.subtract(*np.percentile(x, [84, 16])) / 2 or x.std()
    z = (x - middle) / unit
    low, high = np.percentile(z, [20, 80])
    one = _mixture(z, [(0.0, np.log(1.0))], [])
    two = min(
        (
            _mixture(z, [(low, np.log(width)), (high, np.log(width))], [share])
            for width in (0.3, 0.6)
            for share in (-1.0, 0.0, 1.0)
        ),
        key=lambda end: end.fun,
    )
    first, second, log_width_1, log_width_2, share, _ = two.x
    share = 1.0 / (1.0 + np.exp(-share))
    parts = sorted([(first, np.exp(log_width_1), 1.0 - share), (second, np.exp(log_width_2), share)])
    (m1, s1, w1), (m2, s2, w2) = ((m * unit + middle, s * unit, w) for m, s, w in parts)
    return TwoGaussians(
        (float(m1), float(m2)),
        (float(s1), float(s2)),
        (float(w1), float(w2)),
        bic_gain=float(2 * (one.fun - two.fun) - 3 * np.log(x.size)),
        ashman_d=float(np.sqrt(2) * (m2 - m1) / np.hypot(s1, s2)),
    )


def _mixture(z: np.ndarray, gaussians: list[tuple[float, float]], shares: list[float]) -> OptimizeResult:
    """Fit Gaussians (mean, log width) with logits of their shares, and a uniform part; `fun` is -ln likelihood."""
    n = len(gaussians)
    floor = -np.log(z[-1] - z[0])

    def negative(parameters: np.ndarray) -> float:
        means, log_widths = parameters[:n, None], parameters[n : 2 * n, None]
        logits = np.concatenate([[0.0], parameters[2 * n : -1]])
        log_shares = logits - np.logaddexp.reduce(logits)
        log_gaussians = -0.5 * ((z - means) * np.exp(-log_widths)) ** 2 - log_widths - 0.5 * np.log(2 * np.pi)
        inside = np.logaddexp.reduce(log_gaussians + log_shares[:, None], axis=0)
        outlier = parameters[-1]
        return -float(np.logaddexp(np.log1p(-outlier) + inside, np.log(outlier) + floor).sum())

    means, log_widths = zip(*gaussians, strict=True)
    bounds = [(-5.0, 5.0)] * n + [(-3.0, 1.0)] * n + [(-4.0, 4.0)] * (n - 1) + [(1e-6, 0.2)]
    return minimize(negative, [*means, *log_widths, *shares, 0.01], method="L-BFGS-B", bounds=bounds)
