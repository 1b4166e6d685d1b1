"""Compute spectra of stars that differ from others in one element alone, one file each.

    SYNTH_HOME=FOLDER python synthesis/compute_derivatives.py OUT

At every one of `NODES`: the spectrum as in the grid, one for each element of `CHANGES`, and one with more turbulence.
What is there already is not computed again; every beginning of `NODES` can be used. `pack_derivatives.py` makes the
small file that ships with the package.
"""

import sys
from pathlib import Path

import numpy as np
from compute_grid import LISTS, synthesize, workplace

NODES = (
    (4750.0, 2.5, 0.0), (4250.0, 1.5, -0.5), (4750.0, 2.5, -0.5), (4250.0, 1.5, 0.0), (5000.0, 3.0, -0.25),
    (4500.0, 2.0, -1.0), (4750.0, 3.0, 0.25), (4250.0, 2.0, 0.25), (5000.0, 2.5, -0.75), (4000.0, 1.0, -0.25),
    (4500.0, 2.5, -0.25), (4500.0, 1.5, -0.5), (5000.0, 3.5, 0.0), (4750.0, 2.0, -1.5),
)  # fmt: skip
"""Teff, log g, [M/H] of giants: the density of the overlap decides where, and which come first."""

STEP, FEW_LISTS = 0.1, (*LISTS[:3], "molecules_few.list")
"""Å; too coarse for a spectrum in the blue, but not for the difference of two. Lists without TiO and SiH."""

WITH_TURBULENCE = 2
"""Nodes at which turbulence is changed, too."""

CHANGES = {"c": 0.2, "n": 0.2, "mg": 0.2, "si": 0.2, "ca": 0.2, "ti": 0.2, "vmic": 0.3}
"""By how much [dex]; turbulence by km/s."""


def typical_alpha(m_h: float) -> float:
    """[α/M] in the middle of the overlap's stars of that metallicity."""
    return float(np.interp(m_h, [-1.0, -0.5, 0.0, 0.25], [0.22, 0.15, 0.03, 0.02]))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for number, (teff, logg, m_h) in enumerate(NODES):
        for name, change in {"base": 0.0, **CHANGES}.items():
            path = target / f"{number:02d}-{name}.npz"
            if not path.exists() and (name != "vmic" or number < WITH_TURBULENCE):
                node = (teff, logg, m_h, typical_alpha(m_h), "g")
                changes = {name: change} if change else None
                spectrum = synthesize(node, workplace("work-derivatives"), changes, STEP, FEW_LISTS)
                np.savez(path, change=np.array(change), **spectrum)
