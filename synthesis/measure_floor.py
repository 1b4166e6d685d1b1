"""Which share of the measured noise floor simulated stars need: the same estimator on them and on real giants.

    python synthesis/measure_floor.py FOLDER

The floor of `measure_instrument.py` is what principal components of other stars miss, whatever the S/N. A part of that
is stars, not noise. So giants like those of the folder (labels, S/N, redshifts) are simulated with several values of
`floor_scale`, and what the estimator finds in them is printed beside what it finds in the real ones [%, by band].
"""

import sys
from pathlib import Path

import numpy as np
from measure_corrections import on_apogee_scale
from measure_instrument import N_PIXELS, floor, read_stars, residuals

from labeltransfer import lamost
from labeltransfer.continuum import normalize
from labeltransfer.mock import SyntheticGrid, observing
from labeltransfer.mock.elements import draw_elements
from labeltransfer.spectra import SPEED_OF_LIGHT, Spectra
from labeltransfer.tables import read_table

BANDS = [(4000, 4300), (4300, 4800), (4800, 5500), (5500, 5800), (6000, 6800), (7000, 7150), (7400, 7550), (8380, 8900)]
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)
ERROR_FACTOR = 1.73


def by_band(found: np.ndarray) -> str:
    """Medians of a floor [%]."""
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(N_PIXELS))
    return " ".join(f"{100 * np.median(found[(wavelength > a) & (wavelength < b)]):5.2f}" for a, b in BANDS)


def common(raws: list[lamost.RawSpectrum], redshifts: np.ndarray) -> Spectra:
    """Normalized spectra in the rest frame."""
    pairs = [lamost.to_rest_frame(raw, redshift=float(z)) for raw, z in zip(raws, redshifts, strict=True)]
    flux, ivar = (np.array(part) for part in zip(*pairs, strict=True))
    return normalize(Spectra(np.arange(len(raws)).astype(str), lamost.COMMON_GRID, flux, ivar))


def measure(folder: Path) -> list[str]:
    """One line for the real giants, one for each scale."""
    stars = read_stars(folder)
    redshifts = np.array([star.redshift for star in stars])
    rows = read_table(folder / "labels.csv")
    labels = np.array([[float(row[name]) for name in ("teff", "logg", "fe_h")] for row in rows])
    truth = np.column_stack([SyntheticGrid.load().inside(on_apogee_scale(labels)), np.full(len(rows), 0.08)])
    real = common([star.raw for star in stars], redshifts)
    lines = [f"real      {by_band(floor(residuals(real), real, redshifts))}"]
    elements = draw_elements(np.random.default_rng(1), len(truth))
    for scale in SCALES:
        n_pixels, *arrays = observing.observe(
            1, np.arange(len(truth)), truth, redshifts * SPEED_OF_LIGHT, real.signal_to_noise(), ERROR_FACTOR, scale,
            elements,
        )  # fmt: skip
        raws = [
            lamost.RawSpectrum(*(array[n, :q].astype(float) for array in arrays), header={})
            for n, q in enumerate(n_pixels)
        ]
        made = common(raws, redshifts)
        lines.append(f"scale {scale:4.2f}{by_band(floor(residuals(made), made, redshifts))}")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(measure(Path(sys.argv[1]))) + "\n")
