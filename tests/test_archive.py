import json

import numpy as np
import pytest
from astropy.table import Table

from labeltransfer import LABELS, Spectra, lamost
from labeltransfer.archive import open_survey
from labeltransfer.archive.folder import find_spectra
from labeltransfer.reference import quality_cuts
from lamost_files import arrays, real_spectra, write_folder, write_image_format, write_table_format

THREE = ("teff", "logg", "fe_h")


def open_folder(folder, names=THREE, **options):
    return open_survey("folder", folder, names, progress=False, **options)


def same_stars(overlap):
    for what in (overlap.labels, overlap.pipeline, overlap.truth):
        assert what is None or what.ids.tolist() == overlap.spectra.ids.tolist()
    assert overlap.stars["id"].tolist() == overlap.spectra.ids.tolist()
    assert len(overlap.flagged) == len(overlap)


# --- the simulated survey

SIZES = {"n_overlap": 60, "n_dr2": 40, "n_apogee": 400, "seed": 3}


@pytest.fixture(scope="module")
def simulated():
    return open_survey("simulated", **SIZES)


def test_simulated_overlap(simulated):
    overlap = simulated.overlap()
    same_stars(overlap)
    assert simulated.simulated
    assert len(overlap) == 60
    assert overlap.labels.names == ("teff", "logg", "fe_h", "alpha_m", "a_k")
    assert overlap.pipeline.names == THREE
    assert overlap.counts["stars in both (within 3 arcsec)"] == 60
    known = overlap.labels.known
    difference = (overlap.labels.values - overlap.truth.select(overlap.labels.names).values)[known]
    assert (np.abs(np.median(difference, axis=0)) < [60, 0.1, 0.1, 0.05, 0.05]).all()
    assert overlap.stars.colnames == ["id", "ra", "dec", "glon", "glat", "snr", "snr_g", "z"]


def test_simulated_blocks_do_not_depend_on_their_size(simulated):
    dr2 = simulated.dr2_catalogue()
    assert len(dr2) == 100
    assert {"teff", "logg", "fe_h", "glon", "glat", "snr_g", "obsid"} <= set(dr2.colnames)
    whole = next(simulated.dr2_blocks(block_size=1000))
    parts = list(simulated.dr2_blocks(np.arange(100), block_size=33))
    assert [len(part) for part in parts] == [33, 33, 33, 1]
    np.testing.assert_array_equal(np.concatenate([part.flux for part in parts]), whole.flux)
    assert whole.ids.tolist() == dr2["id"].tolist()
    chosen = next(simulated.dr2_blocks([70, 3]))
    assert chosen.ids.tolist() == [dr2["id"][70], dr2["id"][3]]


def test_the_hash_tells_surveys_apart(simulated):
    assert open_survey("simulated", **SIZES).data_hash == simulated.data_hash
    for change in ({"seed": 4}, {"n_dr2": 41}, {"mask": "or"}, {"error_factor": 2.0}):
        assert open_survey("simulated", **{**SIZES, **change}).data_hash != simulated.data_hash


def test_the_hash_tells_recipes_of_the_simulation_apart(simulated, monkeypatch):
    before = open_survey("simulated", **SIZES).data_hash
    monkeypatch.setattr("labeltransfer.mock.recipe_digest", lambda: "another")
    assert open_survey("simulated", **SIZES).data_hash != before


# --- a folder with a label table


def test_folder_with_labels(tmp_path):
    survey = open_folder(write_folder(tmp_path))
    overlap = survey.overlap()
    same_stars(overlap)
    assert not survey.simulated
    assert survey.allstar() is None
    assert overlap.pipeline is None
    assert overlap.truth is None
    assert len(overlap) == 12
    assert overlap.labels.column("teff").tolist() == [4000.0 + 100 * n for n in range(12)]
    assert overlap.labels.ids[3] == "spec-55555-PLAN_sp01-003"
    np.testing.assert_allclose(overlap.stars["snr"], 100, rtol=0.01)
    assert overlap.stars["ra"].tolist() == [10.0 + n for n in range(12)]
    assert np.isfinite(overlap.stars["glat"]).all()
    assert not overlap.flagged.any()


