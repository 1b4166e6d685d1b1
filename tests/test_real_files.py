"""LAMOST files that are not what they are taken for, folders as people keep them, and tables that play a part."""

import bz2
import gzip
import lzma
import os
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from labeltransfer import LABELS, Spectra, lamost
from labeltransfer.archive import open_survey
from labeltransfer.archive.folder import walk
from labeltransfer.spectra import air_to_vacuum, line_shift, resample
from lamost_files import HEADER, WAVELENGTH, arrays, write_folder, write_image_format, write_table_format


@pytest.fixture(autouse=True)
def labels_as_before():
    before = dict(LABELS)
    yield
    LABELS.clear()
    LABELS.update(before)


def only_reason(path):
    reading = lamost.read_spectra([path], progress=False)
    assert len(reading.spectra) == 0
    return reading.unreadable[0].reason


# --- files


def write_medium_resolution(path, logarithmic):
    """Arms as LAMOST writes them: a row of arrays with WAVELENGTH (DR8 and later), or a row a pixel with LOGLAM."""
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(HEADER)
    for name, low, high in (("COADD_B", 4927.0, 5377.0), ("COADD_R", 6250.0, 6850.0)):
        wavelength = np.linspace(low, high, 3800)
        columns = {"FLUX": np.ones(3800), "IVAR": np.full(3800, 100.0), "ANDMASK": np.zeros(3800)}
        columns |= {"ORMASK": np.zeros(3800), ("LOGLAM" if logarithmic else "WAVELENGTH"): wavelength}
        if logarithmic:
            columns["LOGLAM"] = np.log10(wavelength)
        form = "E" if logarithmic else "3800E"
        made = [fits.Column(key, form, array=one if logarithmic else [one]) for key, one in columns.items()]
        hdus.append(fits.BinTableHDU.from_columns(made, name=name))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("name", ["med-58149-PLAN_sp09-191.fits", "spec-58149-PLAN_sp09-191.fits"])
def test_medium_resolution_files_are_called_so(tmp_path, name, logarithmic):
    assert only_reason(write_medium_resolution(tmp_path / name, logarithmic)).startswith("medium-resolution file")


def test_fine_steps_are_medium_resolution_whatever_the_table_is_called(tmp_path):
    path = write_table_format(tmp_path / "spec-1.fits", arrays(wavelength=np.linspace(4927, 5377, WAVELENGTH.size)))
    assert only_reason(path).startswith("medium-resolution file (4927-5377 Å in steps of 1e-05")


def test_every_real_format_is_read_or_refused_for_what_it_is(real_spectra):
    files = sorted((real_spectra / "lamost_formats").glob("*.fits*"))
    if not files:
        pytest.skip("no samples of LAMOST's formats at hand (LABELTRANSFER_REAL_SPECTRA)")
    reading = lamost.read_spectra(files, progress=False)
    assert reading.spectra.ids.tolist() == [lamost.identifier(path) for path in files if path.name.startswith("spec-")]
    assert reading.spectra.good_pixels.min() > 3400
    assert all(failure.reason.startswith("medium-resolution file") for failure in reading.unreadable)
    assert len(reading.unreadable) == 2


def with_good_pixels(number):
    ivar = np.zeros(WAVELENGTH.size)
    ivar[500 : 500 + number] = 0.01
    return arrays(ivar=ivar)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (with_good_pixels(30), r"only \d\d of 3626 pixels are good.*wanted 30% of the pixels between 3906 and 8999"),
        (with_good_pixels(1000), r"only \d+ of 3626 pixels are good"),
        (arrays(flux=np.full(WAVELENGTH.size, 7.0)), "constant flux"),
        (arrays(flux=-arrays()["flux"]), "flux is not positive in the mean"),
        (arrays(wavelength=WAVELENGTH / 10), r"wavelengths are 369.9\d* to 909.9\d*; wanted Å"),
        (arrays(wavelength=np.log10(WAVELENGTH)), r"wavelengths are 3.56\d* to 3.95\d*; wanted Å"),
    ],
)
def test_spectra_that_cannot_be_labelled_are_named(tmp_path, columns, reason):
    assert re.match(reason, only_reason(write_image_format(tmp_path / "spec-1.fits", columns)))


