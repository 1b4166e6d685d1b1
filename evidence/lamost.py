"""Real LAMOST spectra of giants, with the labels of LAMOST's own pipeline: what The Cannon makes of them.

The DR10 giants train and are tested, always in different folds: in each, all of the recipe (cuts, clip, training) sees
the other folds only. The giants of the pilot plate are labelled by a model of all DR10 giants. Nothing is tuned on any
of them. The error factor comes from halves: each is compared with the model of the other.

Rules: features are found as chapter 2 finds them, and reproduced if all lines but one at most are, and pairs of line
and label are twice as many as by chance; the error factor differs if the paper's 3 is more than three sampling errors
away. Scatter about the pipeline's labels holds the pipeline's own errors, and is compared with no number of the paper.
"""

from dataclasses import dataclass, replace
from inspect import signature

import numpy as np

import labeltransfer as lt
from labeltransfer.diagnostics import error_factor
from labeltransfer.evidence.records import claim, sampling_error, verdict

TITLE = "Real LAMOST spectra: 80 giants of DR10, and a plate of the pilot survey"
GIANTS, PILOT = "lamost_dr10_giants", "lamost_pilot"
INPUTS = (
    {"name": GIANTS, "sha256": "2a5d8d8945da42426b7f8e4ce44eccc31c9a9ebffc8b1fb025818510d03d8843", "rows": 80,
     "url": "LAMOST DR10, https://www.lamost.org/dr10/"},
    {"name": PILOT, "sha256": "0181fde93af1bcd5b8bb23cf1ae99a341d2685ea773f1eb878ea834e65db362b", "rows": 176,
     "url": "LAMOST pilot survey, https://www.lamost.org/"},
)  # fmt: skip
NAMES = ("teff", "logg", "fe_h")
RECIPES = ("paper", "robust") if "recipe" in signature(lt.learn).parameters else ("paper",)
PARAMETERS = {"snr_min": 30.0, "n_folds": 8, "recipes": list(RECIPES), "bin": 100.0, "seed": 2017}
CHI2_MEDIAN = 0.4549
"""Median of χ² with one degree of freedom."""


@dataclass(frozen=True)
class Part:
    """Some stars of an overlap, as a survey from which `lt.learn` can learn."""

    stars: lt.archive.Overlap
    description: str = "a part of the real giants"
    simulated: bool = False
    mask: str = "none"

    def overlap(self):
        return self.stars


def part(overlap, rows):
    cut = {name: getattr(overlap, name)[rows] for name in ("spectra", "labels", "stars", "flagged")}
    return replace(overlap, pipeline=None, **cut)


def measure(paths, *, snr_min, n_folds, recipes, bin, seed):
    rng = np.random.default_rng(seed)
    giants, pilot = (opened(paths[name], snr_min) for name in (GIANTS, PILOT))
    spectra = lt.normalize(giants.spectra)
    found = {"labels": list(NAMES), "stars": len(giants), "stars_pilot": len(pilot)}
    folds = lt.validation.assign_folds(len(giants), n_folds, rng)
    for recipe in recipes:
        labels, flux = cross_validated(giants, spectra, folds, recipe, seed)
        transfer = learned(giants, recipe, seed)
        found[recipe] = {
            "cross_validation": residuals(labels - giants.labels.values, rng),
            "pilot": residuals(labelled(transfer, pilot) - pilot.labels.values, rng),
            "by_wavelength": by_wavelength(spectra, flux, bin),
        }
        if recipe == recipes[0]:
            found["features"] = features(transfer.model)
    return {**found, "error_factor": from_halves(lt.ReferenceSet.join(spectra, giants.labels), rng)}


def opened(folder, snr_min):
    """Giants with all three labels and an S/N in g above a limit."""
    overlap = lt.open_survey("folder", folder, NAMES, progress=False).overlap()
    snr = np.asarray(overlap.stars["snr_g"], float)
    rows = overlap.labels.known & (overlap.labels.column("logg") < 3.9) & (snr > snr_min)
    return part(overlap, np.flatnonzero(rows))


def learned(overlap, recipe, seed):
    chosen = {"recipe": recipe} if "recipe" in signature(lt.learn).parameters else {}
    return lt.learn(Part(overlap), rng=np.random.default_rng(seed), **chosen)


def labelled(transfer, overlap):
    table = transfer.label(overlap.spectra, overlap.stars)
    values = np.column_stack([np.asarray(table[name], float) for name in NAMES])
    return np.where(np.asarray(table["converged"], bool)[:, None], values, np.nan)


def cross_validated(giants, spectra, folds, recipe, seed):
    """(N, L) labels and (N, P) predicted fluxes, each from models that never saw the star."""
    values, flux = np.full((len(giants), len(NAMES)), np.nan), np.full(spectra.flux.shape, np.nan)
    for fold in np.unique(folds):
        held = np.flatnonzero(folds == fold)
        transfer = learned(part(giants, np.flatnonzero(folds != fold)), recipe, seed)
        values[held] = labelled(transfer, part(giants, held))
        flux[held] = transfer.model.model_flux(values[held])
    return values, flux


