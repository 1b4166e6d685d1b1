"""The stars from which a reader picks one, with their spectra and the model, as one script that needs no network.

Spectra are kept in few bytes: fluxes as integers of a fixed step, errors as the logarithm in one byte. The model's
coefficients go along, so that the browser computes the spectrum of any labels by eq. 3 itself.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cannon import CannonModel
from ..cannon.model import terms
from ..files import FORMAT_VERSION, written_whole
from ..inference import LabelFit
from ..labels import LABELS, Labels
from ..reference import ReferenceSet
from ..spectra import Spectra
from .spectra_figures import DIBS, FEATURES

N_STARS = 150
SIZE_LIMIT = 3_000_000
"""Bytes of the script; a model with many coefficients leaves room for fewer stars."""

PLANES = (("teff", "logg"), ("fe_h", "alpha_m"))
REVERSED = ("teff", "logg")
PLAIN = {"teff": "Teff", "logg": "log g", "fe_h": "[Fe/H]", "alpha_m": "[α/M]", "a_k": "A_K"}
N_CELLS = 12
"""Cells of a plane, along each of its axes, over which stars are spread."""

FLUX_STEP = 1 / 8000
ERROR_LOW, ERROR_RATIO = 1e-4, 1.04
"""An error is ERROR_LOW · ERROR_RATIO**(q - 1) with q = 1 … 255, which reaches 2.1; q = 0 is a masked pixel."""

WINDOWS = {
    "Whole": (3900.0, 9000.0), "G band": (4255.0, 4355.0), "Mg b": (5110.0, 5230.0), "Na D, DIBs": (5755.0, 5915.0),
    "Hα": (6490.0, 6640.0), "Ca triplet": (8470.0, 8690.0),
}  # fmt: skip
"""Parts of a spectrum that the page can show [Å]."""

TO_VACUUM = 1.00028
"""Wavelength in vacuum over wavelength in air."""


def spread_over_planes(labels: Labels, n: int, *, rng: np.random.Generator) -> np.ndarray:
    """(n,) rows of stars drawn so that crowded and empty parts of the label planes get about as many, in order.

    A star's chance falls with the number of stars in its cell of each plane. All rows, if there are no more than n.
    """
    if len(labels) <= n:
        return np.arange(len(labels))
    chance = np.zeros(len(labels))
    for plane in planes(labels.names):
        _, cell, counts = np.unique(_cells(labels.select(dict.fromkeys(plane)).values), return_inverse=True,
                                    return_counts=True)  # fmt: skip
        chance += 1 / (counts.size * counts[cell])
    return np.sort(rng.choice(len(labels), n, replace=False, p=chance / chance.sum()))


def planes(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Planes of labels to draw stars in: those of the paper's figures, or the first and last of other labels."""
    return [plane for plane in PLANES if set(plane) <= set(names)] or [(names[0], names[-1])]


def _cells(values: np.ndarray) -> np.ndarray:
    """(N,) number of the cell of each star in a plane (N, 1 or 2); the outer cells hold all that lies beyond."""
    low, high = np.percentile(values, [1, 99], axis=0)
    share = (values - low) / np.where(high > low, high - low, 1.0)
    return np.clip(share * N_CELLS, 0, N_CELLS - 1).astype(int) @ (N_CELLS ** np.arange(values.shape[1]))


def encoded(values: np.ndarray, dtype: str) -> str:
    """Numbers as base64 text of little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()).decode()


def flux_steps(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Fluxes as integers of FLUX_STEP, 0 where masked; beyond ±4 they are cut off.

    Raises
    ------
    ValueError
        If the flux of a pixel that is not masked is missing.
    """
    good = ivar > 0
    missing = int((good & ~np.isfinite(flux)).sum())
    if missing:
        raise ValueError(f"spectra: the flux of {missing} pixels is missing that are not masked; give them ivar = 0")
    return np.clip(np.rint(np.where(good, flux, 0) / FLUX_STEP), -32767, 32767).astype(np.int16)


def error_bytes(ivar: np.ndarray) -> np.ndarray:
    """Errors as logarithms in one byte, good to 2 %; 0 where masked."""
    good = ivar > 0
    ratio = 1 / (np.sqrt(np.where(good, ivar, 1.0), dtype=float) * ERROR_LOW)
    number = np.clip(np.rint(np.log(ratio) / np.log(ERROR_RATIO)) + 1, 1, 255)
    return np.where(good, number, 0).astype(np.uint8)


