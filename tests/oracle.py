"""The paper's equations as slow loops, one line per equation: what the fast code is measured against."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import numpy as np
from scipy.optimize import curve_fit, minimize_scalar

from labeltransfer.cannon import CannonModel
from labeltransfer.labels import PAPER_LABELS, Labels, register_label
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra

PIVOTS = np.array([4700.0, 2.4, -0.2, 0.1, 0.15])
SCALES = np.array([500.0, 0.8, 0.3, 0.1, 0.15])


def label_names(n_labels):
    more = [f"element_{k}" for k in range(5, n_labels)]
    for name in more:
        register_label(name, "dex")
    return (*PAPER_LABELS[:n_labels], *more)


def known_model(n_pixels=60, n_labels=5, order=2, seed=1, scatter=(0.004, 0.02)):
    """A model with known coefficients and scatter."""
    rng = np.random.default_rng(seed)
    names = label_names(n_labels)
    n_terms = label_vector(np.zeros(n_labels), order).size
    sizes = np.r_[0.0, np.full(n_labels, 0.03), np.full(n_terms - n_labels - 1, 0.004)]
    coefficients = rng.normal(size=(n_pixels, n_terms)) * sizes
    coefficients[:, 0] = 1.0
    pivots, scales = (
        np.r_[known, np.full(n_labels, other)][:n_labels] for known, other in ((PIVOTS, 0), (SCALES, 0.2))
    )
    span = np.array([pivots - 3 * scales, pivots + 3 * scales])
    wavelength = 4000.0 * 10 ** (2e-4 * np.arange(n_pixels))
    return CannonModel(
        names, pivots, scales, wavelength, coefficients, rng.uniform(*scatter, n_pixels), span, order, 1000, "known"
    )


def draw(model, n_stars=300, seed=2, snr=(20, 200), masked=0.04, dtype=float):
    """A reference set drawn from the model: Gaussian labels, noise s² + σ², some masked pixels."""
    rng = np.random.default_rng(seed)
    n_labels, n_pixels = len(model.label_names), model.wavelength.size
    values = model.pivots + model.scales * np.clip(rng.normal(size=(n_stars, n_labels)), -2.5, 2.5)
    ivar = np.repeat(rng.uniform(*snr, size=(n_stars, 1)) ** 2, n_pixels, axis=1)
    noise = rng.normal(size=ivar.shape) * np.sqrt(model.scatter**2 + 1 / ivar)
    flux = model.model_flux(values) + noise
    hidden = rng.random(ivar.shape) < masked
    flux[hidden], ivar[hidden] = 0.0, 0.0
    ids = np.array([f"star{n:05d}" for n in range(n_stars)])
    spectra = Spectra(ids, model.wavelength, flux.astype(dtype), ivar.astype(dtype), normalized=True)
    return ReferenceSet(spectra, Labels(ids, model.label_names, values))


def average(wavelength, flux, ivar, width, two_variances):
    """Eqs. 1 and 2 for one spectrum; `two_variances` is 1 for exp(-Δ²/L²) and 2 for exp(-Δ²/2L²)."""
    smooth = np.empty(wavelength.size)
    for j, centre in enumerate(wavelength):
        w = np.exp(-((centre - wavelength) ** 2) / (two_variances * width**2))
        smooth[j] = np.sum(flux * ivar * w) / np.sum(ivar * w)
    return smooth


def label_vector(x, order=2):
    """Eq. 6 for one star."""
    products = [1.0]
    for degree in range(1, order + 1):
        for term in combinations_with_replacement(range(len(x)), degree):
            products.append(np.prod([x[k] for k in term]))
    return np.array(products)


def coefficients_at(s2, flux, ivar, vectors):
    """Weighted least squares at fixed s² for one pixel (eq. 5 over θ)."""
    good = ivar > 0
    root_w = np.sqrt(1.0 / (s2 + 1.0 / ivar[good]))
    return np.linalg.lstsq(vectors[good] * root_w[:, None], flux[good] * root_w, rcond=None)[0]


def log_likelihood(theta, s2, flux, ivar, vectors):
    """Eq. 5 for one pixel."""
    total = 0.0
    for f, v, ell in zip(flux, ivar, vectors, strict=True):
        if v > 0:
            total += -0.5 * (f - theta @ ell) ** 2 / (s2 + 1 / v) - 0.5 * np.log(s2 + 1 / v)
    return total


def profile(s2, flux, ivar, vectors):
    """Eq. 5 at its maximum over θ."""
    return log_likelihood(coefficients_at(s2, flux, ivar, vectors), s2, flux, ivar, vectors)


def train_pixel(flux, ivar, vectors, n_grid=200):
    """θ and s² of one pixel: a fine grid in s², then Brent's method around its best point."""
    top = np.var(flux[ivar > 0])
    grid = np.concatenate([[0.0], np.geomspace(1e-6 * top, 10 * top, n_grid)])
    heights = [profile(s2, flux, ivar, vectors) for s2 in grid]
    best = int(np.argmax(heights))
    s2 = grid[best]
    if best > 0 or heights[1] > heights[0]:
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, n_grid)]
        found = minimize_scalar(
            lambda s2: -profile(s2, flux, ivar, vectors), bounds=(low, high), method="bounded", options={"xatol": 1e-14}
        )
        s2 = found.x if -found.fun > heights[best] else s2
    return coefficients_at(s2, flux, ivar, vectors), s2


