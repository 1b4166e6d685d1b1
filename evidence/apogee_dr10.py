"""Real APOGEE spectra of giants in star clusters: the stars on which Ness et al. (2015) trained The Cannon.

Every star is labelled by a model that never saw it: in random folds, and with whole clusters left out, which asks for
more (a cluster has one metallicity, and few clusters share it). Clusters are told by their places on the sky. Nothing
is tuned; both orders of the polynomial are reported, and recipe robust, which chooses its own with the same stars held
out together.

Rules: Ness et al. say that labels differ from the pipeline's, in the root mean square, by what the pipeline states as
its own uncertainty. That is reproduced if the root mean square is at most a quarter larger, in both labels for which
the table states one, and differs otherwise. The turn-off is reproduced if the mean residual of stars below 4250 K is
more than three sampling errors from that of the others.
"""

import re

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.stats import norm

import labeltransfer as lt
from labeltransfer.archive import apogee_dr10
from labeltransfer.evidence.records import claim, sampling_error, verdict

TITLE = "Real APOGEE DR10 spectra: giants in star clusters"
SOURCE = "apogee-dr10/TheCannon-0.3.0.tar.gz"
INPUTS = (
    {
        "name": SOURCE,
        "sha256": "1d4004a7ba413f591e484e49d205dd97e65dbd96f92bc4ba7cbea0eaba5fee10",
        "rows": 553,
        "url": "the source distribution TheCannon 0.3.0, with `labeltransfer fetch apogee-dr10`",
    },
)
PARAMETERS = {"n_folds": 8, "orders": [2, 3], "logg_max": 4.0, "separation": 1.5, "pixel_step": 2, "seed": 2017}
NAMES = ("teff", "logg", "fe_h")
COOL = 4250.0


def measure(paths, *, n_folds, orders, logg_max, separation, pixel_step, seed):
    folder = paths[SOURCE].parent
    stars = apogee_dr10.read_reference(folder, NAMES)
    reference = stars[stars.labels.column("logg") < logg_max]
    reference = lt.ReferenceSet(every(reference.spectra, pixel_step), reference.labels)
    rng = np.random.default_rng(seed)
    cluster = clusters(reference.ids, separation)
    starts = lt.starting_points(reference.labels, 7, rng=rng)
    folds = {"random": lt.validation.assign_folds(len(reference), n_folds, rng), "clusters": cluster}
    stated = apogee_dr10.stated_errors(folder)
    found = {
        "labels": list(NAMES),
        "stars": len(stars),
        "giants": len(reference),
        "clusters": len(np.unique(cluster)),
        "stated": np.array([stated.get(name, np.nan) for name in NAMES]),
        "spectrum": typical(reference),
    }
    for order in orders:
        for kind, groups in folds.items():
            fit = lt.validation.cross_validate(reference, groups, starts, order=order)
            missed = (fit.labels.values - reference.labels.values)[fit.converged]
            found[f"order_{order}_{kind}"] = {
                "converged": int(fit.converged.sum()),
                **residuals(missed, rng),
                "cool": cool(missed, reference.labels.column("teff")[fit.converged], rng),
            }
    for kind, groups in folds.items():
        found[f"robust_{kind}"] = robust(reference, groups, rng)
    return found


def robust(reference, groups, rng):
    """What the recipe chose, and residuals of stars whose group took no part in training their model."""
    transfer = lt.learn(reference.spectra, reference.labels, groups=groups)
    fit = transfer.cross_validate(len(np.unique(groups)), groups).fit
    missed = (fit.labels.values - reference.labels.values)[fit.converged]
    pulls = missed / fit.labels.errors[fit.converged]
    return {
        "converged": int(fit.converged.sum()),
        "trained_on": transfer.model.n_reference,
        "order": transfer.model.order,
        "ridge": float(transfer.options["ridge"]),
        "label_error_strength": transfer.label_error_strength,
        "pulls": width(pulls),
        "pulls_error": sampling_error(width, pulls, rng=rng),
        **residuals(missed, rng),
    }


def width(pulls):
    """(L,) robust width about zero."""
    return np.median(np.abs(pulls), axis=0) / norm.ppf(0.75)


def every(spectra, step):
    """Every other pixel: what is left out is a quarter of a resolution element away from what stays."""
    return lt.Spectra(
        spectra.ids, spectra.wavelength[::step], spectra.flux[:, ::step], spectra.ivar[:, ::step], spectra.normalized
    )


