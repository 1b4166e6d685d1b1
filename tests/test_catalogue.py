import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from labeltransfer import Labels, catalogue
from labeltransfer.inference import LabelFit
from labeltransfer.labels.registry import RESERVED

NAMES = ("teff", "logg", "a_k")


def some_fit(n=4, prefix="é"):
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(n, 3, 3)) * [[30.0], [0.1], [0.02]]
    values = rng.normal([4500, 2, 0.2], [400, 0.5, 0.1], (n, 3))
    values[0, 0], values[1] = 4000.0, np.nan
    labels = Labels([f"{prefix}{i}" for i in range(n)], NAMES, values, factor @ factor.transpose(0, 2, 1))
    converged = np.arange(n) != 1
    flat = np.zeros(n)
    return LabelFit(labels, np.full(n, 97.0), np.full(n, 100), converged, np.zeros(n, int), flat, flat, n_free=3)


def some_stars(fit):
    stars = Table({"id": fit.labels.ids, "ra": np.linspace(0, 300, len(fit)), "dec": np.linspace(-80, 80, len(fit))})
    stars["snr"] = 50.0
    stars["something else"] = 1
    return stars


def some_catalogue():
    fit = some_fit()
    return catalogue.assemble(
        fit, some_stars(fit), distance=np.arange(4.0), reference=[True, False, False, False], provenance={"model": "ab"}
    )


def test_one_row_per_star_with_everything_to_judge_it():
    fit, table = some_fit(), some_catalogue()
    assert len(table) == 4
    np.testing.assert_array_equal(table["teff"], fit.labels.column("teff"))
    np.testing.assert_allclose(table["teff_err"], fit.labels.errors[:, 0])
    np.testing.assert_array_equal(table["cov_teff_a_k"], fit.labels.covariance[:, 0, 2])
    assert table["reduced_chi2"].tolist() == [1.0] * 4
    assert table["converged"].tolist() == [True, False, True, True]
    assert table["cool"][0]
    assert not table["cool"][1]
    assert table["label_distance"].tolist() == [0, 1, 2, 3]
    assert "something else" not in table.colnames


def test_the_whole_covariance_can_be_put_together_again():
    fit, table = some_fit(), some_catalogue()
    for i, a in enumerate(NAMES):
        for j, b in enumerate(NAMES):
            column = table[f"{a}_err"] ** 2 if i == j else table[f"cov_{NAMES[min(i, j)]}_{NAMES[max(i, j)]}"]
            np.testing.assert_allclose(column, fit.labels.covariance[:, i, j], err_msg=f"{a} {b}")


