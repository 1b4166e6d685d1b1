"""Spectra, their normalization, and what the model says about every pixel: Figs. 2, 5 and 10 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoMinorLocator

from ..cannon import CannonModel
from ..labels import LABELS, Labels
from ..spectra import Spectra
from .style import (
    APOGEE,
    CANNON,
    FAINT,
    INK,
    LAMOST,
    PALE,
    drawing,
    mark_simulated,
    one_panel,
    panels,
    record,
    stacked,
    ticks,
)

WAVELENGTH = "rest-frame wavelength [Å]"

FEATURES: dict[str, tuple[float, ...]] = {
    "H, K": (3934.8, 3969.6),
    "G": (4305.6,),
    "Hβ": (4862.7,),
    "Mg I": (5168.8, 5174.1, 5185.0),
    "Na I": (5891.6, 5897.6),
    "Hα": (6564.6,),
    "Ca II": (8500.4, 8544.4, 8664.5),
}
"""Prominent stellar features [Å, vacuum]."""

DIBS = (4428.0, 4882.0, 5780.0, 5797.0, 6203.0, 6283.0, 6614.0, 8621.0)
"""Diffuse interstellar bands [Å, air], as the paper marks them."""

LABEL_ERRORS = {"teff": 91.5, "logg": 0.11, "fe_h": 0.05, "alpha_m": 0.05, "a_k": 0.05}
"""Typical APOGEE DR12 errors (section 4.1); the paper gives none for A_K, for which 0.05 mag is used."""


def in_words(labels: Labels, star: int) -> str:
    """The labels of one star, for a figure."""
    values = {name: labels.column(name)[star] for name in labels.names}
    texts = [
        f"{LABELS[name].symbol} = {value:.0f} K" if LABELS[name].unit == "K" else f"{LABELS[name].symbol} = {value:.2f}"
        for name, value in values.items()
    ]
    return ",  ".join(texts).replace("-", "\N{MINUS SIGN}")


def visible(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Flux with NaN at masked pixels, so that a line is broken there."""
    return np.where(ivar > 0, flux, np.nan)


@drawing
def normalization_steps(
    raw: Spectra,
    broad: np.ndarray,
    normalized: Spectra,
    *,
    simulated: bool,
    star: int = 0,
    labels: Labels | None = None,
    apogee: tuple[np.ndarray, np.ndarray] | None = None,
) -> Figure:
    """A spectrum, its broad Gaussian average, and their ratio: Fig. 2 of Ho et al. 2017.

    Parameters
    ----------
    raw, normalized : the same N stars before and after the division of eq. 2
    broad : (P,) broad average of the star (eq. 1), in the unit of the raw flux
    star : row to draw
    labels : APOGEE's labels of the N stars, written above the figure
    apogee : wavelength [Å] and normalized flux of the star's APOGEE spectrum; a panel on top, if there is one
    """
    row = star if star >= 0 else len(raw) + star
    wavelength = raw.wavelength
    broad = np.asarray(broad, float)
    good = raw.ivar[row] > 0
    unit = np.nanmedian(raw.flux[row][good]) if good.any() else 1.0
    observed = visible(raw.flux[row], raw.ivar[row]) / (unit or 1.0)
    ratio = visible(normalized.flux[row], normalized.ivar[row])
    n_panels = 2 if apogee is None else 3
    figure, axes = panels(n_panels, 1, 2.0 * n_panels + 0.3)
    *top, middle, bottom = axes[:, 0]
    parts = []
    for ax, (x, flux) in zip(top, [apogee] if apogee is not None else [], strict=True):
        ax.plot(x, flux, color=APOGEE, lw=0.5)
        ax.set(xlim=(np.min(x), np.max(x)), ylabel="APOGEE flux")
        parts.append({"panel": "APOGEE", "wavelength": x, "flux": flux})
    middle.plot(wavelength, observed, color=INK, lw=0.5, label="LAMOST spectrum")
    middle.plot(wavelength, broad / (unit or 1.0), color=APOGEE, lw=2, label="broad average, eq. 1")
    middle.legend(loc="lower right", ncols=1, handlelength=1.2)
    middle.set_ylabel("flux / median")
    middle.tick_params(labelbottom=False)
    bottom.axhline(1, color=PALE, lw=1)
    bottom.plot(wavelength, ratio, color=INK, lw=0.5)
    bottom.set(xlabel=WAVELENGTH, ylabel="normalized flux")
    for ax, flux in ((middle, observed), (bottom, ratio)):
        low, high = np.nanpercentile(flux, [0.1, 99.9]) if good.any() else (0, 1)
        room = high - low
        ax.set(xlim=wavelength[[0, -1]], ylim=(max(0, low - 0.15 * room), high + 0.1 * room))
    if labels is not None:
        axes[0, 0].set_title(in_words(labels, row), fontsize=9.5)
    figure.align_ylabels(axes)
    mark_simulated(figure, simulated)
    parts.append(
        {"panel": "LAMOST", "wavelength": wavelength, "flux": observed, "broad": broad / unit, "normalized": ratio}
    )
    record(figure, stacked(parts), star=str(raw.ids[row]), flux_unit=float(unit))
    return figure


