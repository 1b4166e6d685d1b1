"""The real labels of the stars that LAMOST and APOGEE have in common, as two tables give them.

No spectrum is used, and nothing is fitted but two Gaussians to [α/M]. Rules: a count is reproduced if it is the
paper's; a share if it is within 0.1 of it ("roughly"); an error if it is within a tenth; a difference of mean or slope
counts from three standard errors on.
"""

import numpy as np
from astropy.table import Table

import labeltransfer as lt
from labeltransfer.archive.overlap import galactic
from labeltransfer.diagnostics import two_gaussians
from labeltransfer.evidence.records import claim, sampling_error, verdict, with_error
from labeltransfer.labels import label_values
from labeltransfer.tables import numbers, read_table, text

TITLE = "Real labels: the overlap of LAMOST DR2 and APOGEE DR12"
AUTHORS, LIST, ALLSTAR = (
    "overlap/apogee_dr12_labels.csv",
    "overlap/overlap_11061.csv",
    "apogee_dr12/allStar-v603-extract.fits",
)
INPUTS = (
    {"name": AUTHORS, "sha256": "5a7a17047909036c7f8396998dd81711d6ecfb4fc17ed24af84952c78315bd4b", "rows": 11057,
     "url": "https://raw.githubusercontent.com/annayqho/TheCannon/e0ab5c39541b9f81f268ad9d62c484868c7123f7/"
            "examples/apogee_dr12_labels.csv"},
    {"name": LIST, "sha256": "df981f768f34f24092136856a159fd0a231abfcff1fc69e22fe457725f081a47", "rows": 11061,
     "url": "https://raw.githubusercontent.com/Luccas-Wang/LAMOST_Spectra/0ab0b27df491e0bb60567ae2b0f788c2efb0eb92/"
            "dr2_x_apo_fits/training_LAMOST_ordered.list (labels and flags; merged by us with positions, LAMOST's S/N, "
            "and the pipeline's labels of luminous giants)"},
    {"name": ALLSTAR, "sha256": "3fa8cace3dc3a8a1cbc6edd48fe1857625eb4e6f97496a28774a48fff4a305ec", "rows": 80,
     "url": "https://data.sdss.org/sas/dr12/apogee/spectro/redux/r5/allStar-v603.fits (80 of its rows)"},
)  # fmt: skip
PARAMETERS = {"alpha_rich": 0.15, "snr_min": 50.0, "resamplings": 10, "seed": 2017}
NAMES = ("teff", "logg", "fe_h", "alpha_m")
EDGES = {"teff": (3500, 6001, 100), "logg": (0, 4.01, 0.2), "fe_h": (-2.5, 0.61, 0.1), "alpha_m": (-0.1, 0.51, 0.02)}
LATITUDES = (0, 5, 10, 20, 30, 45, 90)


