"""What happens to files that are not what they should be: a message that helps, and nothing else stops."""

import bz2
import gzip
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeltransfer import lamost, tables
from labeltransfer.archive import open_survey
from lamost_files import WAVELENGTH, arrays, real_spectra, write_folder, write_image_format, write_table_format


def spoilt(name, value, where=slice(1000, 1010)):
    columns = arrays()
    columns[name][where] = value
    return columns


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    return path


def with_card(path, key, value):
    """Change one header card by hand, whatever sense it makes."""
    content = path.read_bytes()
    start = content.index(f"{key:8}=".encode())
    path.write_bytes(content[:start] + f"{key:8}= {value:>20}".ljust(80).encode() + content[start + 80 :])
    return path


def one_column_short(path):
    columns = arrays()
    del columns["ivar"]
    return write_table_format(path, columns)


def text_column(path):
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "9A", array=["abc"]) for name in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")]
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


def unequal(path):
    return write_table_format(path, {**arrays(), "ivar": np.ones(7)})


def image(path, array):
    fits.PrimaryHDU(array).writeto(path)
    return path


def written(path, content):
    path.write_bytes(content)
    return path


# What is wrong: how to make such a file, and what the message must say.
PACKED = {
    "empty file": (lambda p: written(p, b""), "empty file; wanted a FITS file"),
    "truncated gzip": (lambda p: cut(write_table_format(p), 20_000), "gzip data cut short after"),
    "gzip header only": (lambda p: cut(write_table_format(p), 12), "gzip data cut short after 0"),
    "damaged gzip": (lambda p: flip(write_table_format(p), 5_000), "gzip data"),
    "gzip of nothing": (lambda p: written(p, gzip.compress(b"")), "not a FITS file"),
    "missing column": (one_column_short, "no column of numbers IVAR; wanted FLUX, IVAR"),
    "unequal columns": (unequal, "7 ivar"),
    "falling wavelength": (lambda p: write_image_format(p, arrays(wavelength=WAVELENGTH[::-1])), "that increase from"),
    "wavelength twice": (lambda p: write_table_format(p, spoilt("wavelength", 4660.0)), "1001 has 4660 after 4660 Å"),
    "wavelength NaN": (lambda p: write_table_format(p, spoilt("wavelength", np.nan)), "pixel 1000 has nan after 4656"),
    "wavelength zero": (lambda p: write_table_format(p, arrays(wavelength=np.arange(3909.0))), "positive numbers"),
    "no redshift": (lambda p: write_image_format(p, header={"RA": 1.0}), "redshift Z: found unknown"),
    "absurd redshift": (lambda p: write_image_format(p, header={"Z": 1.7}), "redshift Z: found 1.7, wanted a star's"),
    "redshift is text": (lambda p: write_image_format(p, header={"Z": "unknown"}), "redshift Z: found unknown"),
    "no inverse variance": (lambda p: write_image_format(p, spoilt("ivar", 0.0, slice(None))), "no good pixel"),
    "negative inverse variance": (lambda p: write_table_format(p, spoilt("ivar", -1.0, slice(None))), "no good pixel"),
    "flux all NaN": (lambda p: write_table_format(p, spoilt("flux", np.nan, slice(None))), "no good pixel"),
    "outside the grid": (lambda p: write_image_format(p, arrays(wavelength=WAVELENGTH * 3)), "no good pixel: spectrum"),
}
PLAIN = {
    "no FITS": (lambda p: written(p, b"<html>404 not found</html>"), "found an HTML page"),
    "image cut in its data": (lambda p: cut(write_image_format(p), 50_000), "file cut short: found 50,000 bytes"),
    "table cut in its data": (lambda p: cut(write_table_format(p), 50_000), "file cut short: found 50,000 bytes"),
    "cut in its header": (lambda p: cut(write_image_format(p), 1_000), "file ends within a header"),
    "cut between HDUs": (lambda p: cut(write_table_format(p), 2880), "no table HDU; wanted a table with columns FLUX"),
    "three rows": (lambda p: image(p, np.ones((3, 50))), "shape (3, 50), wanted (5, Q)"),
    "one dimension": (lambda p: image(p, np.ones(50)), "shape (50,), wanted (5, Q)"),
    "a single pixel": (lambda p: image(p, np.ones((5, 1))), "found 1 flux"),
    "columns of text": (text_column, "no column of numbers FLUX, IVAR"),
    "absurd size": (lambda p: with_card(write_image_format(p), "NAXIS1", 10**18), "file cut short"),
    "negative size": (lambda p: with_card(write_image_format(p), "NAXIS1", -5), "NAXIS1: found -5, wanted"),
    "size is text": (lambda p: with_card(write_image_format(p), "NAXIS1", "'many'"), "NAXIS1: found 'many'"),
    "unknown BITPIX": (lambda p: with_card(write_image_format(p), "BITPIX", 13), "BITPIX: found 13"),
    "unknown format": (lambda p: with_card(write_table_format(p), "TFORM2", "'3909?'"), "column IVAR: found format"),
    "column beyond the row": (lambda p: with_card(write_table_format(p), "TFORM1", "'9999999E'"), "rows have"),
    "infinite redshift": (lambda p: with_card(write_image_format(p), "Z", "1E999"), "redshift Z: found unknown"),
}
DAMAGED = {**PACKED, **PLAIN}


