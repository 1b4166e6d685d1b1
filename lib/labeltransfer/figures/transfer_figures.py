"""Figures of a `LabelTransfer`, with defaults that fit whatever it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..inference import infer
from ..labels import LABELS
from ..validation import CrossValidation
from .style import APOGEE, CANNON, INK, PALE, mark_simulated


def after_gaps(wavelength: np.ndarray) -> np.ndarray:
    """(P,) True for the first pixel after a gap of more than three pixels, at which a line is to break."""
    steps = np.diff(wavelength, prepend=wavelength[:1] - np.median(np.diff(wavelength[:3])))
    return steps > 3 * np.median(steps)


class TransferPlots:
    """The figures of one `LabelTransfer`; every method gives a `matplotlib.figure.Figure`."""

    def __init__(self, transfer: Any) -> None:
        self._transfer = transfer

    def one_to_one(self) -> Figure:
        """Labels of the reference stars from their spectra against those they came with, cross-validated."""
        validation = self._validation()
        names = validation.labels.names
        figure, axes = self._panels(len(names))
        for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
            reference, fitted = validation.labels.values[:, k], validation.fit.labels.values[:, k]
            for kept, colour, words in ((True, INK, "trained on"), (False, CANNON, "excised")):
                rows = validation.kept == kept
                ax.plot(reference[rows], fitted[rows], ".", ms=3, color=colour, alpha=0.6, label=words, rasterized=True)
            ends = np.array([reference.min(), reference.max()])
            ax.plot(ends, ends, color=APOGEE, lw=1)
            row = validation.table[k]
            ax.set_title(f"bias {row['median']:.3g}, scatter {row['robust_scatter']:.3g}", fontsize="small")
            ax.set(xlabel=f"reference {LABELS[name].axis}", ylabel=f"from the spectrum {LABELS[name].axis}")
        axes[0].legend(fontsize="small")
        return self._finished(figure)

    def residuals(self) -> Figure:
        """Cross-validated minus reference label over its error: pulls, with the Gaussian of width one."""
        validation = self._validation()
        names = validation.labels.names
        figure, axes = self._panels(len(names))
        pulls = validation.residuals / validation.fit.labels.errors
        grid = np.linspace(-5, 5, 201)
        for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
            known = pulls[validation.kept & np.isfinite(pulls[:, k]), k]
            ax.hist(np.clip(known, -5, 5), bins=40, range=(-5, 5), density=True, color=PALE)
            ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=INK, lw=1)
            ax.set(xlabel=f"residual / error of {LABELS[name].symbol}", ylabel="density")
        return self._finished(figure)

    def spectrum(self, star: str | int = 0) -> Figure:
        """One reference star: its normalized flux, the model at its fitted labels, and their difference in errors.

        Parameters
        ----------
        star : its id, or its number among the reference stars
        """
        transfer = self._transfer
        if transfer.reference is None:
            raise ValueError("plot.spectrum: a transfer read from a file has no spectra; learn again")
        ids = transfer.reference.ids.tolist()
        if isinstance(star, str) and star not in ids:
            raise ValueError(f"plot.spectrum: no reference star {star!r}, first is {ids[0]!r}")
        row = ids.index(star) if isinstance(star, str) else range(len(ids))[star]
        spectra, model = transfer.reference.spectra[[row]], transfer.model
        flux = model.model_flux(infer(model, spectra, transfer.starts).labels.values)[0]
        good = spectra.ivar[0] > 0
        figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4), sharex=True, height_ratios=(2, 1))
        wave = spectra.wavelength
        good &= ~after_gaps(wave)
        above.plot(wave, np.where(good, spectra.flux[0], np.nan), color=INK, lw=0.6, label=ids[row])
        above.plot(wave, np.where(after_gaps(wave), np.nan, flux), color=CANNON, lw=0.8, label="model")
        sigma = np.sqrt(model.scatter**2 + 1.0 / np.where(good, spectra.ivar[0], 1.0))
        below.plot(wave, np.where(good, (spectra.flux[0] - flux) / sigma, np.nan), color=INK, lw=0.6)
        above.set_ylabel("normalized flux")
        above.legend(fontsize="small")
        below.set(xlabel="wavelength [Å]", ylabel="difference / error")
        return self._finished(figure)

    def gradients(self) -> Figure:
        """How the flux answers to each label: the linear coefficients, by the scale of the label."""
        model = self._transfer.model
        names = model.label_names
        figure, axes = plt.subplots(len(names), 1, figsize=(8, 1.3 * len(names) + 0.6), sharex=True, squeeze=False)
        slopes = np.where(
            model.determined & ~after_gaps(model.wavelength), model.linear_coefficients * model.scales[:, None], np.nan
        )
        for ax, name, scale, slope in zip(axes[:, 0], names, model.scales, slopes, strict=True):
            ax.plot(model.wavelength, slope, color=INK, lw=0.6)
            ax.axhline(0.0, color=PALE, lw=0.8, zorder=0)
            ax.set_ylabel(f"{LABELS[name].symbol}\nby {scale:.3g} {LABELS[name].unit}")
        axes[-1, 0].set_xlabel("wavelength [Å]")
        return self._finished(figure)

    def _validation(self) -> CrossValidation:
        if self._transfer.validation is None:
            raise ValueError("plot: this transfer was not validated; learn with recipe='robust'")
        return self._transfer.validation

    @staticmethod
    def _panels(number: int) -> tuple[Figure, list]:
        rows = -(-number // 4)
        columns = -(-number // rows)
        figure, axes = plt.subplots(rows, columns, figsize=(2.9 * columns, 3.0 * rows), squeeze=False)
        for ax in axes.flat[number:]:
            ax.remove()
        return figure, list(axes.flat[:number])

    def _finished(self, figure: Figure) -> Figure:
        figure.tight_layout(rect=(0.0, 0.0, 1.0, 0.95 if self._transfer.simulated else 1.0))  # room for the mark
        mark_simulated(figure, self._transfer.simulated)
        plt.close(figure)
        return figure
