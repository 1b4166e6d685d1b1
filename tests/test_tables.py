"""Tables as people write them: spreadsheets, NumPy, R, VizieR, packed; and which of their values are none."""

import cProfile
import gzip
import os

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, Table
from astropy.time import Time

from labeltransfer import LABELS, Labels, register_label, tables
from labeltransfer.labels import labels_in, read_labels

TEXTS = {
    "byte-order mark": "\ufefffilename,teff\na.fits,4800\nb.fits,5000\n",
    "semicolons": "filename;teff\na.fits;4800\nb.fits;5000\n",
    "decimal commas": "filename;teff\na.fits;4800,0\nb.fits;5000,0\n",
    "comments first": "# made in 2015, by hand\n# second line\nfilename,teff\na.fits,4800\nb.fits,5000\n",
    "names in a comment": "# filename teff\na.fits 4800\nb.fits 5000\n",
    "names in a comment, commas": "#filename,teff\na.fits,4800\nb.fits,5000\n",
    "tabs": "filename\tteff\na.fits\t4800\nb.fits\t5000\n",
    "VizieR": "#\n#   VizieR\n#Table\tJ_ApJ_836_5\n\nfilename\tteff\n \tK\n------\t-----\na.fits\t4800\nb.fits\t5000\n",
    "VizieR, no units": "#RESOURCE\nfilename|teff\n------|-----\na.fits|4800\nb.fits|5000\n",
    "quotes": '"filename","teff"\n"a.fits",4800\n"b.fits",5000\n',
    "blanks around": "filename , teff\na.fits , 4800\nb.fits , 5000\n",
    "windows": "filename,teff\r\na.fits,4800\r\nb.fits,5000\r\n",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("packed", [False, True])
def test_text_of_every_kind(tmp_path, kind, packed):
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    content = TEXTS[kind].encode("utf-8")
    path.write_bytes(gzip.compress(content) if packed else content)
    table = tables.read_table(path)
    assert table.colnames == ["filename", "teff"]
    assert tables.text(table, "filename").tolist() == ["a.fits", "b.fits"]
    assert tables.numbers(table, "teff", path, "K").tolist() == [4800.0, 5000.0]
    assert tables.column_names(path) == ["filename", "teff"]


def test_units_below_the_names_are_known(tmp_path):
    (tmp_path / "t.tsv").write_text("#VizieR\nid\tteff\tlogg\n\tkK\t[cm/s2]\n--\t----\t---\na\t4.8\t2.5\nb\t5.0\t\n")
    table = tables.read_table(tmp_path / "t.tsv")
    np.testing.assert_allclose(tables.numbers(table, "teff", "t", "K"), [4800.0, 5000.0])
    np.testing.assert_allclose(tables.numbers(table, "logg", "t", "dex"), [2.5, np.nan])


def test_western_european_text(tmp_path):
    (tmp_path / "t.csv").write_bytes("name,teff\nMüller,5000\n".encode("cp1252"))
    assert tables.text(tables.read_table(tmp_path / "t.csv"), "name").tolist() == ["Müller"]


def test_the_table_may_be_in_the_second_table_hdu(tmp_path):
    empty = fits.BinTableHDU.from_columns([fits.Column("teff", "E", array=np.zeros(0))], name="BOSS")
    full = fits.BinTableHDU.from_columns([fits.Column("teff", "E", array=[4800.0])], name="APOGEE")
    fits.HDUList([fits.PrimaryHDU(), empty, full]).writeto(tmp_path / "t.fits")
    assert len(tables.read_table(tmp_path / "t.fits")) == 1
    assert tables.column_names(tmp_path / "t.fits") == ["teff"]


@pytest.mark.parametrize("word", ["NA", "null", "--", "nan", "N/A", "", "None", "-9999", "-9999.99", "-999", "-999.0"])
def test_words_and_numbers_that_are_none(tmp_path, word):
    (tmp_path / "t.csv").write_text(f"id,x\na,{word}\nb,1.5\n")
    values = tables.numbers(tables.read_table(tmp_path / "t.csv"), "x", "t.csv")
    assert np.isnan(values).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_missing_numbers_are_known_in_every_precision(dtype):
    values = np.array([-9999, -999, -99999, 51, -2], dtype).astype(float)
    assert tables.is_missing(values).tolist() == [True, True, True, False, False]
    assert tables.is_missing(np.float32([-9999.99, 1e38, np.inf, 99.99]).astype(float)).tolist() == [True] * 3 + [False]
    assert tables.is_missing(np.array([99.99, 999.0, 150.25]), positive=True).tolist() == [True, True, False]


# --- labels in tables


@pytest.mark.parametrize(
    ("label", "value"),
    [("logg", -9999.99), ("logg", -999), ("logg", 99.99), ("fe_h", 999.99), ("a_k", -9999.99), ("a_k", 99.0),
     ("teff", 0.0), ("teff", -1.0), ("alpha_m", -99.0), ("fe_h", 1e20)],
)  # fmt: skip
def test_no_sentinel_is_a_label(label, value):
    good = {"teff": 4800.0, "logg": 2.5, "fe_h": -0.2, "alpha_m": 0.1, "a_k": -0.02}[label]
    found = read_labels(Table({label: np.float32([good, value, good])}), [label], "t.fits")
    assert np.isnan(found.values[:, 0]).tolist() == [False, True, False]
    assert "1 of 3 missing" in found.notes[0] or "1 more outside" in found.notes[0]


def test_metallicity_is_param_m_h_and_the_note_says_so():
    table = Table({"FE_H": [0.1, 0.2], "PARAM_M_H": [-0.1, -9999.0]})
    found = read_labels(table, ["fe_h"], "data/allStar-v603.fits")
    np.testing.assert_array_equal(found.values[:, 0], [-0.1, np.nan])
    assert found.notes == ("fe_h from PARAM_M_H of allStar-v603.fits; 1 of 2 missing; FE_H left alone",)


def test_all_labels_of_a_table_are_found():
    columns = [
        "filename",
        "ra",
        "TEFF",
        "TEFF_ERR",
        "logg",
        "[M/H]",
        "MG_FE",
        "MG_FE_ERR",
        "O_H",
        "[Ti/Fe]",
        "snr",
        "J",
    ]
    assert labels_in(columns) == ("teff", "logg", "fe_h", "mg_fe", "o_h", "ti_fe")
    assert labels_in(["M_H", "FE_H", "H", "K", "chi2", "N_VISITS"]) == ("fe_h",)


def test_abundances_become_known_in_dex_with_their_errors():
    table = Table({"teff": [4800.0, 5000.0], "e_teff": [50.0, 60.0], "SI_H": [0.1, 0.2], "SI_H_ERR": [0.02, -9999.0]})
    found = read_labels(table, ["teff", "si_h"], "t")
    assert found.names == ("teff", "si_h")
    assert LABELS["si_h"].unit == "dex"
    np.testing.assert_allclose(np.sqrt(found.covariance[0].diagonal()), [50.0, 0.02])
    assert np.isnan(found.covariance[1, 1, 1])
    del LABELS["si_h"]


def test_a_label_that_cannot_be_read_does_not_become_known():
    before = dict(LABELS)
    for table, name, message in (
        (Table({"teff": [1.0]}), "tef", "no column tef"),
        (Table({"vmic_test": ["fast"]}), "vmic_test", "found 'fast', wanted numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            read_labels(table, [name], "t")
    with pytest.raises(ValueError, match="unit 'kms' is unknown to astropy"):
        register_label("vmic_test", "kms")
    with pytest.raises(ValueError, match="already known in 'K'"):
        register_label("TEFF", "mag")
    assert before == LABELS


# --- Labels.from_table


def test_labels_from_tables_of_every_kind(tmp_path):
    pandas = pytest.importorskip("pandas")
    columns = {
        "star": ["a", "b"],
        "Teff": [4800.0, -9999.0],
        "LOGG": [2.5, 2.0],
        "Teff_err": [50.0, 1],
        "logg_err": [0.1, 0.1],
    }
    Table(columns).write(tmp_path / "t.ecsv")
    kinds = [Table(columns), columns, pandas.DataFrame(columns), tmp_path / "t.ecsv"]
    for kind in kinds:
        labels = Labels.from_table(kind)
        assert labels.ids.tolist() == ["a", "b"]
        assert labels.names == ("teff", "logg")
        np.testing.assert_array_equal(labels.values, [[4800.0, 2.5], [np.nan, 2.0]])
        np.testing.assert_allclose(labels.errors[0], [50.0, 0.1])
    indexed = pandas.DataFrame(columns).drop(columns="star").set_index(pandas.Index(["x", "y"], name="who"))
    assert Labels.from_table(indexed, "TEFF, logg", errors=None).ids.tolist() == ["x", "y"]
    assert Labels.from_table({"teff": [4800.0]}).ids.tolist() == ["0"]
    assert Labels.from_table(columns, "teff", ids="Teff").ids.tolist() == ["4800", "-9999"]
    with pytest.raises(ValueError, match="no column who of star names"):
        Labels.from_table(Table(columns), ids="who")
    with pytest.raises(TypeError, match="wanted a Table, a DataFrame"):
        Labels.from_table(np.ones(3))


def test_missing_values_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["a", "b"], "logg": pandas.array([2, None], dtype="Int64")})
    np.testing.assert_array_equal(Labels.from_table(frame).values, [[2.0], [np.nan]])


def test_units_of_a_table_are_converted_and_come_back():
    labels = Labels.from_table({"id": ["a"], "teff": [4.8] * units.kK, "a_k": [200.0] * units.mmag})
    np.testing.assert_allclose(labels.values, [[4800.0, 0.2]])
    table = labels.to_table()
    assert table["teff"].unit == units.K
    again = Labels.from_table(table)
    np.testing.assert_allclose(again.values, labels.values)
    assert again.names == labels.names


def test_masks_and_quantities_of_the_constructor():
    values = np.ma.masked_array([[4800.0, 2.5], [5000.0, 3.0]], [[False, True], [False, False]])
    labels = Labels(["a", "b"], ("TEFF", " logg"), values)
    assert labels.names == ("teff", "logg")
    np.testing.assert_array_equal(labels.values, [[4800.0, np.nan], [5000.0, 3.0]])
    np.testing.assert_allclose(Labels(["a"], ("teff",), [[4.8]] * units.kK).values, [[4800.0]])
    np.testing.assert_array_equal(
        Labels(["a", "b"], ("teff",), np.ma.masked_array([[1], [2]], [[1], [0]])).values[0], np.nan
    )
    with pytest.raises(ValueError, match="found m, wanted K"):
        Labels(["a"], ("teff",), [[4.8]] * units.m)


def test_the_real_allstar(real_spectra):
    path = real_spectra / "apogee_dr12" / "allStar-v603-extract.fits"
    if not path.exists():
        pytest.skip("no extract of the real allStar at hand (LABELTRANSFER_REAL_SPECTRA)")
    from labeltransfer import apogee

    raw = Table.read(path)
    table = apogee.read_allstar(path, ("mg_h",))
    known = np.asarray(raw["PARAM_M_H"]) > -9000
    assert known.sum() == 68
    np.testing.assert_array_equal(table["fe_h"][known], np.asarray(raw["PARAM_M_H"])[known].astype(float))
    assert [int(np.isnan(table[name]).sum()) for name in ("teff", "logg", "fe_h", "alpha_m", "a_k", "mg_h")] == [
        12, 12, 12, 12, 8, 12,
    ]  # fmt: skip
    assert -0.3 < np.nanmin(table["a_k"]) < np.nanmax(table["a_k"]) < 2.0
    notes = table.meta["notes"]
    assert "fe_h from PARAM_M_H of allStar-v603-extract.fits; 12 of 80 missing; FE_H left alone" in notes
    assert "a_k from AK_WISE of allStar-v603-extract.fits; 8 of 80 missing; AK_TARG left alone" in notes


def test_a_unit_behind_a_columns_name_hides_no_label():
    assert labels_in(["T_eff (K)", "log g (cgs)", "[Fe/H] (dex)", "teff_err (K)", "A_K [mag]"]) == (
        "teff", "logg", "fe_h", "a_k",
    )  # fmt: skip


# --- tables as people keep them


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_say_the_code(tmp_path, code):
    (tmp_path / "t.csv").write_bytes("\nname,teff\nMüller,5000\n".encode(code))
    table = tables.read_table(tmp_path / "t.csv")
    assert tables.text(table, "name").tolist() == ["Müller"]
    assert tables.column_names(tmp_path / "t.csv") == ["name", "teff"]


def test_words_that_are_missing_from_a_column_of_text(tmp_path):
    (tmp_path / "t.csv").write_text("id,flags,good,teff\na,,True,4800\nb,STAR_WARN,False,#N/A\nc,NA,True,INDEF\n")
    table = tables.read_table(tmp_path / "t.csv")
    assert tables.text(table, "flags").tolist() == ["", "STAR_WARN", ""]
    assert table["good"].tolist() == [True, False, True]
    np.testing.assert_array_equal(tables.numbers(table, "teff", "t"), [4800.0, np.nan, np.nan])


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
def test_names_that_begin_with_zero_are_text(tmp_path, mark):
    rows = [["id", "planid", "fiberid", "teff"], ["001", '"0012"', "7", "4800"], ["012", "120", "11", "0.0"]]
    (tmp_path / "t.csv").write_text("\n".join(mark.join(row) for row in rows) + "\n")
    table = tables.read_table(tmp_path / "t.csv")
    assert tables.text(table, "id").tolist() == ["001", "012"]
    assert tables.text(table, "planid").tolist() == ["0012", "120"]
    assert tables.numbers(table, "id", "t").tolist() == [1.0, 12.0]
    assert [table[name].dtype.kind for name in ("fiberid", "teff")] == ["i", "f"]


def test_units_in_a_comment_below_the_names(tmp_path):
    (tmp_path / "t.txt").write_text("# a table\n# id teff logg\n# - kK dex\na 4.8 2.5\nb 5.0 3.0\n")
    table = tables.read_table(tmp_path / "t.txt")
    assert table.colnames == ["id", "teff", "logg"]
    np.testing.assert_allclose(tables.numbers(table, "teff", "t", "K"), [4800.0, 5000.0])


def test_units_in_names_are_known_and_converted():
    table = Table({"Teff[kK]": [4.8], "log(g)": [2.5], "A(C)": [8.4], "[Fe/H](dex)": [-0.2]})
    assert labels_in(table.colnames) == ("teff", "logg", "fe_h")
    found = read_labels(table, ["teff", "logg", "fe_h"], "t")
    np.testing.assert_allclose(found.values, [[4800.0, 2.5, -0.2]])


def test_the_longest_table_of_a_file_is_read(tmp_path):
    log = fits.table_to_hdu(Table({"step": ["read", "cut"], "teff": [0.0, 1.0]}))
    data = fits.table_to_hdu(Table({"id": ["a", "b", "c"], "teff": [4800.0, 4900.0, 5000.0]}))
    fits.HDUList([fits.PrimaryHDU(), log, data]).writeto(tmp_path / "t.fits")
    assert Labels.from_table(tmp_path / "t.fits").column("teff").tolist() == [4800.0, 4900.0, 5000.0]


def test_pipes_and_folders_are_no_tables(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(ValueError, match="a folder, pipe or device, wanted the file of a table; not opened"):
            tables.read_table(path)


def test_columns_of_one_name_that_differ_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("id,teff,logg,teff\na,4800,2.5,4850\n")
    for table in (tmp_path / "t.csv", Table({"id": ["a"], "TEFF": [4800.0], "teff": [4850.0]})):
        with pytest.raises(ValueError, match=r"columns (teff|TEFF) and teff\w* could both be teff, and differ"):
            Labels.from_table(table)
    assert Labels.from_table(Table({"id": ["a"], "TEFF": [4800.0], "teff": [4800.0]})).values == [[4800.0]]


def test_usual_labels_have_their_unit_and_a_physical_range():
    vmic = Table({"vmic": [1500.0, -9.99e3] * units.m / units.s, "MG_FE": [-9.99, 0.1], "logg": [0.5, 1.0]})
    vmic["logg"].unit = "dex(m/s2)"
    try:
        found = read_labels(vmic, ["vmic", "mg_fe", "logg"], "t")
        assert [LABELS[name].unit for name in found.names] == ["km/s", "dex", "dex"]
        np.testing.assert_allclose(found.values, [[1.5, np.nan, 2.5], [np.nan, 0.1, 3.0]])
    finally:
        LABELS.pop("vmic", None)
        LABELS.pop("mg_fe", None)


@pytest.mark.parametrize("ids", [[1.0, 2.0], np.array([b"1 ", b"2"]), np.array([b"1", " 2"], object), [1, 2]])
def test_names_of_stars_are_text_however_they_are_given(ids):
    assert Labels(ids, ("teff",), [[4800.0], [4900.0]]).ids.tolist() == ["1", "2"]
    assert Labels.from_table({"id": ids, "teff": [4800.0, 4900.0]}).ids.tolist() == ["1", "2"]


@pytest.mark.parametrize("nobody", [None, np.nan, "", b" "])
def test_every_row_names_a_star(nobody):
    for make in (lambda ids: Labels(ids, ("teff",), [[4800.0], [4900.0]]),
                 lambda ids: Labels.from_table({"id": ids, "teff": [4800.0, 4900.0]})):  # fmt: skip
        with pytest.raises(ValueError, match="row 2 names no star"):
            make(np.array(["a", nobody], dtype=object))


def test_rows_of_a_data_frame_keep_their_index():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"teff": [4800.0, 4900.0, 5000.0], "seen": pandas.Timestamp("2020-01-01")})
    assert Labels.from_table(frame[1:]).ids.tolist() == ["1", "2"]
    assert Labels.from_table(frame[frame["teff"] > 4850]).ids.tolist() == ["1", "2"]
    with pytest.raises(TypeError, match=r"found a DataFrame; Labels.from_table takes it by its columns"):
        Labels(["a", "b", "c"], ("teff",), frame[["teff"]])
    twice = pandas.concat([frame, frame], axis=1)
    with pytest.raises(ValueError, match="columns of the same name"):
        Labels.from_table(twice)
    with pytest.raises(ValueError, match="column seen holds Time, wanted numbers"):
        Labels.from_table(frame, "seen")