def scaled_coefficients(model: CannonModel, label_errors: Mapping[str, float] = LABEL_ERRORS) -> np.ndarray:
    """(P, L) linear coefficients at the pivot, times each label's typical error: change of flux per error."""
    errors = np.array([label_errors.get(name, np.nan) for name in model.label_names])
    unknown = [name for name, error in zip(model.label_names, errors, strict=True) if not np.isfinite(error)]
    if unknown:
        raise ValueError(f"label_errors: no error for {', '.join(unknown)}; give one in the label's unit")
    return model.linear_coefficients.T * errors


@drawing
def leading_coefficients(
    model: CannonModel,
    *,
    simulated: bool,
    label_errors: Mapping[str, float] = LABEL_ERRORS,
    wavelength_range: tuple[float, float] | None = None,
) -> Figure:
    """Linear coefficients of every label and the scatter, against wavelength: Fig. 5 of Ho et al. 2017.

    Coefficients are multiplied by typical label errors, so that panels compare: change of normalized flux if the label
    changes by its error. Lines mark stellar features and, for A_K, diffuse interstellar bands.

    Parameters
    ----------
    model : of L labels and P pixels
    label_errors : label to error, in the label's unit
    wavelength_range : part to show [Å]; by default all
    """
    wavelength, leading = model.wavelength, scaled_coefficients(model, label_errors)
    low, high = wavelength_range or (wavelength[0], wavelength[-1])
    shown = (wavelength >= low) & (wavelength <= high)
    names = tuple(model.label_names)
    figure, axes = panels(len(names) + 1, 1, 1.25 * (len(names) + 1) + 0.8, sharex=True)
    stellar = [line for lines in FEATURES.values() for line in lines]
    for ax, name, values in zip(axes[:, 0], names, leading.T, strict=False):
        interstellar = name == "a_k"
        mark_lines(ax, FEATURES["Na I"] if interstellar else stellar, PALE)
        mark_lines(ax, DIBS if interstellar else (), LAMOST)
        ax.axhline(0, color=PALE, lw=0.8)
        ax.plot(wavelength[shown], values[shown], color=INK, lw=0.7)
        limit = 1.1 * max(np.percentile(np.abs(values[shown]), 99.7), 1e-6)
        ax.set(ylim=(-limit, limit))
        ax.set_ylabel(f"{LABELS[name].symbol}\nper {label_errors[name]:g} {LABELS[name].unit}", fontsize=10)
        ticks(ax, up=3)
        if interstellar:
            place = {"transform": ax.transAxes, "ha": "right", "fontsize": 9}
            ax.text(0.89, 0.06, "diffuse interstellar bands", color="#8A6A00", **place)
    last = axes[-1, 0]
    scatter = np.where(np.isfinite(model.scatter), model.scatter, np.nan)[shown]
    top = np.percentile(scatter[np.isfinite(scatter)], 99.9) if np.isfinite(scatter).any() else 0.0
    last.plot(wavelength[shown], scatter, color=CANNON, lw=0.7)
    last.set(xlabel=WAVELENGTH, xlim=(low, high), ylim=(0, 1.1 * top or 1))
    last.set_ylabel("scatter\n$s_\\lambda$", fontsize=10)
    ticks(last, across=6, up=3)
    last.xaxis.set_minor_locator(AutoMinorLocator(5))
    name_features(axes[0, 0], low, high)
    figure.align_ylabels(axes)
    mark_simulated(figure, simulated)
    columns = {"wavelength": wavelength[shown], **dict(zip(names, leading[shown].T, strict=True))}
    record(figure, columns | {"scatter": scatter}, per={n: label_errors[n] for n in names})
    return figure


