"""Compute spectra of stars that differ from others in one element alone, one file each.

    SYNTH_HOME=FOLDER python synthesis/compute_derivatives.py OUT [lamost|other]

At every one of `NODES`, group by group: a spectrum as usual, and one for each change. Each group has the line lists
that it needs and no others, for what is wanted is the difference. What is there already is not computed again;
`pack_derivatives.py` makes the small file that ships with the package of the nodes that are there, be it one.
"""

import sys
from pathlib import Path

import numpy as np
from compute_grid import LISTS, SAMPLINGS, synthesize, workplace

NODES = ((4750.0, 2.5, 0.0), (4250.0, 1.5, -0.5), (4750.0, 2.5, -0.5), (4250.0, 1.5, 0.0), (5000.0, 3.0, -0.25))
"""Teff, log g, [M/H] of giants. The first decides; others say how well it speaks for them."""

GROUPS = {
    "atoms": ((*LISTS[:3], "mgh.list"), {"mg": 0.2, "ti": 0.2, "ca": 0.2, "si": 0.2, "vmic": 0.3}),
    "molecules": ((*LISTS[:3], "molecules_few.list"), {"c": 0.2, "n": 0.2}),
}
"""Line lists, and by how much each is changed [dex]; turbulence by km/s. TiO is in neither."""

STEP = 0.1
"""Å; too coarse for a spectrum in the blue, but not for the difference of two."""


def typical_alpha(m_h: float) -> float:
    """[α/M] in the middle of the overlap's stars of that metallicity."""
    return float(np.interp(m_h, [-1.0, -0.5, 0.0, 0.25], [0.22, 0.15, 0.03, 0.02]))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    sampling = SAMPLINGS[sys.argv[2] if len(sys.argv) > 2 else "lamost"]
    for number, (teff, logg, m_h) in enumerate(NODES):
        node = (teff, logg, m_h, typical_alpha(m_h), "g")
        for group, (lists, changes) in GROUPS.items():
            for name, change in {group: 0.0, **changes}.items():
                path = target / f"{number:02d}-{name}.npz"
                if not path.exists():
                    spectrum = synthesize(node, workplace("work-derivatives"), {name: change}, STEP, lists, sampling)
                    np.savez(path, change=np.array(change), **spectrum)