def test_columns_that_are_no_numbers_are_left_alone(tmp_path):
    table = Table(
        {"id": ["a"], "teff": [4800.0], "seen": Time(["2020-01-01"]), "at": SkyCoord([1.0], [2.0], unit="deg")}
    )
    table.write(tmp_path / "t.ecsv")
    assert Labels.from_table(tmp_path / "t.ecsv").values.tolist() == [[4800.0]]


def test_records_and_single_stars_are_tables():
    records = np.array([("a", 4800.0)], dtype=[("id", "U3"), ("teff", ">f4")])
    for table in (records, records[0:1].view(np.recarray), {"id": "a", "teff": 4800.0}):
        labels = Labels.from_table(table)
        assert (labels.ids.tolist(), labels.values.tolist()) == (["a"], [[4800.0]])


@pytest.mark.parametrize("word", ["…", "—", "–", "−", "..", "***", "?"])
def test_a_word_without_letter_or_digit_is_no_value(word):
    table = Table({"feh": ["−0.5", word, "0.1"]})
    np.testing.assert_array_equal(tables.numbers(table, "feh", "t", "dex"), [-0.5, np.nan, 0.1])
    assert tables.numbers(table[:0], "feh", "t").shape == (0,)


def test_errors_are_in_the_unit_of_their_values_unless_they_state_another():
    table = Table({"id": ["a", "b"], "teff": [4.8, 5.0], "teff_err": [0.05, 9999.0], "logg": [0.5, 1.0]})
    table["logg_err"] = [0.1, 99.99]
    table["teff"].unit = "kK"
    table["logg"].unit = table["logg_err"].unit = "dex(m/s2)"
    labels = Labels.from_table(table)
    np.testing.assert_allclose(labels.values, [[4800.0, 2.5], [5000.0, 3.0]])
    np.testing.assert_allclose(labels.errors, [[50.0, 0.1], [np.nan, np.nan]])
    table["teff_err"].unit = "K"
    np.testing.assert_allclose(Labels.from_table(table).errors[0], [0.05, 0.1])
    table.rename_columns(["teff", "teff_err"], ["Teff [kK]", "e_Teff"])
    table["Teff [kK]"].unit = table["e_Teff"].unit = None
    np.testing.assert_allclose(Labels.from_table(table).errors[0], [50.0, 0.1])