def fit_star(model, flux, ivar, start):
    """Labels, covariance and χ² of one star by `scipy.optimize.curve_fit`."""
    good = (ivar > 0) & np.isfinite(model.scatter)
    sigma = np.sqrt(1 / ivar[good] + model.scatter[good] ** 2)

    def flux_of(_, *x):
        return model.coefficients[good] @ label_vector(np.array(x), model.order)

    x0 = (np.asarray(start) - model.pivots) / model.scales
    x, covariance = curve_fit(
        flux_of, None, flux[good], p0=x0, sigma=sigma, absolute_sigma=True, ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    chi2 = np.sum(((flux[good] - flux_of(None, *x)) / sigma) ** 2)
    return x * model.scales + model.pivots, covariance * np.outer(model.scales, model.scales), chi2


def chi2(model, flux, ivar, labels):
    """χ² of one star at given labels: a sum over pixels."""
    total = 0.0
    x = (labels - model.pivots) / model.scales
    for f, v, theta, s in zip(flux, ivar, model.coefficients, model.scatter, strict=True):
        if v > 0 and np.isfinite(s):
            total += (f - theta @ label_vector(x, model.order)) ** 2 / (s**2 + 1 / v)
    return total


def corrected_monomial(x, covariance, monomial, n_nodes=5):
    """What has the monomial of the true labels as its expectation: E of the monomial at x + i z, z of that covariance.

    By Gauss-Hermite quadrature, which is exact up to degree 9.
    """
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    root, total = np.linalg.cholesky(covariance), 0.0
    for ks in product(range(n_nodes), repeat=len(x)):
        z = root @ nodes[list(ks)]
        total += np.prod(node_weights[list(ks)]) * np.prod([x[k] + 1j * z[k] for k in monomial])
    return (total / (2 * np.pi) ** (len(x) / 2)).real


def corrected_coefficients(s2, flux, ivar, x, covariances, order=2):
    """θ of the normal equations with corrected moments, for one pixel: sums over stars and pairs of terms."""
    labels = range(x.shape[1])
    every = [term for degree in range(order + 1) for term in combinations_with_replacement(labels, degree)]
    A, b = np.zeros((len(every), len(every))), np.zeros(len(every))
    for f, v, star, covariance in zip(flux, ivar, x, covariances, strict=True):
        if v > 0:
            for i, one in enumerate(every):
                b[i] += f * corrected_monomial(star, covariance, one) / (s2 + 1 / v)
                for j, other in enumerate(every):
                    A[i, j] += corrected_monomial(star, covariance, one + other) / (s2 + 1 / v)
    return np.linalg.solve(A, b)
