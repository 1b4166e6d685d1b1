"""Evidence from real data: records that follow from their numbers everywhere, and from the data where these are."""

import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from labeltransfer import figures
from labeltransfer.archive.sources import CACHE, SOURCES
from labeltransfer.evidence import records as evidence
from labeltransfer.evidence.claims import claims
from labeltransfer.evidence.records import differences, rounded, sampling_error
from labeltransfer.mock import SimulatedSurvey, realism, write_survey
from labeltransfer.reproduction.book import project_root

RECORDED = [name for name, path in evidence.scripts().items() if path.with_suffix(".json").exists()]


@pytest.fixture
def own_project(tmp_path, monkeypatch):
    """A project with an evidence of its own: the mean of a column of numbers."""
    folder = tmp_path / "project" / "evidence"
    folder.mkdir(parents=True)
    data = tmp_path / "data"
    data.mkdir()
    np.savetxt(data / "values.txt", np.random.default_rng(1).normal(5, 1, 200), fmt="%.12f")
    (folder / "mean_value.py").write_text(
        "import numpy as np\n"
        "from labeltransfer.evidence.records import claim, verdict, with_error\n"
        "TITLE = 'A mean'\n"
        f"INPUTS = ({{'name': 'sub/values.txt', 'sha256': '{evidence.digest(data / 'values.txt')}', 'rows': 200,\n"
        "            'url': 'https://example.org/values.txt'},)\n"
        "PARAMETERS = {'seed': 1}\n"
        "def measure(paths, *, seed):\n"
        "    values = np.loadtxt(paths['sub/values.txt'])\n"
        "    rng = np.random.default_rng(seed)\n"
        "    return {'n': len(values), 'bins': [3, 4], **with_error('mean', np.mean, values, rng=rng)}\n"
        "def claims(numbers):\n"
        "    return {'five': claim(numbers['mean'], f\"The mean is {numbers['mean']:.2f}.\",\n"
        "                          verdict(abs(numbers['mean'] - 5) < 3 * numbers['mean_error']), 'made up')}\n"
    )
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(tmp_path / "project"))
    monkeypatch.delenv(evidence.DATA, raising=False)
    return folder, data


def changed(path, change):
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


