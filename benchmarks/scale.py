"""How long a survey takes from store to catalogue, against the number of stars and of workers.

    python benchmarks/scale.py [--stars 1000,10000,45000] [--workers 1,2] [--stores DIR] [--out FILE]

simulates giants, keeps their spectra in stores (below DIR, to be used again; 22 GB for a million stars), labels them
with a model of five labels, each size in a process of its own, whose largest memory is noted, and works out from the
rates how long LAMOST DR10 and Gaia XP would take. The paper's catalogue is `--stars 454180` (10 GB).
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from labeltransfer.archive import open_survey
from labeltransfer.archive.ingest import ingest_survey
from labeltransfer.archive.store import SpectraStore
from labeltransfer.parallel import available_cores
from labeltransfer.survey import label_survey
from labeltransfer.transfer import LabelTransfer, learn

N_TRAINING = 3000
SURVEYS = {
    "LAMOST DR10": {"n_stars": 11_000_000, "n_pixels": 3626},
    "Gaia DR3 XP": {"n_stars": 220_000_000, "n_pixels": 343},
}
"""XP spectra sampled every 2 nm from 336 to 1020 nm; the time is taken to be that of their pixels."""


def simulated(n_stars, seed):
    """A survey of giants alone."""
    n_overlap = min(N_TRAINING, n_stars // 2)
    sizes = {"n_overlap": n_overlap, "n_dr2": n_stars - n_overlap, "n_apogee": max(n_overlap, 100)}
    return open_survey("simulated", seed=seed, giant_share=1.0, **sizes)


def made_store(folder, n_stars, seed):
    """A store of so many stars, and the seconds it took to simulate and write (None if it was there)."""
    try:
        return SpectraStore.open(folder), None
    except (FileNotFoundError, ValueError):
        began = time.perf_counter()
        store = ingest_survey(simulated(n_stars, seed), folder)
        return store, time.perf_counter() - began


def labelled(model, store, folder, scheduler, n_workers, queue):
    """Label a store; the seconds, and the largest memory of this process or of one of its workers."""
    transfer, store = LabelTransfer.read(model), SpectraStore.open(store)
    began = time.perf_counter()
    done = label_survey(transfer, store, Path(folder) / "labels.parquet", scheduler=scheduler, n_workers=n_workers)
    seconds = time.perf_counter() - began
    queue.put({"seconds": seconds, "memory_gb": largest_memory(), "n_failed": done.n_failed})


def largest_memory():
    """GB this process, or one of its workers, ever held; the system's count of the process begins with its parent's."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():
        own = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return max(largest, int(own.split()[1])) / 1e6
    return max(largest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1e6


def measure(model, store, scheduler="threads", n_workers=None):
    """One row of the table, measured in a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        arguments = (model, store.folder, folder, scheduler, n_workers, queue)
        process = context.Process(target=labelled, args=arguments)
        process.start()
        found = queue.get(timeout=36_000)
        process.join()
    row = {"n_stars": len(store), "scheduler": scheduler, "workers": n_workers or 1, **found}
    return {**row, "stars_per_s": len(store) / found["seconds"]}


def worked_out(rate):
    """Hours for larger surveys at a rate of stars with 3,626 pixels a second: if all of it were work on pixels, and if
    none were (the search for the minimum and the catalogue cost the same however many pixels there are)."""
    found = {}
    for name, survey in SURVEYS.items():
        hours = survey["n_stars"] / rate / 3600
        found[name] = {**survey, "hours_at_least": hours * min(survey["n_pixels"] / 3626, 1), "hours_at_most": hours}
    return found


def report(found):
    """The same as a table."""
    lines = [f"{'stars':>9}  {'scheduler':10}{'workers':>8}{'seconds':>10}{'stars/s':>10}{'memory [GB]':>13}"]
    lines += [
        f"{row['n_stars']:9,}  {row['scheduler']:10}{row['workers']:8}{row['seconds']:10.1f}{row['stars_per_s']:10,.0f}"
        f"{row['memory_gb']:13.2f}"
        for row in found["rows"]
    ]
    lines += [
        f"{name}: {one['hours_at_least']:.1f} to {one['hours_at_most']:.1f} h at the last rate of threads"
        for name, one in found["worked_out"].items()
    ]
    return "\n".join(lines)


def numbers(text):
    """Whole numbers, separated by commas."""
    return [int(word) for word in text.split(",") if word]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=numbers, default=[1000, 10_000, 45_000], metavar="N,N")
    parser.add_argument(
        "--workers", type=numbers, default=[1, 2], metavar="N,N", help="processes, for the last but one"
    )
    parser.add_argument("--stores", type=Path, help="keep the stores here; default: a temporary folder")
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "_build" / "scale.json")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        stores, model = given.stores or Path(folder), Path(folder) / "model.npz"
        learn(simulated(2 * N_TRAINING, given.seed), rng=np.random.default_rng(given.seed), recipe="paper").write(model)
        made = {n: made_store(stores / str(n), n, given.seed) for n in sorted(given.stars)}
        rows = [measure(model, store) for store, _ in made.values()]
        middle = sorted(given.stars)[max(len(given.stars) - 2, 0)]
        rows += [measure(model, made[middle][0], "processes", n) for n in given.workers]
    found = {
        "cores": available_cores(),
        "rows": rows,
        "making": [{"n_stars": n, "seconds": seconds} for n, (_, seconds) in made.items()],
        "worked_out": worked_out([row for row in rows if row["scheduler"] == "threads"][-1]["stars_per_s"]),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1))
    print(report(found))
    return found


if __name__ == "__main__":
    main()