def test_a_named_index_of_a_data_frame_names_the_stars():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"sobject_id": [71, 72], "source_id": [1, 2], "teff": [4800.0, 4900.0]})
    assert Labels.from_table(frame.set_index("sobject_id")).ids.tolist() == ["71", "72"]
    assert Labels.from_table(frame.set_index("source_id", drop=False)).ids.tolist() == ["1", "2"]
    assert Labels.from_table(frame.set_index("source_id"), ids="sobject_id").ids.tolist() == ["71", "72"]


def test_lists_of_masked_numbers_and_of_quantities():
    masked = [np.ma.array([4800.0], mask=[True]), [4900.0]]
    np.testing.assert_array_equal(Labels(["a", "b"], ("teff",), masked).values, [[np.nan], [4900.0]])
    kelvin = [[4.8] * units.kK, [4900.0] * units.K]
    np.testing.assert_allclose(Labels(["a", "b"], ("teff",), kelvin).values, [[4800.0], [4900.0]])
    mixed = {"id": ["a", "b"], "teff": [4.8 * units.kK, 4900.0 * units.K]}
    np.testing.assert_allclose(Labels.from_table(mixed).values, [[4800.0], [4900.0]])


def test_stars_are_found_by_names_in_any_form():
    labels = Labels(["1", "2"], ("teff",), [[4800.0], [4900.0]])
    for ids in ([2.0, 1.0], np.array([b"2 ", b"1"]), Table({"id": ["2 ", "1"]})["id"]):
        assert labels.of(ids).values.ravel().tolist() == [4900.0, 4800.0]


