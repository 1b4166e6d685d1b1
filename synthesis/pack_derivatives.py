"""Pack the spectra of `compute_derivatives.py` into the small file that ships with the package.

    python synthesis/pack_derivatives.py FOLDER lib/labeltransfer/mock/element_spectra.npz

Log flux per dex (per km/s for turbulence) at every node, in principal components; the scores are fitted by the terms of
`mock.elements`, with a ridge where there are more terms than nodes. The file says, as a share of the rms of each
element's spectrum, what the components leave out, what the fit does, and what it misses at a node it has not seen.
"""

import sys
from pathlib import Path

import numpy as np

from labeltransfer.files import write_arrays
from labeltransfer.mock.elements import ELEMENTS, TURBULENCE, terms

N_COMPONENTS = 16
RIDGE = 0.02
PROVENANCE = "LTE spectra computed for this project as those of the synthetic grid, in steps of 0.1 A"


def fit(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(T, C) coefficients; of the terms beyond the constant no larger than need be."""
    basis = terms(labels)
    penalty = RIDGE * len(labels) * np.diag([0.0] + [1.0] * (basis.shape[1] - 1))
    return np.linalg.solve(basis.T @ basis + penalty, basis.T @ scores)


def pack(folder: Path, target: Path) -> None:
    """Read all finished nodes and write the table."""
    names = (*ELEMENTS, TURBULENCE)
    found: dict[str, list] = {name: [] for name in names}
    labels: dict[str, list] = {name: [] for name in names}
    for path in sorted(folder.glob("*-base.npz")):
        with np.load(path) as base:
            wavelength, log_flux, place = base["wavelength"], np.log(base["flux"].astype(float)), base["labels"]
        for name in names:
            changed = path.with_name(path.name.replace("base", name))
            if changed.exists():
                with np.load(changed) as other:
                    found[name].append((np.log(other["flux"].astype(float)) - log_flux) / other["change"])
                labels[name].append(place)
    everything = np.concatenate([np.array(found[name]) for name in names])
    sizes = np.repeat([np.std(found[name]) for name in names], [len(found[name]) for name in names])
    components = np.linalg.svd(everything / sizes[:, None], full_matrices=False)[2][:N_COMPONENTS]
    coefficients: list[np.ndarray] = []
    told: list[str] = []
    for name in names:
        places, scores = np.array(labels[name]), np.array(found[name]) @ components.T
        coefficients.append(fit(places, scores))
        missed = scores - terms(places) @ coefficients[-1]
        unseen = [
            scores[n] - terms(places[[n]])[0] @ fit(np.delete(places, n, 0), np.delete(scores, n, 0))
            for n in range(len(places))
        ] if len(places) > 1 else [scores[0]]  # fmt: skip
        size = np.sqrt(np.mean(np.square(found[name])))
        rest = np.array(found[name]) - scores @ components
        shares = [np.sqrt(np.mean(np.square(part))) / size for part in (rest, missed @ components, unseen @ components)]
        told.append(f"{name}: {len(places)} nodes, rms {size:.4f}; missed: {np.round(shares, 3).tolist()}")
    places = np.concatenate([labels[name] for name in names])[:, :3]
    arrays = {
        "wavelength": wavelength, "components": components.astype(np.float32), "coefficients": np.array(coefficients),
        "low": places.min(axis=0), "high": places.max(axis=0),
    }  # fmt: skip
    write_arrays(target, "ElementSpectra", arrays, provenance=PROVENANCE, missed=told)


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
