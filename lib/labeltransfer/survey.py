"""The test step over a whole survey, block by block: never more spectra in memory than one block (section 4.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .archive import BLOCK_SIZE, Survey
from .cannon import CannonModel
from .continuum import normalize
from .files import written_whole
from .inference import LabelFit, infer
from .labels import Rows
from .spectra import Spectra


def infer_survey(
    model: CannonModel,
    blocks: Iterable[Spectra],
    starts: np.ndarray,
    *,
    width: float = 50.0,
    convention: str = "paper",
    total: int | None = None,
    progress: bool = True,
    **options: Any,
) -> LabelFit:
    """Normalize and label the stars of all blocks.

    Parameters
    ----------
    blocks : spectra on the model's pixels, normalized or not yet
    starts : (S, L) starting points in physical units
    width, convention : of the normalization, the same as in training
    total : number of stars, for the time that is left
    progress : show a bar with stars per second, if there is a terminal
    options : further options of `inference.infer`

    Raises
    ------
    ValueError
        If there is no block.
    """
    fits = []
    with tqdm(total=total, desc="labelling", unit="star", disable=None if progress else True) as bar:
        for block in blocks:
            fits.append(infer(model, normalized(block, width, convention), starts, **options))
            bar.update(len(block))
    if not fits:
        raise ValueError("infer_survey: found no spectra, wanted at least one block; no star was selected")
    return LabelFit.concatenate(fits)


def normalized(spectra: Spectra, width: float, convention: str) -> Spectra:
    """The spectra divided by their broad average, unless they are already."""
    return spectra if spectra.normalized else normalize(spectra, width, convention)


def infer_to_folder(
    model: CannonModel,
    survey: Survey,
    starts: np.ndarray,
    folder: str | Path,
    *,
    rows: Rows | None = None,
    block_size: int = BLOCK_SIZE,
    width: float = 50.0,
    convention: str = "paper",
    progress: bool = True,
) -> LabelFit:
    """As `infer_survey`, but every block is kept in a file; a run that was killed goes on where it stopped.

    The files appear whole or not at all. What they belong to (model, starting points, survey, rows, options) is written
    beside them, and a folder that belongs to something else is refused. Two runs into one folder write the same bytes.

    Parameters
    ----------
    folder : for the parts, ``part-00000.npz`` …, and ``run.json``
    rows : of `survey.dr2_catalogue()`; None for all

    Raises
    ------
    ValueError
        If the folder holds parts of another run.
    """
    folder = Path(folder)
    n_stars = len(survey.dr2_catalogue())
    chosen = np.arange(n_stars) if rows is None else np.arange(n_stars)[rows]
    if not chosen.size:
        raise ValueError("infer_to_folder: found no rows, wanted at least one star")
    claim_folder(folder, _facts(model, survey, starts, chosen, block_size, width, convention))
    pieces = [chosen[start : start + block_size] for start in range(0, chosen.size, block_size)]
    fits = []
    with tqdm(total=chosen.size, desc="labelling", unit="star", disable=None if progress else True) as bar:
        for number, piece in enumerate(pieces):
            part = folder / f"part-{number:05d}.npz"
            fit = _finished(part, piece.size)
            if fit is None:
                blocks = survey.dr2_blocks(piece, block_size)
                fit = infer_survey(model, blocks, starts, width=width, convention=convention, progress=False)
                fit.write(part)
            fits.append(fit)
            bar.update(piece.size)
    return LabelFit.concatenate(fits)


def _finished(part: Path, n_stars: int) -> LabelFit | None:
    """A part of an earlier run; None if it is not there, or damaged, and has to be made."""
    try:
        fit = LabelFit.read(part)
    except (FileNotFoundError, ValueError):
        return None
    return fit if len(fit) == n_stars else None


def _facts(
    model: CannonModel,
    survey: Survey,
    starts: np.ndarray,
    rows: np.ndarray,
    block_size: int,
    width: float,
    convention: str,
) -> dict[str, Any]:
    def digest(array: np.ndarray) -> str:
        return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

    return {
        "model": digest(np.concatenate([model.coefficients.ravel(), model.scatter, model.pivots, model.scales])),
        "label_names": list(model.label_names),
        "starts": digest(np.asarray(starts, dtype=float)),
        "survey": survey.data_hash,
        "rows": digest(rows.astype(np.int64)),
        "block_size": block_size,
        "width": width,
        "convention": convention,
    }


def claim_folder(folder: Path, facts: dict[str, Any]) -> None:
    """Say in ``run.json`` what the parts in a folder belong to, or make sure that they belong to the same.

    Raises
    ------
    ValueError
        If they belong to something else, naming what differs.
    """
    note = folder / "run.json"
    if not note.exists():
        with written_whole(note) as temporary:
            temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{note}: damaged ({error}); remove the folder or give another") from error
    different = _differences(found, facts)
    if different:
        raise ValueError(
            f"{folder}: holds parts of another run (different: {', '.join(different)}); "
            "remove the folder or give another"
        )


def _differences(found: Any, wanted: dict[str, Any]) -> Sequence[str]:
    if not isinstance(found, dict):
        return ["everything"]
    return [key for key in wanted if found.get(key) != wanted[key]]
