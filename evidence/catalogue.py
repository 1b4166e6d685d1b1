"""922 rows of the paper's own catalogue: their errors, their reduced χ², and their labels beside APOGEE's.

The rows are candidates for enrichment in s-process elements with S/N(g) above 30: no random sample. What is known of
them is used only to be reported; the model of χ² has two free numbers, fitted to the medians of χ² in bins of S/N.

The error factor k. A star's reduced χ² is the mean over pixels of (m² + σ²/k²) / (s² + σ²): m the true misfit of the
model, σ the reported error and σ/k the true one, s the scatter that training found. Training maximizes the likelihood
with the reported errors, so that s follows from m and k and the S/N of the training stars; where σ exaggerates, s comes
out too small, or zero. Free are k and the size of m; how m changes with wavelength is that of the scatter of a model
trained on real giants, or the same everywhere; how σ does is measured on those giants.

Rules: a scatter differs if it is more than three sampling errors from the paper's, and is comparable within a factor of
two; it reproduces nothing, for the stars may have trained the model that labelled them; the error factor differs if 3
fits worse than the best by more than 9 in χ², however misfit changes with wavelength, and is inconclusive otherwise;
what may come from the selection of the sample is inconclusive.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from astropy.table import Table
from scipy.optimize import least_squares

import labeltransfer as lt
from labeltransfer.diagnostics import two_gaussians
from labeltransfer.evidence.records import claim, verdict, with_error
from labeltransfer.tables import numbers, read_table, text

TITLE = "922 rows of the published catalogue"
ROWS, LIST, GIANTS = "published/ho2017_catalogue_922.csv", "overlap/overlap_11061.csv", "lamost_dr10_giants"
INPUTS = (
    {"name": ROWS, "sha256": "a7553aa3494a8629528f4079c96877b887693e57c7167282ff8583302a730c3e", "rows": 922,
     "url": "the online table of Ho et al. 2017 (candidates for enrichment in s-process elements)"},
    {"name": LIST, "sha256": "df981f768f34f24092136856a159fd0a231abfcff1fc69e22fe457725f081a47", "rows": 11061,
     "url": "see the evidence `labels`"},
    {"name": GIANTS, "sha256": "2a5d8d8945da42426b7f8e4ce44eccc31c9a9ebffc8b1fb025818510d03d8843", "rows": 80,
     "url": "LAMOST DR10, https://www.lamost.org/dr10/"},
)  # fmt: skip
PARAMETERS = {"snr_edges": [30.0, 40.0, 60.0, 100.0, 150.0, 300.0], "giants_factor": 1.5, "seed": 2017}
NAMES = ("teff", "logg", "fe_h", "alpha_m")
THEIRS = ("cannon_teff", "cannon_logg", "cannon_m_h", "cannon_alpha_m")
TABLE_1 = ((48, 0.08, 0.053, 0.024, 0.62), (145, 0.29, 0.177, 0.075, 0.57), (36, 0.06, 0.040, 0.016, 0.82),
           (39, 0.06, 0.043, 0.017, 0.87))  # fmt: skip
"""The paper's four rows: errors of Teff, log g, [Fe/H] and [α/M], and reduced χ²."""
HALF_A_DIGIT = np.array([0.5, 0.005, 0.0005, 0.0005])
"""By how much these errors may be rounded."""
FIGURE_6 = (68.8, 0.143, 0.0863, 0.0391)


def measure(paths, *, snr_edges, giants_factor, seed):
    rng = np.random.default_rng(seed)
    rows, table = read_table(paths[ROWS]), Table.read(paths[LIST], format="ascii.csv")
    values = np.column_stack([numbers(rows, name, ROWS) for name in THEIRS])
    errors = np.column_stack([numbers(rows, f"{name}_err", ROWS) for name in THEIRS])
    chi2, snr = numbers(rows, "cannon_red_chisq", ROWS), numbers(rows, "snrg", ROWS)
    bins = by_snr(snr, chi2, errors, snr_edges, rng)
    alpha = values[:, 3]
    return {
        "rows": len(rows),
        "bins": bins,
        "fall": {"labels": list(NAMES), **with_error("power", power, errors, snr, rng=rng)},
        "table_1": beside_table_1(errors, chi2),
        "variances": variances(errors, snr, values[:, 0], np.isin(text(rows, "id"), text(table, "lamost_id"))),
        "alpha": {
            "two_favoured": bool(two_gaussians(alpha).bic_gain > 0),
            **with_error("ashman_d", lambda a: two_gaussians(a).ashman_d, alpha, rng=rng, resamplings=10, most=300),
            "edges": np.arange(-0.06, 0.35, 0.02).round(2),
            "counts": np.histogram(alpha, np.arange(-0.06, 0.35, 0.02))[0],
        },
        "against_apogee": against_apogee(table, rng),
        "error_factor": error_factor(bins, table, paths[GIANTS], giants_factor),
    }


