"""Stars to pick from that need no run: labels in a clump, spectra of noise, and a model of small coefficients."""

import numpy as np

from labeltransfer.cannon import CannonModel
from labeltransfer.cannon.model import terms
from labeltransfer.figures.star_picker import StarPicker
from labeltransfer.inference import LabelFit
from labeltransfer.labels import PAPER_LABELS, Labels
from labeltransfer.reference import ReferenceSet
from labeltransfer.spectra import Spectra

N_PIXELS = 40


def giants(n, rng):
    """Labels with most stars in one clump and a few far away."""
    middle, width = np.array([4800, 2.5, -0.2, 0.1, 0.1]), np.array([100, 0.2, 0.1, 0.03, 0.03])
    far = np.where(rng.random((n, 1)) < 0.1, 6.0, 1.0)
    return Labels([f"star-{row}" for row in range(n)], PAPER_LABELS, middle + width * far * rng.normal(size=(n, 5)))


def survey(n=300, order=2, n_pixels=N_PIXELS):
    rng = np.random.default_rng(5)
    labels, wavelength = giants(n, rng), np.linspace(3905.0, 9000.0, n_pixels)
    spectra = Spectra(labels.ids, wavelength, rng.normal(1, 0.1, (n, n_pixels)), np.full((n, n_pixels), 400.0), True)
    coefficients = rng.normal(size=(n_pixels, len(terms(5, order)))) * 0.01
    scale = labels.values.std(axis=0)
    ends = np.stack([labels.values.min(axis=0), labels.values.max(axis=0)])
    model = CannonModel(
        PAPER_LABELS, labels.values.mean(axis=0), scale, wavelength, coefficients, np.full(n_pixels, 0.01), ends, order
    )
    covariance = np.broadcast_to(np.diag(scale**2) / 100, (n, 5, 5))
    fitted = Labels(labels.ids, PAPER_LABELS, labels.values + 0.1 * scale, covariance)
    whole, yes = np.full(n, n_pixels), np.ones(n, bool)
    fit = LabelFit(fitted, whole * 0.5, whole, yes, 0 * whole, np.full(n, np.inf), np.zeros(n), 5)
    return ReferenceSet(spectra, labels), fit, model, rng.uniform(20, 200, n)


def picked(reference, fit, model, snr, **options):
    return StarPicker.of(
        reference, fit, model, snr, **{"rng": np.random.default_rng(1), "n": 60, "simulated": True, **options}
    )
