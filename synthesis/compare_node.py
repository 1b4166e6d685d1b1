"""Compare a spectrum computed anew with the one in the grid that ships with the package.

    SYNTH_HOME=FOLDER python synthesis/compute_grid.py OUT --node 4750 2.5 -0.25 0.04 giant
    python synthesis/compare_node.py OUT/node.npz

prints the rms of the relative difference of the flux, and ends with 1 if it is more than 0.001. Packing the
grid into 60 principal components alone costs 0.0005 in the median and 0.0009 at worst.
"""

import sys
from pathlib import Path

import numpy as np

from labeltransfer.mock import SyntheticGrid

LARGEST_RMS = 1e-3
SAME_LABEL = 1e-3
"""Labels of a node are kept with three digits."""


def difference(path: Path) -> float:
    """Rms over wavelength of the log flux in `path` minus that of the same node as packed.

    Raises
    ------
    ValueError
        If the grid has no such node, or the wavelengths are others.
    """
    with np.load(path, allow_pickle=False) as anew:
        labels, kind, wavelength = anew["labels"], str(anew["kind"]), anew["wavelength"]
        log_flux = np.log(anew["flux"].astype(float))
    grid = SyntheticGrid.load(corrected=False)
    same = (np.abs(grid.labels - labels) < SAME_LABEL).all(axis=1) & (grid.is_dwarf == (kind == "d"))
    if not same.any():
        raise ValueError(f"{path}: the grid has no node ({kind}) at {labels.tolist()}; wanted one of its own")
    if wavelength.shape != grid.wavelength.shape or not np.allclose(wavelength, grid.wavelength, rtol=1e-7):
        raise ValueError(f"{path}: found {wavelength.size} wavelengths, wanted the {grid.wavelength.size} of the grid")
    node = np.flatnonzero(same)[0]
    packed = grid.mean + grid.scores[node] @ grid.components
    return float(np.sqrt(np.mean((log_flux - packed) ** 2)))


if __name__ == "__main__":
    rms = difference(Path(sys.argv[1]))
    sys.stdout.write(f"rms of the relative difference: {rms:.6f} (wanted: at most {LARGEST_RMS})\n")
    sys.exit(rms > LARGEST_RMS)
