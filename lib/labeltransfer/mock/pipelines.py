"""The labels that APOGEE's and LAMOST's own pipelines would report for simulated stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ..apogee import ASPCAP_BITS
from .assumed import Assumed

COUNTED = "counted on the real overlap"

COUNTED_ROWS: Annotated[int, Assumed("rows of the real overlap", "rows", COUNTED)] = 11061
FLAG_COUNTS: Annotated[dict[int, int], Assumed("rows with a value of ASPCAPFLAG", "rows", COUNTED)] = {
    8: 319, 384: 176, 392: 136, 2176: 80, 64: 51, 1152: 16, 640: 14, 2240: 8, 1408: 6, 1216: 5, 3200: 4, 142609536: 2,
    2688: 2, 3264: 2, 142608512: 1, 32: 1, 72: 1, 496: 1, 448: 1, 129: 1, 2184: 1, 130: 1,
}  # fmt: skip
NO_RESULT_COUNT: Annotated[int, Assumed("rows with bit 31, no result", "rows", COUNTED)] = 98
MISSING_COUNT: Annotated[int, Assumed("rows without labels", "rows", COUNTED)] = 103
NO_A_K_COUNT: Annotated[
    int, Assumed("rows without A_K", "rows", "our choice: makes the paper's 677 excised stars complete")
] = 102

SCATTER_OF_PAPER = "our choice: cross-validation then scatters about as much as the paper's"
FORMAL = "medians of ASPCAP's own covariances (FPARAM_COV) of 68 rows of the real table"
MEASURED_BIAS = "fitted to 485 luminous giants of the real overlap (table above)"
COOL = "section 4.1: ASPCAP is less reliable for cool stars; sizes are our choice"


@dataclass(frozen=True)
class ApogeeAccuracy:
    """How APOGEE's labels differ from the truth.

    Attributes
    ----------
    noise : standard deviations of Teff [K], log g, [M/H], [α/M] [dex], A_K [mag]
    correlation : of the noise of Teff with log g, [M/H], [α/M]; of log g with [M/H], [α/M]; of [M/H] with [α/M]
    quoted : errors that the table reports, over those the labels have
    cool_teff, cool_noise, cool_slope : below this Teff [K] noise grows by `cool_noise` per 250 K, and the label lies
        above the truth by `cool_slope` K per K: ASPCAP is less reliable there (section 4.1)
    wrong_share, wrong_size : share of stars whose labels are simply wrong, and by how much at least, up or down
    wrong_spread : how much more than that it typically is, as a share of it
    """

    noise: Annotated[
        tuple[float, ...],
        Assumed(
            "sd of Teff, log g, [M/H], [α/M], A_K", "K, dex, mag",
            "our choice: cross-validation then scatters about as much as the paper's. [α/M] is that of the real table: "
            "with 0.02 it scattered by 0.050 dex (paper: 0.039), which the spectra make. [M/H] has 0.028 in the real "
            "table; the paper quotes 91.5 K, 0.11, 0.05, 0.05"),
    ] = (33.0, 0.05, 0.036, 0.012, 0.02)  # fmt: skip
    correlation: Annotated[
        tuple[float, ...], Assumed("of the noise of Teff, log g, [M/H], [α/M], pair by pair", "", FORMAL)
    ] = (0.55, 0.68, -0.06, 0.30, -0.22, -0.25)
    quoted: Annotated[
        float, Assumed("errors that APOGEE's table reports over true ones", "", "our choice: it says what is so")
    ] = 1.0
    cool_teff: Annotated[float, Assumed("below it labels are worse", "K", COOL)] = 4250.0
    cool_noise: Annotated[float, Assumed("growth of the noise per 250 K below", "", COOL)] = 0.6
    cool_slope: Annotated[float, Assumed("label above truth per K below", "K/K", COOL)] = 0.35
    wrong_share: Annotated[float, Assumed("share of stars with wrong labels", "", SCATTER_OF_PAPER)] = 0.02
    wrong_size: Annotated[tuple[float, ...], Assumed("how wrong at least", "K, dex, mag", SCATTER_OF_PAPER)] = (
        265.0, 0.65, 0.42, 0.17, 0.17,
    )  # fmt: skip
    wrong_spread: Annotated[float, Assumed("how much more, as a share", "", "our choice")] = 0.3


@dataclass(frozen=True)
class LamostAccuracy:
    """How the labels of LAMOST's pipeline differ from the truth, for giants (after Fig. 1 and the real overlap).

    Attributes
    ----------
    offset : mean at `pivot`, of Teff [K], log g, [Fe/H] [dex]
    slope : change of each offset per unit of the same label: log g is squeezed towards the red clump
    noise, photon_noise : standard deviation = root of noise² + (photon_noise · 50 / S/N)²
    wrong_share, wrong_noise : giants that the pipeline gets wrong
    wrong_dwarfs : share of dwarfs that it gets wrong
    """

    offset: Annotated[tuple[float, float, float], Assumed("mean offset at the pivot", "K, dex", MEASURED_BIAS)] = (
        -11.9, 0.137, 0.064,
    )  # fmt: skip
    pivot: Annotated[tuple[float, float, float], Assumed("Teff, log g, [Fe/H]", "K, dex", "our choice")] = (
        4600.0, 2.05, -0.3,
    )  # fmt: skip
    slope: Annotated[
        tuple[float, float, float], Assumed("change of the offset with the label", "K/K, dex/dex", MEASURED_BIAS)
    ] = (-0.05, -0.395, -0.04)
    noise: Annotated[tuple[float, float, float], Assumed("sd at high S/N", "K, dex", MEASURED_BIAS)] = (
        38.0, 0.172, 0.054,
    )  # fmt: skip
    photon_noise: Annotated[
        tuple[float, float, float], Assumed("sd at S/N 50, falling as 1 / (S/N)", "K, dex", MEASURED_BIAS)
    ] = (34.0, 0.10, 0.05)
    wrong_share: Annotated[float, Assumed("share of giants with wrong labels", "", MEASURED_BIAS)] = 0.055
    wrong_noise: Annotated[tuple[float, float, float], Assumed("sd of these", "K, dex", MEASURED_BIAS)] = (
        30.0, 1.5, 0.28,
    )  # fmt: skip
    wrong_dwarfs: Annotated[
        float, Assumed("share of dwarfs with wrong labels", "", "our choice: the pipeline was made for dwarfs")
    ] = 0.01


def noise_covariance(accuracy: ApogeeAccuracy) -> np.ndarray:
    """(5, 5) covariance of the noise of APOGEE's labels, warm stars."""
    together = np.eye(5)
    together[np.triu_indices(4, 1)] = accuracy.correlation
    together = np.triu(together) + np.triu(together, 1).T
    return together * np.multiply.outer(accuracy.noise, accuracy.noise)