def make(folder, fault):
    return DAMAGED[fault][0](folder / ("spec-bad.fits" if fault in PLAIN else "spec-bad.fits.gz"))


@pytest.mark.parametrize("fault", DAMAGED)
def test_one_bad_file_is_named_with_its_reason_and_stops_no_other(tmp_path, fault):
    bad = make(tmp_path, fault)
    good = [write_table_format(tmp_path / f"spec-{n}.fits", arrays(n)) for n in range(2)]
    reading = lamost.read_spectra([good[0], bad, good[1]], progress=False)
    assert reading.spectra.ids.tolist() == ["spec-0", "spec-1"]
    assert len(reading.unreadable) == 1
    assert reading.unreadable[0].path == str(bad)
    assert DAMAGED[fault][1] in reading.unreadable[0].reason


@pytest.mark.parametrize("fault", ["truncated gzip", "missing column", "three rows", "wavelength NaN", "no FITS"])
def test_a_single_reading_raises_and_names_the_file(tmp_path, fault):
    bad = make(tmp_path, fault)
    with pytest.raises(ValueError, match=re.escape(str(bad))):
        lamost.read_spectrum(bad)


@pytest.mark.parametrize(
    ("name", "value"), [("flux", np.nan), ("flux", np.inf), ("ivar", np.nan), ("ivar", np.inf), ("ivar", -3.0)]
)
def test_bad_pixels_are_masked_and_the_rest_is_used(tmp_path, name, value):
    spoilt_file = write_table_format(tmp_path / "a.fits", spoilt(name, value))
    clean = write_table_format(tmp_path / "b.fits", spoilt("ivar", 0.0))
    reading = lamost.read_spectra([spoilt_file, clean], progress=False)
    np.testing.assert_array_equal(reading.spectra.flux[0], reading.spectra.flux[1])
    np.testing.assert_array_equal(reading.spectra.ivar[0], reading.spectra.ivar[1])
    assert 9 <= (reading.spectra.ivar[0] == 0).sum() <= 12


def test_values_beyond_single_precision_stop_nothing(tmp_path):
    files = [
        write_table_format(tmp_path / "a.fits", spoilt("flux", 1e300), dtype="D"),
        write_table_format(tmp_path / "b.fits", spoilt("ivar", 1e300, slice(None)), dtype="D"),
        write_table_format(tmp_path / "c.fits"),
    ]
    reading = lamost.read_spectra(files, progress=False)
    assert reading.spectra.ids.tolist() == ["a", "c"]


PILOT = {"EXTEN0": "Flux Inverse Subcontinuum Andmask Ormask", "COEFF0": 3.5682, "COEFF1": 1e-4, "Z": 0.0}


