"""Noise, sky residuals and masks of one LAMOST spectrum, and the uncertainty its pipeline reports."""

from __future__ import annotations

import numpy as np

from ..parallel.compiled import compiled
from .lamost_instrument import COMMON, LOG_START, LOG_STEP, Instrument

# Measured on real spectra by `synthesis/measure_instrument.py`; a test compares them with the table that it wrote. They
# are constants, because the compiler takes them as such.

BLUR = np.array([0.0, 0.42, 0.8, 0.42, 0.0])
BLUR = BLUR / np.sqrt((BLUR**2).sum())
"""Pattern of the noise floor over pixels: neighbours correlate by 0.65, next neighbours by 0.2."""

NEIGHBOUR = 0.2
"""Correlation of neighbouring pixels' noise in LAMOST's own files; interpolation to rest adds to it."""

RESAMPLING = np.sqrt(2.0 / 3.0 + NEIGHBOUR / 3.0)
"""Linear interpolation to the common grid lowers noise by this factor on average, and nobody lowers the errors."""

STAR_SHARE = 0.72
"""Share of the reported variance that follows the star's own flux, from line to line; the rest is sky and detector."""

MEAN_RUNS, RUN_LENGTH, MOST_RUNS = 12.0, 9.0, 40
"""Masked pixels come in runs: Poisson number of them, geometric length."""

MASKED_BANDS = np.array([[5576.0, 5581.5, 0.33], [7590.0, 7680.0, 0.69], [5840.0, 5900.0, 0.08]])
"""From, to [Å] and chance to be masked: oxygen line of the sky, telluric oxygen, join of the arms."""

_MASKED_PIXELS = (np.log10(MASKED_BANDS[:, :2]) - LOG_START) / LOG_STEP

SKY_RESIDUAL = 0.8
"""Standard deviation of the residual at a sky line's centre, in units of the noise."""

SKY_PATCH = 24
"""Pixels over which sky residuals have one sign."""


@compiled(error_model="python")
def median(values: np.ndarray) -> float:
    """Of a few hundred; that of the compiler's library takes seconds to compile."""
    rising = np.empty(values.size)
    for i in range(values.size):
        j = i
        while j > 0 and rising[j - 1] > values[i]:
            rising[j] = rising[j - 1]
            j -= 1
        rising[j] = values[i]
    return (rising[(values.size - 1) // 2] + rising[values.size // 2]) / 2.0


@compiled(error_model="python")
def detect(
    start: int,
    seen: np.ndarray,
    snr: float,
    error_factor: float,
    floor_scale: float,
    instrument: Instrument,
    normals: np.ndarray,
    uniforms: np.ndarray,
    sky_normals: np.ndarray,
    flux: np.ndarray,
    ivar: np.ndarray,
    and_mask: np.ndarray,
    or_mask: np.ndarray,
) -> None:
    """Turn noise-free counts in `flux` (q,) into a detected spectrum; fill inverse variance and masks.

    The reported uncertainty is `error_factor` times the photon noise the star will show on the common grid; what
    `floor` adds is in no reported uncertainty.
    """
    n_pixels = flux.size
    shape = np.empty(n_pixels)
    for j in range(n_pixels):
        relative = flux[j] / instrument.typical[j + start]
        shape[j] = instrument.sn_shape[j + start] * relative / np.sqrt(1.0 - STAR_SHARE + STAR_SHARE * relative)
    low, high = max(COMMON[0] - start, 0), min(COMMON[1] - start, n_pixels)
    middle = median(shape[low:high:16])
    mixed = (np.sqrt(1.0 + 2.0 * NEIGHBOUR) + np.sqrt(1.0 - 2.0 * NEIGHBOUR)) / 2.0
    rest = (np.sqrt(1.0 + 2.0 * NEIGHBOUR) - np.sqrt(1.0 - 2.0 * NEIGHBOUR)) / 2.0
    for j in range(n_pixels):
        signal, i = flux[j], j + start
        reported = signal / (snr * shape[j] / middle)
        photon = reported / (error_factor * RESAMPLING) * (mixed * normals[0, j] + rest * normals[0, j + 1])
        residual = SKY_RESIDUAL * reported / error_factor * instrument.sky[i] * sky_normals[i // SKY_PATCH]
        pattern = 0.0
        for t in range(BLUR.size):
            pattern += BLUR[t] * normals[1, j + t]
        flux[j] = signal + photon + residual + floor_scale * instrument.floor[i] * signal * pattern
        ivar[j] = 1.0 / (reported * reported)
        and_mask[j] = 0
        or_mask[j] = 0
    _mask(start, seen, uniforms, ivar, and_mask, or_mask)


@compiled(error_model="python")
def _mask(
    start: int,
    seen: np.ndarray,
    uniforms: np.ndarray,
    ivar: np.ndarray,
    and_mask: np.ndarray,
    or_mask: np.ndarray,
) -> None:
    """Runs of lost pixels, lost bands, and pixels without starlight: AND mask 1, inverse variance 0."""
    n_pixels = ivar.size
    for j in range(n_pixels):
        if not seen[j]:
            ivar[j] = 0.0
            and_mask[j] = 1
    chance, n_runs = np.exp(-MEAN_RUNS), 0
    total = chance
    while uniforms[0] > total and n_runs < MOST_RUNS:
        n_runs += 1
        chance *= MEAN_RUNS / n_runs
        total += chance
    for run in range(n_runs):
        first = int(uniforms[1 + 2 * run] * n_pixels)
        length = 1 + int(-np.log(1.0 - uniforms[2 + 2 * run]) * RUN_LENGTH)
        for j in range(first, min(first + length, n_pixels)):
            ivar[j] = 0.0
            and_mask[j] = 1
    for b in range(len(MASKED_BANDS)):
        if uniforms[100 + b] < MASKED_BANDS[b, 2]:
            first, stop = int(_MASKED_PIXELS[b, 0]) - start, int(_MASKED_PIXELS[b, 1]) - start
            for j in range(max(first, 0), min(stop, n_pixels)):
                ivar[j] = 0.0
                and_mask[j] = 1
    for j in range(n_pixels):
        or_mask[j] = and_mask[j]