def power(errors, snr):
    """Exponents with which errors fall with S/N."""
    return np.array([np.polyfit(np.log(snr), np.log(column), 1)[0] for column in errors.T])


def by_snr(snr, chi2, errors, edges, rng):
    """Medians in bins of S/N in g."""
    members = [(snr >= low) & (snr < high) for low, high in pairwise(edges)]
    medians = [with_error("chi2", np.median, chi2[rows], rng=rng) for rows in members]
    return {
        "edges": list(edges), "stars": [int(rows.sum()) for rows in members],
        "snr": np.array([np.median(snr[rows]) for rows in members]),
        "chi2": np.array([one["chi2"] for one in medians]),
        "chi2_error": np.array([one["chi2_error"] for one in medians]),
        **{name: np.array([np.median(errors[rows, k]) for rows in members]) for k, name in enumerate(NAMES)},
    }  # fmt: skip


def beside_table_1(errors, chi2):
    """Range of errors of the rows whose χ² is like that of the four printed; how many of the four are inside."""
    printed = np.array(TABLE_1)
    alike = (chi2 >= printed[:, 4].min()) & (chi2 <= printed[:, 4].max())
    low, high = np.percentile(errors[alike], [2.5, 97.5], axis=0)
    inside = ((printed[:, :4] >= low - HALF_A_DIGIT) & (printed[:, :4] <= high + HALF_A_DIGIT)).all(axis=1)
    return {"labels": list(NAMES), "rows_alike": int(alike.sum()), "low": low, "high": high,
            "printed_inside": int(inside.sum())}  # fmt: skip


def variances(errors, snr, teff, overlap):
    """Rows whose errors fit the others' better when their roots are taken, in all but the first label."""
    logs, design = np.log(errors), np.column_stack([np.ones(len(snr)), np.log(snr), teff / 1000])
    expected = design @ np.linalg.lstsq(design, logs)[0]
    width = 1.4826 * np.median(np.abs(logs - expected), axis=0)
    as_given, as_roots = (np.abs(part * logs - expected)[:, 1:] / width[1:] for part in (1.0, 0.5))
    like = (as_roots < 3).all(axis=1) & (as_given > 5).all(axis=1)
    return {
        "of_the_overlap": int(overlap.sum()), "like_variances": int(like.sum()),
        "like_variances_of_the_overlap": int((like & overlap).sum()),
        "example_given": errors[like].mean(axis=0), "example_roots": np.sqrt(errors[like]).mean(axis=0),
        "example_expected": np.exp(expected[like]).mean(axis=0),
    }  # fmt: skip


def against_apogee(table, rng):
    """The Cannon's published labels minus APOGEE's, where another group's table has both."""
    columns = (("teff", "teff"), ("logg", "logg"), ("m_h", "m_h"), ("alpha_m", "alpha_m"))
    moved = np.column_stack(
        [numbers(table, f"ho2017_cannon_{ours}", LIST) - numbers(table, other, LIST) for ours, other in columns]
    )
    moved = moved[np.isfinite(moved).all(axis=1)]
    return {
        "labels": list(NAMES),
        "stars": len(moved),
        **with_error("bias", lambda m: lt.validation.bias_and_scatter(m, robust=True)[0], moved, rng=rng),
        **with_error("scatter", lambda m: lt.validation.bias_and_scatter(m, robust=True)[1], moved, rng=rng),
    }