def mark_lines(ax: Axes, lines: Sequence[float], colour: str) -> None:
    """Thin vertical lines behind the data."""
    for line in lines:
        ax.axvline(line, color=colour, lw=1.0, zorder=0)


def name_features(ax: Axes, low: float, high: float) -> None:
    """Names of stellar features above a panel."""
    anchored = ("data", "axes fraction"), "offset points"
    for name, lines in FEATURES.items():
        place = float(np.mean(lines))
        if low <= place <= high:
            ax.annotate(name, (place, 1), (0, 3), *anchored, fontsize=9, ha="center", color=FAINT)


@drawing
def model_spectrum(
    spectra: Spectra,
    model: CannonModel,
    labels: Labels,
    *,
    simulated: bool,
    star: int = 0,
    window: tuple[float, float] = (5110.0, 5230.0),
) -> Figure:
    """A star's normalized spectrum and its best model around the Mg I triplet: Fig. 10 of Ho et al. 2017.

    The grey band is the root of 1 / ivar + scatter².

    Parameters
    ----------
    spectra : N normalized spectra
    model : of P pixels
    labels : inferred labels of the same N stars
    star : row to draw
    window : wavelengths to show [Å]
    """
    part = spectra.window(*window)
    columns = (spectra.wavelength >= window[0]) & (spectra.wavelength <= window[1])
    flux, ivar = part.flux[star], part.ivar[star]
    values = labels.select(model.label_names).values[[star]]
    fitted, scatter = model.model_flux(values)[0, columns], model.scatter[columns]
    used = (ivar > 0) & np.isfinite(scatter)
    variance = np.divide(1.0, ivar, out=np.full(ivar.shape, np.nan), where=used) + scatter**2
    sigma, data = np.sqrt(variance), visible(flux, ivar)
    figure, axes = panels(2, 1, 4.4, sharex=True, height_ratios=(1, 2.4))
    above, below = axes[:, 0]
    above.fill_between(part.wavelength, -sigma, sigma, color=PALE, lw=0, step="mid")
    above.step(part.wavelength, data - fitted, where="mid", color=INK, lw=1.0)
    above.axhline(0, color=CANNON, lw=1.0)
    above.set_ylabel("data \N{MINUS SIGN}\nmodel")
    ticks(above, up=3)
    below.fill_between(part.wavelength, fitted - sigma, fitted + sigma, color=PALE, lw=0, step="mid", label="±1σ")
    below.step(part.wavelength, data, where="mid", color=INK, lw=1.2, label="data")
    below.plot(part.wavelength, fitted, color=CANNON, lw=1.6, label="model")
    below.set(xlabel=WAVELENGTH, ylabel="normalized flux", xlim=(part.wavelength[0], part.wavelength[-1]))
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.2)
    figure.align_ylabels(axes)
    mark_simulated(above, simulated)
    columns_drawn = {"wavelength": part.wavelength, "flux": data, "sigma": sigma, "model": fitted}
    record(figure, columns_drawn, star=str(part.ids[star]))
    return figure


@drawing
def masked_spectrum(spectra: Spectra, *, simulated: bool, star: int = 0, ax: Axes | None = None) -> Axes:
    """One spectrum with its masked pixels (ivar = 0) shaded.

    Parameters
    ----------
    spectra : N spectra
    star : row to draw
    """
    ax = one_panel(ax, 2.8)
    wavelength, flux, masked = spectra.wavelength, spectra.flux[star], spectra.ivar[star] == 0
    data = visible(flux, spectra.ivar[star])
    ax.fill_between(wavelength, 0, 1, where=masked, transform=ax.get_xaxis_transform(), color=LAMOST, alpha=0.6, lw=0.8)
    ax.plot(wavelength, data, color=INK, lw=0.5)
    if (~masked).any():
        low, high = np.nanpercentile(data, [0.1, 99.9])
        ax.set_ylim(max(0, low - 0.1 * (high - low)), high + 0.1 * (high - low))
    ax.set(xlabel=WAVELENGTH, ylabel="normalized flux" if spectra.normalized else "flux", xlim=wavelength[[0, -1]])
    ax.set_title(f"{masked.sum()} of {masked.size} pixels masked", fontsize=10)
    mark_simulated(ax, simulated)
    record(ax, {"wavelength": wavelength, "flux": data, "masked": masked}, star=str(spectra.ids[star]))
    return ax
