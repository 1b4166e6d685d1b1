"""The ledger: data of the claims, and exactly one of three verdicts."""

import json
import math

import nbformat
import pytest

from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.claims import CLAIMS, FIVE, Check, checks
from labeltransfer.reproduction.ledger import (
    DIFFERS,
    NOT_TESTABLE,
    PAPER_VALUES,
    REPRODUCED,
    VERDICTS,
    ClaimTable,
    Ledger,
    claim_table,
    paper_values,
)
from labeltransfer.reproduction.quoted import Number

IN_PAPER = """
overlap cut-flags cut-clip reference grid smoothing label-vector cv-scatter cv-bias half-snr50 aspcap-errors
lamost-biases cannon-unbiased snr-scaling alpha-bimodal cool-turnoff error-factor features dibs distance-cut failures
test-set catalogue window bootstrap formal-errors speed-train speed-test sequences sky"""


def agreeing() -> dict[str, Number]:
    """Numbers that agree with every claim."""
    found = {}
    for _, check in checks():
        value = (check.low + check.high) / 2 if check.compare == "between" else check.paper
        if value is None:
            value = 1.0
        if check.than:
            found[check.than] = Number.of(value, "", "g")
        found[check.number] = Number.of(value, "", "g")
    return {name: number for name, number in found.items() if name}


def test_every_claim_of_the_paper_is_there_once():
    assert sorted(claim.id for claim in CLAIMS) == sorted(IN_PAPER.split())


def test_every_claim_says_where_it_stands_and_why_its_tolerance():
    for claim in CLAIMS:
        assert claim.data in ("method", "sky")
        assert claim.where
        assert len(claim.why) > 8
        assert claim.checks
    keys = [check.key for _, check in checks() if check.key]
    assert len(keys) == len(set(keys))


def test_claims_ask_for_numbers_that_the_chapters_record():
    book = Book()
    for claim, check in checks():
        for name in filter(None, (check.number, check.than)):
            stem, key = name.split(":") if ":" in name else ("", "")
            if not stem:
                continue
            code = book.chapter(stem).code
            pattern = key if f'"{key}"' in code else key.rsplit("_", 1)[0]
            family = any(f'f"{key.removesuffix(label)}{{' in code for label in FIVE) or "{what}_" in code
            assert f'"{key}"' in code or family, f"{claim.id}: {stem} does not record {key} ({pattern})"


