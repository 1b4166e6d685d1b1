"""Figures of a `LabelTransfer`, with defaults that fit whatever it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..inference import LabelFit, infer
from ..labels import LABELS
from ..validation import CrossValidation, bias_and_scatter
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
    quantity,
    shared_names,
    span,
    ticks,
)

MOST_PULL = 5.0
"""Where the axis of pulls ends."""


def after_gaps(wavelength: np.ndarray) -> np.ndarray:
    """(P,) True for the first pixel after a gap of more than three pixels, at which a line is to break."""
    steps = np.diff(wavelength, prepend=wavelength[:1] - np.median(np.diff(wavelength[:3])))
    return steps > 3 * np.median(steps)


def _window(window: Any, wavelength: np.ndarray) -> tuple[float, float]:
    """(low, high) [Å] of the axis; the whole spectrum for None."""
    if window is None:
        return float(wavelength[0]), float(wavelength[-1])
    try:
        low, high = map(float, window)
        inside = ((wavelength >= low) & (wavelength <= high)).sum() > 1
    except (TypeError, ValueError):
        inside = False
    if not inside:
        ends = f"{wavelength[0]:.0f} to {wavelength[-1]:.0f} Å"
        raise ValueError(f"plot.spectrum: window: found {window!r}, wanted (low, high) with pixels within {ends}")
    return low, high


def _described(fit: LabelFit) -> str:
    """The labels of one star, three a line, and its reduced χ²."""
    of_star = zip(fit.labels.names, fit.labels.values[0], strict=True)
    words = [f"{LABELS[name].symbol} {quantity(name, value)}".rstrip() for name, value in of_star]
    words.append(f"reduced $\\chi^2$ {fit.reduced_chi2[0]:.2f}")
    return "\n".join(", ".join(words[start : start + 3]) for start in range(0, len(words), 3))


class TransferPlots:
    """The figures of one `LabelTransfer`; every method gives a `matplotlib.figure.Figure`."""

    def __init__(self, transfer: Any) -> None:
        self._transfer = transfer

    def __repr__(self) -> str:
        return f"TransferPlots(one_to_one, residuals, spectrum and gradients of {self._transfer!r})"

    @drawing
    def one_to_one(self, names: Sequence[str] | None = None) -> Figure:
        """Labels of the reference stars from their spectra against those they came with, cross-validated.

        Parameters
        ----------
        names : of the labels to show; by default all
        """
        validation = self._validation()
        figure, axes = label_panels(len(shown := shared_names(names, validation.labels)), 2.9)
        of_label = {row["label"]: row for row in validation.table}
        residuals = dict(zip(validation.labels.names, validation.residuals.T, strict=True))
        for ax, name in zip(axes, shown, strict=True):
            reference = validation.labels.column(name)
            fitted = reference + residuals[name]
            for rows, colour, words in ((validation.kept, INK, "trained on"), (~validation.kept, CANNON, "excised")):
                if rows.any():
                    ax.plot(reference[rows], fitted[rows], ".", ms=3, color=colour, alpha=0.6, label=words,
                            rasterized=True)  # fmt: skip
            ends = span(reference, fitted, outside=0.0)
            ax.plot(ends, ends, color=APOGEE, lw=1)
            row = of_label[name]
            text = bias_and_scatter_text(name, row["median"], row["robust_scatter"], "median {},\nrobust scatter {}")
            ax.set_title(text, fontsize=9.5)
            ax.set(xlim=ends, ylim=ends)
            ax.set(xlabel=f"reference {LABELS[name].axis}", ylabel=f"{self._how()} {LABELS[name].axis}")
            ticks(ax, across=4, up=4)
        shared_legend(figure, axes)
        return self._finished(figure)

    @drawing
    def residuals(self) -> Figure:
        """Cross-validated minus reference label over its error: pulls, with the Gaussian of width one.

        Errors are those of the catalogue and, where they are known, those of the reference labels. What lies beyond the
        axis stands at its ends.
        """
        validation = self._validation()
        names = validation.labels.names
        figure, axes = label_panels(len(names), 2.4)
        grid = np.linspace(-MOST_PULL, MOST_PULL, 201)
        for ax, name, pulls in zip(axes, names, validation.pulls.T, strict=True):
            known = pulls[np.isfinite(pulls)]
            beyond = np.count_nonzero(np.abs(known) > MOST_PULL)
            n_bins = int(np.clip(2 * np.sqrt(known.size), 8, 40))
            edges = np.linspace(-MOST_PULL, MOST_PULL, n_bins + 1)
            ax.hist(np.clip(known, -MOST_PULL, MOST_PULL), edges, density=True, color=PALE)
            ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=INK, lw=1)
            width = bias_and_scatter(known, robust=True)[1][0]
            outside = f"\n{beyond} of {known.size} beyond ±{MOST_PULL:g}" if beyond else f"\n{known.size} stars"
            ax.set_title(f"pulls {width:.2f} wide{outside}", fontsize=9.5)
            ax.set(xlabel=f"residual / error of {LABELS[name].symbol}", ylabel="density")
        return self._finished(figure)

    @drawing
    def spectrum(self, star: str | int = 0, window: tuple[float, float] | None = None) -> Figure:
        """One reference star: its normalized flux, the model at its fitted labels, and their difference in errors.

        Parameters
        ----------
        star : its id, or its number among the reference stars
        window : (low, high) [Å] to show; by default the whole spectrum
        """
        transfer = self._transfer
        if transfer.reference is None:
            raise ValueError("plot.spectrum: a transfer read from a file has no spectra; learn again")
        ids, model = transfer.reference.ids.tolist(), transfer.model
        if isinstance(star, str) and star not in ids:
            raise ValueError(f"plot.spectrum: no reference star {star!r}, first is {ids[0]!r}")
        row = ids.index(star) if isinstance(star, str) else range(len(ids))[star]
        spectra, wave = transfer.reference.spectra[[row]], model.wavelength
        ends = _window(window, wave)
        fit = infer(model, spectra, transfer.starts)
        flux = model.model_flux(fit.labels.values)[0]
        good = (spectra.ivar[0] > 0) & ~after_gaps(wave)
        sigma = np.sqrt(model.scatter**2 + 1.0 / np.where(good, spectra.ivar[0], 1.0))
        figure, axes = panels(2, 1, 4.4, sharex=True, height_ratios=(2, 1))
        above, below = axes[:, 0]
        above.plot(wave, np.where(good, spectra.flux[0], np.nan), color=INK, lw=0.7, label=ids[row])
        above.plot(wave, np.where(after_gaps(wave), np.nan, flux), color=CANNON, lw=0.4, label="model")
        below.plot(wave, np.where(good, (spectra.flux[0] - flux) / sigma, np.nan), color=INK, lw=0.4)
        seen = (wave >= ends[0]) & (wave <= ends[1])
        above.set(xlim=ends, ylabel="normalized flux", ylim=span(spectra.flux[0][good & seen], flux[seen], outside=0.0))
        above.set_title(_described(fit), fontsize=9.5)
        shared_legend(figure, axes[:, 0])
        below.set_xlabel("wavelength [Å]")
        below.set_ylabel("(data − model)\n/ error", fontsize=9)
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

    def _how(self) -> str:
        return "cross-validated" if self._transfer.errors is not None else "first pass"

    def _validation(self) -> CrossValidation:
        if self._transfer.validation is None:
            raise ValueError("plot: this transfer was not validated; learn with recipe='robust'")
        return self._transfer.validation

    def _finished(self, figure: Figure) -> Figure:
        mark_simulated(figure, self._transfer.simulated)
        plt.close(figure)
        return figure