# ---- the records of the project ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_verdicts_follow_from_the_numbers_recorded(name):
    assert evidence.faults(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_numbers_come_out_again_where_the_data_are(name):
    try:
        assert list(evidence.changes(name)) == []
    except evidence.NotAtHand as missing:
        pytest.skip(f"real data are not at hand: {missing}")


def test_at_least_eight_claims_of_the_paper_have_evidence():
    told = {key for name in RECORDED for key in evidence.recorded(name)["claims"]}
    assert len(told & {claim.id for claim in claims()}) >= 8


@pytest.mark.parametrize("name", RECORDED)
def test_records_hold_numbers_and_no_raw_data(name):
    record = evidence.recorded(name)
    assert (project_root() / "evidence" / f"{name.replace('-', '_')}.json").stat().st_size < 60_000
    assert all(len(one["sha256"]) == 64 and one["url"] and one["rows"] > 0 for one in record["inputs"])
    for one in record["claims"].values():
        assert one["verdict"] in ("reproduced", "differs", "inconclusive")
        assert one["on"].startswith("real data: ")
        assert one["text"].endswith(".")


# ---- what pages say in words of numbers recorded ----------------------------------------------------------------


def numbers(name):
    return evidence.recorded(name)["numbers"]


def test_the_cuts_of_the_real_overlap_are_as_chapter_10_tells():
    cuts = numbers("labels")["cuts"]
    excised = next(float(one.paper) for claim in claims() for one in claim.checks if one.key == "paper_cut_flags")
    assert cuts["as_read"]["together"] < excised < cuts["any_flag"]["together"] < cuts["alpha_below_plus"]


def test_the_share_of_alpha_rich_stars_rises_with_latitude():
    assert (np.diff(numbers("labels")["sky"]["rich_share"]) > 0).all()


def test_the_published_catalogue_is_as_chapter_10_tells():
    catalogue = numbers("catalogue")
    factors = [catalogue["error_factor"][shape]["k"] for shape in ("real", "flat")]
    assert catalogue["variances"]["like_variances"] == 1, "one row"
    assert evidence.recorded("catalogue")["claims"]["cv-scatter"]["verdict"] == "inconclusive", "as the paper's"
    assert (np.diff(catalogue["bins"]["chi2"]) > 0).all(), "it rises"
    assert all(np.sqrt(3) < k < 3 for k in factors), "between the two readings"
    assert numbers("lamost")["error_factor"]["k"] < min(factors), "newer spectra exaggerate less"


def test_apogee_spectra_are_as_appendix_a8_tells():
    found = numbers("apogee-dr10")
    rms = {key: found[f"order_{key}"]["rms"][0] for key in ("2_random", "2_clusters", "3_random", "3_clusters")}
    assert rms["3_random"] < rms["2_random"] < found["stated"][0] < min(rms["2_clusters"], rms["3_clusters"])
    assert found["order_3_clusters"]["robust"][0] < found["order_2_clusters"]["robust"][0], "a cubic does better"
    for kind in ("random", "clusters"):
        chosen = found[f"robust_{kind}"]
        assert chosen["trained_on"] == found["giants"], "no star is left out"
        assert chosen["label_error_strength"] == 0, "no labels are undone"
        assert (chosen["order"], chosen["ridge"] > 0) == (3, True), "a cubic with a ridge"
        assert (np.array(chosen["robust"]) < found[f"order_2_{kind}"]["robust"]).all()


def test_simulated_spectra_believed_by_real_giants_are_as_appendix_a10_tells():
    found = realism.measured()
    trusted = found["windows"]["trusted, model error"]["truth"]
    others = [row["truth"]["robust"][0] for where, row in found["windows"].items() if "model error" not in where]
    assert trusted["robust"][0] < min(others), "the best row in temperature"
    unexpected = trusted["bias"][1] + found["scales"][1]
    assert abs(unexpected) > trusted["robust"][1], "in log g more than the scatter"


def test_the_noise_floor_is_what_appendix_a1_tells():
    assert SimulatedSurvey(n_overlap=50, n_dr2=0, n_apogee=50).floor_scale == 0.6, "six tenths"


# ---- the runner -------------------------------------------------------------------------------------------------


def test_an_evidence_is_recorded_and_checked(own_project, capsys):
    folder, data = own_project
    assert evidence.main([], print, data=data) == 0
    record = json.loads((folder / "mean_value.json").read_text(encoding="utf-8"))
    assert list(record) == list(evidence.KEYS)
    assert record["numbers"]["n"] == 200
    assert record["claims"]["five"]["verdict"] == "reproduced"
    assert record["versions"]["numpy"] == np.__version__
    assert '"bins": [ 3, 4 ]' in (folder / "mean_value.json").read_text(encoding="utf-8")
    before = (folder / "mean_value.json").read_bytes()
    assert evidence.main(["mean-value"], print, check=True, data=data) == 0
    assert (folder / "mean_value.json").read_bytes() == before
    assert "mean-value: as recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["numbers"].update(mean=r["numbers"]["mean"] + r["numbers"]["mean_error"]), "numbers.mean"),
        (lambda r: r["numbers"].update(mean_error=1.5 * r["numbers"]["mean_error"]), "numbers.mean_error"),
        (lambda r: r["numbers"].update(n=201), "numbers.n"),
        (lambda r: r["numbers"].update(bins=[3, 5]), r"numbers.bins[1]"),
        (lambda r: r["numbers"].pop("bins"), "numbers.bins: not in the record"),
        (lambda r: r["numbers"].update(other=1), "numbers.other: in the record, and no longer measured"),
        (lambda r: r["claims"]["five"].update(verdict="differs"), "claims.five.verdict"),
        (lambda r: r["claims"]["five"].update(text="The mean is 7.00."), "claims.five.text"),
        (lambda r: r["claims"]["five"].update(value=7.0), "claims.five.value"),
        (lambda r: r["inputs"][0].update(rows=7), "inputs[0].rows"),
    ],
)
def test_whatever_is_wrong_in_a_record_is_found(own_project, capsys, change, said):
    folder, data = own_project
    assert evidence.main([], print, data=data) == 0
    changed(folder / "mean_value.json", change)
    assert evidence.main([], print, check=True, data=data) == 1
    assert said in capsys.readouterr().out


