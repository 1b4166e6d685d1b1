"""Pack the spectra of `compute_derivatives.py` into the small file that ships with the package.

    python synthesis/pack_derivatives.py FOLDER OUT lib/labeltransfer/mock/element_spectra.npz

FOLDER is that of `compute_derivatives.py`, OUT that of `compute_grid.py` (or one file of all its spectra).

Which element makes an absorption hardly changes from giant to giant; how much there is of it, the grid says. So the
change of log flux per dex of an element, computed at the first node, is taken as a share, pixel by pixel, of the whole
absorption there, -ln(flux / continuum); at all giants of the grid (labels, kind, flux and continuum of every spectrum)
that share of theirs is the element's spectrum. These go into principal components, their scores into the terms of
`mock.elements`. The file says what that misses, as a share of each element's rms: components and terms, over the
giants of the grid; and the whole at each computed node, of which all but the first were not used.
"""

import sys
from pathlib import Path

import numpy as np
from pack_grid import computed as computed_grid

from labeltransfer.files import write_arrays
from labeltransfer.mock.elements import ELEMENTS, TURBULENCE, terms

N_COMPONENTS = 16
LEAST = 0.01
"""Where the whole absorption is below this, the share is damped."""
HOTTEST, LARGEST_LOGG, LOWEST_M_H = 5300.0, 3.6, -1.6


def computed(folder: Path, number: int, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels of a node, and change of log flux per dex of an element there, if it is there."""
    group = "molecules" if name in ("c", "n") else "atoms"
    paths = [folder / f"{number:02d}-{part}.npz" for part in (group, name)]
    if not all(path.exists() for path in paths):
        return None
    with np.load(paths[0]) as usual, np.load(paths[1]) as other:
        change = np.log(other["flux"].astype(float)) - np.log(usual["flux"].astype(float))
        return usual["labels"], change / other["change"]


def pack(folder: Path, source: Path, target: Path) -> None:
    """Read what was computed and write the table."""
    grid = computed_grid(source)
    labels, wavelength = grid["labels"], grid["wavelength"]
    giants = (grid["kind"] == "g") & (labels[:, 0] < HOTTEST) & (labels[:, 1] < LARGEST_LOGG)
    giants &= labels[:, 2] > LOWEST_M_H
    places = labels[giants]
    absorption = np.log(grid["continuum"][giants].astype(float) / grid["flux"][giants])
    with np.load(folder / "00-molecules.npz") as usual:
        whole = np.log(usual["continuum"].astype(float) / usual["flux"])
    names = (*ELEMENTS, TURBULENCE)
    spectra, told = {}, []
    for name in names:
        first = computed(folder, 0, name)
        if first is None:
            raise SystemExit(f"{folder}: no spectrum of {name} at the first node")
        spectra[name] = first[1] * whole / (whole**2 + LEAST**2) * absorption
    sizes = {name: np.sqrt(np.mean(spectra[name] ** 2)) for name in names}
    everything = np.concatenate([spectra[name] / sizes[name] for name in names])
    components = np.linalg.svd(everything, full_matrices=False)[2][:N_COMPONENTS]
    basis, coefficients = terms(places), []
    for name in names:
        coefficients.append(np.linalg.lstsq(basis, spectra[name] @ components.T, rcond=None)[0])
        missed = spectra[name] - basis @ coefficients[-1] @ components
        line = (
            f"{name}: rms {sizes[name]:.4f}; components and terms miss {np.sqrt(np.mean(missed**2)) / sizes[name]:.2f}"
        )
        for number in range(10):
            again = computed(folder, number, name)
            if again is not None:
                wrong = again[1] - terms(again[0][None])[0] @ coefficients[-1] @ components
                line += f"; node {number}: {np.sqrt(np.mean(wrong**2) / np.mean(again[1] ** 2)):.2f}"
        told.append(line)
    arrays = {
        "wavelength": wavelength, "components": components.astype(np.float32),
        "coefficients": np.array(coefficients), "low": places[:, :3].min(axis=0), "high": places[:, :3].max(axis=0),
    }  # fmt: skip
    write_arrays(target, "ElementSpectra", arrays, missed=told)


if __name__ == "__main__":
    pack(*(Path(name) for name in sys.argv[1:]))
