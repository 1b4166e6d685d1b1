"""The authors' tutorial: 1,387 real LAMOST DR2 spectra of APOGEE stars, trained on the first 1,000, tested on the rest.

Not recorded: the archive could not be had where this was written. `labeltransfer fetch tutorial` fetches it where there
is a network, then `labeltransfer evidence tutorial` records. There is no A_K, and all spectra have an S/N above 100.

Rules: the scatter in eight folds is compared with Fig. 6 of the paper's first version, for S/N above 50, and reproduced
if it is within a quarter of it. Another group's trees, on 4000 to 5500 Å of the same spectra, are set beside.
"""

import numpy as np

import labeltransfer as lt
from labeltransfer.evidence.records import claim, sampling_error, verdict

TITLE = "The authors' tutorial: 1,387 real LAMOST DR2 spectra with APOGEE's labels"
ARCHIVE, LABELS = "tutorial/lamost_spectra.tar.gz", "tutorial/labels.fits"
HOST = "https://raw.githubusercontent.com/annayqho/TheCannon/"
INPUTS = (
    {
        "name": ARCHIVE,
        "sha256": "6dd1476597dc9900268090ee4413e814e81bc9655fe3db9df27c0ce945558c9f",
        "rows": 1387,
        "url": f"{HOST}7b4b02e493519fe582b83dcef4b2fbb3dffaf033/_downloads/lamost_spectra.tar.gz",
    },
    {
        "name": LABELS,
        "sha256": "993f5197aa5e9a1367ccc4871bc32af96f7ef10a995d4a44060f44ae157221a7",
        "rows": 1387,
        "url": f"{HOST}gh-pages/_downloads/lamost_labels.fits",
    },
)
PARAMETERS = {"first": 1000, "n_folds": 8, "clip_sigma": 4.0, "seed": 2017}
NAMES = ("teff", "logg", "fe_h", "alpha_m")
FIGURE_6 = (68.8, 0.143, 0.0863, 0.0391)
OTHERS = {"who": "StellarShift-Bench, tree ensembles, 259 of 1,309 stars held out", "scatter": [57.0, 0.136, 0.075]}


def measure(paths, *, first, n_folds, clip_sigma, seed):
    overlap = lt.open_survey("folder", paths[ARCHIVE].parent, NAMES, progress=False).overlap()
    keep = ~np.any(list(lt.reference.quality_cuts(overlap.labels).values()), axis=0)
    reference = lt.ReferenceSet.join(lt.normalize(overlap.spectra[keep]), overlap.labels[keep])
    in_first = np.flatnonzero(keep) < first
    rng = np.random.default_rng(seed)
    starts = lt.starting_points(reference.labels, 7, rng=rng)
    split = lt.infer(lt.train(reference[in_first]), reference.spectra[~in_first], starts)
    folds = lt.validation.assign_folds(len(reference), n_folds, rng)
    fit = lt.validation.cross_validate(reference, folds, starts)
    clipped, _ = lt.reference.outliers(reference.labels, fit.labels, clip_sigma)
    kept = reference[~clipped]
    again = lt.validation.cross_validate(kept, folds[~clipped], starts)
    return {
        "labels": list(NAMES),
        "stars": len(overlap),
        "unreadable": len(overlap.unreadable),
        "excised": int((~keep).sum()),
        "clipped": int(clipped.sum()),
        "split": residuals(split, reference.labels[~in_first], rng),
        "folds": residuals(fit, reference.labels, rng),
        "folds_clipped": residuals(again, kept.labels, rng),
        "others": OTHERS,
    }


def residuals(fit, labels, rng):
    """Bias and scatter of fitted minus given labels."""
    missed = (fit.labels.values - labels.values)[fit.converged]

    def both(rows):
        return np.array(lt.validation.bias_and_scatter(rows))

    (bias, scatter), (bias_error, scatter_error) = both(missed), sampling_error(both, missed, rng=rng)
    return {"stars": len(missed), "bias": bias, "bias_error": bias_error, "scatter": scatter,
            "scatter_error": scatter_error}  # fmt: skip


def claims(numbers):
    scatter, split, others = numbers["folds_clipped"]["scatter"], numbers["split"], numbers["others"]["scatter"]
    unbiased = [
        abs(bias) <= 0.15 * width for bias, width in zip(numbers["folds_clipped"]["bias"], scatter, strict=True)
    ]
    on = f"{numbers['folds_clipped']['stars']} stars of the authors' tutorial, S/N above 100, no A_K"
    text = (
        f"In eight folds the scatter is {scatter[0]:.0f} K, {scatter[1]:.3f}, {scatter[2]:.3f} and {scatter[3]:.3f} "
        f"dex; in the authors' split {split['scatter'][0]:.0f} K, {split['scatter'][1]:.3f}, {split['scatter'][2]:.3f} "
        f"and {split['scatter'][3]:.3f} dex; another group's trees have {others[0]:.0f} K, {others[1]:.3f} and "
        f"{others[2]:.3f} dex."
    )
    near = [abs(found - paper) <= 0.25 * paper for found, paper in zip(scatter, FIGURE_6, strict=True)]
    return {
        "cv-scatter": claim(scatter, text, verdict(all(near)), on),
        "cv-bias": claim(
            numbers["folds_clipped"]["bias"],
            f"Biases are {', '.join(f'{bias:+.3g}' for bias in numbers['folds_clipped']['bias'])} (K, dex, dex, dex).",
            verdict(all(unbiased)),
            on,
        ),
    }