def test_any_number_of_labels_under_any_usual_name(tmp_path):
    write_folder(tmp_path, labels="ID,ra,dec,snrg,z,TEFF,logg,FeH\n")
    assert open_folder(tmp_path, ("fe_h",)).overlap().labels.values[2].tolist() == [-0.2]
    assert open_folder(tmp_path, ("logg", "teff")).overlap().labels.names == ("logg", "teff")


def test_a_table_without_file_names_is_matched_on_the_sky(tmp_path):
    write_folder(tmp_path, 4)
    for n, snr in enumerate((20.0, 60.0, 40.0)):
        header = {"RA": 150.0 + n * 1e-4, "DEC": 30.0, "Z": 1e-4, "SNRG": snr}
        write_table_format(tmp_path / f"spec-repeat-{n}.fits", arrays(n), header)
    (tmp_path / "labels.csv").write_text("name,RA,DEC,teff\nnobody,10,-50,5100\nJ1,150.0001,30,5000\n")
    survey = open_folder(tmp_path, ("teff",))
    overlap = survey.overlap()
    assert overlap.labels.ids.tolist() == ["spec-repeat-1"]
    assert overlap.labels.values.tolist() == [[5000.0]]
    assert list(overlap.counts.values())[:4] == [2, 7, 0, 1]
    (tmp_path / "labels.csv").write_text("id,RA,DEC,teff\n2M1000,150.0001,30,5000\n")
    assert open_folder(tmp_path, ("teff",)).overlap().labels.ids.tolist() == ["spec-repeat-1"]
    (tmp_path / "labels.csv").write_text("name,RA,DEC,teff\nnobody,10,-50,5100\n")
    with pytest.raises(ValueError, match="nor has the obsid of one, nor lies within 3 arcsec"):
        open_folder(tmp_path, ("teff",)).overlap()
    (tmp_path / "labels.csv").write_text("filename,teff\n")
    with pytest.raises(ValueError, match=r"labels.csv: no rows below the columns filename, teff"):
        open_folder(tmp_path, ("teff",)).overlap()


def test_a_table_with_lamosts_numbers(tmp_path):
    for n in range(4):
        header = {"RA": 150.0, "DEC": 30.0, "Z": 1e-4, **({"OBSID": 700 + n} if n else {})}
        write_table_format(tmp_path / f"spec-{n}.fits", arrays(n), header)
    (tmp_path / "labels.csv").write_text("obsid,teff\n703,5300\n0,4000\n701,5100\n999,5000\n")
    overlap = open_folder(tmp_path, ("teff",)).overlap()
    assert overlap.labels.ids.tolist() == ["spec-3", "spec-1"]
    assert overlap.labels.column("teff").tolist() == [5300.0, 5100.0]


def test_without_names_all_known_labels_of_the_table_are_taken(tmp_path):
    write_folder(tmp_path, labels="ID,ra,dec,snrg,z,TEFF,logg,FeH\n")
    assert open_folder(tmp_path, None).overlap().labels.names == THREE
    (tmp_path / "labels.csv").write_text("filename,parallax\na,1\n")
    with pytest.raises(ValueError, match=r"no column of teff, logg, .*; the table has filename, parallax"):
        open_folder(tmp_path, None)