def test_units_descriptions_and_provenance():
    table = some_catalogue()
    units = {"teff": "K", "teff_err": "K", "logg": "dex", "a_k": "mag", "cov_teff_logg": "K dex", "ra": "deg"}
    assert {name: str(table[name].unit) for name in units} == units
    assert all(table[name].description for name in table.colnames)
    assert json.loads(table.meta["PROVENAN"]) == {"model": "ab", "errors": "formal"}
    assert table.meta["CREATOR"].startswith("labeltransfer ")


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv"])
def test_written_and_read_again(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    table = some_catalogue()
    catalogue.write(table, tmp_path / f"labels.{suffix}")
    again = catalogue.read(tmp_path / f"labels.{suffix}")
    assert again.colnames == table.colnames
    for name in table.colnames:
        assert again[name].dtype.kind == table[name].dtype.kind
        np.testing.assert_array_equal(again[name], table[name], err_msg=name)
        if suffix != "csv":
            assert str(again[name].unit) == str(table[name].unit)
            assert again[name].description == table[name].description
    if suffix != "csv":
        assert json.loads(again.meta["PROVENAN"]) == {"model": "ab", "errors": "formal"}


def test_the_fits_header_is_self_describing(tmp_path):
    catalogue.write(some_catalogue(), tmp_path / "labels.fits")
    with fits.open(tmp_path / "labels.fits") as hdus:
        hdus.verify("exception")
        header = hdus["CATALOGUE"].header
        columns = {header[f"TTYPE{n}"]: n for n in range(1, header["TFIELDS"] + 1)}
        assert header[f"TUNIT{columns['teff']}"] == "K"
        assert header[f"TUCD{columns['teff']}"] == "phys.temperature.effective"
        assert header[f"TUCD{columns['logg_err']}"] == "stat.error;phys.gravity"
        assert header[f"TCOMM{columns['logg']}"] == "logg inferred by The Cannon [dex]"
        assert f"TUNIT{columns['logg']}" not in header


def test_without_stars_distances_or_flags():
    table = catalogue.assemble(some_fit())
    assert table.colnames[:3] == ["id", "teff", "teff_err"]
    assert "label_distance" not in table.colnames
    assert "reference" not in table.colnames


def test_labels_beyond_the_reference_set_are_marked():
    fit = some_fit()
    values = fit.labels.values
    label_range = np.array([np.nanmin(values, axis=0), np.nanmax(values, axis=0)])
    assert catalogue.assemble(fit, label_range=label_range)["edge"].tolist() == [False] * 4
    label_range[1, 2] = np.sort(values[:, 2])[1]
    assert catalogue.assemble(fit, label_range=label_range)["edge"].sum() == 1


def test_stars_must_be_the_same():
    fit = some_fit()
    with pytest.raises(ValueError, match="4 fits and 4 rows of stars do not name the same stars"):
        catalogue.assemble(fit, some_stars(fit)[::-1])


def test_stacked_catalogues_have_no_holes():
    first, second = some_catalogue(), catalogue.assemble(some_fit(2, "x"), reference=True)
    whole = catalogue.stack(first, second)
    assert len(whole) == 6
    assert np.isnan(whole["label_distance"][4:]).all()
    assert whole["reference"].tolist() == [True, False, False, False, True, True]
    assert str(whole["ra"].unit) == "deg"
    assert whole["ra"].description == "right ascension, ICRS"


def test_an_unknown_suffix_is_refused_and_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"found suffix '.doc', wanted one of .fits, .fits.gz, .ecsv, .parquet, .csv"):
        catalogue.write(some_catalogue(), tmp_path / "labels.doc")

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits.HDUList, "writeto", full)
    with pytest.raises(OSError, match="No space left"):
        catalogue.write(some_catalogue(), tmp_path / "labels.fits")
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"labels.parquet: Parquet tables need pyarrow: `pip install pyarrow`"):
        catalogue.write(some_catalogue(), tmp_path / "labels.parquet")


def test_the_data_model_describes_every_column():
    rows = catalogue.data_model(some_catalogue())
    assert rows[0][0] == "id"
    assert all(len(row) == 5 and row[4] for row in rows)
    assert ("cov_teff_logg", "float64", "K dex", "stat.covariance", "formal covariance of teff and logg") in rows


def test_healpix_mean_is_the_mean_of_the_stars_in_each_cell():
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(0, 360, 2000), np.degrees(np.arcsin(rng.uniform(-1, 1, 2000)))
    values = rng.normal(size=2000)
    values[5], lat[6], lon[7] = np.nan, np.nan, np.nan
    mean, count = catalogue.healpix_mean(lon, lat, values, 4)
    assert mean.shape == count.shape == (192,)
    assert count.sum() == 1997
    from astropy import units
    from astropy_healpix import lonlat_to_healpix

    good = np.isfinite(lon + lat + values)
    cells = np.full(2000, -1)
    cells[good] = lonlat_to_healpix(lon[good] * units.Unit("deg"), lat[good] * units.Unit("deg"), 4)
    for cell in range(0, 192, 17):
        np.testing.assert_allclose(mean[cell], values[cells == cell].mean())
    assert np.isnan(catalogue.healpix_mean([0.0], [0.0], [1.0], 4)[0]).sum() == 191