@pytest.mark.parametrize(
    ("header", "key", "value", "readable"),
    [
        (PILOT, "COEFF0", "1E300", False),
        (PILOT, "COEFF1", "1E308", False),
        (PILOT, "COEFF1", "NaN", False),
        (PILOT, "COEFF1", "'step'", False),
        ({"Z": 0.0, "OBSID": 1}, "OBSID", "99999999999999999999", True),
        ({"Z": 0.0, "OBSID": 1}, "OBSID", "T", True),
    ],
)
def test_headers_that_fuzzing_found(tmp_path, header, key, value, readable):
    columns = arrays()
    if header is PILOT:
        columns["wavelength"] = columns["flux"] - 1.0
    path = write_image_format(tmp_path / "spec-1.fits", columns, header=header)
    reading = lamost.read_spectra([with_card(path, key, value)], progress=False)
    assert len(reading.spectra) == readable
    assert len(reading.unreadable) == (not readable)


@pytest.mark.parametrize(
    ("key", "written", "column", "found"),
    [
        ("OBSID", "'00012345'", "obsid", 12345),
        ("OBSID", "12345", "obsid", 12345),
        ("OBSID", "'unknown'", "obsid", 0),
        ("OBSID", "1.5", "obsid", 0),
        ("OBSID", "-1", "obsid", 0),
        ("Z", "'1.5E-4 '", "z", 1.5e-4),
        ("RA", "' 51.25'", "ra", 51.25),
        ("SNRG", "'71.5'", "snr_g", 71.5),
    ],
)
def test_a_card_may_have_its_number_as_text(tmp_path, key, written, column, found):
    path = write_image_format(tmp_path / "spec-1.fits", arrays(), header={"Z": 0.0, "OBSID": 1, key: 1})
    assert lamost.read_spectra([with_card(path, key, written)], progress=False).stars[column] == found


def test_scalings_that_overflow_are_masked(tmp_path):
    path = write_table_format(tmp_path / "spec-1.fits")
    content = path.read_bytes()
    card = content.index(b"EXTNAME =")
    path.write_bytes(content[:card] + b"TSCAL1  = 1E308".ljust(80) + content[card + 80 :])
    reading = lamost.read_spectra([path], progress=False)
    assert "no good pixel" in reading.unreadable[0].reason


def test_no_file_a_folder_and_a_dangling_link(tmp_path):
    (tmp_path / "spec-folder.fits").mkdir()
    (tmp_path / "spec-link.fits").symlink_to(tmp_path / "nowhere")
    names = ["spec-none.fits", "spec-folder.fits", "spec-link.fits"]
    reading = lamost.read_spectra([tmp_path / name for name in names], progress=False)
    assert [failure.reason for failure in reading.unreadable] == [
        "No such file or directory", "Is a directory", "No such file or directory",
    ]  # fmt: skip
    assert len(reading.spectra) == 0
    assert len(reading.stars) == 0


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    paths = [write_table_format(tmp_path / f"spec-{n}.fits") for n in range(2)]
    opened = type(tmp_path).open

    def refuse(self, *arguments, **options):
        if self == paths[0]:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    reading = lamost.read_spectra(paths, progress=False)
    assert [failure.reason for failure in reading.unreadable] == ["Permission denied"]
    assert reading.spectra.ids.tolist() == ["spec-1"]


def test_files_of_the_same_name(tmp_path):
    (tmp_path / "copy").mkdir()
    paths = [write_table_format(tmp_path / "spec-1.fits"), write_table_format(tmp_path / "copy" / "spec-1.fits.gz")]
    reading = lamost.read_spectra(paths, progress=False)
    assert len(reading.spectra) == 1
    assert reading.unreadable[0].path == str(paths[1])
    assert "same file name as" in reading.unreadable[0].reason


def test_no_files_at_all():
    reading = lamost.read_spectra([], progress=False)
    assert (len(reading.spectra), len(reading.stars), reading.unreadable) == (0, 0, [])


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "spec-1.fits.gz").write_bytes(gzip.compress(bytes(80_000_000)))
    with pytest.raises(ValueError, match="wanted the file of a single spectrum"):
        lamost.read_spectrum(tmp_path / "spec-1.fits.gz")


def test_names_in_any_language(tmp_path):
    folder = tmp_path / "Überprüfung 観測 ünï"
    write_folder(folder, 3)
    (folder / "plate0" / "spec-55555-PLAN_sp01-000.fits.gz").rename(folder / "plate0" / "spec-é観.fits.gz")
    table = (folder / "labels.csv").read_text(encoding="utf-8").replace("spec-55555-PLAN_sp01-000", "spec-é観")
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    overlap = open_survey("folder", folder, ("teff",), progress=False).overlap()
    assert overlap.spectra.ids.tolist() == ["spec-é観", "spec-55555-PLAN_sp01-001", "spec-55555-PLAN_sp01-002"]
    assert overlap.unreadable == []