def measure(paths, *, alpha_rich, snr_min, resamplings, seed):
    rng = np.random.default_rng(seed)
    authors, table = read_table(paths[AUTHORS]), Table.read(paths[LIST], format="ascii.csv")
    columns = {"teff": "teff", "logg": "logg", "fe_h": "m_h", "alpha_m": "alpha_m"}
    labels = lt.Labels(text(table, "lamost_id"), NAMES, label_values(table, columns, paths[LIST]))
    bits = np.asarray(table["aspcapflag"]).astype(np.int64) & 0xFFFF_FFFF
    shared = np.isin(labels.ids, text(authors, "lamost_id"))
    unknown = np.isnan(label_values(authors, {**columns, "fe_h": "mh", "alpha_m": "alpha"}, paths[AUTHORS])).any(axis=1)
    found = {
        "n_overlap": len(np.unique(text(authors, "lamost_id"))),
        "n_overlap_apogee": len(np.unique(text(authors, "apogee_id"))),
        "n_in_both_lists": int(shared.sum()),
        "n_without_labels": int(unknown.sum()),
    }
    keep, cuts = excised(labels, bits, np.asarray(table["logg"], float), shared)
    teff, _, m_h, alpha = labels.values[keep].T
    glon, glat = galactic(table["ra"][keep], table["dec"][keep])
    latitude, rich = np.abs(glat), alpha > alpha_rich
    bands = np.digitize(latitude, LATITUDES[1:-1])
    disk = (latitude >= 10) & (latitude < 20)
    towards = {"inner": np.cos(np.radians(glon)) > 0, "outer": np.cos(np.radians(glon)) < 0}
    sides = [share(rich[disk & side]) for side in towards.values()]
    bright = np.asarray(table["lamost_snr_medpix"], float)[keep]
    bright = bright[np.isfinite(bright)] > snr_min
    return {
        **found,
        "cuts": cuts,
        "n_clean": int(keep.sum()),
        "share_snr50": bright.mean(),
        "share_snr50_error": np.sqrt(bright.mean() * (1 - bright.mean()) / bright.size),
        "histograms": {name: histogram(labels.column(name)[keep], *EDGES[name]) for name in NAMES},
        "plane": {
            "teff_edges": np.arange(3500, 6001, 100), "logg_edges": np.arange(0, 4.01, 0.2).round(1),
            "counts": np.histogram2d(teff, labels.column("logg")[keep], (np.arange(3500, 6001, 100),
                                     np.arange(0, 4.01, 0.2)))[0].astype(int)},
        "alpha": bimodality(alpha, resamplings, rng),
        "alpha_by_metallicity": {
            f"{low:+.1f} to {high:+.1f}": bimodality(alpha[(m_h >= low) & (m_h < high)], resamplings, rng)
            for low, high in ((-0.5, -0.3), (-0.3, -0.1), (-0.1, 0.1))
        },
        "sky": {
            "latitude_edges": np.array(LATITUDES),
            "stars": np.bincount(bands),
            "rich_share": np.array([share(rich[bands == k])[0] for k in range(len(LATITUDES) - 1)]),
            "rich_share_error": np.array([share(rich[bands == k])[1] for k in range(len(LATITUDES) - 1)]),
            "side": list(towards), "side_stars": [int((disk & side).sum()) for side in towards.values()],
            "side_rich_share": np.array([one for one, _ in sides]),
            "side_rich_share_error": np.array([error for _, error in sides])},
        "pipeline": pipeline(table, labels, rng),
        "columns": fe_h_columns(table, keep, rng),
        "stated_errors": stated_errors(paths[ALLSTAR]),
    }  # fmt: skip


def excised(labels, bits, logg, shared):
    """(N,) which stars stay by the library's reading of section 3; how many each reason takes of the shared ones."""
    flagged = lt.apogee.flagged(Table({"aspcapflag": bits, "logg": np.nan_to_num(logg, nan=-9999.0)}))
    reasons = lt.reference.quality_cuts(labels, flagged)
    any_bit = lt.reference.quality_cuts(labels, bits != 0)
    positive = lt.reference.quality_cuts(labels, alpha_m_min=0.1)["[α/M] below 0.1 dex"]
    low = labels.column("alpha_m") < -0.1
    keep = ~np.any(list(reasons.values()), axis=0)
    cuts = {name: int(stars[shared].sum()) for name, stars in reasons.items()}
    flags = {name: int(((bits[shared] >> bit) & 1).sum()) for name, bit in lt.apogee.ASPCAP_BITS.items()}
    return keep, {
        "as_read": {**cuts, "together": int((~keep & shared).sum())},
        "any_flag": {
            "flagged": int((bits != 0)[shared].sum()),
            "together": int((np.any(list(any_bit.values()), axis=0) & shared).sum()),
        },
        "flags": {name: n for name, n in flags.items() if n},
        "alpha_below_plus": int((positive | ~labels.known)[shared].sum()),
        "alpha_below_minus": int((low | ~labels.known)[shared].sum()),
        "alpha_below_minus_known": int(low[shared].sum()),
    }