@pytest.mark.parametrize(
    ("key", "value"), [("VACUUM", False), ("VACUUM", "F"), ("AIRORVAC", "air"), ("CTYPE1", "AWAV")]
)
def test_headers_that_say_air(tmp_path, key, value):
    path = write_image_format(tmp_path / "spec-1.fits", header={**HEADER, key: value})
    assert only_reason(path).startswith(f"wavelengths are in air (header card {key}")
    assert len(lamost.read_spectra([write_image_format(tmp_path / "a.fits", header={**HEADER, "VACUUM": True})],
               progress=False).spectra) == 1  # fmt: skip


LINES = (4227.92, 4862.69, 5168.76, 5174.13, 5185.05, 5891.58, 5897.56, 6564.61, 8500.36, 8544.44, 8664.52)


def cool_star(in_air):
    """Strong lines at the resolution of LAMOST; `in_air` puts the right lines at wavelengths in air."""
    true = air_to_vacuum(WAVELENGTH) if in_air else WAVELENGTH
    flux = 1.0 - sum(0.4 * np.exp(-0.5 * ((true - line * 1.0001) / 3.0) ** 2) for line in LINES)
    return arrays(flux=1000.0 * flux + np.random.default_rng(0).normal(0, 10, flux.size))


@pytest.mark.parametrize("write", [write_image_format, write_table_format])
def test_wavelengths_in_air_are_seen_from_the_lines(tmp_path, write):
    assert len(lamost.read_spectra([write(tmp_path / "spec-1.fits", cool_star(False))], progress=False).spectra) == 1
    reason = only_reason(write(tmp_path / "spec-2.fits", cool_star(True)))
    assert "wavelengths in air, wanted vacuum" in reason
    wrong = write(tmp_path / "spec-3.fits", cool_star(False), {**HEADER, "Z": -4e-4})
    assert "strong lines lie +150 km/s" in only_reason(wrong)


def test_real_spectra_are_in_vacuum_and_are_not_once_moved_to_air(real_spectra):
    files = sorted((real_spectra / "lamost_dr10_giants").glob("*.fits.gz"))
    spectra = lamost.read_spectra(files, progress=False).spectra
    assert len(spectra) == len(files)
    grid = spectra.wavelength
    place = np.interp(grid, air_to_vacuum(grid), grid)
    moved = [resample(place, flux, ivar, grid) for flux, ivar in zip(spectra.flux, spectra.ivar, strict=True)]
    in_air = Spectra(spectra.ids, grid, *(np.array(part) for part in zip(*moved, strict=True)))
    clear = line_shift(spectra)[1] > 8
    assert clear.sum() > 30
    assert np.abs(line_shift(spectra)[0][clear]).max() < 50
    shift, contrast = line_shift(in_air)
    assert (contrast > 8).sum() > 30
    assert (np.abs(shift[contrast > 8] + 83) < 40).all()


def test_low_resolution_spectra_of_other_surveys_are_not_called_medium_resolution(tmp_path):
    names = {"flux": "FLUX", "ivar": "IVAR", "wavelength": "LOGLAM", "and_mask": "AND_MASK", "or_mask": "OR_MASK"}
    columns = {names[name]: values for name, values in arrays(wavelength=np.log10(WAVELENGTH)).items()}
    made = [fits.Column(name, "E", array=values) for name, values in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made, name="COADD")]).writeto(tmp_path / "spec.fits")
    reason = only_reason(tmp_path / "spec.fits")
    assert "no column of numbers WAVELENGTH, ANDMASK, ORMASK" in reason
    assert "it has FLUX, IVAR, LOGLAM" in reason


def test_sentinels_are_no_flux(tmp_path):
    columns = arrays(flux=np.where(WAVELENGTH > 7000, -9999.0, arrays()["flux"]))
    spectra = lamost.read_spectra([write_image_format(tmp_path / "spec-1.fits", columns)], progress=False).spectra
    assert not spectra.ivar[0][spectra.wavelength > 7010].any()
    assert spectra.ivar[0][spectra.wavelength < 6990].all()


def test_pilot_files_are_known_without_their_header_card(tmp_path):
    header = {"COEFF0": 3.5682, "COEFF1": 1e-4, "Z": 0.0}
    for row in (np.ones(WAVELENGTH.size), np.random.default_rng(1).normal(0, 50, WAVELENGTH.size)):
        raw = lamost.read_spectrum(write_image_format(tmp_path / "spec-1.fits", arrays(wavelength=row), header))
        np.testing.assert_allclose(raw.wavelength, WAVELENGTH, rtol=1e-12)


