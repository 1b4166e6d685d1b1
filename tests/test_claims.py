"""The ledger: data of the claims, exactly one verdict for each, and what it rests on."""

import json
import math
import re

import nbformat
import pytest

from labeltransfer.evidence.claims import Check, checks, claims, paper_values, read_claims
from labeltransfer.evidence.numbers import Number
from labeltransfer.evidence.verdicts import (
    CONSISTENT,
    DEFINITION,
    DIFFERS,
    INCONCLUSIVE,
    INCONSISTENT,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
    Spread,
    judge,
    read_evidence,
)
from labeltransfer.labels import PAPER_LABELS as FIVE
from labeltransfer.mock import assumptions
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.numbers import quoted_values
from labeltransfer.reproduction.parameters import PARAMETERS
from labeltransfer.reproduction.tables import ClaimTable, Ledger

CLAIMS = claims()
IN_PAPER = """
overlap cut-flags cut-clip reference grid smoothing label-vector cv-scatter cv-bias half-snr50 aspcap-errors
lamost-biases cannon-unbiased snr-scaling alpha-bimodal cool-turnoff error-factor features dibs distance-cut failures
test-set catalogue window bootstrap formal-errors speed-train speed-test sequences sky extinction scatter-aspcap
cv-bias-sign tight-branch gap window-share tight-window chi2-low outer-disk"""


def agreeing() -> dict[str, Number]:
    """Numbers that agree with every claim."""
    found = {}
    for _, check in checks():
        value = (check.low + check.high) / 2 if check.compare == "between" else check.paper
        if check.compare == "at most" and check.number in found:
            continue
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
        assert claim.kind in ("definition", "method", "sky")
        assert claim.where
        assert len(claim.why) > 8
        assert claim.checks
    keys = [check.key for _, check in checks() if check.key]
    assert len(keys) == len(set(keys))


def test_what_a_claim_assumes_stands_in_the_list_of_assumptions_or_among_the_parameters():
    listed = {f"{row['where']}.{name}" for row in assumptions() for name in row["name"].split(", ")}
    for claim in CLAIMS:
        assert not claim.assumes or claim.assumes in listed | set(PARAMETERS), claim.id
        assert not claim.assumes or claim.kind == "sky"


def test_a_file_of_claims_that_is_not_as_it_should_be_is_named(tmp_path):
    path = tmp_path / "claims.yml"
    text = "- {id: a, chapter: c, where: w, claim: words, kind: KIND, why: because it is so, checks: [{CHECK}]}"
    for kind, check, message in (
        ("mehtod", "number: n", r"claims.yml: \[0\].kind: 'mehtod' is not one of"),
        ("sky", "papre: 3", r"\[0\].checks\[0\]: .*'papre' was unexpected"),
        ("sky", "paper: three", "'three' is not of type 'number'"),
    ):
        path.write_text(text.replace("KIND", kind).replace("CHECK", check))
        with pytest.raises(ValueError, match=message):
            read_claims(path)


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
    wanted = {"method": REPRODUCED, "definition": DEFINITION, "sky": CONSISTENT}
    for row, claim in zip(ledger.rows, CLAIMS, strict=True):
        if row.id == "aspcap-errors":
            assert (row.verdict, row.rests_on) == (NOT_TESTABLE, "nothing")
            assert "nothing in this book measures" in row.reason
            continue
        assert row.verdict == wanted[claim.kind], row.id
        assert row.rests_on == {"sky": "an assumption of the simulation"}.get(claim.kind, claim.kind)
        assert row.assumes == claim.assumes


def test_about_the_sky_simulated_data_are_consistent_or_not():
    numbers = agreeing()
    numbers["03_cross_validation:error_factor"] = Number.of(9.0)
    numbers["02_training:n_clipped"] = Number.of(5)
    rows = {row.id: row for row in Ledger.of(numbers, "simulated", FIVE).rows}
    assert (rows["error-factor"].verdict, rows["cut-clip"].verdict) == (INCONSISTENT, INCONSISTENT)
    numbers["01_data_preparation:n_pixels"] = Number.of(3625)
    rows = {row.id: row for row in Ledger.of(numbers, "simulated", FIVE).rows}
    assert rows["grid"].verdict == DIFFERS
    real = {row.id: row for row in Ledger.of(numbers, "surveys", FIVE).rows}
    assert (real["cut-clip"].verdict, real["cut-clip"].rests_on) == (DIFFERS, "real data: the surveys of this run")
    assert real["cut-clip"].assumes == ""


