"""How many LAMOST files a second are read and brought to the common grid.

    python benchmarks/read_spectra.py [FOLDER] [REPEATS]

reads 2,000 files (those below FOLDER again and again; without one, simulated spectra written for the purpose),
REPEATS times (default 5), and prints the median rate.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from labeltransfer import lamost, mock
from labeltransfer.archive.folder import spectrum_files
from labeltransfer.parallel import available_cores


def rate(paths, repeats):
    """Files a second: median over repeats, after one reading to warm up."""
    lamost.read_spectra(paths[:2], progress=False)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        reading = lamost.read_spectra(paths, progress=False)
        seconds.append(time.perf_counter() - began)
    print(f"{len(reading.spectra)} spectra, {len(reading.unreadable)} unreadable")
    return len(paths) / np.median(seconds)


def many(paths, folder, number):
    """Links under `number` different names, so that few files can stand for many."""
    links = []
    for n in range(number):
        source = paths[n % len(paths)].resolve()
        link = folder / f"{n:06d}-{source.name}"
        link.symlink_to(source)
        links.append(link)
    return links


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        source = sys.argv[1] if len(sys.argv) > 1 else Path(folder) / "simulated"
        if len(sys.argv) < 2:
            mock.write_survey(mock.SimulatedSurvey(n_overlap=60, n_dr2=60, n_apogee=200), source)
        repeated = many(spectrum_files(source), Path(folder), 2000)
        repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
        print(f"{rate(repeated, repeats):,.0f} files a second on {available_cores()} cores")
