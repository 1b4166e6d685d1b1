"""What was learnt, and what it is used for: labels of other spectra, its own check, its figures, one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from .. import catalogue
from ..cannon import CannonModel
from ..files import read_arrays, write_arrays
from ..files.arrays import reading
from ..files.parts import digest_of_array
from ..inference import LabelFit, infer
from ..labels import LABELS, Labels, register_label
from ..reference import LABEL_SCALES, ReferenceSet, label_distance
from ..spectra import Spectra
from ..survey import normalized
from ..validation import CrossValidation, assign_folds, cross_fit
from .total_errors import ErrorModel

if TYPE_CHECKING:
    from ..figures.transfer_figures import TransferPlots

AS_LEARNT = "normalize these in the same way (lt.normalize, or Spectra.from_arrays(..., normalized=True))"

_MODEL_ARRAYS = ("pivots", "scales", "wavelength", "coefficients", "scatter", "label_range")
_MODEL_FACTS = ("order", "n_reference", "training_hash")
_ERROR_ARRAYS = ("floor", "inverse", "residual")
_SETTINGS = (
    "width", "convention", "segments", "normalized_before", "mask", "simulated", "recipe", "label_error_strength",
    "distance_cut", "chi2_cut", "report",
)  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class LabelTransfer:
    """A trained model and all that has to be the same when it is applied.

    Attributes
    ----------
    model : trained
    reference_labels : (N, L) of the stars it was trained on
    starts : (S, L) starting points of the test step
    width, convention, segments : of the normalization
    normalized_before : whether the spectra it learnt from came normalized, in a way that only their owner knows
    mask : LAMOST's pixel mask that was applied
    simulated : whether it was trained on simulated spectra
    counts : how many stars there were, and why some were excised
    recipe : ``"paper"`` or ``"robust"``, see `learn`
    error_factor : by what reported flux errors are divided, a number or (P,)
    label_error_strength : λ of the corrected score; 0 if errors of the labels were not undone
    errors : what is added to formal errors, or None
    distance_cut : label distance (see `label_distance`) from which on the catalogue calls a star `outside`
    chi2_cut : reduced χ² above which the catalogue calls no star `good`
    tried : what was tried to choose the order, the ridge and λ, with what success; None if nothing was
    report : what `learn` did, and what it warns of, line by line
    validation : cross-validated labels of the reference stars, or None
    reference : the stars themselves, those kept and those excised by the clip, with ivar by the error factor; None
        when the transfer comes from a file
    groups : (N,) cluster, plate or night of each star of `reference`, or None
    options : of `train`
    """

    model: CannonModel
    reference_labels: Labels
    starts: np.ndarray
    width: float = 50.0
    convention: str = "paper"
    mask: str = "none"
    simulated: bool = False
    counts: Mapping[str, int] | None = None
    recipe: str = "paper"
    error_factor: float | np.ndarray = 1.0
    label_error_strength: float = 0.0
    errors: ErrorModel | None = None
    distance_cut: float = catalogue.DISTANCE_CUT
    chi2_cut: float = catalogue.CHI2_MAX
    tried: Table | None = None
    report: tuple[str, ...] = ()
    validation: CrossValidation | None = None
    reference: ReferenceSet | None = None
    groups: np.ndarray | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[tuple[float, float], ...] | None = None
    normalized_before: bool = False

    def __repr__(self) -> str:
        kind = "simulated spectra" if self.simulated else "spectra"
        names = ", ".join(self.model.label_names)
        return f"LabelTransfer({names}; recipe {self.recipe}; trained on {len(self.reference_labels)} {kind})"

    def prepared(self, spectra: Spectra) -> Spectra:
        """The spectra as the model wants them: normalized, unless they are, and with the errors that it believes in."""
        if not isinstance(spectra, Spectra):
            raise TypeError(f"label: found {type(spectra).__name__}, wanted Spectra (Spectra.from_arrays)")
        if self.normalized_before and not spectra.normalized:
            raise ValueError(f"label: {spectra!r}: the model learnt from spectra that came normalized; {AS_LEARNT}")
        spectra = normalized(spectra, self.width, self.convention, self.segments)
        return with_error_factor(spectra, self.error_factor)

    def infer(self, spectra: Spectra) -> LabelFit:
        """Labels of N spectra with formal covariances, see `inference.infer`."""
        return infer(self.model, self.prepared(spectra), self.starts)

    def total_covariance(self, fit: LabelFit) -> np.ndarray | None:
        """(N, L, L) of the labels of a fit, with everything that counts as error; None if only formal ones are."""
        return None if self.errors is None else self.errors.covariance(self.model, fit)

    def label(self, spectra: Spectra, stars: Table | None = None) -> Table:
        """A catalogue of N spectra: labels with total errors, flags, and what is known of the stars.

        Parameters
        ----------
        spectra : on the model's pixels, normalized (as the transfer asks for) or not yet
        stars : the same stars in the same order: id, and of `catalogue.STAR_COLUMNS` what is known of them

        Returns
        -------
        Table of `catalogue.assemble`; ``_err`` and ``cov_`` are total errors if the transfer knows them (recipe
        robust), with the formal errors in columns ``_err_formal``.
        """
        prepared = self.prepared(spectra)
        fit = infer(self.model, prepared, self.starts)
        return catalogue.assemble(
            fit,
            stars,
            total_covariance=self.total_covariance(fit),
            distance=distance_from(self.reference_labels, fit.labels, distance_scales(self.model, self.recipe)),
            distance_cut=self.distance_cut,
            chi2_cut=self.chi2_cut,
            label_range=self.model.label_range,
            n_model_pixels=int(np.count_nonzero(self.model.determined)),
            provenance=self.provenance(),
        )

    def provenance(self) -> dict[str, Any]:
        """What a catalogue says about where its labels come from."""
        return {
            "training_hash": self.model.training_hash,
            "model_hash": digest_of_array(np.concatenate([self.model.coefficients.ravel(), self.model.scatter])),
            "model_order": self.model.order,
            "n_reference": self.model.n_reference,
            "stars_per_term": round(self.model.n_reference / self.model.coefficients.shape[1], 1),
            "labels": list(self.model.label_names),
            "smoothing_width": self.width,
            "smoothing_convention": self.convention,
            "segments": self.segments,
            "normalized_before": self.normalized_before,
            "mask": self.mask,
            "simulated": self.simulated,
            "recipe": self.recipe,
            "error_factor": float(np.median(self.error_factor)),
            "label_error_strength": self.label_error_strength,
            "distance_cut": self.distance_cut,
            "chi2_cut": self.chi2_cut,
        }

    def cross_validate(
        self,
        folds: int = 8,
        groups: np.ndarray | None = None,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> CrossValidation:
        """Labels of every reference star by a model that has not seen it, trained in the same way.

        Stars that the clip excised are labelled, too, and trained on by none. The choices of the recipe (error factor,
        order, λ) are those made with all stars.

        Parameters
        ----------
        folds : into how many parts the stars are divided, whatever `n_folds` of `learn` was
        groups : (N,) for every star of `reference` its cluster, plate or night; stars of one group are left out
            together. By default those that it learnt with
        rng : draws the folds, or the seed of one that does; by default always the same

        Raises
        ------
        ValueError
            If the transfer comes from a file, which does not hold spectra.
        """
        if self.reference is None or self.validation is None:
            raise ValueError("cross_validate: a transfer read from a file has no spectra; learn again")
        reference, groups = self.reference, self.groups if groups is None else groups
        fold_of = assign_folds(len(reference), folds, np.random.default_rng(0 if rng is None else rng), groups)
        kept = np.isin(reference.ids, self.reference_labels.ids)
        fit = cross_fit(reference, fold_of, self.starts, kept=kept, **self.options).fit
        if self.errors is not None:
            covariance = self.total_covariance(fit)
            fit = replace(fit, labels=Labels(fit.labels.ids, fit.labels.names, fit.labels.values, covariance))
        return CrossValidation(fit, self.validation.labels, kept)

    @property
    def plot(self) -> TransferPlots:
        """Figures: ``one_to_one()``, ``residuals()``, ``spectrum(star, window=(low, high))`` and ``gradients()``."""
        from ..figures.transfer_figures import TransferPlots

        return TransferPlots(self)

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file: all but the spectra of the reference stars."""
        arrays = {name: getattr(self.model, name) for name in _MODEL_ARRAYS}
        labels = self.reference_labels
        arrays |= {"ids": labels.ids, "values": labels.values, "starts": np.asarray(self.starts)}
        arrays["error_factor"] = np.asarray(self.error_factor, dtype=float)
        if labels.covariance is not None:
            arrays["covariance"] = labels.covariance
        if self.errors is not None:
            arrays |= {f"errors_{name}": getattr(self.errors, name) for name in _ERROR_ARRAYS}
        if self.tried is not None:
            arrays |= {f"tried_{name}": np.asarray(self.tried[name]) for name in self.tried.colnames}
        if self.validation is not None:
            arrays |= _validation_arrays(self.validation)
        facts = {name: getattr(self.model, name) for name in _MODEL_FACTS}
        write_arrays(
            path,
            "LabelTransfer",
            arrays,
            units={name: LABELS[name].unit for name in labels.names},
            symbols={name: LABELS[name].symbol for name in labels.names},
            model=facts,
            settings={name: getattr(self, name) for name in _SETTINGS},
            counts=None if self.counts is None else dict(self.counts),
            n_free=None if self.validation is None else self.validation.fit.n_free,
        )

    @classmethod
    def read(cls, path: str | Path) -> LabelTransfer:
        """Read what `write` wrote.

        Raises
        ------
        OSError, ValueError
            If the file is not there, damaged, or something else.
        """
        arrays, facts = read_arrays(path, "LabelTransfer")
        with reading(path, "LabelTransfer"):
            own_units = {name: (unit, facts.get("symbols", {}).get(name)) for name, unit in facts["units"].items()}
        for name, (unit, symbol) in own_units.items():
            register_label(name, unit, symbol)
        with reading(path, "LabelTransfer"):
            return cls._of(arrays, facts)

    @classmethod
    def _of(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> LabelTransfer:
        names = tuple(facts["units"])
        parts: dict[str, Any] = {name: arrays[name] for name in _MODEL_ARRAYS}
        model = CannonModel(names, **parts, **facts["model"])
        labels = Labels(arrays["ids"], names, arrays["values"], arrays.get("covariance"))
        settings = {**facts["settings"], "report": tuple(facts["settings"].get("report", ()))}
        if settings.get("segments"):
            settings["segments"] = tuple((low, high) for low, high in settings["segments"])
        factor = arrays.get("error_factor", np.array(1.0))
        tried = {key.removeprefix("tried_"): array for key, array in arrays.items() if key.startswith("tried_")}
        return cls(
            model,
            labels,
            arrays["starts"],
            **settings,
            counts=facts["counts"],
            error_factor=factor if factor.ndim else float(factor),
            errors=ErrorModel(*(arrays[f"errors_{name}"] for name in _ERROR_ARRAYS))
            if "errors_floor" in arrays
            else None,
            tried=Table(tried) if tried else None,
            validation=_validation_of(arrays, names, facts["n_free"]) if "fit_values" in arrays else None,
        )


_FIT = ("chi2", "n_pixels", "converged", "start", "rival_rise", "rival_distance")


def _validation_arrays(validation: CrossValidation) -> dict[str, np.ndarray]:
    fit, labels = validation.fit, validation.labels
    arrays = {f"fit_{name}": getattr(fit, name) for name in _FIT}
    arrays |= {"fit_ids": labels.ids, "fit_values": fit.labels.values, "fit_reference": labels.values}
    arrays["fit_kept"] = validation.kept
    covariances = {"fit_covariance": fit.labels.covariance, "fit_reference_covariance": labels.covariance}
    return arrays | {name: covariance for name, covariance in covariances.items() if covariance is not None}


def _validation_of(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], n_free: int) -> CrossValidation:
    ids = arrays["fit_ids"]
    labels = Labels(ids, names, arrays["fit_values"], arrays.get("fit_covariance"))
    fit = LabelFit(labels=labels, n_free=n_free, **{name: arrays[f"fit_{name}"] for name in _FIT})
    reference = Labels(ids, names, arrays["fit_reference"], arrays.get("fit_reference_covariance"))
    return CrossValidation(fit, reference, arrays["fit_kept"].astype(bool))


def distance_scales(model: CannonModel, recipe: str) -> dict[str, float]:
    """K of the label distance, by label: those of the paper or, with recipe robust, the spread of every label."""
    if recipe == "robust":
        return dict(zip(model.label_names, model.scales.tolist(), strict=True))
    return {name: scale for name, scale in LABEL_SCALES.items() if name in model.label_names}


def distance_from(reference: Labels, labels: Labels, scales: Mapping[str, float]) -> np.ndarray | None:
    """(N,) label distance of N stars from the reference stars; None without a label that has a scale."""
    n_nearest = min(10, len(reference))
    return label_distance(labels, reference, scales=scales, n_nearest=n_nearest) if scales else None


def with_error_factor(spectra: Spectra, factor: float | np.ndarray) -> Spectra:
    """The spectra with flux errors divided by `factor`, a number or (P,)."""
    if np.ndim(factor) == 0 and factor == 1.0:
        return spectra
    square = np.square(factor).astype(spectra.ivar.dtype)
    return replace(spectra, ivar=spectra.ivar * square)