def share(members):
    """A share and its binomial error."""
    p = np.mean(members)
    return p, np.sqrt(p * (1 - p) / len(members))


def histogram(values, low, high, step):
    edges = np.arange(low, high, step)
    return {"edges": edges.round(2), "counts": np.histogram(values, edges)[0]}


def bimodality(alpha, resamplings, rng):
    def parts(values):
        two = two_gaussians(values)
        return np.array([*two.means, *two.widths, two.weights[1], two.ashman_d])

    whole = two_gaussians(alpha)
    value = [*whole.means, *whole.widths, whole.weights[1], whole.ashman_d]
    error = sampling_error(parts, alpha, rng=rng, resamplings=resamplings, most=500)
    names = ("low_mean", "high_mean", "low_width", "high_width", "high_share", "ashman_d")
    errors = {f"{name}_error": one for name, one in zip(names, error, strict=True)}
    found = dict(zip(names, value, strict=True))
    return {"stars": len(alpha), "two_favoured": bool(whole.bic_gain > 0), **found, **errors}


def pipeline(table, labels, rng):
    """LAMOST's own pipeline minus APOGEE, for the luminous giants for which both are at hand."""
    theirs = np.column_stack([numbers(table, f"lmdr3_{name}", LIST) for name in ("teff", "logg", "feh")])
    ours = labels.values[:, :3]
    good = np.isfinite(theirs).all(axis=1) & np.isfinite(ours).all(axis=1)
    moved, ours = (theirs - ours)[good], ours[good]

    def slope(moved, ours):
        return np.array([np.polyfit(ours[:, k], moved[:, k], 1)[0] for k in range(3)])

    edges = {"teff": np.arange(-500, 501, 50), "logg": np.arange(-1.5, 1.51, 0.15), "fe_h": np.arange(-0.8, 0.81, 0.08)}
    return {
        "labels": ["teff", "logg", "fe_h"], "stars": int(good.sum()),
        **with_error("bias", lambda moved: moved.mean(axis=0), moved, rng=rng),
        **with_error("scatter", lambda moved: lt.validation.bias_and_scatter(moved, robust=True)[1], moved, rng=rng),
        **with_error("slope", slope, moved, ours, rng=rng),
        "histograms": {name: {"edges": edges[name].round(2), "counts": np.histogram(moved[:, k], edges[name])[0]}
                       for k, name in enumerate(edges)},
    }  # fmt: skip


def fe_h_columns(table, keep, rng):
    """APOGEE's FE_H minus its PARAM_M_H."""
    moved = (numbers(table, "fe_h", LIST) - numbers(table, "m_h", LIST))[keep]
    moved = moved[np.isfinite(moved)]
    return {
        "stars": len(moved),
        **with_error("bias", np.mean, moved, rng=rng),
        **with_error("scatter", np.std, moved, rng=rng),
    }


def stated_errors(path):
    """Median over the rows of APOGEE's table of the errors that it states."""
    allstar = lt.apogee.read_allstar(path)
    errors = [numbers(allstar, f"{name}_err", path) for name in NAMES]
    known = np.all([(error > 0) & np.isfinite(error) for error in errors], axis=0)
    return {"labels": list(NAMES), "stars": int(known.sum()), "median": np.array([np.median(e[known]) for e in errors])}


