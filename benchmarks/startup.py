"""How quickly the command and the library start, as ratios to what any Python program pays.

    python benchmarks/startup.py [REPEATS]

starts each REPEATS times (default 9), takes the quickest, and fails if a ratio is above its bound.
"""

import subprocess
import sys
import time

BOUNDS = (
    ("labeltransfer --help", ("-m", "labeltransfer", "--help"), ("-c", "import argparse"), 6.0),
    ("import labeltransfer", ("-c", "import labeltransfer"), ("-c", "import numpy"), 1.5),
)


def quickest(arguments: tuple[str, ...], repeats: int) -> float:
    """Wall-clock time [s] of a Python process."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    slow = False
    for name, ours, theirs, bound in BOUNDS:
        own, other = quickest(ours, repeats), quickest(theirs, repeats)
        print(f"{name}: {1e3 * own:.0f} ms, {own / other:.2f} times `{theirs[1]}` ({1e3 * other:.0f} ms); "
              f"wanted at most {bound:g} times")  # fmt: skip
        slow |= own / other > bound
    sys.exit(slow)
