"""Figures of a `LabelTransfer`, with defaults that fit whatever it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..inference import infer
from ..labels import LABELS
from ..validation import CrossValidation
from .label_figures import shared_legend
from .style import (
    APOGEE,
    CANNON,
    INK,
    PALE,
    bias_and_scatter_text,
    drawing,
    label_panels,
    mark_simulated,
    panels,
    ticks,
)


def after_gaps(wavelength: np.ndarray) -> np.ndarray:
    """(P,) True for the first pixel after a gap of more than three pixels, at which a line is to break."""
    steps = np.diff(wavelength, prepend=wavelength[:1] - np.median(np.diff(wavelength[:3])))
    return steps > 3 * np.median(steps)


class TransferPlots:
    """The figures of one `LabelTransfer`; every method gives a `matplotlib.figure.Figure`."""

    def __init__(self, transfer: Any) -> None:
        self._transfer = transfer

    @drawing
    def one_to_one(self) -> Figure:
        """Labels of the reference stars from their spectra against those they came with, cross-validated."""
        validation = self._validation()
        names = validation.labels.names
        figure, axes = label_panels(len(names), 2.7)
        for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
            reference, fitted = validation.labels.values[:, k], validation.fit.labels.values[:, k]
            for kept, colour, words in ((True, INK, "trained on"), (False, CANNON, "excised")):
                rows = validation.kept == kept
                ax.plot(reference[rows], fitted[rows], ".", ms=3, color=colour, alpha=0.6, label=words, rasterized=True)
            ends = np.array([reference.min(), reference.max()])
            ax.plot(ends, ends, color=APOGEE, lw=1)
            row = validation.table[k]
            text = bias_and_scatter_text(name, row["median"], row["robust_scatter"], "bias {}, scatter {}")
            ax.set_title(text, fontsize=9.5)
            ax.set(xlabel=f"reference {LABELS[name].axis}", ylabel=f"from spectrum {LABELS[name].axis}")
            ticks(ax, across=4, up=4)
        shared_legend(figure, axes)
        return self._finished(figure)

    @drawing
    def residuals(self) -> Figure:
        """Cross-validated minus reference label over its error: pulls, with the Gaussian of width one."""
        validation = self._validation()
        names = validation.labels.names
        figure, axes = label_panels(len(names), 2.2)
        pulls = validation.residuals / validation.fit.labels.errors
        grid = np.linspace(-5, 5, 201)
        for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
            known = pulls[validation.kept & np.isfinite(pulls[:, k]), k]
            ax.hist(np.clip(known, -5, 5), bins=40, range=(-5, 5), density=True, color=PALE)
            ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=INK, lw=1)
            ax.set(xlabel=f"residual / error of {LABELS[name].symbol}", ylabel="density")
        return self._finished(figure)

    @drawing
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
        figure, axes = panels(2, 1, 4.0, sharex=True, height_ratios=(2, 1))
        above, below = axes[:, 0]
        wave = spectra.wavelength
        good &= ~after_gaps(wave)
        above.plot(wave, np.where(good, spectra.flux[0], np.nan), color=INK, lw=0.6, label=ids[row])
        above.plot(wave, np.where(after_gaps(wave), np.nan, flux), color=CANNON, lw=0.8, label="model")
        sigma = np.sqrt(model.scatter**2 + 1.0 / np.where(good, spectra.ivar[0], 1.0))
        below.plot(wave, np.where(good, (spectra.flux[0] - flux) / sigma, np.nan), color=INK, lw=0.6)
        above.set_ylabel("normalized flux")
        shared_legend(figure, axes[:, 0])
        below.set(xlabel="wavelength [Å]", ylabel="difference / error")
        return self._finished(figure)

    @drawing
    def gradients(self) -> Figure:
        """How the flux answers to each label: the linear coefficients, by the scale of the label."""
        model = self._transfer.model
        names = model.label_names
        figure, axes = panels(len(names), 1, 1.25 * len(names) + 0.6, sharex=True)
        slopes = np.where(
            model.determined & ~after_gaps(model.wavelength), model.linear_coefficients * model.scales[:, None], np.nan
        )
        for ax, name, scale, slope in zip(axes[:, 0], names, model.scales, slopes, strict=True):
            ax.plot(model.wavelength, slope, color=INK, lw=0.6)
            ax.axhline(0.0, color=PALE, lw=0.8, zorder=0)
            ax.set_ylabel(f"{LABELS[name].symbol}\nby {scale:.3g} {LABELS[name].unit}", fontsize=10)
            ticks(ax, up=3)
        axes[-1, 0].set_xlabel("wavelength [Å]")
        return self._finished(figure)

    def _validation(self) -> CrossValidation:
        if self._transfer.validation is None:
            raise ValueError("plot: this transfer was not validated; learn with recipe='robust'")
        return self._transfer.validation

    def _finished(self, figure: Figure) -> Figure:
        mark_simulated(figure, self._transfer.simulated)
        plt.close(figure)
        return figure