def test_a_label_nobody_registered_takes_the_unit_of_its_column(tmp_path):
    write_folder(tmp_path)
    table = Table.read(tmp_path / "labels.csv")
    table["age_test"] = np.arange(12.0)
    table["age_test"].unit = "Gyr"
    (tmp_path / "labels.csv").unlink()
    table.write(tmp_path / "labels.ecsv")
    overlap = open_folder(tmp_path, ("teff", "age_test")).overlap()
    assert overlap.labels.column("age_test").tolist() == list(range(12))
    assert LABELS["age_test"].unit == "Gyr"


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "parquet", "csv", "txt"])
def test_label_tables_of_every_format(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    write_folder(tmp_path, 5)
    table = Table.read(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").unlink()
    table["teff_err"], table["logg_err"] = 50.0, 0.1
    if suffix == "parquet":
        from labeltransfer import catalogue

        catalogue.write(table, tmp_path / "labels.parquet")
    else:
        table.write(tmp_path / f"labels.{suffix}", format="ascii.basic" if suffix == "txt" else None)
    labels = open_folder(tmp_path, ("teff", "logg")).overlap().labels
    assert labels.column("teff").tolist() == [4000.0, 4100.0, 4200.0, 4300.0, 4400.0]
    np.testing.assert_allclose(labels.errors, [[50.0, 0.1]] * 5)


def test_nan_blank_and_minus_9999_are_unknown(tmp_path):
    write_folder(tmp_path, 6)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    for row, value in ((1, "nan"), (2, "-9999"), (3, ""), (4, "-9999.0")):
        fields = lines[row].split(",")
        fields[5] = value
        lines[row] = ",".join(fields)
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    overlap = open_folder(tmp_path).overlap()
    assert np.isnan(overlap.labels.column("teff")).tolist() == [True] * 4 + [False] * 2
    assert next(iter(quality_cuts(overlap.labels).values())).sum() == 4


def test_every_file_and_row_is_accounted_for(tmp_path):
    write_folder(tmp_path, 6)
    with (tmp_path / "labels.csv").open("a") as stream:
        stream.write("spec-absent.fits,1,2,50,0,5000,2,0\n")
        stream.write("spec-55555-PLAN_sp01-000.fits.gz,10,20,90,1e-4,4321,1,0\n")
    (tmp_path / "zcopy").mkdir()
    (tmp_path / "zcopy" / "spec-55555-PLAN_sp01-001.fits.gz").write_bytes(b"a copy that is broken")
    (tmp_path / "plate0" / "spec-55555-PLAN_sp01-003.fits.gz").unlink()
    (tmp_path / "plate2" / "spec-55555-PLAN_sp01-002.fits.gz").write_bytes(b"no FITS")
    write_table_format(tmp_path / "plate0" / "spec-unlabelled.fits")
    survey = open_folder(tmp_path)
    overlap = survey.overlap()
    same_stars(overlap)
    assert list(overlap.counts.values()) == [7, 6, 1, 5, 1]
    assert overlap.labels.of(["spec-55555-PLAN_sp01-000"]).column("teff") == [4321.0]
    reasons = {failure.path.rsplit("-", 1)[-1]: failure.reason for failure in overlap.unreadable}
    assert reasons["002.fits.gz"].startswith("not a FITS file")
    assert len(overlap) == 4


def test_dr2_of_a_folder_holds_every_file_and_blocks_stay_in_step(tmp_path):
    write_folder(tmp_path, 6)
    write_table_format(tmp_path / "spec-unlabelled.fits", arrays(77))
    (tmp_path / "plate1" / "spec-55555-PLAN_sp01-004.fits.gz").write_bytes(b"no FITS")
    survey = open_folder(tmp_path)
    dr2 = survey.dr2_catalogue()
    assert len(dr2) == 7
    assert np.isnan(dr2["teff"][6])
    blocks = list(survey.dr2_blocks([5, 4, 6, 0], block_size=3))
    ids = np.concatenate([block.ids for block in blocks])
    assert ids.tolist() == dr2["id"][[5, 4, 6, 0]].tolist()
    good = np.concatenate([block.good_pixels for block in blocks])
    assert (good > 0).tolist() == [True, False, True, True]
    assert len(survey.unreadable) == 1
    assert all(isinstance(block, Spectra) for block in blocks)


def test_the_mask_is_applied(tmp_path):
    columns = arrays()
    columns["or_mask"][2000:2100] = 1
    write_image_format(tmp_path / "spec-1.fits", columns)
    (tmp_path / "labels.csv").write_text("filename,teff\nspec-1.fits,5000\n")
    good = [open_folder(tmp_path, ("teff",), mask=mask).overlap().spectra.good_pixels[0] for mask in ("none", "or")]
    assert 99 <= good[0] - good[1] <= 102


def test_the_hash_of_a_folder_follows_its_files(tmp_path):
    first = open_folder(write_folder(tmp_path, 3)).data_hash
    assert open_folder(tmp_path).data_hash == first
    write_table_format(tmp_path / "spec-new.fits")
    assert open_folder(tmp_path).data_hash != first


def test_real_giants_go_the_same_way():
    folder = real_spectra() / "lamost_dr10_giants"
    if not folder.exists():
        pytest.skip("no real LAMOST spectra at hand (LABELTRANSFER_REAL_SPECTRA)")
    survey = open_folder(folder)
    overlap = survey.overlap()
    same_stars(overlap)
    assert len(overlap) == 80
    assert overlap.unreadable == []
    assert overlap.labels.known.all()
    assert overlap.spectra.good_pixels.min() > 3000


# --- a folder with the tables of both surveys


def two_surveys(folder):
    write_folder(folder, 5)
    stars = Table.read(folder / "labels.csv")
    (folder / "labels.csv").unlink()
    stars["feh"] = stars["fe_h"]
    stars.write(folder / "lamost_catalogue.csv", delimiter="|", format="ascii.csv")
    rows = [0, 1, 2, 2, 3]
    allstar = Table({"APOGEE_ID": [f"2M{n}" for n in rows], "RA": stars["ra"][rows], "DEC": stars["dec"][rows]})
    allstar["TEFF"] = np.array([4010.0, -9999, 4210, 4230, 4310])
    allstar["LOGG"], allstar["PARAM_M_H"], allstar["PARAM_ALPHA_M"], allstar["AK_WISE"] = 2.0, 0.0, 0.1, 0.2
    allstar["SNR"] = [100.0, 100, 50, 200, 100]
    allstar["ASPCAPFLAG"] = np.array([0, 0, 0, 0, 1 << 23], dtype=np.int32)
    allstar.write(folder / "allStar-v603.fits")
    return folder


def test_label_transfer_from_files(tmp_path):
    survey = open_folder(two_surveys(tmp_path), ("teff", "alpha_m"))
    overlap = survey.overlap()
    same_stars(overlap)
    assert len(overlap) == 4
    assert overlap.labels.column("teff")[2] == 4230.0
    assert np.isnan(overlap.labels.column("teff")[1])
    assert overlap.pipeline.column("teff").tolist() == [4000.0, 4100.0, 4200.0, 4300.0]
    assert overlap.flagged.tolist() == [False, False, False, True]
    assert list(overlap.counts.values()) == [5, 1, 5, 4, 0]
    assert len(survey.allstar()) == 5
    assert len(survey.dr2_catalogue()) == 5


@pytest.mark.parametrize("make", [two_surveys, lambda folder: write_folder(folder, 5)])
def test_a_folder_of_which_nothing_can_be_read(tmp_path, make):
    make(tmp_path)
    for path in tmp_path.rglob("spec-*"):
        path.write_bytes(b"no FITS")
    with pytest.raises(ValueError, match=r"none of \d spectra could be read; .*-000.fits.gz: not a FITS file"):
        open_folder(tmp_path, ("teff",)).overlap()


def test_a_folder_of_the_simulator_is_called_simulated(tmp_path):
    two_surveys(tmp_path)
    (tmp_path / "simulated.json").write_text(json.dumps({"seed": 1}))
    assert open_folder(tmp_path).simulated


def test_surveys_without_a_common_star(tmp_path):
    two_surveys(tmp_path)
    allstar = Table.read(tmp_path / "allStar-v603.fits")
    allstar["RA"] = allstar["RA"] + 90.0
    allstar.write(tmp_path / "allStar-v603.fits", overwrite=True)
    with pytest.raises(ValueError, match="none of 5 LAMOST and 4 APOGEE stars lie within"):
        open_folder(tmp_path).overlap()


# --- what is refused


def test_a_folder_by_its_path_and_not_beside_the_simulated_survey(tmp_path):
    write_folder(tmp_path, 3)
    survey = open_survey(tmp_path, progress=False)
    assert survey.data_hash == open_survey("folder", tmp_path, None, progress=False).data_hash
    assert survey.overlap().spectra.ids.tolist() == lamost.read_spectra(tmp_path, progress=False).spectra.ids.tolist()
    with pytest.raises(ValueError, match=r"survey_dir: found .* wanted source='folder'"):
        open_survey(survey_dir=tmp_path)


def test_unknown_sources_masks_and_labels():
    with pytest.raises(ValueError, match="source: found 'simulate', wanted one of simulated, folder, tutorial"):
        open_survey("simulate")
    with pytest.raises(ValueError, match="mask: found 'AND', wanted one of none, and, or"):
        open_survey(mask="AND")
    with pytest.raises(ValueError, match="label name 'tef' is unknown"):
        open_survey(label_names=("tef",))
    with pytest.raises(ValueError, match="needs `survey_dir`"):
        open_survey("folder")


def test_folders_that_cannot_be_a_survey(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; wanted one with LAMOST spectra"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        open_folder(tmp_path / "file")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"no table of labels; wanted labels.csv .* found no table"):
        open_folder(empty)
    (empty / "labels.csv").write_text("filename,teff\na.fits,5000\n")
    with pytest.raises(ValueError, match="no spectra in it or in its sub-folders"):
        open_folder(empty)


def test_label_tables_that_do_not_fit(tmp_path):
    write_folder(tmp_path, 3)
    with pytest.raises(ValueError, match=r"labels.csv: no column param_alpha_m or .*; the table has filename, ra"):
        open_folder(tmp_path, ("teff", "alpha_m")).overlap()
    (tmp_path / "labels.csv").write_text("filename,teff\nspec-other.fits,5000\n")
    with pytest.raises(ValueError, match=r"none of its 1 stars \(the first: 'spec-other'\) has a file"):
        open_folder(tmp_path, ("teff",)).overlap()
    (tmp_path / "labels.csv").write_text("star,teff\nspec-other.fits,5000\n")
    with pytest.raises(ValueError, match=r"no obsid, nor ra and dec, to find the stars by.*: no column filename or "):
        open_folder(tmp_path, ("teff",)).overlap()
    (tmp_path / "second.csv").write_text("id,teff\na,5000\n")
    (tmp_path / "labels.csv").write_text("filename,teff\nspec-other.fits,5000\n")
    (tmp_path / "labels.csv").rename(tmp_path / "first.csv")
    with pytest.raises(ValueError, match=r"several tables might hold the labels: first.csv, second.csv"):
        open_folder(tmp_path)


# --- stars that no file is named after


def write_numbered(folder):
    """Seven spectra with obsid and place."""
    for n in range(7):
        header = {"OBSID": 345204030 + n, "RA": 150.0 + n, "DEC": 30.0, "Z": 1e-4, "SNRG": 50.0}
        write_table_format(folder / f"spec-{n}.fits", arrays(n), header)


@pytest.mark.parametrize("names", [{}, {"spid": np.ones(4), "fiberid": [1.0, 2.0, 3.5, 4.0], "planid": ["P"] * 4}])
def test_numbers_in_single_precision_name_no_stars(tmp_path, names):
    write_numbered(tmp_path)
    labels = Table({**names, "obsid": 345204031 + np.arange(4), "lmjd": np.full(4, 55555), "teff": np.arange(4.0)})
    labels["obsid"] = labels["obsid"].astype("i8" if names else "f4")
    labels.write(tmp_path / "labels.fits")
    wanted = "column fiberid: row 3 has 3.5" if names else r"column obsid: row 1 has 345204032.0 \(float32\)"
    with pytest.raises(ValueError, match=rf"labels.fits: {wanted}"):
        open_folder(tmp_path, ("teff",)).overlap()


def test_each_star_is_looked_for_by_name_then_number_then_place(tmp_path):
    write_numbered(tmp_path)
    rows = ["spec-3,,,,5300", "old-name-4,345204034,,,5400", "other,,155,30,5500", "spec-0,345204036,156,30,5000"]
    rows += ["far away,,200,-30,5900"]
    (tmp_path / "labels.csv").write_text("\n".join(["id,obsid,ra,dec,teff", *rows]) + "\n")
    overlap = open_folder(tmp_path, ("teff",)).overlap()
    found = dict(zip(overlap.labels.ids.tolist(), overlap.labels.column("teff").tolist(), strict=True))
    assert found == {"spec-3": 5300, "spec-4": 5400, "spec-5": 5500, "spec-0": 5000}
    told = "3 stars whose name is that of no file: 1 found by obsid, 1 by their place, 1 not at all"
    assert told in overlap.notes


def test_a_row_that_has_the_labels_beats_one_of_higher_snr(tmp_path):
    path = write_folder(tmp_path, 3) / "labels.csv"
    lines = path.read_text().splitlines()
    empty = lines[1].replace(",50,", ",500,").replace("4000,1.00,-0.00", ",,").replace("4000,1.00,0.00", ",,")
    path.write_text("\n".join([lines[0], empty, *lines[1:]]))
    labels = open_folder(tmp_path).overlap().labels
    assert labels.column("teff").tolist() == [4000.0, 4100.0, 4200.0]


@pytest.mark.parametrize(("column", "bad"), [("ASPCAPFLAG", 1 << 23), ("flag_bad", "True")])
def test_flags_of_a_table_of_labels_excise_as_those_of_allstar_do(tmp_path, column, bad):
    path = write_folder(tmp_path, 3) / "labels.csv"
    head, *lines = path.read_text().splitlines()
    good = "False" if column == "flag_bad" else 0
    path.write_text(
        "\n".join([f"{head},{column}", *(f"{line},{bad if n == 1 else good}" for n, line in enumerate(lines))])
    )
    survey = open_folder(tmp_path)
    assert survey.overlap().flagged.tolist() == [False, True, False]
    assert not any(column in note for note in survey.overlap().notes)
    assert len(survey.dr2_catalogue()) == 3


@pytest.mark.parametrize("hidden", [".snapshot", ".Trash-1000", ".ipynb_checkpoints"])
def test_copies_in_hidden_folders_are_left_alone_unless_they_are_asked_for(tmp_path, hidden):
    for n, folder in enumerate((tmp_path, tmp_path / hidden / "daily")):
        folder.mkdir(parents=True, exist_ok=True)
        write_image_format(folder / "spec-a.fits", arrays(n))
    assert list(find_spectra([tmp_path]).spectra.values()) == [tmp_path / "spec-a.fits"]
    assert not find_spectra([tmp_path]).left_out
    for named in (tmp_path / hidden, tmp_path / hidden / "daily"):
        assert list(find_spectra([named]).spectra.values()) == [tmp_path / hidden / "daily" / "spec-a.fits"]


def test_a_catalogue_with_mjd_alone_names_the_files_that_are_there(tmp_path):
    path = tmp_path / "catalogue.csv"
    for day, column in ((55554, "mjd"), (55555, "mjd"), (55555, "lmjd")):
        rows = [f"{n},{day},PLAN,1,{n},1,2,3,4" for n in range(3)]
        path.write_text("\n".join([f"obsid,{column},planid,spid,fiberid,ra,dec,snrg,z", *rows]))
        known = [f"spec-55555-PLAN_sp01-{n:03d}" for n in range(3)]
        assert lamost.read_catalogue(path, known)["id"].tolist() == known
        assert set(lamost.read_redshifts(path, known)) == set(known)
    night_before = [name.replace("55555", "55554") for name in known]
    path.write_text(path.read_text().replace(",55555,", ",55554,").replace("lmjd", "mjd"))
    assert lamost.read_catalogue(path, [*night_before, *known])["id"].tolist() == known