def test_a_negative_variance_is_no_error():
    assert np.isnan(Labels(["a"], ("teff",), [[4800.0]], [[[-1.0]]]).errors).all()


def test_the_content_tells_the_format_whatever_a_file_is_called(tmp_path):
    table = Table({"id": ["a", "b"], "teff": [4800.0, 4900.0]})
    for form, written in (("fits", "t.fits"), ("votable", "t.xml"), ("ascii.ecsv", "t.ecsv")):
        table.write(tmp_path / written, format=form)
        for name in ("noend", "t.dat", "t.csv", "t.fts"):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / written).read_bytes()))
            assert tables.read_table(tmp_path / name)["teff"].tolist() == [4800.0, 4900.0]
            assert tables.column_names(tmp_path / name) == ["id", "teff"]
    (tmp_path / "t.ecsv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "t.ecsv").read_bytes())
    assert Labels.from_table(tmp_path / "t.ecsv").ids.tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ["t.csv", "t.fits", "t.fits.gz", "t.parquet"])
def test_a_page_that_a_server_sent_instead_is_called_so(tmp_path, name):
    (tmp_path / name).write_text("<!DOCTYPE html>\n<html><body>404, not found</body></html>\n")
    with pytest.raises(ValueError, match="HTML page, as servers send it in place of a file; fetch the file again"):
        tables.read_table(tmp_path / name)
    assert tables.column_names(tmp_path / name) == []


def test_a_table_of_many_columns_is_known_by_its_first_rows(tmp_path):
    table = Table({f"c{n}": [1.0] for n in range(250)})
    table.write(tmp_path / "t.ecsv")
    assert len(tables.column_names(tmp_path / "t.ecsv")) == 250


