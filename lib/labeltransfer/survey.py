"""The test step over a whole survey, block by block: never more spectra in memory than one block (section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .archive.opening import BLOCK_SIZE, Survey
from .cannon import CannonModel
from .continuum import normalize
from .files.parts import Parts, digest_of_array
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
    client: Any = None,
    progress: bool = True,
) -> LabelFit:
    """As `infer_survey`, but every block is kept in a file; a run that was killed goes on where it stopped.

    See `parts.Parts`.

    Parameters
    ----------
    folder : for the parts, ``part-00000.npz`` …, and ``run.json``
    rows : of `survey.dr2_catalogue()`; None for all
    client : a `dask.distributed.Client` whose workers make the parts, a block on each; the folder, and that of the
        survey, must be at the same place for all of them. None: here, one block after the other on all cores

    Raises
    ------
    ValueError
        If the folder holds parts of another run.
    """
    n_stars = len(survey.dr2_catalogue())
    chosen = np.arange(n_stars) if rows is None else np.arange(n_stars)[rows]
    if not chosen.size:
        raise ValueError("infer_to_folder: found no rows, wanted at least one star")
    parts = Parts(folder, _facts(model, survey, starts, chosen, block_size, width, convention))
    pieces = [chosen[start : start + block_size] for start in range(0, chosen.size, block_size)]
    paths = [parts.path(number, ".npz") for number in range(len(pieces))]
    missing = [n for n, piece in enumerate(pieces) if _finished(paths[n], piece.size) is None]
    finished = chosen.size - sum(pieces[n].size for n in missing)
    jobs = [(pieces[n], paths[n]) for n in missing]
    bar = tqdm(total=chosen.size, initial=finished, desc="labelling", unit="star", disable=None if progress else True)
    with bar:
        for done in _carry_out(jobs, (model, survey, starts, width, convention), client):
            bar.update(done)
    return LabelFit.concatenate([LabelFit.read(path) for path in paths])


def _carry_out(jobs: Sequence[tuple[np.ndarray, Path]], shared: tuple, client: Any) -> Iterator[int]:
    """Make the missing parts, here or on the workers of a Dask client; yields the number of stars of each."""
    if client is None or not jobs:
        for rows, part in jobs:
            yield _make_part(shared, rows, part)
        return
    from distributed import as_completed

    shipped = client.scatter(shared, broadcast=True, hash=False)
    futures = [client.submit(_make_part, shipped, rows, part, pure=False, retries=2) for rows, part in jobs]
    for future in as_completed(futures):
        yield future.result()
        future.release()


def _make_part(shared: tuple, rows: np.ndarray, part: Path) -> int:
    model, survey, starts, width, convention = shared
    blocks = survey.dr2_blocks(rows, rows.size)
    infer_survey(model, blocks, starts, width=width, convention=convention, progress=False).write(part)
    return int(rows.size)


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
    return {
        "model": digest_of_array(
            np.concatenate([model.coefficients.ravel(), model.scatter, model.pivots, model.scales])
        ),
        "label_names": list(model.label_names),
        "starts": digest_of_array(np.asarray(starts, dtype=float)),
        "survey": survey.data_hash,
        "rows": digest_of_array(rows.astype(np.int64)),
        "block_size": block_size,
        "width": width,
        "convention": convention,
    }