def test_a_wrong_verdict_is_found_without_the_data(own_project, tmp_path, capsys):
    folder, data = own_project
    assert evidence.main([], print, data=data) == 0
    changed(folder / "mean_value.json", lambda r: r["claims"]["five"].update(verdict="differs"))
    assert evidence.main([], print, check=True, data=tmp_path / "nowhere") == 1
    assert "claims.five.verdict" in capsys.readouterr().out


def test_data_that_are_not_at_hand_are_named_and_change_nothing(own_project, tmp_path, capsys):
    folder, data = own_project
    assert evidence.main([], print, data=tmp_path / "nowhere") == 0
    assert evidence.main(["mean-value"], print, data=tmp_path / "nowhere") == 2
    assert "https://example.org/values.txt" in capsys.readouterr().out
    assert not (folder / "mean_value.json").exists()
    (data / "values.txt").write_text("1\n2\n")
    assert evidence.main(["mean-value"], print, data=data) == 2
    assert "has other contents" in capsys.readouterr().out
    assert evidence.main([], print, check=True, data=data) == 0
    assert evidence.main(["median"], print, data=data) == 2
    assert "no evidence median; there are mean-value" in capsys.readouterr().out
    with pytest.raises(ValueError, match="evidence: found 'median', wanted one of mean-value"):
        evidence.recorded("median")
    with pytest.raises(FileNotFoundError, match="`labeltransfer evidence mean-value` writes it"):
        evidence.recorded("mean-value")


def test_data_are_looked_for_where_the_environment_says(own_project, monkeypatch, tmp_path):
    _, data = own_project
    monkeypatch.setenv(evidence.DATA, str(data))
    assert evidence.main(["mean-value"], print) == 0
    monkeypatch.setenv(evidence.DATA, str(tmp_path / "nowhere"))
    (data.parent / "shared").mkdir()
    shutil.move(data, data.parent / "shared" / "data")
    assert evidence.main(["mean-value"], print, check=True) == 0


def test_numbers_keep_the_digits_that_mean_something():
    numbers = {"a": 1.23456, "a_error": 0.0512, "b": 12345.678, "n": 3, "c": [0.0, float("nan")], "d": {"e": [7, 8]}}
    assert rounded(numbers) == {
        "a": 1.235, "a_error": 0.051, "b": 12350.0, "n": 3, "c": [0.0, None], "d": {"e": [7, 8]}
    }  # fmt: skip


def test_a_difference_counts_from_a_fifth_of_the_sampling_error_on():
    new = {"a": [1.0, 2.0], "a_error": [0.1, 0.1], "b": 3.0}
    assert not list(differences({"a": [1.01, 2.0], "a_error": [0.11, 0.1], "b": 3.002}, new))
    assert [line.split(":")[0] for line in differences({**new, "a": [1.0, 2.05]}, new)] == ["a[1]"]
    assert [line.split(":")[0] for line in differences({**new, "b": 3.01}, new)] == ["b"]
    assert list(differences({**new, "a": [1.0]}, new))


@pytest.mark.statistical
def test_sampling_errors_are_those_of_the_mean():
    values = np.random.default_rng(3).normal(0, 2, 400)
    for most in (None, 100):
        error = sampling_error(np.mean, values, rng=np.random.default_rng(1), resamplings=2000, most=most)
        assert error == pytest.approx(0.1, rel=0.12)


# ---- drawings of recorded numbers -------------------------------------------------------------------------------