def apogee_labels(
    rng: np.random.Generator, drawn: np.ndarray, a_k: np.ndarray, accuracy: ApogeeAccuracy
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 5) labels as ASPCAP reports them, and (N, 5) standard deviations of their noise."""
    truth = np.column_stack([drawn, a_k])
    cool = np.clip((accuracy.cool_teff - truth[:, 0]) / 250.0, 0.0, 3.0)
    growth = (1.0 + accuracy.cool_noise * cool)[:, None]
    values, vectors = np.linalg.eigh(noise_covariance(accuracy))
    noise = rng.standard_normal(truth.shape) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    labels = truth + growth * noise
    labels[:, 0] += accuracy.cool_slope * 250.0 * cool
    wrong = rng.random(len(truth)) < accuracy.wrong_share
    size = rng.standard_normal((np.count_nonzero(wrong), 5))
    labels[wrong] += np.array(accuracy.wrong_size) * np.sign(size) * (1.0 + accuracy.wrong_spread * np.abs(size))
    # ASPCAP's grid ends at [α/M] = -0.1 and log g = 0: reflected there. A_K from colours may be below zero.
    for column, edge in ((1, 0.0), (3, -0.1)):
        labels[:, column] = edge + np.abs(labels[:, column] - edge)
    return labels, growth * np.array(accuracy.noise)


def apogee_flags(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) ASPCAPFLAG, and which rows have no labels, and which no A_K, in the proportions of the real overlap."""
    order = rng.permutation(number) * (COUNTED_ROWS / max(number, 1))
    counts = {1 << ASPCAP_BITS["NO_ASPCAP_RESULT"]: NO_RESULT_COUNT, 0: MISSING_COUNT - NO_RESULT_COUNT + NO_A_K_COUNT}
    counts |= FLAG_COUNTS
    kinds = np.searchsorted(np.cumsum(list(counts.values())), order, side="right")
    flags = np.array([*counts, 0], dtype=np.int64)[kinds]
    missing = order < MISSING_COUNT
    return flags, missing, (order < MISSING_COUNT + NO_A_K_COUNT) & ~missing


def lamost_labels(
    rng: np.random.Generator, truth: np.ndarray, giant: np.ndarray, snr: np.ndarray, accuracy: LamostAccuracy
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) Teff, log g, [Fe/H] of LAMOST's pipeline, and the errors it reports."""
    labels = truth[:, :3].copy()
    bias = np.array(accuracy.offset) + np.array(accuracy.slope) * (labels - np.array(accuracy.pivot))
    noise = np.hypot(np.array(accuracy.noise), np.array(accuracy.photon_noise) * (50.0 / snr)[:, None])
    labels = labels + np.where(giant[:, None], bias, 0.0) + noise * rng.standard_normal(labels.shape)
    wrong = rng.random(len(labels)) < np.where(giant, accuracy.wrong_share, accuracy.wrong_dwarfs)
    labels[wrong] += np.array(accuracy.wrong_noise) * rng.standard_normal((np.count_nonzero(wrong), 3))
    return labels, noise