# --- tables


def test_temperatures_in_mixed_units_are_noticed(tmp_path):
    write_folder(tmp_path, 4)
    table = (tmp_path / "labels.csv").read_text().replace(",4100,", ",4.1,")
    (tmp_path / "labels.csv").write_text(table)
    overlap = open_survey("folder", tmp_path, ("teff",), progress=False).overlap()
    assert np.isnan(overlap.labels.column("teff")).tolist() == [False, True, False, False]
    note = "teff from teff of labels.csv; 0 of 4 missing, 1 more outside 1500 to 60000 (for example 4.1)"
    assert note in overlap.notes


@pytest.mark.parametrize("scale", [1e-3, "log"])
def test_a_column_in_another_unit_that_it_does_not_state_is_refused(tmp_path, scale):
    write_folder(tmp_path, 4)
    table = Table.read(tmp_path / "labels.csv")
    table["teff"] = np.log10(table["teff"]) if scale == "log" else table["teff"] * scale
    table.write(tmp_path / "labels.csv", overwrite=True)
    with pytest.raises(ValueError, match=r"labels.csv: column teff: 4 of 4 values of teff .*state its unit"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()


def test_words_among_numbers_are_named(tmp_path):
    write_folder(tmp_path, 4)
    table = (tmp_path / "labels.csv").read_text().replace(",4100,", ",hot,")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=r"labels.csv: column teff: found 'hot', wanted numbers"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()


def test_a_unit_that_cannot_be_converted_is_named(tmp_path):
    write_folder(tmp_path, 2)
    table = Table.read(tmp_path / "labels.csv")
    table["teff"].unit = "mag"
    (tmp_path / "labels.csv").unlink()
    table.write(tmp_path / "labels.ecsv")
    with pytest.raises(ValueError, match="column teff is in mag, wanted K"):
        open_survey("folder", tmp_path, ("teff",), progress=False).overlap()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "found no text, wanted column names"),
        ("t.csv", b" \n\n", "found no text"),
        ("t.csv", "id,teff\na,1\n".encode("utf-16-le"), "found zero bytes, wanted text in UTF-8, or in UTF-16 with"),
        ("t.csv", b"a,b\n1,2,3\n", "not a readable table"),
        ("t.csv", b"\xff\xfe\x00\xd8", "not a readable table"),
        ("t.fits", b"SIMPLE  =", "not a readable table"),
        ("t.fits.gz", b"\x1f\x8b\x08", "not a readable table"),
        ("t.ecsv", b"# %ECSV 1.0\n# ---\n# {", "not a readable table"),
        ("t.parquet", b"PAR1", "not a readable table"),
        ("t.xml", b"<VOTABLE", "not a readable table"),
    ],
)
def test_tables_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        tables.read_table(tmp_path / name)


def test_a_table_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv: no such file; wanted a table"):
        tables.read_table("nowhere.csv")


def test_a_column_with_several_numbers_per_row_is_no_label(tmp_path):
    Table({"id": ["a", "b"], "teff": np.ones((2, 3))}).write(tmp_path / "t.fits")
    with pytest.raises(ValueError, match=r"column teff has shape \(2, 3\), wanted one number per row"):
        tables.numbers(tables.read_table(tmp_path / "t.fits"), "teff", tmp_path / "t.fits")


# --- fuzz


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    columns = {name: values[:40] for name, values in arrays().items()}
    names = ("a.fits", "b.fits", "c.fits.gz")
    writers = (write_image_format, write_table_format, write_table_format)
    return folder, [write(folder / name, columns).read_bytes() for write, name in zip(writers, names, strict=True)]


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 2),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0.5, 1.0),
)
def test_no_damage_gives_anything_but_a_spectrum_or_a_named_reason(small_files, which, changes, keep):
    folder, contents = small_files
    content = bytearray(contents[which][: int(keep * len(contents[which]))])
    for place, value in changes:
        content[int(place * len(content))] = value
    path = folder / "fuzzed.fits"
    path.write_bytes(content)
    reading = lamost.read_spectra([path], progress=False)
    assert len(reading.spectra) + len(reading.unreadable) == 1


