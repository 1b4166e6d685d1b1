import numpy as np
import pytest
from astropy.table import Table

from labeltransfer import apogee


def allstar(**changes):
    columns = {
        "APOGEE_ID": ["2M1", "2M2", "2M2", "2M3"],
        "RA": [1.0, 2.0, 2.0, 3.0],
        "DEC": [1.0, 2.0, 2.0, 3.0],
        "GLON": [100.0, 110.0, 110.0, 120.0],
        "GLAT": [10.0, 20.0, 20.0, 30.0],
        "TEFF": np.float32([4800, 4900, 4910, -9999]),
        "TEFF_ERR": np.float32([91, 92, 93, -9999]),
        "LOGG": np.float32([2.5, 2.6, 2.7, -9999]),
        "LOGG_ERR": np.float32([0.1, 0.1, 0.1, -9999]),
        "PARAM_M_H": np.float32([0.1, -0.2, -0.3, -9999]),
        "PARAM_ALPHA_M": np.float32([0.0, 0.1, 0.2, -9999]),
        "AK_WISE": np.float32([0.1, np.nan, 0.3, -9999]),
        "SNR": [100.0, 50.0, 150.0, 20.0],
        "ASPCAPFLAG": np.array([0, 1 << 7, 1 << 23, -2147483648], dtype=np.int32),
    }
    return Table({**columns, **changes})


@pytest.fixture
def table(tmp_path):
    allstar().write(tmp_path / "allStar.fits")
    return apogee.read_allstar(tmp_path / "allStar.fits")


def test_columns_and_missing_values(table):
    assert table["apogee_id"].tolist() == ["2M1", "2M2", "2M2", "2M3"]
    for name in ("teff", "logg", "fe_h", "alpha_m", "a_k", "teff_err"):
        assert np.isnan(table[name][3])
    assert table["fe_h"][1] == np.float32(-0.2)
    assert np.isnan(table["a_k"][1])
    assert str(table["teff"].unit) == "K"


def test_bits_are_those_of_dr12():
    expected = {"TEFF_WARN": 0, "M_H_WARN": 3, "ALPHA_M_WARN": 4, "STAR_WARN": 7, "SN_WARN": 11, "STAR_BAD": 23}
    assert {name: apogee.ASPCAP_BITS[name] for name in expected} == expected


def test_bit_31_survives_the_sign(table):
    assert table["aspcapflag"][3] == 1 << 31


@pytest.mark.parametrize(
    ("name", "expected"),
    [("STAR_BAD", True), ("M_H_WARN", True), ("ALPHA_M_BAD", True), ("STAR_WARN", False), ("SN_WARN", False)],
)
def test_flagged_asks_for_bad_stars_and_flags_on_metallicity_and_alpha(name, expected):
    table = Table({"aspcapflag": [1 << apogee.ASPCAP_BITS[name]], "logg": [2.0]})
    assert apogee.flagged(table).tolist() == [expected]


def test_flagged_takes_negative_gravities():
    assert apogee.flagged(Table({"aspcapflag": [0, 0, 0], "logg": [-0.1, 0.1, np.nan]})).tolist() == [
        True,
        False,
        False,
    ]


def test_of_repeats_the_best_is_kept(table):
    kept, dropped = apogee.best_of_duplicates(table)
    assert dropped == 1
    assert kept["apogee_id"].tolist() == ["2M1", "2M2", "2M3"]
    assert kept["snr"].tolist() == [100.0, 150.0, 20.0]


def test_of_equal_repeats_the_first_is_kept_even_without_snr():
    table = Table({"apogee_id": ["a", "a", "b"], "snr": [np.nan, np.nan, 1.0], "row": [0, 1, 2]})
    assert apogee.best_of_duplicates(table)[0]["row"].tolist() == [0, 2]


def test_labels_with_errors(table):
    kept, _ = apogee.best_of_duplicates(table)
    labels = apogee.labels_of(kept, ("logg", "teff"))
    assert labels.names == ("logg", "teff")
    assert labels.values[0].tolist() == [2.5, 4800.0]
    np.testing.assert_allclose(labels.errors[0], [0.1, 91.0], rtol=1e-6)
    assert labels.known.tolist() == [True, True, False]
    partly = apogee.labels_of(kept, ("teff", "a_k")).errors
    assert np.isfinite(partly[0]).tolist() == [True, False]
    assert apogee.labels_of(kept, ("a_k",)).covariance is None