def printed_by_checked_cells(twin):
    """First words of all lines that the checked cells of a twin are accepted to print."""
    cells = [cell for cell in nbformat.read(twin, as_version=4).cells if cell.cell_type == "code"]
    checked = [cell for cell in cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    texts = [output.get("text", "") for cell in checked for output in cell.outputs]
    return {line.split()[0] for text in texts for line in text.splitlines() if line.strip()}


def test_every_number_of_the_ledger_is_printed_by_a_checked_cell_unless_it_is_a_time():
    book = Book()
    printed = {chapter.stem: printed_by_checked_cells(chapter.path.with_suffix(".ipynb")) for chapter in book.chapters}
    wanted = {name for _, check in checks() for name in (check.number, check.than) if name}
    keys = [(name, *name.split(":")) for name in sorted(wanted)]
    unchecked = [name for name, stem, key in keys if key not in printed[stem]]
    assert {name for name, stem, key in keys if f'chapter.timing("{key}"' in book.chapter(stem).text} == set(unchecked)


def test_on_simulated_data_only_the_method_is_reproduced():
    ledger = Ledger.of(agreeing(), "simulated", FIVE)
    for row in ledger.rows:
        assert row.verdict == (REPRODUCED if row.data == "method" else NOT_TESTABLE), row.id
        if row.data == "sky" and row.id != "aspcap-errors":
            assert row.reason.endswith("simulated; as a check of consistency, ours agrees")
    assert "nothing in this book measures" in next(row.reason for row in ledger.rows if row.id == "aspcap-errors")


def test_a_check_of_consistency_says_what_differs():
    numbers = agreeing()
    numbers["03_cross_validation:scatter_teff"] = Number.of(95.0)
    numbers["02_training:n_clipped"] = Number.of(5)
    rows = {row.id: row for row in Ledger.of(numbers, "simulated", FIVE).rows}
    assert rows["cv-scatter"].reason.endswith("ours differs: Teff")
    assert rows["cut-clip"].reason.endswith("ours differs")
    assert all("ours lacks" in row.reason for row in Ledger.of({}, "simulated", FIVE).rows if row.id == "sky")


def test_with_the_surveys_themselves_all_that_we_measure_is_testable():
    ledger = Ledger.of(agreeing(), "surveys", FIVE)
    assert {row.id for row in ledger.rows if row.verdict != REPRODUCED} == {"aspcap-errors"}


def test_labels_that_are_not_apogees_test_no_sky():
    ledger = Ledger.of(agreeing(), "labels", FIVE)
    assert all(row.verdict == NOT_TESTABLE for row in ledger.rows if row.data == "sky")


def test_with_three_labels_claims_about_the_others_are_not_testable():
    ledger = Ledger.of(agreeing(), "simulated", FIVE[:3])
    rows = {row.id: row for row in ledger.rows}
    for name in ("cv-bias", "label-vector", "alpha-bimodal"):
        assert rows[name].verdict == NOT_TESTABLE
        assert "[α/M]" in rows[name].reason
    assert rows["grid"].verdict == REPRODUCED


def test_a_missing_number_is_a_reason_and_no_verdict():
    for missing in (None, math.nan):
        numbers = agreeing()
        numbers["01_data_preparation:n_pixels"] = Number.of(missing)
        row = next(row for row in Ledger.of(numbers, "simulated", FIVE).rows if row.id == "grid")
        assert (row.verdict, row.reason) == (NOT_TESTABLE, "this run has no number for n_pixels")
    assert all(row.verdict == NOT_TESTABLE for row in Ledger.of({}, "surveys", FIVE).rows)


def test_a_number_off_by_more_than_the_tolerance_differs():
    numbers = agreeing()
    numbers["03_cross_validation:scatter_teff"] = Number.of(95.0)
    row = next(row for row in Ledger.of(numbers, "surveys", FIVE).rows if row.id == "cv-scatter")
    assert row.verdict == DIFFERS
    assert "Teff" in row.reason
    assert row.compared[0].in_tolerances == pytest.approx((95 - 68.8) / (0.25 * 68.8))


@pytest.mark.parametrize(
    ("check", "inside", "outside"),
    [
        (Check("a:b", 10.0, tolerance=1.0), (9.0, 11.0), (8.9, 11.1)),
        (Check("a:b", 10.0, compare="at most"), (-5.0, 10.0), (10.1,)),
        (Check("a:b", 10.0, compare="at least"), (10.0, 50.0), (9.9,)),
        (Check("a:b", compare="between", low=1.0, high=2.0), (1.0, 2.0), (0.9, 2.1)),
    ],
)
def test_comparisons(check, inside, outside):
    assert all(check.passes(value) for value in inside)
    assert not any(check.passes(value) for value in outside)


def test_a_comparison_with_nothing_is_an_error():
    with pytest.raises(ValueError, match="without a value"):
        Check("a:b").passes(1.0)
    with pytest.raises(ValueError, match="unknown comparison"):
        Check("a:b", 1.0, compare="near").passes(1.0)


def test_totals_file_and_table(tmp_path):
    ledger = Ledger.of(agreeing(), "simulated", FIVE, tmp_path / "claims.json", {"seed": 2017})
    assert sum(ledger.totals().values()) == len(CLAIMS)
    content = json.loads(ledger.write().read_text())
    assert content["totals"] == ledger.totals()
    assert {row["verdict"] for row in content["claims"]} <= set(VERDICTS)
    assert content["parameters"] == {"seed": 2017}
    html = ledger._repr_html_()
    assert html.count("<tr") == sum(len(claim.checks) + 1 for claim in CLAIMS) + 1
    assert all(f'id="claim-{claim.id}"' in html for claim in CLAIMS)
    for claim in CLAIMS:
        for check in (one for one in claim.checks if one.number):
            stem, key = check.number.split(":")
            assert f'href="{stem}.html#key-numbers" title="{key}, printed by a checked cell"' in html
            assert "\n## Key numbers\n" in (Book().root / "book" / f"{stem}.md").read_text(encoding="utf-8")
    assert "reproduced" in repr(ledger)
    part = ledger.only("03_cross_validation")
    assert {row.chapter for row in part.rows} == {"03_cross_validation"}
    with pytest.raises(ValueError, match="give a path"):
        Ledger.of({}, "simulated", FIVE).write()


def test_prose_quotes_values_that_exist():
    assert PAPER_VALUES["paper_overlap"] == "11,057"
    assert paper_values("{glue:text}`paper_scatter_teff` and {glue:text}`paper_scatter_teff`") == {
        "paper_scatter_teff": "68.8"
    }
    with pytest.raises(ValueError, match="paper_typo"):
        paper_values("{glue:text}`paper_typo`")
    for chapter in Book().chapters:
        paper_values(chapter.text)


def test_tables_of_claims_can_be_shown():
    for chapter in Book().chapters:
        shown = claim_table(chapter.stem)
        assert isinstance(shown, ClaimTable)
        assert shown._repr_html_().count('class="first"') == len(shown.claims)
        assert len(repr(shown).splitlines()) == len(shown.claims)
