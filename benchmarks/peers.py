"""The usual way to run The Cannon: a loop over pixels to train, and `curve_fit` per star and starting point to test."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit, minimize_scalar

from labeltransfer.cannon.model import CannonModel, label_vector
from labeltransfer.reference import ReferenceSet


def train_pixel(flux: np.ndarray, ivar: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """θ and s of one pixel, vectors (M, N): a bounded search in ln s, weighted least squares at every step."""
    good = ivar > 0
    flux, ivar, vectors = flux[good], ivar[good], vectors[:, good]

    def solve(log_s: float) -> tuple[np.ndarray, float]:
        weight = ivar / (1.0 + ivar * np.exp(2 * log_s))
        weighted = vectors * weight
        theta = np.linalg.solve(weighted @ vectors.T, weighted @ flux)
        return theta, np.sum(weight * (flux - theta @ vectors) ** 2) - np.log(weight).sum()

    best = minimize_scalar(lambda log_s: solve(log_s)[1], bounds=(-10, 0), method="bounded", options={"xatol": 1e-4})
    return solve(best.x)[0], float(np.exp(best.x))


def train_loop(reference: ReferenceSet, model: CannonModel, pixels: np.ndarray) -> np.ndarray:
    """(len(pixels),) s of some pixels, one after the other."""
    vectors = np.ascontiguousarray(model.label_vector(reference.labels.values).T)
    columns = ((reference.spectra.flux[:, p].astype(float), reference.spectra.ivar[:, p].astype(float)) for p in pixels)
    return np.array([train_pixel(flux, ivar, vectors)[1] for flux, ivar in columns])


def fit_stars(model: CannonModel, reference: ReferenceSet, starts: np.ndarray, stars: np.ndarray) -> np.ndarray:
    """(len(stars), L) labels by `curve_fit` from every starting point, the best kept."""
    scaled_starts = model.scaled(starts)
    labels = []
    for n in stars:
        good = reference.spectra.ivar[n] > 0
        theta, flux = model.coefficients[good], reference.spectra.flux[n, good].astype(float)
        sigma = np.sqrt(1.0 / reference.spectra.ivar[n, good] + model.scatter[good] ** 2)

        def model_flux(_: None, *x: float, theta: np.ndarray = theta) -> np.ndarray:
            return theta @ label_vector(np.array([x]), model.order)[0]

        ends = []
        for start in scaled_starts:
            x, _ = curve_fit(model_flux, None, flux, p0=start, sigma=sigma, absolute_sigma=True)
            ends.append((np.sum(((flux - model_flux(None, *x)) / sigma) ** 2), x))
        labels.append(min(ends, key=lambda end: end[0])[1] * model.scales + model.pivots)
    return np.array(labels)
