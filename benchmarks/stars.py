"""Stars drawn from a known model, for the benchmarks."""

from __future__ import annotations

import numpy as np

from labeltransfer.cannon.model import CannonModel, terms
from labeltransfer.labels import PAPER_LABELS, Labels, register_label
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra


def known_model(n_pixels: int, n_labels: int, rng: np.random.Generator, order: int = 2) -> CannonModel:
    """A model with known coefficients, and scatter between 0.5 and 2 per cent."""
    more = [f"element_{k}" for k in range(5, n_labels)]
    for name in more:
        register_label(name, "dex")
    pivots = np.r_[4700.0, 2.4, -0.2, 0.1, 0.15, np.zeros(n_labels)][:n_labels]
    scales = np.r_[500.0, 0.8, 0.3, 0.1, 0.15, np.full(n_labels, 0.2)][:n_labels]
    n_terms = len(terms(n_labels, order))
    sizes = np.r_[0.0, np.full(n_labels, 0.02), np.full(n_terms - n_labels - 1, 0.004)]
    coefficients = rng.normal(size=(n_pixels, n_terms)) * sizes + (np.arange(n_terms) == 0)
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(235, 235 + n_pixels))
    span = np.array([pivots - 3 * scales, pivots + 3 * scales])
    scatter = rng.uniform(0.005, 0.02, n_pixels)
    names = (*PAPER_LABELS[:n_labels], *more)
    return CannonModel(names, pivots, scales, wavelength, coefficients, scatter, span, order)


def draw(model: CannonModel, n_stars: int, rng: np.random.Generator) -> ReferenceSet:
    """Stars of S/N 20-200 drawn from the model, 3.8 per cent of the pixels masked, in single precision."""
    n_pixels = model.wavelength.size
    values = model.pivots + model.scales * np.clip(rng.normal(size=(n_stars, len(model.label_names))), -2.5, 2.5)
    snr = rng.uniform(20, 200, (n_stars, 1)).astype(np.float32)
    flux, ivar = np.empty((2, n_stars, n_pixels), np.float32)
    for start in range(0, n_stars, 500):
        rows = slice(start, start + 500)
        noise = rng.standard_normal(flux[rows].shape, dtype=np.float32)
        seen = rng.random(flux[rows].shape, dtype=np.float32) > 0.038
        flux[rows] = (model.model_flux(values[rows]) + noise * np.sqrt(model.scatter**2 + 1 / snr[rows] ** 2)) * seen
        ivar[rows] = snr[rows] ** 2 * seen
    ids = np.arange(n_stars).astype(str)
    spectra = Spectra(ids, model.wavelength, flux, ivar, normalized=True)
    return ReferenceSet(spectra, Labels(ids, model.label_names, values))