def error_factor(bins, table, giants, giants_factor):
    """k for each way in which misfit may change with wavelength, and how well k = √3 and k = 3 do."""
    shape, shapes = by_wavelength(giants, giants_factor)
    median_snr = numbers(table, "lamost_snr_medpix", LIST)
    per_g = np.nanmedian(median_snr / numbers(table, "ho2017_snrg", LIST))
    training = np.percentile(median_snr[np.isfinite(median_snr)], np.arange(1, 100, 2))
    sigma = 1.0 / (training[:, None] * shape)
    tested = 1.0 / (per_g * bins["snr"][:, None] * shape)
    found = {"median_snr_per_g": per_g}
    for name, misfit in shapes.items():
        misfit = misfit / np.sqrt(np.mean(misfit**2))

        def missed(free, fixed=None, misfit=misfit):
            k, size = (free[0], free[1]) if fixed is None else (np.log(fixed), free[0])
            expected = reduced_chi2(np.exp(k), np.exp(size) * misfit, sigma, tested)
            return np.log(expected / bins["chi2"]) / (bins["chi2_error"] / bins["chi2"])

        best = least_squares(missed, [np.log(2.0), np.log(0.02)], x_scale=[0.3, 0.5], diff_step=1e-4)
        covariance = np.linalg.inv(best.jac.T @ best.jac) * max(1.0, 2 * best.cost / (len(bins["snr"]) - 2))
        held = {label: least_squares(missed, [np.log(0.02)], args=(k,), diff_step=1e-4)
                for label, k in (("root3", np.sqrt(3)), ("three", 3.0))}  # fmt: skip
        k = np.exp(best.x[0])
        found[name] = {
            "k": k, "k_error": k * np.sqrt(covariance[0, 0]), "misfit": np.exp(best.x[1]),
            "chi2_of_fit": 2 * best.cost, **{f"chi2_of_{label}": 2 * one.cost for label, one in held.items()},
            "expected": reduced_chi2(k, np.exp(best.x[1]) * misfit, sigma, tested),
        }  # fmt: skip
    return found


def by_wavelength(giants, giants_factor, step=10):
    """(P,) S/N of real giants over its median; and (P,) scatter of their model by name: trained on them, or flat.

    `giants_factor`: their errors are divided by it, see the evidence `lamost`, or the scatter would be too small.
    """
    overlap = lt.open_survey("folder", giants, None, progress=False).overlap()
    spectra = lt.normalize(overlap.spectra)
    ratio = np.sqrt(spectra.ivar) * spectra.flux
    shape = np.nanmedian(np.where(ratio > 0, ratio, np.nan) / spectra.signal_to_noise()[:, None], axis=0)[::step]
    honest = replace(spectra, ivar=spectra.ivar * np.float32(giants_factor**2))
    real = lt.train(lt.ReferenceSet.join(honest, overlap.labels), order=1).scatter[::step]
    seen = np.isfinite(shape) & np.isfinite(real)
    return shape[seen], {"real": real[seen], "flat": np.ones(seen.sum())}