def test_text_that_was_cut_short_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("obsid|teff|logg\n101|4800|2.5\n102|49")
    with pytest.raises(ValueError, match=r"cut short: the last line, '102\|49'"):
        tables.read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("obsid|teff|logg\n101|4800|2.5\n102|4900|2.6")
    assert tables.read_table(tmp_path / "t.csv")["teff"].tolist() == [4800, 4900]


@pytest.mark.parametrize(
    "content", ["sep=;\nid;teff\na;4800\n", '"sep=,"\r\nid,teff\r\na,4800\r\n', "id,teff\na,4800\n\x1a"]
)
def test_what_spreadsheets_and_dos_add_is_no_row(tmp_path, content):
    (tmp_path / "t.csv").write_text(content, newline="")
    table = tables.read_table(tmp_path / "t.csv")
    assert (table.colnames, table["teff"].tolist()) == (["id", "teff"], [4800])


def test_parquet_with_lists_bytes_and_missing_numbers(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = {"id": [b"a", b"b"], "teff": [4800, None], "coefficients": [[1.0, 2.0], None], "mg_fe": [{"x": 1}, None]}
    parquet.write_table(arrow.table(content), tmp_path / "t.parquet")
    table = tables.read_table(tmp_path / "t.parquet")
    assert table.colnames == ["id", "teff"]
    assert tables.text(table, "id").tolist() == ["a", "b"]
    np.testing.assert_array_equal(tables.numbers(table, "teff", "t"), [4800.0, np.nan])


def test_whole_numbers_of_parquet_keep_all_digits_where_some_are_missing(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    source_id = 3018047382918404353  # of Gaia; as floating point it ends in …096
    parquet.write_table(arrow.table({"source_id": [source_id, None]}), tmp_path / "t.parquet")
    assert tables.text(tables.read_table(tmp_path / "t.parquet"), "source_id").tolist() == [str(source_id), ""]


@pytest.mark.parametrize("written", ["4.8D+03", "4.8d3", "4.8E3", "4800.D0"])
def test_exponents_of_fortran(tmp_path, written):
    (tmp_path / "t.csv").write_text(f"id,teff\na,{written}\nb,5.0D3\n")
    table = tables.read_table(tmp_path / "t.csv")
    assert tables.numbers(table, "teff", "t.csv").tolist() == [4800.0, 5000.0]


# --- a column is what its name, its unit and its file say


@pytest.mark.parametrize(
    ("columns", "values", "errors"),
    [
        ({"fe_h": [-0.1, -0.2], "M_H": [-4.5, -3.0] * units.mag}, [-0.1, -0.2], [np.nan, np.nan]),
        ({"m_h": [-0.3, -0.4], "FE_H": [-0.5, -0.6], "fe_h_err": [0.01, 0.02]}, [-0.5, -0.6], [0.01, 0.02]),
        ({"M_H": [-0.3, -0.4], "m_h_err": [0.03, 0.04], "teff": [4500.0, 4600.0]}, [-0.3, -0.4], [0.03, 0.04]),
        ({"apogee_id": ["a", "b"], "FE_H": [-0.5, -0.6], "FE_H_ERR": [0.01, 0.02], "M_H": [-0.3, -0.4]},
         [-0.3, -0.4], [np.nan, np.nan]),
    ],
)  # fmt: skip
def test_a_column_of_the_labels_name_comes_first_but_in_apogees_tables(columns, values, errors):
    labels = Labels.from_table(Table({"id": ["a", "b"], **columns}), "fe_h")
    np.testing.assert_array_equal(labels.column("fe_h"), values)
    np.testing.assert_allclose(labels.errors[:, 0], errors)


def test_two_columns_that_are_asked_for_by_name_are_both_read():
    try:
        labels = Labels.from_table({"id": ["a"], "FE_H": [-0.5], "M_H": [-0.3]}, "FE_H,M_H")
        assert (labels.names, labels.values.tolist()) == (("fe_h", "m_h"), [[-0.5, -0.3]])
    finally:
        LABELS.pop("m_h", None)


def test_magnitudes_are_no_label_in_dex():
    table = Table({"id": ["a"], "teff": [4500.0], "M_H": [-4.5] * units.mag})
    assert Labels.from_table(table).names == ("teff",)
    with pytest.raises(ValueError, match="column M_H is in mag, wanted dex"):
        Labels.from_table(table, "fe_h")
    with pytest.raises(ValueError, match="column a_k is in dex, wanted mag"):
        Labels.from_table({"id": ["a"], "a_k": [0.1] * units.dex})


@pytest.mark.parametrize(("scale", "zero", "first"), [(1e-4, 0, 0.1), (1, 32768, 33768)])
def test_numbers_of_fits_that_stand_for_none_are_known_before_they_are_scaled(tmp_path, scale, zero, first):
    hdu = fits.BinTableHDU(np.array([(b"a", 1000, [7, 8]), (b"b", -32768, [7, -32768])], "S3, >i2, (2,)>i2"))
    hdu.header["TSCAL2"], hdu.header["TZERO2"], hdu.header["TNULL2"], hdu.header["TNULL3"] = scale, zero, -32768, -32768
    hdu.writeto(tmp_path / "t.fits")
    table = tables.read_table(tmp_path / "t.fits")
    np.testing.assert_allclose(tables.numbers(table, "f1", "t"), [first, np.nan])
    assert table["f2"].mask.tolist() == [[False, False], [False, True]]


def test_names_of_variable_length_in_fits(tmp_path):
    lists = fits.Column("list", "PJ()", null=3, array=np.array([np.array([1, 2]), np.array([3])], dtype=object))
    names = fits.Column("id", "PA()", array=np.array(["a c", "de"], dtype=object))
    columns = [names, lists, fits.Column("teff", "E", array=[4500.0, 4600.0])]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    assert Labels.from_table(tmp_path / "t.fits").ids.tolist() == ["a c", "de"]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ('id,note,teff\n0012,"binary, RV var",4500\n0013,ok,4600\n', ["0012", "0013"]),
        ("id,teff,logg\n0012,4500\n0013,4600,2.5\n", ["0012", "0013"]),
        ("id,teff\n1E5,4500\n7,4600\n", ["1E5", "7"]),
        ("id teff\n  +1234567   4500.5  \n 12  +4600.5\n", ["+1234567", "12"]),
        ("id,teff\n12.0,4500\n+13.0,4600\n", ["12", "13"]),
    ],
)
def test_names_of_stars_stay_as_they_are_written(tmp_path, content, ids):
    (tmp_path / "t.csv").write_text(content)
    assert Labels.from_table(tmp_path / "t.csv", "teff").ids.tolist() == ids
    assert tables.read_table(tmp_path / "t.csv")["teff"].dtype.kind in "if"