def test_with_the_surveys_themselves_all_that_we_measure_is_testable():
    ledger = Ledger.of(agreeing(), "surveys", FIVE)
    assert {row.id for row in ledger.rows if row.verdict not in (REPRODUCED, DEFINITION)} == {"aspcap-errors"}


def test_labels_that_are_not_apogees_test_no_sky():
    ledger = Ledger.of(agreeing(), "labels", FIVE)
    sky = {claim.id for claim in CLAIMS if claim.kind == "sky"}
    assert all(row.verdict == NOT_TESTABLE for row in ledger.rows if row.id in sky)


def judged(claim_id, value, sd=0.0, data="simulated"):
    """Verdict on a claim, with one number of its own and its spread."""
    claim = next(claim for claim in CLAIMS if claim.id == claim_id)
    number = claim.checks[0].number
    spread = Spread({number: {"sd": sd}})
    return judge(claim, agreeing() | {number: Number.of(value)}, data, FIVE, spread)


def test_the_spread_from_survey_to_survey_counts_with_the_tolerance():
    assert judged("cv-bias", -3.44 + 10).verdict == REPRODUCED
    assert judged("cv-bias", -3.44 + 11).verdict == DIFFERS
    assert judged("cv-bias", -3.44 + 11, sd=5).verdict == REPRODUCED, "within tolerance and spread in quadrature"
    assert judged("cv-bias", -3.44 + 20, sd=5).verdict == DIFFERS
    assert judged("cv-bias", -3.44 + 20, sd=12).verdict == INCONCLUSIVE, "the spread is larger than the tolerance"
    assert judged("cv-bias", -3.44 + 50, sd=12).verdict == DIFFERS, "too far for the spread"
    assert judged("gap", 0.6).verdict == INCONSISTENT
    assert judged("gap", 0.6, sd=0.1).verdict == INCONCLUSIVE
    assert judged("gap", 0.4).verdict == CONSISTENT
    assert judged("gap", 0.4, sd=0.1).verdict == INCONCLUSIVE, "a limit that another survey may miss"
    assert judged("gap", 0.4, sd=0.04).verdict == CONSISTENT
    assert judged("cv-bias-sign", -1.0).verdict == CONSISTENT
    assert judged("cv-bias-sign", 1.0).verdict == INCONSISTENT
    assert judged("cv-bias-sign", 1.0, sd=0.6).verdict == INCONCLUSIVE
    row = judged("cv-bias", -3.44 + 10, sd=5)
    assert (row.compared[0].spread, row.compared[0].in_words) == (5, "1.0 times the tolerance of 10")
    assert judged("cv-bias", -3.44 + 11, sd=5, data="surveys").verdict == DIFFERS, "of simulated surveys alone"


RECORDED = {
    "name": "published", "title": "The published catalogue", "date": "2026-11-20", "versions": {"numpy": "2"},
    "inputs": [{"name": "t.csv", "sha256": "0" * 64, "url": "u", "rows": 922}], "numbers": {"chi2": 0.5},
    "claims": {"error-factor": {"value": 1.9, "text": "A factor of 1.9.", "verdict": "inconclusive",
                                "on": "real data: 922 published rows"}},
}  # fmt: skip