@dataclass(frozen=True)
class StarPicker:
    """N stars for the page, and the model.

    Attributes
    ----------
    spectra : N normalized spectra
    labels : their reference labels
    fit : labels fitted to them
    snr : (N,)
    background : labels of more stars, drawn as faint points
    against : whose the reference labels are
    """

    spectra: Spectra
    labels: Labels
    fit: LabelFit
    snr: np.ndarray
    model: CannonModel
    background: Labels
    simulated: bool
    against: str = "APOGEE"

    def __post_init__(self) -> None:
        ids = self.spectra.ids
        if not (np.array_equal(ids, self.labels.ids) and np.array_equal(ids, self.fit.labels.ids)):
            raise ValueError("StarPicker: spectra, labels and fit do not hold the same stars in the same order")
        if self.labels.names != self.model.label_names or self.fit.labels.names != self.model.label_names:
            raise ValueError(f"StarPicker: labels are not those of the model, {', '.join(self.model.label_names)}")
        known = {
            "reference labels": self.labels.known, "fitted labels": self.fit.labels.known,
            "errors of fitted labels": np.isfinite(self.fit.labels.errors).all(axis=1),
            "S/N": np.isfinite(self.snr), "reduced χ²": np.isfinite(self.fit.reduced_chi2),
        }  # fmt: skip
        for what, mask in known.items():
            if not mask.all():
                raise ValueError(
                    f"StarPicker: {what} of {np.sum(~mask)} stars are missing, first {ids[~mask][0]}; leave them out"
                )

    @classmethod
    def of(
        cls,
        reference: ReferenceSet,
        fit: LabelFit,
        model: CannonModel,
        snr: np.ndarray,
        *,
        rng: np.random.Generator,
        n: int = N_STARS,
        simulated: bool,
        against: str = "APOGEE",
    ) -> StarPicker:
        """Choose n converged stars of a reference set, spread over the label planes; fewer if there is no room.

        Parameters
        ----------
        reference, fit, snr : of the same stars
        model : trained on them
        """
        usable = np.flatnonzero(fit.converged)
        if not usable.size:
            raise ValueError("StarPicker: no star converged, so there is none to show")
        room = (SIZE_LIMIT - 100_000) * 3 // 4 - 4 * (model.coefficients.size + 2 * model.wavelength.size)
        n = max(min(n, room // (3 * model.wavelength.size)), 1)
        rows = usable[spread_over_planes(reference.labels[usable], n, rng=rng)]
        faint = np.sort(rng.choice(len(reference), min(len(reference), 2000), replace=False))
        return cls(
            reference.spectra[rows], reference.labels[rows], fit[rows], np.asarray(snr, float)[rows], model,
            reference.labels[faint], simulated, against,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"StarPicker({len(self)} stars; {self.model!r})"

    def content(self) -> dict[str, Any]:
        """What the browser gets."""
        spectra, model = self.spectra, self.model
        return {
            "format_version": FORMAT_VERSION,
            "simulated": self.simulated,
            "against": self.against,
            "labels": [_label(name, *ends) for name, ends in zip(model.label_names, model.label_range.T, strict=True)],
            "planes": [[model.label_names.index(name) for name in plane] for plane in planes(model.label_names)],
            "windows": [[name, *ends] for name, ends in WINDOWS.items()],
            "features": [[name, list(lines)] for name, lines in FEATURES.items()],
            "dibs": [round(line * TO_VACUUM, 1) for line in DIBS],
            "wavelength": encoded(model.wavelength, "f4"),
            "terms": terms(len(model.label_names), model.order),
            "pivots": model.pivots.tolist(),
            "scales": model.scales.tolist(),
            "coefficients": encoded(model.coefficients, "f4"),
            "scatter": encoded(model.scatter, "f4"),
            "flux_step": FLUX_STEP,
            "error_low": ERROR_LOW,
            "error_ratio": ERROR_RATIO,
            "flux": encoded(flux_steps(spectra.flux, spectra.ivar), "i2"),
            "error": encoded(error_bytes(spectra.ivar), "u1"),
            "background": encoded(self.background.values, "f4"),
            "stars": [self._star(row) for row in range(len(self))],
        }

    def _star(self, row: int) -> dict[str, Any]:
        return {
            "id": str(self.labels.ids[row]),
            "snr": _rounded(self.snr[row]),
            "chi2": _rounded(self.fit.reduced_chi2[row]),
            "reference": _rounded(self.labels.values[row]),
            "fitted": _rounded(self.fit.labels.values[row]),
            "errors": _rounded(self.fit.labels.errors[row]),
        }

    def write(self, path: str | Path) -> Path:
        """Write the script that holds all this, and return its path.

        Raises
        ------
        ValueError
            If it is larger than SIZE_LIMIT.
        """
        content = json.dumps(self.content(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text = f"window.labeltransferExplorer = {content};\n".replace("</", "<\\/")
        size = len(text.encode())
        if size > SIZE_LIMIT:
            raise ValueError(f"{Path(path).name}: {size:,} bytes for {len(self)} stars, wanted {SIZE_LIMIT:,} at most")
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)


def _label(name: str, low: float, high: float) -> dict[str, Any]:
    kelvin = LABELS[name].unit == "K"
    return {
        "name": name, "symbol": PLAIN.get(name, name), "unit": LABELS[name].unit, "low": float(low),
        "high": float(high), "digits": 0 if kelvin else 2, "step": 10 if kelvin else 0.01, "reversed": name in REVERSED,
    }  # fmt: skip


def _rounded(values: Any) -> Any:
    return json.loads(json.dumps(np.asarray(values).tolist()), parse_float=lambda text: float(f"{float(text):.7g}"))