def test_no_name_stands_where_none_is_written_among_names_that_begin_with_zero(tmp_path):
    (tmp_path / "t.csv").write_text("id,teff\n0012,4500\nNA,4600\n")
    assert tables.text(tables.read_table(tmp_path / "t.csv"), "id").tolist() == ["0012", ""]


def test_a_list_of_long_names_and_floating_point_numbers_keeps_all_digits():
    source_id = 3018047382918404353  # of Gaia; as floating point it ends in …096
    labels = Labels.from_table({"id": [source_id, 2.0], "teff": [4500, 4600.5]})
    assert (labels.ids.tolist(), labels.values.tolist()) == ([str(source_id), "2"], [[4500.0], [4600.5]])


@pytest.mark.parametrize(
    ("unit", "added"),
    [("log(m/s2)", 2.0), ("[m/s2]", 2.0), ("log10(m s-2)", 2.0), ("log(cm/s**2)", 0.0), ("[cm/s2]", 0.0), ("dex", 0.0),
     ("log(cgs)", 0.0), ("log g", 0.0), ("cm/s2", 0.0), ("dex(Sun)", 0.0), ("log(g/gsun)", None), ("m/s2", None),
     ("dex(g/gsun)", None)],
)  # fmt: skip
def test_units_of_log_g_are_converted_or_refused(unit, added):
    table = Table({"id": ["a"], "logg": [2.5]})
    table["logg"].unit = units.Unit(unit, parse_strict="silent")
    if added is None:
        with pytest.raises(ValueError, match=r"column logg is in .*, wanted dex; convert it, or correct the unit"):
            Labels.from_table(table)
    else:
        np.testing.assert_allclose(Labels.from_table(table).values, [[2.5 + added]])


def test_a_unit_of_gravity_behind_the_name_of_log_g_is_that_of_cgs():
    assert Labels.from_table({"id": ["a"], "log g (cm/s2)": [2.5]}).values.tolist() == [[2.5]]
    with pytest.raises(ValueError, match=r"column log g \(m/s2\) is in m / s2, wanted dex"):
        Labels.from_table({"id": ["a"], "log g (m/s2)": [0.5]})


@pytest.mark.parametrize(("index", "ids"), [("row", ["11", "12"]), ("Star", ["0", "1"]), (None, ["11", "12"])])
def test_a_column_of_names_comes_before_an_index_that_is_called_otherwise(index, ids):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"source_id": [11, 12], "teff": [4500.0, 4600.0]}).rename_axis(index=index)
    assert Labels.from_table(frame).ids.tolist() == ids


@pytest.mark.parametrize("form", ["ascii.ipac", "ascii.mrt"])
def test_tables_of_ipac_and_of_the_journals(tmp_path, form):
    table = Table({"id": ["a", "b"], "teff": [4.5, 4.6] * units.kK, "logg": [2.5, 3.0]})
    table.write(tmp_path / "t.txt", format=form)
    labels = Labels.from_table(tmp_path / "t.txt")
    assert (labels.ids.tolist(), labels.names) == (["a", "b"], ("teff", "logg"))
    np.testing.assert_allclose(labels.values, [[4500.0, 2.5], [4600.0, 3.0]])
    assert tables.column_names(tmp_path / "t.txt") == ["id", "teff", "logg"]


def test_pipes_around_all_lines_are_no_table_of_ipac(tmp_path):
    (tmp_path / "t.txt").write_text("|id|teff|\n|a|4500|\n|b|4600|\n")
    assert Labels.from_table(tmp_path / "t.txt").values.tolist() == [[4500.0], [4600.0]]


def test_an_empty_field_between_tabs_is_empty(tmp_path):
    (tmp_path / "t.txt").write_text("id\tteff\tlogg\tfe_h\na\t5000\t\t-1\nb\t4000\t2\t0\n")
    values = Labels.from_table(tmp_path / "t.txt", ["teff", "logg", "fe_h"]).values
    np.testing.assert_array_equal(values, [[5000, np.nan, -1], [4000, 2, 0]])


def test_a_colour_is_no_abundance():
    table = Table({"id": ["a"], "teff": [5000.0], "V_H": Column([1.0], unit="mag")})
    assert Labels.from_table(table).names == ("teff",)


def obsids(kind):
    return np.array([345204036, 345204037]).astype(kind)


@pytest.mark.parametrize("kind", ["i4", "i8", "f8", "U9", object])
def test_numbers_that_name_stars_keep_their_digits(kind):
    table = Table({"obsid": obsids(kind)})
    assert tables.whole_numbers(table, "obsid", "t.csv").tolist() == [345204036, 345204037]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (obsids("f4"), r"row 1 has 345204032.0 \(float32\)"),
        (np.array([1, 4096], "f2"), r"row 2 has 4096.0 \(float16\)"),
        ([101.0, 102.5], "row 2 has 102.5"),
        (["345204036", "3.45204E+08"], r"row 2 has 3.45204E\+08"),
        (["345204036", "345E6"], "row 2 has 345E6"),
    ],
)
def test_numbers_that_lost_digits_name_no_star(column, found):
    with pytest.raises(ValueError, match=rf"t.fits: column obsid: {found}.*wanted whole numbers with all their digits"):
        tables.whole_numbers(Table({"obsid": column}), "obsid", "t.fits")


