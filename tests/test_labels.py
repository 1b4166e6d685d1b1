import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltransfer import LABELS, PAPER_LABELS, Labels, register_label
from labeltransfer.labels.registry import make_label

IDS = ("a", "b", "c")


def some(covariance=True):
    values = np.array([[4800.0, 2.5], [4500.0, np.nan], [5000.0, 3.1]])
    return Labels(IDS, ("teff", "logg"), values, np.full((3, 2, 2), [[4.0, 0.1], [0.1, 9.0]]) if covariance else None)


def test_the_papers_labels_have_units():
    assert [LABELS[name].unit for name in PAPER_LABELS] == ["K", "dex", "dex", "dex", "mag"]
    assert LABELS["teff"].axis == r"$T_\mathrm{eff}$ [K]"


def test_columns_errors_and_known_stars():
    labels = some()
    assert labels.column("logg")[0] == 2.5
    assert labels.errors[0].tolist() == [2.0, 3.0]
    assert labels.known.tolist() == [True, False, True]
    assert np.isnan(some(covariance=False).errors).all()


def test_rows_and_names_can_be_chosen():
    labels = some()[[2, 0]].select(("logg", "teff"))
    assert labels.ids.tolist() == ["c", "a"]
    assert labels.values.tolist() == [[3.1, 5000.0], [2.5, 4800.0]]
    assert labels.covariance[0].tolist() == [[9.0, 0.1], [0.1, 4.0]]
    assert len(some()[np.array([True, False, True])]) == 2
    assert len(some()[:0]) == 0
    assert some().of(["c", "a"]).ids.tolist() == ["c", "a"]


def test_nothing_can_be_changed_and_the_callers_array_is_left_alone():
    values = np.zeros((3, 1))
    labels = Labels(IDS, ("teff",), values)
    with pytest.raises(ValueError, match="read-only"):
        labels.values[0] = 1.0
    values[0] = 1.0


@pytest.mark.parametrize(
    ("names", "values", "covariance", "message"),
    [
        (("teff",), np.zeros((2, 1)), None, r"values have shape \(2, 1\), wanted \(3, 1\)"),
        (("teff",), np.zeros((3, 1)), np.zeros((3, 2, 2)), r"covariance has shape \(3, 2, 2\), wanted \(3, 1, 1\)"),
        (("tef",), np.zeros((3, 1)), None, "label name 'tef' is unknown"),
        (("teff", "teff"), np.zeros((3, 2)), None, "one occurs twice"),
        ((), np.zeros((3, 0)), None, "found none"),
    ],
)
def test_wrong_tables_are_refused(names, values, covariance, message):
    with pytest.raises(ValueError, match=message):
        Labels(IDS, names, values, covariance)


def test_star_names_must_be_unique_and_in_one_dimension():
    with pytest.raises(ValueError, match="1 ids occur more than once, for example 'a'"):
        Labels(("a", "b", "a"), ("teff",), np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"ids have shape \(1, 3\)"):
        Labels([IDS], ("teff",), np.zeros((3, 1)))


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no label 'fe_h' in this table; it has teff, logg"):
        some().column("fe_h")
    with pytest.raises(ValueError, match="1 of 2 stars are not in"):
        some().of(["a", "nobody"])


@pytest.mark.parametrize("covariance", [True, False])
def test_written_and_read_again(tmp_path, covariance):
    labels = some(covariance)
    labels.write(tmp_path / "labels.npz")
    again = Labels.read(tmp_path / "labels.npz")
    assert again.names == labels.names
    np.testing.assert_array_equal(again.ids, labels.ids)
    np.testing.assert_array_equal(again.values, labels.values)
    assert (again.covariance is None) is not covariance


def test_further_labels_can_be_registered_and_travel_with_the_file(tmp_path):
    register_label("mg_fe_test", "dex", "[Mg/Fe]")
    register_label("mg_fe_test", "dex")
    with pytest.raises(ValueError, match="already known in 'dex', not 'K'"):
        register_label("mg_fe_test", "K")
    Labels(("a",), ("mg_fe_test",), [[0.1]]).write(tmp_path / "x.npz")
    del LABELS["mg_fe_test"]
    assert Labels.read(tmp_path / "x.npz").names == ("mg_fe_test",)
    assert LABELS["mg_fe_test"].unit == "dex"


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True))
def test_ids_may_be_numbers(numbers):
    labels = Labels(numbers, ("teff",), np.zeros((len(numbers), 1)))
    assert labels.ids.tolist() == [str(number) for number in numbers]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("c_fe", "[C/Fe]"), ("feii_h", "[Fe II/H]"), ("alpha_fe", r"[$\alpha$/Fe]"), ("vmic", "vmic"), ("x_fe", "x_fe")],
)
def test_figures_write_an_abundance_as_the_field_does(name, symbol):
    assert make_label(name, "dex" if "_" in name else "km/s").symbol == symbol


@pytest.mark.parametrize("name", ["good", "RA", "z", "snr", "reduced_chi2", "n_pixels", "id", "teff_err", "cov_a_b"])
def test_no_label_is_called_like_another_column_of_a_catalogue(name):
    for make in (lambda: register_label(name, ""), lambda: Labels.from_table({"star": ["a"], name: [1.0]}, name)):
        with pytest.raises(ValueError, match=rf"label name '(?i:{name})': a column of catalogues is called so"):
            make()
    assert name not in LABELS


@pytest.mark.parametrize(("met", "read"), [("", "km/s"), ("km/s", ""), ("", "")])
def test_a_sound_file_is_read_whatever_the_session_met_before(tmp_path, met, read):
    try:
        register_label("vbroad", read)
        Labels(["a"], ("vbroad",), [[6.9]]).write(tmp_path / "x.npz")
        del LABELS["vbroad"]
        register_label("vbroad", met)
        assert Labels.read(tmp_path / "x.npz").names == ("vbroad",)
        assert LABELS["vbroad"].unit == (met or read)
    finally:
        LABELS.pop("vbroad", None)