def test_histograms_say_where_they_are_from_and_give_their_counts_back():
    panels = {"Teff [K]": {"all": ([1.0, 2.0, 4.0], [5, 7]), "few": ([1.0, 2.0], [3])}, "log g": {"all": ([0, 1], [2])}}
    figure = figures.recorded_histograms(panels, note="real data, recorded run of 2026-01-31")
    table = figures.data_of(figure)
    assert table["stars"].tolist() == [5, 7, 3, 2]
    assert table["middle"].tolist() == [1.5, 3.0, 1.5, 0.5]
    assert figure.get_suptitle() == "real data, recorded run of 2026-01-31"


def test_points_have_error_bars_and_lines_have_none():
    panels = {"χ²": {"measured": ([1, 2], [3.0, 4.0], [0.1, 0.2]), "model": ([1, 2], [3.5, 3.5], None)}}
    figure = figures.recorded_points(panels, "S/N", note="real data", logarithmic="xy")
    table = figures.data_of(figure)
    assert table["y"].tolist() == [3.0, 4.0, 3.5, 3.5]
    assert np.isnan(table["error"]).tolist() == [False, False, True, True]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xlabel() == "S/N"


def test_windows_of_simulated_lines_are_shaded():
    line = ([1, 2, 3], [3.0, 4.0, 5.0], None)
    figure = figures.recorded_points({"rms": {"rms": line}}, "x", simulated=True, windows=((1, 1.5), (2, 3)))
    assert len(figure.axes[0].patches) == 2
    assert figure.get_suptitle() == "simulated"


# ---- the tutorial, which has no record --------------------------------------------------------------------------


@pytest.fixture
def made_up_archive(tmp_path):
    """The tutorial's two files, unpacked, of simulated stars."""
    folder = tmp_path / "tutorial"
    survey = SimulatedSurvey(n_overlap=150, n_dr2=0, n_apogee=150)
    write_survey(survey, tmp_path / "survey", progress=False)
    (folder / "spectra").mkdir(parents=True)
    for path in (tmp_path / "survey").rglob("spec-*"):
        shutil.copy(path, folder / "spectra")
    truth = survey.truth()
    table = Table({"LAMOST_ID": [f"{name}.fits" for name in truth.ids.tolist()]})
    columns = {"TEFF": "teff", "LOGG": "logg", "PARAM_M_H": "fe_h", "PARAM_ALPHA_M": "alpha_m"}
    for column, name in columns.items():
        table[column] = truth.column(name)
    table.write(folder / "labels.fits")
    return folder


def test_the_tutorial_can_be_measured_as_soon_as_it_is_there(made_up_archive):
    script = evidence.load("tutorial")
    paths = {script.ARCHIVE: made_up_archive / "lamost_spectra.tar.gz", script.LABELS: made_up_archive / "labels.fits"}
    numbers = rounded(script.measure(paths, **{**script.PARAMETERS, "first": 110, "n_folds": 3}))
    assert numbers["stars"] == 150
    assert numbers["split"]["stars"] <= 40
    assert numbers["folds"]["stars"] > 130
    assert 5 < numbers["folds_clipped"]["scatter"][0] < 200
    claims = json.loads(json.dumps(script.claims(numbers)))
    assert claims["cv-scatter"]["value"] == numbers["folds_clipped"]["scatter"]
    assert "57 K, 0.136 and 0.075 dex" in claims["cv-scatter"]["text"]


def test_the_tutorial_is_looked_for_where_it_is_fetched_to(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.delenv(evidence.DATA, raising=False)
    script = evidence.load("tutorial")
    assert {one["name"].split("/")[0] for one in script.INPUTS} == {"tutorial"}
    assert {one["name"].split("/")[1] for one in script.INPUTS} == {file.name for file in SOURCES["tutorial"].files}
    assert tmp_path in evidence.folders()
    with pytest.raises(evidence.NotAtHand, match=r"lamost_spectra.tar.gz: not in .*; it comes from https://"):
        evidence.measure("tutorial")