def residuals(missed, rng):
    """Bias and robust scatter, with sampling errors, and how many stars could be labelled."""
    missed = missed[np.isfinite(missed).all(axis=1)]

    def both(rows):
        return np.array(lt.validation.bias_and_scatter(rows, robust=True))

    (bias, scatter), (bias_error, scatter_error) = both(missed), sampling_error(both, missed, rng=rng)
    return {"stars": len(missed), "bias": bias, "bias_error": bias_error, "scatter": scatter,
            "scatter_error": scatter_error}  # fmt: skip


def by_wavelength(spectra, predicted, width):
    """Median χ² of a pixel over that of pure noise of the reported size, and robust rms of flux, in bins."""
    good = (spectra.ivar > 0) & np.isfinite(predicted)
    missed = np.where(good, spectra.flux - predicted, np.nan)
    edges = np.arange(3925.0, 9000.0, width)
    inside = [(spectra.wavelength >= low) & (spectra.wavelength < low + width) for low in edges]
    chi2 = [np.nanmedian((missed**2 * spectra.ivar)[:, rows][good[:, rows]]) / CHI2_MEDIAN for rows in inside]
    rms = [1.4826 * np.nanmedian(np.abs(missed[:, rows])) for rows in inside]
    return {"wavelength": edges + width / 2, "reduced_chi2": np.array(chi2), "rms": np.array(rms)}


def features(model):
    """Gradients at the lines that the paper names, found as in chapter 2."""
    gradients, wavelength = np.abs(lt.figures.scaled_coefficients(model)).T, model.wavelength
    lines = {name: lt.figures.FEATURES[name] for name in ("Mg I", "Na I", "Ca II")}
    hits = {name: lt.diagnostics.stands_out(model, at) for name, at in lines.items()}
    chance = lt.diagnostics.stands_out(model, wavelength[20:-20:20])
    whole = wavelength.size // 13 * 13
    peaks = gradients[:, :whole].reshape(len(gradients), -1, 13).max(axis=2)
    return {
        "lines": sum(map(len, lines.values())), "pairs": sum(found.size for found in hits.values()),
        "found": {name: int(found.any(axis=0).sum()) for name, found in hits.items()},
        "pairs_found": int(sum(found.sum() for found in hits.values())),
        "chance": chance.mean(), "chance_any": chance.any(axis=0).mean(),
        "wavelength": wavelength[:whole].reshape(-1, 13).mean(axis=1).round(),
        "gradient": {name: peaks[k] for k, name in enumerate(model.label_names)},
    }  # fmt: skip


def from_halves(reference, rng, splits=5):
    """Error factor from residuals about the model of the other half; its sampling error from that of half samples."""
    ends = []
    for _ in range(splits):
        halves = lt.validation.assign_folds(len(reference), 2, rng)
        for half in range(2):
            tested, model = reference[halves == half], lt.train(reference[halves != half], order=1)
            fit = lt.infer(model, tested.spectra, lt.starting_points(tested.labels, 3, rng=rng))
            ends.append(error_factor(tested.spectra, model, fit))
    return {"k": np.mean(ends), "k_error": np.std(ends), "halves": len(ends)}


def claims(numbers):
    lines, factor = numbers["features"], numbers["error_factor"]
    found = sum(lines["found"].values())
    recipes = [name for name in ("paper", "robust") if name in numbers]
    made = {name: numbers[name]["cross_validation"] for name in recipes}
    words = "; ".join(
        f"{name}: {one['scatter'][0]:.0f} ± {one['scatter_error'][0]:.0f} K, {one['scatter'][1]:.2f}, "
        f"{one['scatter'][2]:.3f} dex" for name, one in made.items()
    )  # fmt: skip
    on = f"{numbers['stars']} giants of LAMOST DR10, S/N(g) above 30, labels of LAMOST's pipeline"
    ours = made["paper"]
    small = [abs(bias) <= 3 * error for bias, error in zip(ours["bias"], ours["bias_error"], strict=True)]
    return {
        "features": claim(
            found, f"Of the {lines['lines']} lines of Mg I, Na I D and Ca II, {found} stand out in the gradient of at "
            f"least one of three labels (by chance {100 * lines['chance_any']:.0f} %), and {lines['pairs_found']} of "
            f"{lines['pairs']} pairs of line and label (by chance {100 * lines['chance']:.0f} %).",
            verdict(found >= lines["lines"] - 1 and lines["pairs_found"] > 2 * lines["chance"] * lines["pairs"]), on),
        "error-factor-dr10": claim(
            factor["k"], f"About models of other stars, residuals ask for errors too large by {factor['k']:.2f} ± "
            f"{factor['k_error']:.2f}: this release exaggerates its errors by less than the paper's 3.",
            verdict(abs(factor["k"] - 3) <= 3 * factor["k_error"]), on),
        "real-cross-validation": claim(
            ours["scatter"], f"In cross-validation The Cannon comes back to the pipeline's labels with a "
            f"scatter of ({words}), from some sixty stars.", verdict(all(small), "differs"), on),
    }  # fmt: skip