def test_recorded_runs_on_real_data_stand_beside_the_verdict(tmp_path):
    (tmp_path / "evidence").mkdir()
    path = tmp_path / "evidence" / "published.json"
    path.write_text(json.dumps(RECORDED))
    ledger = Ledger.of(agreeing(), "simulated", FIVE, root=tmp_path)
    row = next(row for row in ledger.rows if row.id == "error-factor")
    assert row.verdict == CONSISTENT, "evidence changes no verdict of the run"
    assert ledger.evidence_totals() == {REPRODUCED: 0, DIFFERS: 0, INCONCLUSIVE: 1}
    html = ledger._repr_html_()
    assert "A factor of 1.9. <em>(922 published rows; recorded 2026-11-20)</em>" in html
    assert "On real data: 922 published rows: inconclusive." in ledger.take_away()._repr_html_()
    for change, message in (
        (
            {"claims": {"error-fcator": RECORDED["claims"]["error-factor"]}},
            "claims.error-fcator: no such",
        ),
        ({"claims": {"error-factor": {"text": "a", "verdict": "fine", "on": "b"}}}, "'fine' is not one of"),
        ({"inputs": [{"name": "t.csv"}]}, "'sha256' is a required property"),
    ):
        path.write_text(json.dumps(RECORDED | change))
        with pytest.raises(ValueError, match=message):
            read_evidence(tmp_path / "evidence")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"published\.json: not JSON"):
        read_evidence(tmp_path / "evidence")


def test_the_evidence_that_comes_with_the_book_can_be_read():
    assert isinstance(read_evidence(Book().root / "evidence"), dict)


def test_with_three_labels_claims_about_the_others_are_not_testable():
    ledger = Ledger.of(agreeing(), "simulated", FIVE[:3])
    rows = {row.id: row for row in ledger.rows}
    for name in ("cv-bias", "label-vector", "alpha-bimodal"):
        assert rows[name].verdict == NOT_TESTABLE
        assert "[α/M]" in rows[name].reason
    assert rows["grid"].verdict == DEFINITION


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
    assert row.compared[0].in_words == "1.5 times the tolerance of 17"


@pytest.mark.parametrize(
    ("check", "inside", "outside"),
    [
        (Check("a:b", 10.0, tolerance=1.0), (9.0, 11.0), (8.9, 11.1)),
        (Check("a:b", 10.0, compare="at most"), (-5.0, 10.0), (10.1,)),
        (Check("a:b", 10.0, compare="at least"), (10.0, 50.0), (9.9,)),
        (Check("a:b", compare="between", low=1.0, high=2.0), (1.0, 2.0), (0.9, 2.1)),
        (Check("a:b", -3.0, compare="sign"), (-0.1, -9.0), (0.1, 3.0)),
    ],
)
def test_comparisons(check, inside, outside):
    assert all(check.passes(value) for value in inside)
    assert [check.passes(value) for value in outside] == [False] * len(outside)


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
    html = ledger.take_away()._repr_html_()
    assert html.count("<li>") == len(CLAIMS)
    assert 'href="06_ledger.html#claim-grid"' in html
    part = ledger.only("03_cross_validation")
    assert 'href="06_ledger.html#claim-cv-bias"' in part._repr_html_(), "a link back"
    assert {row.chapter for row in part.rows} == {"03_cross_validation"}
    with pytest.raises(ValueError, match="give a path"):
        Ledger.of({}, "simulated", FIVE).write()


def test_figures_of_the_paper_are_linked():
    ledger = Ledger.of(agreeing(), "simulated", FIVE, figures={"Fig. 6": "03_cross_validation.html#fig-one-to-one"})
    assert '(<a href="03_cross_validation.html#fig-one-to-one">Fig. 6</a>' not in ledger._repr_html_()
    assert re.search(r'abstract, <a href="03_cross_validation.html#fig-one-to-one">Fig. 6</a>', ledger._repr_html_())


def test_prose_quotes_values_that_exist():
    assert paper_values()["paper_overlap"] == "11,057"
    assert quoted_values("{glue:text}`paper_scatter_teff` and {glue:text}`paper_scatter_teff`") == {
        "paper_scatter_teff": "68.8"
    }
    with pytest.raises(ValueError, match="paper_typo"):
        quoted_values("{glue:text}`paper_typo`")
    for chapter in Book().chapters:
        quoted_values(chapter.text)


def test_tables_of_claims_can_be_shown():
    for chapter in Book().chapters:
        shown = ClaimTable.of(chapter.stem)
        assert shown._repr_html_().count('class="first"') == len(shown.claims)
        assert len(repr(shown).splitlines()) == len(shown.claims)
