"""Every chapter runs to its end whichever labels are transferred, and says what cannot be tested without the others."""

import json

import matplotlib.pyplot as plt
import pytest

from labeltransfer.evidence.claims import claims
from labeltransfer.reproduction.book import Book, science_hash

SMALL = {"n_overlap": 400, "n_dr2": 500, "n_apogee": 1200, "n_starts": 3, "n_folds": 2, "n_bootstrap": 2}
OWN_SURVEY = ("A6_sensitivity",)
"""Chapters whose survey has a size of its own, which would take longer than all others."""


def run_chapters(book, given, folder, wanted=None, then=lambda *_: None):
    """Run the cells of chapters in this process, by default of those that know labels; the folder of the run.

    `then` is called after each chapter with the chapter and its variables.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELTRANSFER_BOOK", str(book.root))
        patch.setenv("LABELTRANSFER_RUNS", str(folder))
        patch.setenv("LABELTRANSFER_SCIENCE", science_hash())
        for chapter in book.chapters:
            values = book.parameters(chapter)
            if not (wanted(chapter) if wanted else "label_names" in values) or chapter.stem in OWN_SURVEY:
                continue
            names = {}
            for number, cell in enumerate(chapter.cells):
                exec(compile(cell.source, f"{chapter.stem}, code cell {number + 1}", "exec"), names)
                if "parameters" in cell.tags:
                    names |= {name: value for name, value in given.items() if name in values}
                for figure in map(plt.figure, plt.get_fignums()):
                    figure.canvas.draw()
                plt.close("all")
            then(chapter, names)
    return folder / "default"


@pytest.mark.slow
@pytest.mark.parametrize("labels", [["teff", "logg", "fe_h"], ["a_k"]], ids=["three", "one"])
def test_every_chapter_runs_with_fewer_labels(labels, tmp_path, capsys):
    made = run_chapters(Book(), {**SMALL, "label_names": labels}, tmp_path)
    assert "Not testable with this data: [α/M] is not a label of this run." in capsys.readouterr().out
    ledger = json.loads(next((made / "data").glob("claims-*.json")).read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in ledger["claims"]}
    for claim in claims():
        if not set(claim.needs) <= set(labels):
            assert verdicts[claim.id] == "not testable"
    assert verdicts["grid"] == "by definition"
    assert (verdicts["distance-cut"] == "consistent by design") == ("logg" in labels)
    for path in (made / "data").glob("numbers_*.json"):
        for key, number in json.loads(path.read_text())["numbers"].items():
            if key.endswith("_alpha_m") and not key.startswith("lamost"):
                assert number["text"] == "n/a", f"{path.name}: {key}"