SIZES = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "TFORM1", "TTYPE2", "Z")
VALUES = ("0", "1", "-1", "999", "99999999999999999999", "T", "'x'", "''", "1E400", "NaN", "'0E'", "'1Q'")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 1),
    cards=st.lists(st.tuples(st.sampled_from(SIZES), st.sampled_from(VALUES)), min_size=1, max_size=3),
)
def test_no_header_gives_anything_but_a_spectrum_or_a_named_reason(small_files, which, cards):
    folder, contents = small_files
    path = folder / "fuzzed.fits"
    path.write_bytes(contents[which])
    for key, value in cards:
        if f"{key:8}=".encode() in path.read_bytes():
            with_card(path, key, value)
    reading = lamost.read_spectra([path], progress=False)
    assert len(reading.spectra) + len(reading.unreadable) == 1


def test_real_files_cut_anywhere_are_refused(tmp_path):
    files = sorted(real_spectra().glob("lamost_*/spec-*"))
    if not files:
        pytest.skip("no real LAMOST spectra at hand (LABELTRANSFER_REAL_SPECTRA)")
    for path in (files[0], files[-1]):
        content = path.read_bytes()
        for share in (0.01, 0.3, 0.7, 0.95):
            short = tmp_path / path.name
            short.write_bytes(content[: int(share * len(content))])
            reading = lamost.read_spectra([short], progress=False)
            assert len(reading.unreadable) == 1


@pytest.mark.parametrize("packer", [gzip.compress, bz2.compress])
def test_a_spectrum_that_a_server_packed_once_more_is_read(tmp_path, packer):
    path = write_table_format(tmp_path / "spec-1.fits.gz", arrays())
    path.write_bytes(packer(path.read_bytes()))
    assert lamost.read_spectrum(path).header["obsid"] == 12345


def test_a_page_in_place_of_a_spectrum_is_called_so(tmp_path):
    (tmp_path / "spec-1.fits.gz").write_text("\n<!doctype HTML>\n<html><body>Please log in</body></html>\n" * 100)
    (failure,) = lamost.read_spectra([tmp_path / "spec-1.fits.gz"], progress=False).unreadable
    assert failure.reason == "found an HTML page, as servers send it in place of a file; fetch the file again"


def test_an_image_packed_by_fpack_is_called_so(tmp_path):
    image = fits.CompImageHDU(np.array(list(arrays().values()), np.float32), header=fits.Header({"OBSID": 1}))
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "spec-1.fits.fz")
    (failure,) = lamost.read_spectra([tmp_path / "spec-1.fits.fz"], progress=False).unreadable
    assert failure.reason == "an image packed by fpack, which is not read; unpack it with funpack"


def test_columns_of_variable_length_hide_no_other(tmp_path):
    path = write_table_format(tmp_path / "spec-1.fits", arrays())
    with fits.open(path) as hdus:
        more = fits.ColDefs([fits.Column("EXPOSURES", "PJ()", array=np.array([[1, 2, 3]], dtype=object))])
        table = fits.BinTableHDU.from_columns(more + hdus[1].columns, name="COADD")
        fits.HDUList([hdus[0], table]).writeto(tmp_path / "spec-2.fits")
    found = lamost.read_spectrum(tmp_path / "spec-2.fits")
    np.testing.assert_array_equal(found.flux, lamost.read_spectrum(path).flux)


def test_columns_of_variable_length_are_called_so(tmp_path):
    columns = {name: np.array([values], dtype=object) for name, values in arrays().items()}
    names = {"and_mask": "ANDMASK", "or_mask": "ORMASK"}
    made = [fits.Column(names.get(name, name.upper()), "PE()", array=one) for name, one in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)]).writeto(tmp_path / "spec-1.fits")
    (failure,) = lamost.read_spectra([tmp_path / "spec-1.fits"], progress=False).unreadable
    assert failure.reason.startswith("column FLUX: of variable length (PE(")
    assert failure.reason.endswith("which is not read; wanted a fixed one")