# --- what other programs make of it


def test_total_errors_stand_beside_the_formal_ones():
    fit = some_fit()
    table = catalogue.assemble(fit, total_covariance=4.0 * fit.labels.covariance)
    np.testing.assert_allclose(table["teff_err"], 2 * fit.labels.errors[:, 0])
    np.testing.assert_allclose(table["teff_err_formal"], fit.labels.errors[:, 0])
    np.testing.assert_allclose(table["cov_teff_logg"], 4 * fit.labels.covariance[:, 0, 1])
    assert table["teff_err"].description == "total error of teff"
    assert table["teff_err_formal"].meta["ucd"] == "stat.error;phys.temperature.effective"
    assert json.loads(table.meta["PROVENAN"])["errors"] == "total"
    assert "teff_err_formal" not in some_catalogue().colnames
    with pytest.raises(ValueError, match=r"total_covariance has shape \(4, 3\), wanted \(4, 3, 3\)"):
        catalogue.assemble(fit, total_covariance=np.zeros((4, 3)))


def test_the_rule_of_a_good_star():
    fit = some_fit(6)
    chi2, n_pixels = fit.chi2.copy(), fit.n_pixels.copy()
    chi2[2], n_pixels[3] = 971.0, 49
    fit = replace(fit, chi2=chi2, n_pixels=n_pixels)
    distance = np.array([0.0, 0.0, 0.0, 0.0, 2.5, np.nan])
    table = catalogue.assemble(fit, distance=distance, n_model_pixels=100)
    assert catalogue.good(table).tolist() == [True, False, False, False, False, False]
    assert "50 pixels or more" in table["good"].description
    assert catalogue.good(catalogue.assemble(fit)).tolist() == [True, False, False, True, True, True]
    wide = catalogue.assemble(fit, distance=distance, distance_cut=3.0)
    assert catalogue.good(wide).tolist() == [True, False, False, True, True, False]
    table.remove_column("good")
    assert catalogue.good(table).tolist() == [True, False, False, True, False, False]


def test_galactic_coordinates_are_worked_out_once():
    fit = some_fit()
    table = catalogue.assemble(fit, some_stars(fit))
    centre = catalogue.galactic([266.40499], [-28.93617])
    np.testing.assert_allclose(np.array(centre).ravel() % 360, [0.0, 0.0], atol=1e-3)
    np.testing.assert_array_equal(table["glon"], catalogue.galactic(table["ra"], table["dec"])[0])
    assert table["glat"].unit == "deg"


@pytest.mark.parametrize(
    "name", ["a.fits", "a.FITS", "a.fits.gz", "a.ecsv", "a.parquet", "a.PARQUET", "a.csv", "A.CSV"]
)
def test_plain_astropy_reads_every_format_without_a_word(tmp_path, name):
    if "parquet" in name.lower():
        pytest.importorskip("pyarrow")
    fit = some_fit()
    table = catalogue.assemble(fit, some_stars(fit), total_covariance=fit.labels.covariance)
    catalogue.write(table, tmp_path / name)
    forms = {".fits": "fits", ".fits.gz": "fits", ".ecsv": "ascii.ecsv", ".parquet": "parquet", ".csv": "ascii.csv"}
    form = catalogue.format_of(name)
    plain = Table.read(tmp_path / name, format=forms[form])
    assert plain.colnames == table.colnames
    if form != ".csv":
        assert str(plain["teff"].unit) == "K"
        assert plain["id"].tolist() == table["id"].tolist()
    again = catalogue.read(tmp_path / name)
    for column in table.colnames:
        np.testing.assert_array_equal(again[column], table[column], err_msg=column)
        if form != ".csv":
            assert str(again[column].unit) == str(table[column].unit), column
            assert again[column].description == table[column].description
    if form == ".fits":
        with fits.open(tmp_path / name) as hdus:
            assert any("[dex]" in str(value) for value in hdus[1].header.values())
            hdus.verify("exception")


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv"])
def test_what_is_masked_stays_unknown(tmp_path, suffix):
    gaia = {"parallax": [1.5, 2.5], "source_id": [2**62 + 1, 2], "flag": [True, True], "who": ["x", "y"]}
    gaia["visits"] = np.array([255, 6], np.uint8)
    more = Table({"id": ["a", "b"], **{name: MaskedColumn(one, mask=[False, True]) for name, one in gaia.items()}})
    catalogue.write(more, tmp_path / f"joined.{suffix}")
    again = catalogue.read(tmp_path / f"joined.{suffix}")
    first = [str(again[name][0]) for name in gaia]
    assert first == ["1.5", str(2**62 + 1), "1" if suffix == "fits" else "True", "x", "255"]
    assert {str(again[name][1]) for name in gaia} <= {"nan", "--", ""}
    assert str(catalogue.stack(again, again)["source_id"][3]) == "--"