def test_numbers_that_are_missing_are_no_names():
    table = Table({"obsid": ["", "-9999", "3.45204036E+08", "7.0"]})
    assert tables.whole_numbers(table, "obsid", "t.csv").tolist() == [-1, -1, 345204036, 7]


def test_what_a_spreadsheet_made_of_long_numbers_is_seen(tmp_path):
    (tmp_path / "t.csv").write_text("obsid,teff,ra\n3.45204E+08,4.8E+03,1.5E+00\n3.45205E+08,5E+03,2.5E+00\n")
    table = tables.read_table(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"t.csv: column obsid: row 1 has 3.45204E\+08"):
        tables.whole_numbers(table, "obsid", tmp_path / "t.csv")
    assert tables.numbers(table, "teff", "t.csv").tolist() == [4800, 5000]
    assert table["ra"].tolist() == [1.5, 2.5]


# --- names of stars come back as they are written


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["12.10", "7.0", "0x12", "-01"], None),
        (["1.1", "1.10", "1.100", "4.100"], None),
        (["7.0", "7.1", "007", "1e5"], None),
        (["12", "-7", "101"], None),
        (["True", "False"], None),
        (["3018047382918404353.0", "12.0"], ["3018047382918404353", "12"]),
    ],
)
@pytest.mark.parametrize(("mark", "column"), [(",", "id"), (" ", "star_id"), ("\t", "who"), ("|", "obsid")])
def test_names_that_look_like_numbers_stay_as_they_are_written(tmp_path, names, ids, mark, column):
    rows = [f"{column}{mark}teff{mark}logg", *(f"{name}{mark}4500.5{mark}2" for name in names)]
    (tmp_path / "t.txt").write_text("\n".join(rows) + "\n")
    assert Labels.from_table(tmp_path / "t.txt", "teff,logg", ids=column).ids.tolist() == (ids or names)
    assert [tables.read_table(tmp_path / "t.txt")[name].dtype.kind for name in ("teff", "logg")] == ["f", "i"]


def test_a_name_that_is_missing_among_numbers_names_no_star(tmp_path):
    (tmp_path / "t.csv").write_text("id,teff\n12,4500\nNaN,4600\n,4700\n")
    assert tables.text(tables.read_table(tmp_path / "t.csv"), "id").tolist() == ["12", "", ""]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("id,teff\n#1,4500\n# 2,4600\na,4700\n# the end\n", ["#1", "# 2", "a"]),
        ("id teff\n#1 4500\na 4700\n# the end\n", ["#1", "a"]),
        ("# a comment\nid|teff\n#1|4500\n#|4600\n", ["#1", "#"]),
        ("# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n# - {name: teff, datatype: int64}\n"
         "id teff\n#1 4500\n\"# 2\" 4600\n", ["#1", "# 2"]),
    ],
)  # fmt: skip
def test_a_row_whose_name_begins_with_the_mark_of_comments_is_a_row(tmp_path, content, ids):
    (tmp_path / "t.txt").write_text(content)
    assert Labels.from_table(tmp_path / "t.txt").ids.tolist() == ids


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("index", [["b", "c", "a"], [2, 0, 1], [12.5, 1.5, 3.5], None, "rest"])
def test_the_index_of_a_data_frame_names_the_stars_from_files_too(tmp_path, form, index):
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"teff": [4500.0, 4600.0, 4700.0]}, index=None if index == "rest" else index)
    frame = frame[1:] if index == "rest" else frame
    if form == "arrow":
        source = arrow.Table.from_pandas(frame)
    else:
        source = tmp_path / f"t.{form}"
        getattr(frame, f"to_{form}")(source)
    assert Labels.from_table(source).ids.tolist() == Labels.from_table(frame).ids.tolist()