def typical(reference):
    """The star nearest to the median labels: what these are, and its normalized flux in bins of three pixels."""
    values = reference.labels.values
    apart = (values - np.median(values, axis=0)) / values.std(axis=0)
    spectrum = reference.spectra[[np.argmin((apart**2).sum(axis=1))]]
    n = spectrum.wavelength.size // 3 * 3
    arrays = (spectrum.wavelength, spectrum.flux, spectrum.ivar)
    wavelength, flux, ivar = (array[..., :n].reshape(-1, 3) for array in arrays)
    good = (ivar > 0).all(axis=1)
    labels = reference.labels.of(spectrum.ids).values[0]
    middle = np.rint(wavelength.mean(axis=1)).astype(int)
    return {"labels": labels, "wavelength": middle[good], "flux": flux.mean(axis=1, dtype=float)[good]}


def clusters(ids, separation):
    """(N,) number of each star's cluster: stars nearer to each other than a separation [deg] are of one."""
    places = np.array([name.rpartition("2M")[2] for name in ids.tolist()])
    ra = np.array([15 * (int(p[:2]) + int(p[2:4]) / 60 + int(p[4:8]) / 360000) for p in places])
    dec = np.array([int(p[8] + "1") * (int(p[9:11]) + int(p[11:13]) / 60 + int(p[13:15]) / 3600) for p in places])
    ra, dec = np.radians(ra), np.radians(dec)
    points = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    return fcluster(linkage(points, "single"), np.radians(separation), "distance")


def residuals(missed, rng):
    """Mean, root mean square and robust scatter of inferred minus given labels."""

    def three(rows):
        _, robust = lt.validation.bias_and_scatter(rows, robust=True)
        return np.array([rows.mean(axis=0), np.sqrt((rows**2).mean(axis=0)), robust])

    values, errors = three(missed), sampling_error(three, missed, rng=rng)
    found = {}
    for name, value, error in zip(("bias", "rms", "robust"), values, errors, strict=True):
        found |= {name: value, f"{name}_error": error}
    return found


def cool(missed, teff, rng):
    """Mean residual in Teff of stars below 4250 K minus that of all others."""

    def offset(missed, teff):
        return missed[teff < COOL, 0].mean() - missed[teff >= COOL, 0].mean()

    error = sampling_error(offset, missed, teff, rng=rng)
    return {"stars": int((teff < COOL).sum()), "offset": offset(missed, teff), "offset_error": error}


def claims(numbers):
    orders = sorted(int(key.split("_")[1]) for key in numbers if re.fullmatch(r"order_\d_random", key))
    random, apart = (numbers[f"order_2_{kind}"] for kind in ("random", "clusters"))
    stated, on = numbers["stated"], f"{numbers['giants']} giants in {numbers['clusters']} clusters, APOGEE DR10"
    within = {
        kind: all(one["rms"][k] <= 1.25 * stated[k] for k in (0, 2))
        for kind, one in (("random", random), ("apart", apart))
    }
    turn = random["cool"]
    rows = ", ".join(
        f"order {order}: {numbers[f'order_{order}_clusters']['rms'][0]:.0f} K and "
        f"{numbers[f'order_{order}_clusters']['rms'][2]:.3f} dex"
        for order in orders
    )
    return {
        "ness-rms": claim(
            random["rms"],
            f"In random folds labels differ from the pipeline's by {random['rms'][0]:.0f} K, {random['rms'][1]:.2f} "
            f"and {random['rms'][2]:.3f} dex (rms); as its own uncertainty the pipeline states {stated[0]:.0f} K and "
            f"{stated[2]:.3f} dex.",
            verdict(within["random"]),
            on,
        ),
        "ness-cluster-out": claim(
            apart["rms"],
            f"With whole clusters left out the root mean square in Teff and [M/H] is, {rows}.",
            verdict(within["apart"]),
            on,
        ),
        "cool-turnoff": claim(
            turn["offset"],
            f"The {turn['stars']} giants below 4250 K come out {turn['offset']:+.0f} ± {turn['offset_error']:.0f} K "
            "from the others: for APOGEE's own spectra and labels, not LAMOST's.",
            verdict(abs(turn["offset"]) > 3 * turn["offset_error"], "inconclusive"),
            on,
        ),
    }
