"""Every claim of Ho et al. 2017 that can be tested: where it stands, its values, and how far ours may differ, and why.

Section and figure numbers are those of arXiv:1602.00303v3. A claim about the *method* can be tested on simulated data;
a claim about the *sky* (how many stars there are, what the surveys' files contain) needs LAMOST and APOGEE themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..labels import LABELS

FIRST, SECOND, THIRD = "01_data_preparation", "02_training", "03_cross_validation"
FOURTH, FIFTH = "04_application_to_dr2", "05_alpha_maps"
FIVE = ("teff", "logg", "fe_h", "alpha_m", "a_k")
PLAIN = {"teff": "Teff", "logg": "log g", "fe_h": "[Fe/H]", "alpha_m": "[α/M]", "a_k": "A_K"}


@dataclass(frozen=True)
class Check:
    """One number of a claim.

    Attributes
    ----------
    number : ours, as ``chapter:key``; empty if we have none
    paper : the paper's value, or the limit it sets
    form : how the paper's value is written
    compare : ``within`` (paper ± tolerance), ``at most``, ``at least``, ``between`` (low and high)
    tolerance : in the unit of the number
    than : number of ours that is the limit, instead of `paper`
    limit : what `than` is, in a word or two
    what, unit : for the table
    label : the label without which the number does not exist
    key : by which the prose quotes the paper's value
    """

    number: str
    paper: float | None = None
    form: str = "g"
    compare: str = "within"
    tolerance: float = 0.0
    than: str = ""
    limit: str = ""
    low: float = -math.inf
    high: float = math.inf
    what: str = ""
    unit: str = ""
    label: str = ""
    key: str = ""

    @property
    def paper_text(self) -> str:
        """The paper's value as it is written."""
        return (
            "" if self.paper is None else format(int(self.paper) if self.form.endswith("d") else self.paper, self.form)
        )

    def passes(self, value: float, limit: float | None = None) -> bool:
        """Whether our value agrees with the paper's; `limit` is the value of `than`."""
        wanted = self.paper if limit is None else limit
        if self.compare == "between":
            return self.low <= value <= self.high
        if wanted is None:
            raise ValueError(f"{self.number}: a check without a value to compare with")
        slack = self.tolerance * (1 + 1e-9) + 1e-12
        if self.compare == "within":
            return abs(value - wanted) <= slack
        if self.compare == "at most":
            return value <= wanted + slack
        if self.compare == "at least":
            return value >= wanted - slack
        raise ValueError(f"{self.number}: unknown comparison {self.compare!r}")


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    `data` is ``method`` or ``sky``; `why` justifies the tolerance; `labels` are needed beside those of the checks.
    """

    id: str
    chapter: str
    where: str
    statement: str
    data: str
    checks: tuple[Check, ...]
    why: str
    labels: tuple[str, ...] = ()


def _count(number: str, paper: float, tolerance: float, key: str) -> tuple[Check, ...]:
    return (Check(number, paper, ",d", tolerance=tolerance, key=key),)


def _per_label(
    prefix: str, key: str, values: dict[str, float], tolerance: dict[str, float], form: str = "g"
) -> tuple[Check, ...]:
    return tuple(
        Check(f"{prefix}_{name}", value, form, tolerance=tolerance[name], what=PLAIN[name], unit=LABELS[name].unit,
              label=name, key=f"{key}_{name}")
        for name, value in values.items()
    )  # fmt: skip


def _limit(number: str, compare: str, limit: float, what: str = "", **more: object) -> Check:
    return Check(number, limit, compare=compare, what=what, **more)  # type: ignore[arg-type]


def _share(values: dict[str, float], share: float) -> dict[str, float]:
    return {name: share * value for name, value in values.items()}


SCATTER = {"teff": 68.8, "logg": 0.143, "fe_h": 0.0863, "alpha_m": 0.0391, "a_k": 0.0478}
BIAS = {"teff": -3.44, "logg": -0.0035, "fe_h": -0.0029, "alpha_m": 0.0025, "a_k": 0.0062}
BOOTSTRAP = {"teff": 4.4, "logg": 0.012, "fe_h": 0.0060, "alpha_m": 0.0042}
TABLE_1 = {"teff": (36, 145), "logg": (0.06, 0.29), "fe_h": (0.040, 0.177), "alpha_m": (0.016, 0.075)}
ASPCAP = {"teff": 91.5, "logg": 0.11, "fe_h": 0.05, "alpha_m": 0.05}
EXACT = "A definition: any difference is an error."

CLAIMS: tuple[Claim, ...] = (
    Claim("overlap", FIRST, "§1, §3", "Stars observed by both surveys", "sky",
          _count(f"{FIRST}:n_overlap", 11057, 10, "paper_overlap"),
          "A count of the same files; a few stars may hang on the matching radius. In the simulated survey it is a "
          "parameter (n_overlap)."),
    Claim("cut-flags", FIRST, "§3", "Stars excised first: temperature, [α/M], ASPCAPFLAG", "sky",
          _count(f"{FIRST}:n_flagged", 677, 110, "paper_cut_flags"),
          "On the real label table our reading of the flags excises 572 to 575, about a hundred fewer; those "
          "presumably lack A_K."),
    Claim("grid", FIRST, "§2.1, §4.1", "Pixels of the common grid, 3905–9000 Å", "method",
          _count(f"{FIRST}:n_pixels", 3626, 0, "paper_grid"), EXACT),
    Claim("smoothing", FIRST, "§2.1", "Width L of the Gaussian weights", "method",
          (Check(f"{FIRST}:smoothing_width", 50, unit="Å", key="paper_smoothing"),), EXACT),
    Claim("lamost-biases", FIRST, "Fig. 1", "LAMOST's pipeline against APOGEE: Teff agrees, log g and [Fe/H] do not",
          "sky",
          (Check(f"{FIRST}:lamost_bias_teff", 0, tolerance=50, what="Teff offset", unit="K"),
           _limit(f"{FIRST}:lamost_slope_logg", "at most", -0.2, "log g slope, a dex"),
           _limit(f"{FIRST}:lamost_bias_fe_h", "at least", 0.0, "[Fe/H] offset", unit="dex")),
          "The paper draws it and gives no numbers. Half the scatter in temperature; for gravity half the slope that "
          "the real overlap shows; for [Fe/H] the sign. The simulated pipeline has these biases by assumption."),
    Claim("cut-clip", SECOND, "§3", "Stars excised by the 4σ clip", "sky",
          _count(f"{SECOND}:n_clipped", 428, 62, "paper_cut_clip"),
          "Three times the Poisson error: which stars disagree depends on noise. How many of the simulated labels "
          "are wrong is an assumption."),
    Claim("reference", SECOND, "§3", "Stars of the reference set", "sky",
          _count(f"{SECOND}:n_reference", 9952, 127, "paper_reference"), "Tolerances of the two cuts in quadrature."),
    Claim("label-vector", SECOND, "eq. 6", "Terms of the quadratic label vector of five labels", "method",
          (Check(f"{SECOND}:n_terms", 21, "d", key="paper_label_vector"),), EXACT, labels=FIVE),
    Claim("aspcap-errors", SECOND, "§4.1", "Typical errors of APOGEE DR12, which scale Fig. 5", "sky",
          tuple(replace(check, number="") for check in _per_label("", "paper_aspcap", ASPCAP, ASPCAP)),
          "None: the paper takes them from APOGEE (Holtzman et al. 2015)."),
    Claim("features", SECOND, "Fig. 5", "The gradients peak at Mg I, Na I D and Ca II", "method",
          (Check(f"{SECOND}:n_features", 8, "d", "at least", 1, than=f"{SECOND}:n_features_sought",
                 limit="all", what="lines"),),
          "Every line counts; one may be lost where the two arms are joined."),
    Claim("dibs", SECOND, "Fig. 5", "The A_K gradient peaks at diffuse interstellar bands", "sky",
          (Check(f"{SECOND}:n_dibs", 8, "d", tolerance=2, what="bands", label="a_k", key="paper_dibs"),),
          "Bands weaker than the model's scatter may be missed. The simulated spectra contain them by assumption."),
    Claim("speed-train", SECOND, "§5", "Training takes a few minutes", "method",
          (_limit(f"{SECOND}:train_seconds", "at most", 600, unit="s"),), "Ten minutes are a generous “few”."),
    Claim("cv-scatter", THIRD, "abstract, Fig. 6", "Scatter for S/N > 50: 70 K, 0.1, 0.1, 0.04 dex (unrounded: v1)",
          "sky",
          _per_label(f"{THIRD}:scatter", "paper_scatter", SCATTER, _share(SCATTER, 0.25)),
          "A quarter: the values are read off Fig. 6 of v1 and rounded in v3. In the simulated survey the errors of "
          "APOGEE's labels were chosen to give about this scatter."),
    Claim("cv-bias", THIRD, "Fig. 6", "Bias for S/N > 50 (values of v1)", "method",
          _per_label(f"{THIRD}:bias", "paper_bias", BIAS, _share(SCATTER, 0.15)),
          "0.15 of the scatter: a bias so small adds about one per cent to the error of a single star."),
    Claim("half-snr50", THIRD, "§4.1", "Half of the reference set has S/N > 50", "sky",
          (Check(f"{THIRD}:share_snr50", 0.5, tolerance=0.1, key="paper_half_snr50"),), "“Roughly half”: 0.4 to 0.6."),
    Claim("cannon-unbiased", THIRD, "Fig. 7", "Biases all but vanish, the scatter falls in all three labels", "method",
          (*(_limit(f"{THIRD}:scatter_ratio_{name}", "at most", 1.0, f"{PLAIN[name]} scatter over pipeline's",
                    label=name) for name in FIVE[:3]),
           *(Check(f"{THIRD}:residual_slope_{name}", 0.0, tolerance=0.1, what=f"{PLAIN[name]} slope", label=name)
             for name in FIVE[1:3])),
          "The scatter must fall. Slopes: a quarter of the slope of the pipeline's log g; errors of the reference "
          "labels alone give some hundredths. The simulated pipeline is as poor as the real one by assumption."),
    Claim("snr-scaling", THIRD, "Fig. 8", "Scatter below the pipeline's at every S/N, falling faster than 1/(S/N)",
          "method",
          (_limit(f"{THIRD}:share_bins_below_pipeline", "at least", 1.0, "share of bins below"),
           *(_limit(f"{THIRD}:snr_slope_{name}", "at least", 1.0, f"{PLAIN[name]} power", label=name)
             for name in FIVE[:4])),
          "As claimed: every bin, and a power above one. Chapter 7 says why the power is smaller here."),
    Claim("alpha-bimodal", THIRD, "Fig. 6", "Two [α/M] sequences come back although the model is a quadratic", "method",
          (_limit(f"{THIRD}:alpha_bimodal_cannon", "at least", 1.0, "two Gaussians better than one (1: yes)",
                  label="alpha_m"),
           _limit(f"{THIRD}:alpha_separation_cannon", "at least", 2.0, "Ashman's D", label="alpha_m")),
          "Two Gaussians are called separated from D = 2 on (Ashman et al. 1994)."),
    Claim("cool-turnoff", THIRD, "Figs. 6, 7", "Labels turn off below 4250 K", "sky",
          (Check(f"{THIRD}:cool_scatter_teff", compare="at least", than=f"{THIRD}:warm_scatter_teff",
                 limit="warm stars'", what="Teff scatter of cool stars", unit="K", label="teff"),),
          "A turn-off widens the residuals of the cool stars. The simulated APOGEE labels contain one by assumption."),
    Claim("error-factor", THIRD, "§4.1", "LAMOST's flux errors are too large by a factor", "sky",
          (Check(f"{THIRD}:error_factor", 3, tolerance=0.5, key="paper_error_factor"),),
          "The paper gives a whole number. In the simulated survey the factor is an assumption."),
    Claim("distance-cut", FOURTH, "§4.2", "A label distance below 2.5 chooses giants", "method",
          (Check(f"{FOURTH}:distance_cut", 2.5, what="cut", key="paper_distance_cut"),
           _limit(f"{FOURTH}:giant_purity", "at least", 0.95, "share with log g < 3.5", label="logg")),
          "The cut is a choice, so it must be the same; of the stars that it chooses, at most one in twenty may be "
          "no giant."),
    Claim("failures", FOURTH, "§4.2", "Not converged, or reduced χ² above 10: fewer than", "sky",
          (_limit(f"{FOURTH}:failure_percent", "at most", 0.1, unit="%", key="paper_failures"),),
          "As claimed. Among the simulated spectra there are no spoilt ones."),
    Claim("test-set", FOURTH, "§4.2", "Giants labelled that are not in the reference set", "sky",
          _count(f"{FOURTH}:n_test", 444228, 4442, "paper_test_set"),
          "One per cent: the distance cut is sharp. The simulated DR2 is smaller by choice (n_dr2)."),
    Claim("catalogue", FOURTH, "§4.2", "All labelled stars, and their share of DR2", "sky",
          (*_count(f"{FOURTH}:n_catalogue", 454180, 4542, "paper_catalogue"),
           Check(f"{FOURTH}:catalogue_share", 0.20, ".2f", tolerance=0.02, what="share")),
          "One per cent; the share is given as about a fifth. The simulated DR2 is smaller by choice (n_dr2), so "
          "that the stars in common are a larger part of it."),
    Claim("window", FOURTH, "Fig. 13", "Test stars with −0.1 < [Fe/H] < 0.0", "sky",
          _count(f"{FOURTH}:n_window", 44000, 2000, "paper_window"),
          "“About”, rounded to thousands. The simulated DR2 is smaller by choice (n_dr2)."),
    Claim("bootstrap", FOURTH, "§4.2", "Error from the finite reference set, 20 bootstrap models", "method",
          _per_label(f"{FOURTH}:bootstrap", "paper_bootstrap", BOOTSTRAP, _share(BOOTSTRAP, 0.5)),
          "Half: twenty models give it to a sixth, and it depends on which stars it is averaged over, which the "
          "paper does not say. Chapter 7 says why it is larger here."),
    Claim("formal-errors", FOURTH, "Table 1", "Formal errors and reduced χ² of four stars", "sky",
          (*(Check(f"{FOURTH}:formal_error_{name}", compare="between", low=low, high=high, what=PLAIN[name],
                   unit=LABELS[name].unit, label=name) for name, (low, high) in TABLE_1.items()),
           Check(f"{FOURTH}:reduced_chi2_median", compare="between", low=0.57, high=0.88, what="reduced χ²")),
          "The median star should lie within the range of the four stars printed. Both follow from the errors that "
          "LAMOST reports; in the simulated survey the factor by which they are too large is an assumption (chapter "
          "7)."),
    Claim("speed-test", FOURTH, "§5", "The test step for 444,228 stars takes a few hours", "method",
          (_limit(f"{FOURTH}:test_stars_per_second", "at least", 31, "stars a second"),),
          "444,228 stars in four hours."),
    Claim("sequences", FIFTH, "Fig. 14", "An α-enhanced and a low-α sequence in ([Fe/H], [α/M])", "sky",
          (_limit(f"{FIFTH}:alpha_bimodal", "at least", 1.0, "two Gaussians better than one (1: yes)", label="alpha_m"),
           _limit(f"{FIFTH}:alpha_separation", "at least", 2.0, "Ashman's D", label="alpha_m")),
          "Two Gaussians are called separated from D = 2 on (Ashman et al. 1994)."),
    Claim("sky", FIFTH, "Fig. 15", "Low α in mid-plane and outer disk, α-rich at high latitude and in the bulge", "sky",
          (Check(f"{FIFTH}:alpha_rich_pole", compare="at least", than=f"{FIFTH}:alpha_rich_plane",
                 limit="plane's", what="α-rich share near the pole", label="alpha_m"),),
          "Only the direction is claimed. Outer disk and bulge are to be judged on the map; no number stands for "
          "them. The simulated sky was made so."),
)  # fmt: skip


def checks() -> Iterator[tuple[Claim, Check]]:
    """Every check with its claim."""
    for claim in CLAIMS:
        for check in claim.checks:
            yield claim, check