def test_gzip_of_several_members(tmp_path):
    content = write_table_format(tmp_path / "a.fits").read_bytes()
    parts = [gzip.compress(content[start : start + 20_000]) for start in range(0, len(content), 20_000)]
    (tmp_path / "b.fits.gz").write_bytes(b"".join(parts))
    first, second = (lamost.read_spectrum(tmp_path / name) for name in ("a.fits", "b.fits.gz"))
    np.testing.assert_array_equal(first.flux, second.flux)
    (tmp_path / "c.fits.gz").write_bytes(b"".join(parts)[:-30])
    with pytest.raises(ValueError, match="gzip data cut short after"):
        lamost.read_spectrum(tmp_path / "c.fits.gz")


@pytest.mark.parametrize(("module", "suffix"), [(bz2, ".bz2"), (lzma, ".xz")], ids=["bzip2", "xz"])
def test_packed_files_of_any_kind_are_found_and_read(tmp_path, module, suffix):
    path = write_table_format(tmp_path / "spec-1.fits")
    plain = lamost.read_spectrum(path)
    packed = tmp_path / f"spec-1.FITS{suffix}"
    packed.write_bytes(module.compress(path.read_bytes()))
    path.unlink()
    assert walk(tmp_path) == ([packed], [])
    assert lamost.identifier(packed) == "spec-1"
    np.testing.assert_array_equal(lamost.read_spectrum(packed).flux, plain.flux)
    packed.write_bytes(packed.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"(bzip2|xz) data cut short after"):
        lamost.read_spectrum(packed)
    strange = tmp_path / "spec-2.fits.Z"
    strange.write_bytes(b"\x1f\x9d\x90" + bytes(100))
    assert strange in walk(tmp_path)[0]
    assert "not a FITS file" in only_reason(strange)


def test_the_redshift_that_was_used_is_told(tmp_path):
    path = write_image_format(tmp_path / "spec-1.fits", header={"RA": 1.0, "DEC": 2.0})
    assert lamost.read_spectra([path], redshifts={"spec-1": 2e-4}, progress=False).stars["z"].tolist() == [2e-4]
    assert "a column z or rv [km/s] of LAMOST's catalogue" in only_reason(path)


# --- folders


def test_pipes_are_never_opened(tmp_path):
    write_table_format(tmp_path / "spec-1.fits")
    os.mkfifo(tmp_path / "spec-2.fits")
    files, refused = walk(tmp_path)
    assert [path.name for path in files] == ["spec-1.fits"]
    assert [failure.reason for failure in refused] == ["a pipe, socket or device, wanted a file; not opened"]
    assert "a pipe, socket or device" in only_reason(tmp_path / "spec-2.fits")


def test_links_are_followed_once_and_loops_end(tmp_path):
    elsewhere = tmp_path / "disk" / "plate7"
    elsewhere.mkdir(parents=True)
    write_table_format(elsewhere / "spec-7.fits")
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "plate7").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(tmp_path / "survey")
    files, refused = walk(tmp_path / "survey")
    assert files == [tmp_path / "survey" / "plate7" / "spec-7.fits"]
    assert [failure.reason.split(":")[0] for failure in refused] == [f"the same folder as {tmp_path / 'survey'}"]


