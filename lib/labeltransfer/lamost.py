"""LAMOST low-resolution spectra and catalogues: the only room that knows their files (both formats)."""

from __future__ import annotations

import numpy as np

from .labels import frozen

COMMON_GRID = frozen(10.0 ** (3.5682 + 1e-4 * np.arange(235, 3861)))
"""(3626,) Å, vacuum, rest frame: LAMOST's own steps from 3905 to 9000 Å (section 4.1)."""