def claims(numbers):
    cuts, sky, pipe, stated = (numbers[key] for key in ("cuts", "sky", "pipeline", "stated_errors"))
    together, any_flag = cuts["as_read"]["together"], cuts["any_flag"]["together"]
    rich, alpha = sky["rich_share"], numbers["alpha"]
    (inner, outer), sides = sky["side_rich_share"], np.hypot(*sky["side_rich_share_error"])
    towards_bulge = (inner - outer) / sides > 3
    paper = (91.5, 0.11, 0.05, 0.05)
    same = [abs(found - value) <= 0.1 * value for found, value in zip(stated["median"], paper, strict=True)]
    biased = [
        abs(bias) > 3 * error or abs(slope) > 3 * other
        for bias, error, slope, other in zip(
            pipe["bias"], pipe["bias_error"], pipe["slope"], pipe["slope_error"], strict=True
        )
    ]
    table, labels = "the authors' own table of the overlap", "APOGEE's labels of the overlap"
    return {
        "overlap": claim(
            numbers["n_overlap"], f"The authors' table of the overlap has {numbers['n_overlap']:,} different stars; "
            f"another group's list of 11,061 has {numbers['n_in_both_lists']:,} of them.",
            verdict(numbers["n_overlap"] == 11057), table),
        "cut-flags": claim(
            together, f"The cuts as we read them take {together} of the overlap, any flag at all would take "
            f"{any_flag}: the paper's 677 lies between. Our list has no A_K; stars without one may be the difference.",
            verdict(together == 677, "inconclusive"), labels),
        "cut-alpha-sign": claim(
            cuts["alpha_below_plus"], f"[α/M] below 0.1, as printed, would take {cuts['alpha_below_plus']:,} stars, "
            f"rows without labels included, more than are excised in all; below −0.1 are {cuts['alpha_below_minus']}: "
            "the minus sign was lost in print.", verdict(cuts["alpha_below_plus"] <= 677), labels),
        "half-snr50": claim(
            numbers["share_snr50"], f"Of the stars left by the cuts {100 * numbers['share_snr50']:.0f} % have an S/N "
            "above 50 (median over pixels).", verdict(abs(numbers["share_snr50"] - 0.5) <= 0.1), labels),
        "aspcap-errors": claim(
            stated["median"], f"The errors that APOGEE's table states have medians of {stated['median'][0]:.1f} K, "
            f"{stated['median'][1]:.2f}, {stated['median'][2]:.3f} and {stated['median'][3]:.3f} dex: as quoted in "
            "Teff and log g, smaller than quoted in [Fe/H] and [α/M].", verdict(all(same), "differs"),
            f"{stated['stars']} rows of APOGEE DR12's allStar"),
        "lamost-biases": claim(
            pipe["bias"], f"LAMOST's pipeline minus APOGEE for {pipe['stars']} luminous giants: "
            f"{pipe['bias'][0]:+.0f} K, {pipe['bias'][1]:+.2f} and {pipe['bias'][2]:+.3f} dex, with slopes "
            f"of {pipe['slope'][0]:+.2f}, "
            f"{pipe['slope'][1]:+.2f} and {pipe['slope'][2]:+.2f} against APOGEE's label: log g and [Fe/H] are biased, "
            "and Teff is, too.", verdict(biased[1] and biased[2] and not biased[0], "inconclusive"),
            "LAMOST DR3 pipeline and APOGEE DR12"),
        "reference-bimodal": claim(
            alpha["ashman_d"], f"APOGEE's [α/M] of the overlap has two parts, at {alpha['low_mean']:.3f} and "
            f"{alpha['high_mean']:.3f} dex, {alpha['ashman_d']:.1f} widths apart (two begin at 2).",
            verdict(alpha["two_favoured"] and alpha["ashman_d"] > 2, "differs"), labels),
        "sky": claim(
            rich, f"The α-rich share of APOGEE's labels rises from {100 * rich[0]:.0f} % in the plane to "
            f"{100 * rich[-1]:.0f} % near the pole; between 10° and 20° of latitude it is {100 * inner:.1f} % "
            f"towards the centre and {100 * outer:.1f} % away from it ({(inner - outer) / sides:.1f} errors).",
            "reproduced" if all(np.diff(rich) > 0) and towards_bulge else "inconclusive",
            "APOGEE's labels of the overlap, not The Cannon's"),
    }  # fmt: skip