def reduced_chi2(k, misfit, sigma, tested):
    """(B,) reduced χ² of stars with errors `tested` (B, P), of a model trained on stars with errors `sigma` (N, P)."""
    low, high = np.zeros_like(misfit), np.full_like(misfit, 1.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        total = middle + sigma**2
        grows = ((misfit**2 + sigma**2 / k**2 - total) / total**2).sum(axis=0) > 0
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    return ((misfit**2 + tested**2 / k**2) / (low + tested**2)).mean(axis=1)


def claims(numbers):
    bins, four, pairs, factor = (numbers[key] for key in ("bins", "table_1", "against_apogee", "error_factor"))
    odd, alpha, fall = numbers["variances"], numbers["alpha"], numbers["fall"]
    shapes = {name: factor[name] for name in ("real", "flat")}
    low, high = min(one["k"] for one in shapes.values()), max(one["k"] for one in shapes.values())
    root3, three = (
        [one[f"chi2_of_{label}"] - one["chi2_of_fit"] for one in shapes.values()] for label in ("root3", "three")
    )
    known = max(one["k_error"] for one in shapes.values())
    biased = [abs(bias) > 3 * error for bias, error in zip(pairs["bias"], pairs["bias_error"], strict=True)]
    as_figure = [
        abs(found - paper) <= 3 * error
        for found, paper, error in zip(pairs["scatter"], FIGURE_6, pairs["scatter_error"], strict=True)
    ]
    ratios = [found / stated for found, stated in zip(pairs["scatter"], (91.5, 0.11, 0.05, 0.05), strict=True)]
    sample = "922 rows of the published catalogue, chosen by others, S/N above 30"
    return {
        "formal-errors": claim(
            [bins[name][1] for name in NAMES], f"Median errors of the published rows fall from {bins['teff'][0]:.0f} K "
            f"at S/N {bins['snr'][0]:.0f} to {bins['teff'][-1]:.0f} K at {bins['snr'][-1]:.0f}, as S/N to the power "
            f"{fall['power'][0]:.2f}; rows of Table 1 among the {four['rows_alike']} rows of like χ²: "
            f"{four['printed_inside']} of 4.", verdict(four["printed_inside"] == 4), sample),
        "error-factor": claim(
            [low, high], f"The published χ² asks for errors too large by {low:.1f} to {high:.1f} (± {known:.1f}), by "
            f"how misfit changes with wavelength: between √3, which fits worse by a χ² of {min(root3):.0f} to "
            f"{max(root3):.0f}, and 3, worse by {min(three):.0f} to {max(three):.0f}.",
            "differs" if min(three) > 9 else "inconclusive", sample),
        "chi2-low": claim(
            bins["chi2"], f"The median reduced χ² rises with S/N from {bins['chi2'][0]:.2f} to {bins['chi2'][-1]:.2f}: "
            f"low by {1 / bins['chi2'][0]:.1f} for the faintest, and by less for all others; Table 1's caption says 3.",
            verdict(max(bins["chi2"]) < 0.5), sample),
        "reference-variances": claim(
            odd["like_variances_of_the_overlap"], f"Of {odd['of_the_overlap']} rows of overlap stars "
            f"{odd['like_variances_of_the_overlap']} has errors in log g, [Fe/H] and [α/M] that fit the others' only "
            f"when their roots are taken, and of the {numbers['rows'] - odd['of_the_overlap']} other rows "
            f"{odd['like_variances'] - odd['like_variances_of_the_overlap']}: not all errors of reference stars are "
            "variances.",
            verdict(2 * odd["like_variances_of_the_overlap"] > odd["of_the_overlap"], "inconclusive"), sample),
        "cv-scatter": claim(
            pairs["scatter"], f"The published labels of {pairs['stars']} stars scatter about APOGEE's by "
            f"{pairs['scatter'][0]:.0f} K, {pairs['scatter'][1]:.2f}, {pairs['scatter'][2]:.3f} and "
            f"{pairs['scatter'][3]:.3f} dex, as the paper's do; whether the same stars trained the model is not told.",
            "inconclusive" if all(as_figure) else "differs",
            f"{pairs['stars']} stars of the catalogue with labels of APOGEE, S/N above 30"),
        "scatter-aspcap": claim(
            pairs["scatter"], f"The paper calls its scatter comparable to APOGEE's errors (Teff 91.5 K, log g 0.11, "
            f"[Fe/H] and [α/M] 0.05 dex): here it is {', '.join(f'{ratio:.1f}' for ratio in ratios)} times as large.",
            "inconclusive" if all(0.5 <= ratio <= 2 for ratio in ratios) else "differs",
            f"{pairs['stars']} stars of the catalogue with labels of APOGEE, S/N above 30"),
        "cannon-unbiased": claim(
            pairs["bias"], f"The same {pairs['stars']} stars are offset by {pairs['bias'][0]:+.0f} ± "
            f"{pairs['bias_error'][0]:.0f} K and {pairs['bias'][1]:+.2f} ± {pairs['bias_error'][1]:.2f} dex in log g; "
            "they were chosen for what their spectra have and the model has not, which may be why.",
            "inconclusive" if any(biased) else "reproduced",
            f"{pairs['stars']} stars of the catalogue with labels of APOGEE"),
        "sequences": claim(
            alpha["ashman_d"], f"[α/M] of the published rows is better described by two Gaussians, "
            f"{alpha['ashman_d']:.1f} ± {alpha['ashman_d_error']:.1f} widths apart.",
            verdict(alpha["two_favoured"] and alpha["ashman_d"] - alpha["ashman_d_error"] > 2, "inconclusive"), sample),
    }  # fmt: skip