def test_an_index_with_a_name_names_the_stars_from_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"teff": [4500.0, 4600.0]}, index=pandas.Index(["b", "a"], name="who"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert Labels.from_table(tmp_path / "t.parquet").ids.tolist() == ["b", "a"]


@pytest.mark.parametrize(("rows", "ids"), [('"1",4500\n"2",4600\n', ["0", "1"]), ('"a",4500\n"b",4600\n', ["a", "b"])])
def test_names_of_rows_of_r_name_stars_but_its_numbers_do_not(tmp_path, rows, ids):
    (tmp_path / "t.csv").write_text(f'"","teff"\n{rows}')
    assert Labels.from_table(tmp_path / "t.csv").ids.tolist() == ids


def test_stars_that_are_numbered_though_a_column_may_name_them_are_told(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("who,teff\nb,4500\na,4600\n")
    assert Labels.from_table(tmp_path / "t.csv").ids.tolist() == ["0", "1"]
    assert "no column names the stars, they are numbered; ids= says if who does" in caplog.text


SOURCE = 3456789012345678901  # of Gaia


@pytest.mark.parametrize("ids", [[SOURCE, SOURCE + 1, 7.0], [2**63 + 5, -1, 7], [np.uint64(SOURCE), -1, "7"]])
def test_names_of_mixed_kinds_keep_their_digits(ids):
    names = [str(int(one)) for one in ids]
    assert tables.words(ids).tolist() == names
    assert Labels(ids, ("teff",), [[4500.0]] * 3).ids.tolist() == names


@pytest.mark.parametrize(
    "ids", [np.array([2.0**60, 1]), [2.0**60, 1], np.array([2.0**24, 1], "f4"), [np.float32(2.0**24), 1]]
)
def test_names_that_floating_point_rounded_are_refused(ids):
    teff = [4500.0] * 2
    for make in (lambda: Labels(ids, ("teff",), np.c_[teff]), lambda: Labels.from_table({"id": ids, "teff": teff})):
        with pytest.raises(ValueError, match=r"found 1.* \(float\d\d\), wanted names of stars with all their digits"):
            make()


@pytest.mark.parametrize("kind", ["i8", "u8", str, object])
def test_long_whole_numbers_keep_all_digits(kind):
    table = Table({"source_id": np.array([SOURCE, 7]).astype(kind)})
    assert tables.whole_numbers(table, "source_id", "t").tolist() == [SOURCE, 7]
    with pytest.raises(ValueError, match="column source_id: row 1 has 9223372036854775813"):
        tables.whole_numbers(Table({"source_id": [2**63 + 5]}), "source_id", "t")


def test_columns_of_a_votable_are_called_by_their_names_and_one_table_is_wanted(tmp_path):
    votable = pytest.importorskip("astropy.io.votable")
    first, second = (votable.from_table(Table({"id": ["a"], "teff": [4500.0]})) for _ in range(2))
    for field in first.get_first_table().fields:
        field.ID = f"col_{field.name}"
    first.to_xml(str(tmp_path / "t.xml"))
    assert Labels.from_table(tmp_path / "t.xml").names == ("teff",)
    first.resources.append(second.resources[0])
    first.to_xml(str(tmp_path / "two.xml"))
    with pytest.raises(ValueError, match=r"two.xml: .*it holds 2 tables .*, wanted one; write the one that is meant"):
        tables.read_table(tmp_path / "two.xml")


def test_a_large_table_of_text_is_read_by_the_fast_reader_and_not_field_by_field(tmp_path):
    rows = "".join(f"{100 + n}|{'|'.join([str(n)] * 12)}|00:10\n" for n in range(2000))
    (tmp_path / "t.csv").write_text(f"obsid|{'|'.join(f'n{n}' for n in range(12))}|time\n{rows}")
    tables.column_names(tmp_path / "t.csv")
    with cProfile.Profile() as profile:
        table = tables.read_table(tmp_path / "t.csv")
    assert [table[name].dtype.kind for name in table.colnames] == ["i"] * 13 + ["U"]
    assert sum(one.callcount for one in profile.getstats()) < 20 * 2000


# --- labels, their columns and their errors


@pytest.fixture
def forgotten():
    """Labels that a test meets are forgotten after it."""
    before = dict(LABELS)
    yield
    LABELS.clear()
    LABELS.update(before)


def test_a_mapping_gives_the_column_of_each_label():
    columns = {"id": ["a"], "teff": [1.0], "Teff_spec": [4500.0], "e_Teff_spec": [50.0], "g": [2.5]}
    labels = Labels.from_table(columns, {"teff": "Teff_spec", "log g": "g"})
    assert (labels.names, labels.values.tolist()) == (("teff", "logg"), [[4500.0, 2.5]])
    assert labels.errors[0, 0] == 50.0
    with pytest.raises(ValueError, match="table: no column Teff_phot; the table has id, teff"):
        Labels.from_table(columns, {"teff": "Teff_phot"})
    with pytest.raises(ValueError, match="label names: found a mapping of teff, wanted names alone"):
        Labels(["a"], {"teff": "Teff_spec"}, [[4500.0]])


@pytest.mark.parametrize(
    ("asked", "names", "values"),
    [
        (["log g", "[M/H]"], ("logg", "fe_h"), [2.5, -0.3]),
        ("M_H", ("fe_h",), [-0.3]),
        ("fe_h", ("fe_h",), [-0.5]),
        ("temperature,FE_H", ("teff", "fe_h"), [4500.0, -0.5]),
        ("[alpha/Fe]", ("alpha_fe",), [0.1]),
    ],
)
def test_labels_that_are_asked_for_by_other_names_are_those_that_are_known(forgotten, asked, names, values):
    columns = {"id": ["a"], "T_eff": [4500.0], "log g": [2.5], "[M/H]": [-0.3], "FE_H": [-0.5], "alpha_fe": [0.1]}
    labels = Labels.from_table(columns, asked)
    assert (labels.names, labels.values[0].tolist()) == (names, values)


@pytest.mark.parametrize(
    "column",
    ["err_teff", "teff_uncertainty", "teff_std", "Teff_sigma", "d_teff", "u_teff", "s_teff", "teff_sig", "TEFF_E"],
)
def test_errors_are_found_by_their_other_names(column):
    assert Labels.from_table({"id": ["a"], "Teff": [4500.0], column: [50.0]}).errors == [[50.0]]


def test_what_only_looks_like_an_error_is_told_and_scandium_is_no_error_of_carbon(forgotten):
    table = Table({"c_h": [0.1], "Sc_H": [0.2], "teff": [4500.0], "teff_err_sys": [50.0], "Dy_H": [0.3], "y_h": [0.3]})
    found = read_labels(table, ["teff", "c_h", "y_h"], "t")
    assert found.covariance is None
    assert found.notes[-1] == "teff_err_sys may be errors of teff: not used"


def test_columns_that_are_no_abundance_are_left_out_and_told(forgotten, caplog):
    columns = {"id": ["a", "b"], "teff": [4500.0, 4600.0], "P_M": [0.5, 0.9], "alpha": [120.0, 140.0]}
    columns |= {"N_H": [3e20, 4e21], "C_H": ["high", "low"], "mg_fe": [0.1, 0.2]}
    assert Labels.from_table(columns).names == ("teff", "mg_fe")
    assert "n_h left out, for its column is taken for another thing: table: column N_H: 2 of 2 values" in caplog.text
    assert "alpha_m left out" in caplog.text
    with pytest.raises(ValueError, match="column N_H: 2 of 2 values of n_h lie outside"):
        Labels.from_table(columns, "n_h")


@pytest.mark.parametrize("first", ["plain", "m/s", "km/s"])
def test_the_unit_of_a_label_does_not_depend_on_the_table_that_is_met_first(forgotten, caplog, first):
    met = {"plain": [6.9], "m/s": [6900.0] * units.m / units.s, "km/s": [6.9] * units.km / units.s}
    for kind in dict.fromkeys([first, *met]):
        labels = Labels.from_table({"id": ["a"], "vbroad": met[kind]}, "vbroad")
        np.testing.assert_allclose(labels.values, [[6.9]])
    assert LABELS["vbroad"].unit == "km/s"
    assert ("label vbroad is in km/s from now on" in caplog.text) is (first == "plain")
    assert register_label("vbroad", "").unit == "km/s"