def test_repeats_must_be_resolved_first(table):
    with pytest.raises(ValueError, match="2M2"):
        apogee.labels_of(table, ("teff",))


def test_a_missing_column_is_named(tmp_path):
    source = allstar()
    source.remove_column("PARAM_M_H")
    source.write(tmp_path / "allStar.fits")
    with pytest.raises(ValueError, match=r"allStar.fits: no column param_m_h or m_h or .*; the table has APOGEE_ID"):
        apogee.read_allstar(tmp_path / "allStar.fits")


def test_a_flag_of_the_wrong_type_is_named(tmp_path):
    allstar(ASPCAPFLAG=["none", "STAR_BAD", "", ""]).write(tmp_path / "allStar.fits")
    with pytest.raises(ValueError, match=r"column ASPCAPFLAG: found .STAR_BAD., wanted numbers"):
        apogee.read_allstar(tmp_path / "allStar.fits")


def test_temperatures_in_other_units_are_converted_or_refused(tmp_path):
    source = allstar()
    source["TEFF"] = [4.8, 4.9, 4.91, np.nan]
    source["TEFF"].unit = "kK"
    source.write(tmp_path / "a.fits")
    np.testing.assert_allclose(apogee.read_allstar(tmp_path / "a.fits")["teff"][:3], [4800, 4900, 4910])
    source["TEFF"].unit = "m"
    source.write(tmp_path / "b.fits")
    with pytest.raises(ValueError, match="column TEFF is in m, wanted K"):
        apogee.read_allstar(tmp_path / "b.fits")


def test_flags_that_went_through_a_spreadsheet(tmp_path):
    allstar(ASPCAPFLAG=[0.0, 2.0**23, np.nan, -(2.0**31)]).write(tmp_path / "allStar.csv")
    assert apogee.read_allstar(tmp_path / "allStar.csv")["aspcapflag"].tolist() == [0, 1 << 23, 0, 1 << 31]
    allstar(ASPCAPFLAG=[0.0, 0.5, 0.0, 0.0]).write(tmp_path / "allStar.csv", overwrite=True)
    with pytest.raises(ValueError, match=r"column ASPCAPFLAG: found 0\.5, wanted integers"):
        apogee.read_allstar(tmp_path / "allStar.csv")


def test_stars_without_a_name_stay_apart(tmp_path):
    source = allstar(APOGEE_ID=["", "2M2", "", ""])
    source.rename_column("APOGEE_ID", "sdss4_apogee_id")
    source["sdss_id"] = [51, 52, 53, -999]
    source.write(tmp_path / "allStar.fits")
    table = apogee.read_allstar(tmp_path / "allStar.fits")
    assert table["apogee_id"].tolist() == ["51", "2M2", "53", "row 4"]
    assert apogee.best_of_duplicates(table)[1] == 0


@pytest.mark.parametrize(("no", "yes"), [("false", "true"), ("F", "T"), ("FALSE", "TRUE"), (0, 1), ("False", "True")])
def test_bad_stars_of_sdss_v_however_truth_is_written(tmp_path, no, yes):
    source = allstar(flag_bad=[no, no, yes, no])
    source.remove_column("ASPCAPFLAG")
    source.write(tmp_path / "allStar.csv")
    bits = apogee.read_allstar(tmp_path / "allStar.csv")["aspcapflag"]
    assert bits.tolist() == [0, 0, 1 << apogee.ASPCAP_BITS["STAR_BAD"], 0]


def test_flags_beyond_64_bits_are_refused(tmp_path):
    allstar(ASPCAPFLAG=np.array([0, 0, 0, 1 << 63], np.uint64)).write(tmp_path / "allStar.fits")
    with pytest.raises(ValueError, match=r"column ASPCAPFLAG: found 9\.22337e\+18, wanted integers"):
        apogee.read_allstar(tmp_path / "allStar.fits")


def test_a_row_that_has_the_labels_beats_one_of_higher_snr():
    columns = {"apogee_id": ["a", "a", "b", "b"], "snr": [200.0, 100.0, 10.0, 20.0], "row": range(4)}
    labels = {"teff": [np.nan, 4800.0, 4800.0, 4900.0], "a_k": [0.1, np.nan, 0.1, np.nan]}
    assert apogee.best_of_duplicates(Table({**columns, **labels}))[0]["row"].tolist() == [1, 3]
    assert apogee.best_of_duplicates(Table({**columns, **labels}), label_names=("a_k",))[0]["row"].tolist() == [0, 2]
