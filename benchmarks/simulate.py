"""How long the simulator takes for spectra in memory.

    python benchmarks/simulate.py [NUMBER] [REPEATS]

makes NUMBER spectra (default 10,000), REPEATS times (default 3), and prints the median.
"""

import sys
import time

import numpy as np

from labeltransfer.mock import SimulatedSurvey
from labeltransfer.parallel import available_cores

if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    survey = SimulatedSurvey(n_overlap=number, n_dr2=0, n_apogee=number)
    survey.spectra(slice(64))
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        survey.spectra()
        seconds.append(time.perf_counter() - began)
    print(f"{number:,} spectra in {np.median(seconds):.1f} s on {available_cores()} cores")
