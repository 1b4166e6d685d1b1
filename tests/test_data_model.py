"""The page on the data model says what catalogues hold."""

import json
import re

from labeltransfer import catalogue
from labeltransfer.reproduction.book import project_root
from labeltransfer.reproduction.tables import DataModel, example_catalogue


def test_every_column_has_a_row_with_unit_and_meaning():
    model, table = DataModel(), example_catalogue()
    html = model._repr_html_()
    assert [row[0] for row in model.rows] == table.colnames
    for name in table.colnames:
        assert f"<code>{name}</code>" in html
        assert table[name].description in repr(model) or name == "id"
        assert table[name].meta["ucd"]
    assert {"converged", "outside", "edge", "cool", "reference", "cov_teff_a_k"} <= set(table.colnames)


def test_other_labels_have_theirs():
    names = [row[0] for row in DataModel(("teff", "logg")).rows]
    assert "cov_teff_logg" in names
    assert "a_k" not in names


def listed(section):
    """What the page lists under a heading: names and what they mean."""
    page = (project_root() / "book" / "A7_data_model.md").read_text(encoding="utf-8")
    text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^`(\w+)`\n: (.+)$", text, re.MULTILINE))


def test_header_and_manifest_are_those_that_are_written(tmp_path):
    table, header = example_catalogue(), listed("Where it comes from")
    assert set(table.meta) == set(header)
    assert set(json.loads(table.meta["VERSIONS"])) == set(catalogue.PACKAGES)
    assert all(name in header["VERSIONS"] for name in catalogue.PACKAGES)
    from labeltransfer.archive.ingest import ingest_folder, read_manifest
    from lamost_files import write_folder

    ingest_folder(write_folder(tmp_path / "files", 1), tmp_path / "store", progress=False)
    assert list(read_manifest(tmp_path / "store")[0]) == list(listed("The store between files and catalogue"))
