"""The stars that two surveys have in common (Ho et al. 2017, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from .. import apogee
from ..catalogue import galactic
from ..labels import Labels, Rows
from ..lamost import Unreadable
from ..reference import cross_match
from ..spectra import Spectra

BLOCK_SIZE = 2000
"""Stars whose spectra are in memory at once while a survey is labelled (60 MB)."""

PIPELINE_LABELS = ("teff", "logg", "fe_h")
"""What LAMOST's own pipeline measures."""


@dataclass(frozen=True, repr=False, eq=False)
class Overlap:
    """N stars with LAMOST spectra and labels of another survey; every table in the same order.

    Attributes
    ----------
    spectra : rest frame, not normalized
    labels : labels to be transferred; NaN where unknown
    pipeline : labels of LAMOST's own pipeline, or None if the labels above are all there is
    stars : columns id, ra, dec, glon, glat [deg], snr (median of flux / uncertainty), snr_g, z
    flagged : (N,) True where the other survey calls its labels unreliable
    unreadable : files that should have given a spectrum and did not
    counts : what was found and what was dropped, in words
    truth : true labels if the survey is simulated
    notes : which file gave which labels from which column, and how many values are missing, a line each
    """

    spectra: Spectra
    labels: Labels
    pipeline: Labels | None
    stars: Table
    flagged: np.ndarray
    unreadable: list[Unreadable] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    truth: Labels | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in (self.labels, self.pipeline, self.truth):
            if what is not None and not np.array_equal(what.ids, self.spectra.ids):
                raise ValueError("Overlap: spectra and labels do not name the same stars in the same order")

    def __repr__(self) -> str:
        return f"Overlap({len(self)} stars; {', '.join(self.labels.names)}; {len(self.unreadable)} unreadable files)"

    def __len__(self) -> int:
        return len(self.spectra)


@dataclass(frozen=True, eq=False)
class Match:
    """Rows of a LAMOST catalogue and the rows of an allStar table that describe the same stars, and the counts."""

    rows: np.ndarray
    allstar: Table
    counts: dict[str, int]

    def __getitem__(self, keep: np.ndarray) -> Match:
        return Match(self.rows[keep], self.allstar[keep], self.counts)


def match_surveys(
    catalogue: Table, allstar: Table, radius: float = 3.0, label_names: Sequence[str] = PIPELINE_LABELS
) -> Match:
    """Find the stars in common on the sky; of several observations of a star, that of highest S/N is kept.

    Parameters
    ----------
    catalogue : as `lamost.read_catalogue` gives it
    allstar : as `apogee.read_allstar` gives it
    radius : arcsec
    label_names : of several rows of a star in `allstar`, one that has these labels is kept before one of higher S/N

    Raises
    ------
    ValueError
        If the surveys have no star in common.
    """
    stars, n_repeats = apogee.best_of_duplicates(allstar, label_names=label_names)
    rows, partners = cross_match(
        catalogue["ra"], catalogue["dec"], stars["ra"], stars["dec"], radius, snr1=catalogue["snrg"]
    )
    if not rows.size:
        raise ValueError(
            f"cross-match: none of {len(catalogue)} LAMOST and {len(stars)} APOGEE stars lie within {radius} arcsec "
            "of each other; check that both tables give right ascension and declination in degrees"
        )
    counts = {
        "rows in the allStar table": len(allstar),
        "of them repeats of a star, dropped": n_repeats,
        "spectra in the LAMOST catalogue": len(catalogue),
        f"stars in both (within {radius:g} arcsec)": rows.size,
    }
    return Match(rows, stars[partners], counts)


def star_table(catalogue: Table, snr: np.ndarray | None = None) -> Table:
    """Rows of a LAMOST catalogue as table of stars: id, ra, dec, glon, glat, snr (if given), snr_g, z."""
    stars = Table({"id": np.asarray(catalogue["id"])})
    for name in ("ra", "dec"):
        stars[name] = np.asarray(catalogue[name], dtype=float)
    stars["glon"], stars["glat"] = galactic(stars["ra"], stars["dec"])
    for name in ("ra", "dec", "glon", "glat"):
        stars[name].unit = "deg"
    if snr is not None:
        stars["snr"] = snr
    stars["snr_g"] = np.asarray(catalogue["snrg"], dtype=float)
    stars["z"] = np.asarray(catalogue["z"], dtype=float)
    return stars


def join_surveys(
    match: Match, catalogue: Table, spectra: Spectra, label_names: Sequence[str], truth: Labels | None = None
) -> Overlap:
    """Put together spectra of the matched stars with the labels of both surveys.

    Parameters
    ----------
    spectra : of the rows `match.rows` of the catalogue, in that order
    label_names : labels to be transferred
    """
    ours = catalogue[match.rows]
    return Overlap(
        spectra=spectra,
        labels=apogee.labels_of(match.allstar, label_names, ids=spectra.ids),
        pipeline=pipeline_labels(ours),
        stars=star_table(ours, spectra.signal_to_noise()),
        flagged=apogee.flagged(match.allstar),
        counts=match.counts,
        truth=truth,
        notes=(*_notes_on(match.allstar, label_names), *catalogue.meta.get("notes", ())),
    )


def _notes_on(allstar: Table, label_names: Sequence[str]) -> list[str]:
    """What was noted when the labels of these names were read."""
    notes = allstar.meta.get("notes", ())
    return [note for note in notes if note.split()[0].strip(":") in label_names]


def dr2_table(catalogue: Table) -> Table:
    """Every row of a LAMOST catalogue: as `star_table`, and obsid, labels of the pipeline and their errors."""
    stars = star_table(catalogue)
    stars["obsid"] = np.asarray(catalogue["obsid"], dtype=np.int64)
    for name in (*PIPELINE_LABELS, *(f"{name}_err" for name in PIPELINE_LABELS)):
        stars[name] = np.asarray(catalogue[name], dtype=float)
    return stars


def rows_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows at which the stars `wanted` stand in `ids`; all of them must be there."""
    place = {name: row for row, name in enumerate(np.asarray(ids).tolist())}
    return np.array([place[name] for name in np.asarray(wanted).tolist()], dtype=int)


def pipeline_labels(catalogue: Table) -> Labels:
    """Labels of LAMOST's own pipeline from rows of its catalogue."""
    values = np.column_stack([np.asarray(catalogue[name], dtype=float) for name in PIPELINE_LABELS])
    return Labels(np.asarray(catalogue["id"]), PIPELINE_LABELS, values)


def blocks_of_rows(rows: Rows | None, n_stars: int, block_size: int) -> Iterator[np.ndarray]:
    """Row numbers of a table of `n_stars` (None: all), block by block."""
    if block_size < 1:
        raise ValueError(f"block_size: found {block_size}, wanted at least 1")
    wanted = np.arange(n_stars) if rows is None else np.arange(n_stars)[rows]
    for start in range(0, wanted.size, block_size):
        yield wanted[start : start + block_size]


def with_masked_stars(spectra: Spectra, ids: np.ndarray) -> Spectra:
    """Spectra of the stars `ids`, in that order; one that is not in `spectra` has every pixel masked."""
    if np.array_equal(spectra.ids, ids):
        return spectra
    present = np.isin(ids, spectra.ids)
    rows = rows_of(spectra.ids, ids[present])
    flux = np.zeros((len(ids), spectra.wavelength.size), spectra.flux.dtype)
    ivar = np.zeros_like(flux)
    flux[present], ivar[present] = spectra.flux[rows], spectra.ivar[rows]
    return Spectra(ids, spectra.wavelength, flux, ivar, spectra.normalized)
