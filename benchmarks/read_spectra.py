"""How many LAMOST files a second are read and brought to the common grid.

    python benchmarks/read_spectra.py FOLDER [REPEATS]

reads every spectrum below FOLDER, REPEATS times (default 5), and prints the median rate.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from labeltransfer import lamost
from labeltransfer.folder import spectrum_files


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
    files = spectrum_files(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        repeated = many(files, Path(folder), 2000)
        repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
        print(f"{rate(repeated, repeats):,.0f} files a second on {lamost.available_cores()} cores")