def test_folders_that_cannot_be_entered_are_listed(tmp_path, monkeypatch):
    write_folder(tmp_path, 3)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("plate1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    overlap = open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    assert len(overlap) == 2
    assert [(failure.path, failure.reason) for failure in overlap.unreadable if "folder" in failure.reason] == [
        (str(tmp_path / "plate1"), "folder not entered: Permission denied")
    ]


def test_names_that_are_no_utf8_are_named_safely(tmp_path):
    write_folder(tmp_path, 2)
    strange = os.fsencode(tmp_path) + b"/spec-\xff\xe9.fits"
    try:
        with open(strange, "wb") as stream:
            stream.write((tmp_path / "plate0" / "spec-55555-PLAN_sp01-000.fits.gz").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    reading = lamost.read_spectra(walk(tmp_path)[0], progress=False)
    assert reading.spectra.ids.tolist()[-1] == "spec-\\udcff\\udce9"
    for text in (*reading.spectra.ids.tolist(), *reading.stars["file"].tolist()):
        text.encode("utf-8")
    assert len(open_survey("folder", tmp_path, ("teff",), progress=False).data_hash) == 64


# --- which table plays which part


def allstar_of(stars):
    table = Table({"APOGEE_ID": [f"2M{n}" for n in range(len(stars))], "FILE": ["apStar-r5-x.fits"] * len(stars)})
    table["RA"], table["DEC"] = stars["ra"], stars["dec"]
    table["TEFF"], table["LOGG"], table["FE_H"] = 4444.0, 2.0, 0.5
    table["PARAM_M_H"], table["PARAM_ALPHA_M"], table["SNR"] = -0.3, 0.1, 100.0
    table["AK_WISE"] = np.float32([0.1, -9999.99, *[0.2] * (len(stars) - 2)])
    table["ASPCAPFLAG"] = np.zeros(len(stars), np.int32)
    return table


def stellar_catalogue(stars):
    """LAMOST's own columns, numbers as pandas writes them once a column had a missing value."""
    table = Table(
        {"obsid": np.arange(len(stars)) + 1, "lmjd": np.full(len(stars), 55555.0), "planid": ["PLAN"] * len(stars)}
    )
    table["spid"], table["fiberid"], table["class"] = 1.0, np.arange(len(stars), dtype=float), "STAR"
    table["ra"], table["dec"], table["snrg"], table["z"], table["rv"] = stars["ra"], stars["dec"], 50.0, -9999.0, 30.0
    table["teff"], table["logg"], table["feh"] = 5555.0, 4.4, 0.0
    return table


@pytest.fixture
def both_surveys(tmp_path):
    write_folder(tmp_path, 5)
    stars = Table.read(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").unlink()
    allstar_of(stars).write(tmp_path / "allStar-v603.fits")
    stellar_catalogue(stars).write(tmp_path / "dr10_v2.0_LRS_stellar.csv", format="ascii.csv", delimiter="|")
    (tmp_path / "README.txt").write_text("Spectra of five stars,\nobserved in winter.\n")
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_labels_are_apogees_whatever_lamosts_catalogue_is_called(both_surveys, packed):
    if packed:
        path = both_surveys / "dr10_v2.0_LRS_stellar.csv"
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    overlap = open_survey("folder", both_surveys, progress=False).overlap()
    assert len(overlap) == 5
    assert overlap.labels.column("teff").tolist() == [4444.0] * 5
    np.testing.assert_allclose(overlap.labels.column("fe_h"), -0.3)
    assert np.isnan(overlap.labels.column("a_k")).tolist() == [False, True, False, False, False]
    assert overlap.pipeline.column("teff").tolist() == [5555.0] * 5
    text = "\n".join(overlap.notes)
    assert "is LAMOST's catalogue, by its columns" in text
    assert "fe_h from PARAM_M_H of allStar-v603.fits; 0 of 5 missing; FE_H left alone" in text
    assert "a_k from AK_WISE of allStar-v603.fits; 1 of 5 missing" in text
    assert "README.txt" in text


def test_a_redshift_that_the_catalogue_lacks_is_filled_from_its_velocity(both_surveys):
    catalogue = lamost.read_catalogue(both_surveys / "dr10_v2.0_LRS_stellar.csv")
    assert catalogue["id"][3] == "spec-55555-PLAN_sp01-003"
    np.testing.assert_allclose(catalogue["z"], 30.0 / 299_792.458)


def test_two_tables_for_one_part_are_refused(both_surveys):
    stars = lamost.read_catalogue(both_surveys / "dr10_v2.0_LRS_stellar.csv")
    Table({"filename": stars["id"], "teff": stars["teff"]}).write(both_surveys / "mine.csv")
    with pytest.raises(ValueError, match=r"several tables might hold the labels: mine.csv, allStar-v603.fits; call"):
        open_survey("folder", both_surveys, progress=False)
    (both_surveys / "mine.csv").rename(both_surveys / "labels.csv")
    assert open_survey("folder", both_surveys, None, progress=False).overlap().labels.column("teff")[0] == 5555.0
    (both_surveys / "labels.csv").unlink()
    Table.read(both_surveys / "allStar-v603.fits").write(both_surveys / "allStar-l30.fits")
    with pytest.raises(
        ValueError, match=r"several tables might be APOGEE's allStar table: allStar-l30.fits, allStar-v603"
    ):
        open_survey("folder", both_surveys, progress=False)


def test_lamosts_catalogue_alone_is_no_table_of_labels(both_surveys):
    (both_surveys / "allStar-v603.fits").unlink()
    with pytest.raises(
        ValueError, match=r"found .*dr10_v2.0_LRS_stellar.csv \(LAMOST's catalogue\).*call it labels.csv"
    ):
        open_survey("folder", both_surveys, progress=False)


# --- rows and names of label tables


@pytest.mark.parametrize(
    ("column", "written"),
    [("filename", "C:\\data\\{}"), ("path", "/data/lamost/{}"), ("spectrum", "{}"), ("id", "b'{}'")],
)
def test_names_of_files_however_they_are_written(tmp_path, column, written):
    write_folder(tmp_path, 3)
    table = Table.read(tmp_path / "labels.csv")
    table[column] = [written.format(name) for name in table["filename"]]
    table[list(dict.fromkeys([column, "teff"]))].write(tmp_path / "labels.csv", overwrite=True)
    assert len(open_survey("folder", tmp_path, ("teff",), progress=False).overlap()) == 3


def test_columns_that_are_not_used_are_told(tmp_path):
    write_folder(tmp_path, 3)
    table = Table.read(tmp_path / "labels.csv")
    table["TEFF_K"], table["C+N"], table["e_teff"], table["remark"] = 1.0, 2.0, 3.0, "none"
    table.write(tmp_path / "labels.csv", overwrite=True)
    notes = open_survey("folder", tmp_path, ("teff", "logg"), progress=False).overlap().notes
    assert "columns of labels.csv that are not used: TEFF_K, C+N" in notes


@pytest.mark.parametrize("make", ["a link to nowhere", "a pipe", "a spreadsheet"])
def test_labels_that_cannot_be_read_are_named(tmp_path, make):
    write_folder(tmp_path, 3)
    (tmp_path / "labels.csv").unlink()
    if make == "a link to nowhere":
        (tmp_path / "labels.csv").symlink_to(tmp_path / "nowhere.csv")
    elif make == "a pipe":
        os.mkfifo(tmp_path / "labels.csv")
    else:
        (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"found labels.(csv \(no file|xlsx \(no format) that can be read\)"):
        open_survey("folder", tmp_path, progress=False)


def test_id_and_filename_both_there(tmp_path):
    write_folder(tmp_path, 4)
    table = Table.read(tmp_path / "labels.csv")
    table.add_column(np.arange(4), name="id", index=0)
    table.write(tmp_path / "labels.csv", overwrite=True)
    assert len(open_survey("folder", tmp_path, ("teff",), progress=False).overlap()) == 4
    table.rename_column("filename", "lamost_id")
    table["filename"] = [f"observing-log-{n}" for n in range(4)]
    table.write(tmp_path / "labels.csv", overwrite=True)
    assert len(open_survey("folder", tmp_path, ("teff",), progress=False).overlap()) == 4


def test_a_star_twice(tmp_path):
    write_folder(tmp_path, 3)
    again = "spec-55555-PLAN_sp01-001.fits.gz"
    lines = (tmp_path / "labels.csv").read_text() + f"{again},11,21,80,1e-4,4999,1,0\n"
    (tmp_path / "labels.csv").write_text(lines)
    overlap = open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    assert overlap.labels.of(["spec-55555-PLAN_sp01-001"]).values == [[4999.0]]
    assert "1 further rows of stars that labels.csv has more than once: left alone" in overlap.notes
    (tmp_path / "labels.csv").write_text(f"filename,teff\n{again},4100\n{again},4999\n")
    with pytest.raises(ValueError, match="star 'spec-55555-PLAN_sp01-001' has 2 rows with different labels"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    (tmp_path / "labels.csv").write_text(f"filename,teff,snr\n{again},4100,50\n{again},4999,50\n")
    with pytest.raises(ValueError, match=r"says which is best \(none, or the same\)"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    (tmp_path / "labels.csv").write_text(f"filename,teff\n{again},4100\n{again},4100\n")
    assert len(open_survey("folder", tmp_path, ("teff",), progress=False).overlap()) == 1


@pytest.mark.parametrize("where", [{"obsid": [12345, 12345]}, {"ra": [51.0, 51.0], "dec": [46.5, 46.5]}])
def test_a_star_twice_in_a_table_without_file_names(tmp_path, where):
    write_folder(tmp_path, 1)
    Table({**where, "teff": [4100.0, 4999.0]}).write(tmp_path / "labels.csv", overwrite=True)
    with pytest.raises(ValueError, match=r"star '(obsid 12345|star at 51.0000, \+46.5000)' has 2 rows with different"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    Table({**where, "teff": [4100.0, 4999.0], "snr": [9, 80]}).write(tmp_path / "labels.csv", overwrite=True)
    assert open_survey("folder", tmp_path, ("teff",), progress=False).overlap().labels.values == [[4999.0]]


@pytest.mark.parametrize("names", [("TEFF", " LOGG", "FE_H "), "Teff, logg,[Fe/H]"])
def test_names_of_labels_in_any_case(tmp_path, names):
    write_folder(tmp_path, 3)
    assert open_survey("folder", tmp_path, names, progress=False).overlap().labels.names == ("teff", "logg", "fe_h")


def test_abundances_of_the_label_table_are_labels(tmp_path):
    write_folder(tmp_path, 3)
    table = Table.read(tmp_path / "labels.csv")
    table["MG_FE"], table["O_FE"], table["CHI2"] = [0.1, -9999.0, 0.2], -9999.99, 1.0
    table.write(tmp_path / "labels.csv", overwrite=True)
    labels = open_survey("folder", tmp_path, None, progress=False).overlap().labels
    assert labels.names == ("teff", "logg", "fe_h", "mg_fe")
    assert np.isnan(labels.column("mg_fe")).tolist() == [False, True, False]


# --- catalogues of our own


def write_own(path, stars):
    """What `infer` writes, as far as it looks like the surveys' tables."""
    table = Table({"id": [f"spec-55555-PLAN_sp01-{n:03d}" for n in range(len(stars))], "obsid": np.arange(len(stars))})
    table["ra"], table["dec"], table["snr_g"], table["z"] = stars["ra"], stars["dec"], 50.0, 1e-4
    table["teff"], table["logg"], table["fe_h"], table["subclass"] = 7777.0, 4.4, 0.0, "G2"
    table["reduced_chi2"], table["converged"] = 1.0, True
    table.write(path)
    return path


@pytest.mark.parametrize("name", ["inferred.csv", "catalogue.ecsv", "a.fits"])
def test_a_catalogue_of_our_own_plays_no_part(both_surveys, name):
    stars = lamost.read_catalogue(both_surveys / "dr10_v2.0_LRS_stellar.csv")
    write_own(both_surveys / name, stars)
    overlap = open_survey("folder", both_surveys, progress=False).overlap()
    assert overlap.pipeline.column("teff").tolist() == [5555.0] * 5
    assert f"{name} is a catalogue of labels that `infer` wrote: not used" in overlap.notes
    (both_surveys / "dr10_v2.0_LRS_stellar.csv").unlink()
    with pytest.raises(ValueError, match=rf"no table of labels; .*{name} \(a catalogue of labels that `infer` wrote\)"):
        open_survey("folder", both_surveys, progress=False)


def test_a_model_does_not_learn_what_a_model_said(both_surveys, tmp_path_factory):
    stars = lamost.read_catalogue(both_surveys / "dr10_v2.0_LRS_stellar.csv")
    message = "found a catalogue of labels that `infer` wrote, wanted a table that was measured otherwise"
    elsewhere = write_own(tmp_path_factory.mktemp("elsewhere") / "mine.fits", stars)
    with pytest.raises(ValueError, match=rf"mine.fits: {message}"):
        open_survey("folder", both_surveys, progress=False, label_table=elsewhere)
    write_own(both_surveys / "labels.csv", stars)
    with pytest.raises(ValueError, match=rf"labels.csv: {message}"):
        open_survey("folder", both_surveys, None, progress=False)


# --- the third row of an image


@pytest.mark.parametrize("wrong", [WAVELENGTH[::-1], np.r_[WAVELENGTH[:2000], WAVELENGTH[1990:-10]]])
def test_wavelengths_that_fall_are_not_replaced_by_those_of_the_header(tmp_path, wrong):
    header = {"COEFF0": 3.5682, "COEFF1": 1e-4, "Z": 0.0}
    path = write_image_format(tmp_path / "spec-1.fits", arrays(wavelength=wrong), header)
    assert "wanted positive numbers that increase from pixel to pixel" in only_reason(path)