def test_what_is_known_of_the_stars_keeps_its_unit_and_its_mask():
    fit = some_fit()
    n = len(fit)
    known = {"ra": np.full(n, 2.0), "dec": np.full(n, 0.1), "obsid": np.arange(n)}
    stars = Table({"id": fit.labels.ids, **known}, masked=True)
    stars["ra"].unit, stars["dec"].unit = "hourangle", "rad"
    for name in ("ra", "obsid"):
        stars[name].mask[1] = True
    table = catalogue.assemble(fit, stars)
    np.testing.assert_allclose([table["ra"][0], table["dec"][0]], [30.0, np.degrees(0.1)])
    assert np.isnan(table["ra"][1])
    assert np.isnan(table["glon"][1])
    assert table["obsid"].tolist()[:3] == [0, 0, 2]
    stars.replace_column("ra", ["12:30:00"] * n)
    with pytest.raises(ValueError, match="stars: column ra: found '12:30:00', wanted numbers"):
        catalogue.assemble(fit, stars)


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv"])
def test_a_file_name_that_is_no_text_loses_nothing(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    table = catalogue.assemble(some_fit(2, "spec-\udcff'\u2028"))
    catalogue.write(table, tmp_path / f"a.{suffix}")
    again = catalogue.read(tmp_path / f"a.{suffix}")
    assert len(set(again["id"])) == 2
    assert again["id"][0].startswith("spec-\\udcff")
    assert table["id"][0].startswith("spec-\udcff")


def test_parts_of_other_lengths_are_joined_whole(tmp_path):
    pytest.importorskip("pyarrow")
    parts = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for part, prefix in zip(parts, ("x", "a much longer name "), strict=True):
        catalogue.write(catalogue.assemble(some_fit(2, prefix)), part)
    for name in ("whole.parquet", "whole.fits"):
        assert [len(table) for table in catalogue.join(parts, tmp_path / name)] == [2, 2]
        ids = ["x0", "x1", "a much longer name 0", "a much longer name 1"]
        assert catalogue.read(tmp_path / name)["id"].tolist() == ids
    assert Table.read(tmp_path / "whole.parquet")["id"].tolist() == ids


def test_a_catalogue_whose_own_name_is_no_text_is_written_and_read(tmp_path):
    pytest.importorskip("pyarrow")
    parts = [tmp_path / "\udcff1.parquet", tmp_path / "\udcff2.parquet"]
    for part in parts:
        catalogue.write(catalogue.assemble(some_fit(2, part.stem)), part)
    assert [len(table) for table in catalogue.join(parts, tmp_path / "\udcff.parquet")] == [2, 2]
    assert len(catalogue.read(tmp_path / "\udcff.parquet")) == 4


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv"])
def test_every_name_of_a_star_comes_back(tmp_path, suffix):
    ids = ["#1", "# 2", '#a"b', "a", "12.10", "7.0", "0012", "1E5"]
    catalogue.write(Table({"id": ids, "teff": np.arange(8.0)}), tmp_path / f"a.{suffix}")
    assert catalogue.read(tmp_path / f"a.{suffix}")["id"].tolist() == ids


def test_every_column_of_a_catalogue_is_reserved():
    fit = some_fit()
    options = {"distance": np.zeros(4), "reference": True, "label_range": np.zeros((2, 3))}
    table = catalogue.assemble(fit, some_stars(fit), total_covariance=fit.labels.covariance, **options)
    others = {*table.colnames, *catalogue.STAR_COLUMNS} - set(NAMES)
    assert not [name for name in others if not RESERVED.fullmatch(name)]


@pytest.mark.parametrize("name", ["ζ", "a" * 70])
def test_names_that_fits_cannot_have_are_refused_before_the_work(tmp_path, name):
    for form in ("a.fits", "a.FITS.gz"):
        with pytest.raises(ValueError, match=rf"{form}: column '{name}' has a name that FITS cannot.*write .parquet"):
            catalogue.check_labels(form, ("teff", name))
    with pytest.raises(ValueError, match=r"a.fits: column 'cov_b+_c+'"):
        catalogue.check_labels("a.fits", ("b" * 40, "c" * 40))
    with pytest.raises(ValueError, match=rf"a.fits: column '{name}' has"):
        catalogue.write(Table({"id": ["a"], name: [1.0]}), tmp_path / "a.fits")
    for form in ("parquet", "ecsv", "csv"):
        catalogue.check_labels(f"a.{form}", ("teff", name))
        catalogue.write(Table({"id": ["a"], name: [1.0]}), tmp_path / f"a.{form}")
        assert catalogue.read(tmp_path / f"a.{form}").colnames == ["id", name]


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv"])
def test_tables_with_units_and_with_what_no_file_can_say(tmp_path, suffix, caplog):
    table = QTable(some_catalogue(), meta={"truth": Table({"a": [1]}), "OBSERVER": "é\n"})
    catalogue.write(table, tmp_path / f"a.{suffix}")
    again = catalogue.read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(again["teff"], some_catalogue()["teff"])
    if suffix != "csv":
        assert (str(again["teff"].unit), again["teff"].description) == ("K", some_catalogue()["teff"].description)
        assert again.meta["OBSERVER"] == ("\\xe9\\n" if suffix == "fits" else "é\n")
    assert "truth" in table.meta
    assert "the Table in meta['truth'] is left out" in caplog.text
    table["seen"] = Time(["2020-01-01"] * len(table))
    if suffix == "ecsv":
        catalogue.write(table, tmp_path / "b.ecsv")
    else:
        with pytest.raises(ValueError, match=f"b.{suffix}: column seen holds Time, wanted numbers or text"):
            catalogue.write(table, tmp_path / f"b.{suffix}")


@pytest.mark.parametrize("ids", [np.array([b"1 ", b"2"]), [1, 2], [1.0, 2.0], ["1", "2"]])
def test_what_is_known_of_the_stars_is_taken_however_it_is_written(ids):
    fit = some_fit(2)
    fit = replace(fit, labels=replace(fit.labels, ids=["1", "2"]))
    stars = Table({"ID": ids, "RA": [10.0, 20.0], "Dec": [1.0, 2.0], "OBSID": np.array([-9999, 2**53 + 1])})
    table = catalogue.assemble(fit, stars)
    assert table["id"].tolist() == ["1", "2"]
    assert table["ra"].tolist() == [10.0, 20.0]
    assert np.isfinite(table["glon"]).all()
    assert table["obsid"].tolist() == [0, 2**53 + 1]
    for wrong, message in (
        (["1", "x"], "column OBSID: found 'x', wanted numbers"),
        ([1.0, 2.0**53], "row 2 has 9007199254740992.0"),
    ):
        stars["OBSID"] = wrong
        with pytest.raises(ValueError, match=message):
            catalogue.assemble(fit, stars)
