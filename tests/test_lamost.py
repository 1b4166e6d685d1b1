import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from labeltransfer import lamost
from labeltransfer.spectra import resample
from lamost_files import WAVELENGTH, arrays, real_spectra, write_image_format, write_table_format


def test_common_grid_has_the_papers_pixels():
    assert lamost.COMMON_GRID.size == 3626
    assert 3905 < lamost.COMMON_GRID[0] < 3906.6
    assert 8998 < lamost.COMMON_GRID[-1] < 9000


@pytest.mark.parametrize("write", [write_image_format, write_table_format])
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_both_formats_give_what_was_written(tmp_path, write, suffix):
    columns = arrays(seed=3)
    columns["or_mask"][5] = 4
    raw = lamost.read_spectrum(write(tmp_path / f"spec-1{suffix}", columns))
    for name, values in columns.items():
        np.testing.assert_array_equal(getattr(raw, name), values.astype(np.float32))
    assert raw.header["obsid"] == 12345
    assert raw.header["z"] == 1e-4
    assert raw.header["snrg"] == 71.5
    assert raw.header["subclass"] == "K1"
    assert np.isnan(raw.header["snru"])


def test_gzip_is_known_by_content_not_by_name(tmp_path):
    packed = write_image_format(tmp_path / "spec-1.fits.gz")
    packed.rename(tmp_path / "spec-2.fits")
    assert lamost.read_spectrum(tmp_path / "spec-2.fits").flux.size == WAVELENGTH.size


def test_double_precision_columns(tmp_path):
    columns = arrays(seed=1)
    raw = lamost.read_spectrum(write_table_format(tmp_path / "spec-1.fits", columns, dtype="D"))
    np.testing.assert_array_equal(raw.wavelength, columns["wavelength"])


def test_scaled_integers_are_scaled(tmp_path):
    image = np.array(list(arrays().values()))
    hdu = fits.PrimaryHDU(image.copy())
    hdu.scale("int32", bscale=0.01, bzero=100.0)
    hdu.header["Z"] = 0.0
    hdu.writeto(tmp_path / "spec-1.fits")
    raw = lamost.read_spectrum(tmp_path / "spec-1.fits")
    np.testing.assert_allclose(raw.wavelength, WAVELENGTH, atol=0.006)


def test_pilot_files_keep_their_wavelengths_in_the_header(tmp_path):
    columns = arrays(wavelength=np.ones(WAVELENGTH.size))
    header = {"EXTEN0": "Flux Inverse Subcontinuum Andmask Ormask", "COEFF0": 3.5682, "COEFF1": 1e-4, "Z": 0.0}
    raw = lamost.read_spectrum(write_image_format(tmp_path / "spec-1.fits", columns, header))
    np.testing.assert_allclose(raw.wavelength, WAVELENGTH, rtol=1e-12)


def test_our_parser_agrees_with_astropy_on_real_files():
    files = [path for folder in sorted(real_spectra().glob("lamost_*")) for path in sorted(folder.glob("spec-*"))[:40]]
    if not files:
        pytest.skip("no real LAMOST spectra at hand (LABELTRANSFER_REAL_SPECTRA)")
    for path in files:
        raw = lamost.read_spectrum(path)
        with fits.open(path, memmap=False) as hdus:
            if len(hdus) > 1:
                row = hdus[1].data[0]
                rows = [row[name] for name in ("FLUX", "IVAR", "ANDMASK", "ORMASK")]
                np.testing.assert_array_equal(raw.wavelength, row["WAVELENGTH"])
            else:
                rows = list(hdus[0].data[[0, 1, 3, 4]])
                if hdus[0].data[2, 0] > 1000.0:
                    np.testing.assert_array_equal(raw.wavelength, hdus[0].data[2])
                step = hdus[0].header["COEFF1"] * np.arange(rows[0].size)
                np.testing.assert_allclose(raw.wavelength, 10 ** (hdus[0].header["COEFF0"] + step), rtol=1e-6)
            for ours, theirs in zip((raw.flux, raw.ivar, raw.and_mask, raw.or_mask), rows, strict=True):
                np.testing.assert_array_equal(ours, theirs)
            assert raw.header["z"] == hdus[0].header["Z"]
            assert raw.header["ra"] == hdus[0].header["RA"]
            assert raw.header["snrg"] == hdus[0].header.get("SNRG", hdus[0].header.get("SN_G"))


def test_to_rest_frame_shifts_by_one_plus_z(tmp_path):
    line = 5000.0
    redshift = 5e-4
    flux = 1.0 - 0.5 * np.exp(-0.5 * ((WAVELENGTH - line * (1 + redshift)) / 3.0) ** 2)
    raw = lamost.read_spectrum(write_table_format(tmp_path / "s.fits", arrays(flux=flux), {"Z": redshift}, dtype="D"))
    rest, ivar = lamost.to_rest_frame(raw)
    assert rest.dtype == np.float32
    assert (ivar > 0).all()
    assert abs(lamost.COMMON_GRID[np.argmin(rest)] - line) < 0.7
    expected, _ = resample(WAVELENGTH / (1 + redshift), flux, np.ones_like(flux), lamost.COMMON_GRID)
    np.testing.assert_allclose(rest, expected, rtol=1e-6)


def test_pixel_masks_are_a_choice(tmp_path):
    columns = arrays()
    columns["or_mask"][1000:1010] = 1
    columns["and_mask"][1000:1005] = 1
    raw = lamost.read_spectrum(write_table_format(tmp_path / "s.fits", columns, {"Z": 0.0}))
    masked = [np.count_nonzero(lamost.to_rest_frame(raw, mask=mask)[1] == 0) for mask in ("none", "and", "or")]
    assert masked[0] == 0
    assert masked[0] < masked[1] < masked[2]
    with pytest.raises(ValueError, match="mask: found 'all'"):
        lamost.to_rest_frame(raw, mask="all")


def test_a_masked_pixel_has_no_influence(tmp_path):
    columns = arrays()
    columns["ivar"][1500:1520] = 0
    first = lamost.to_rest_frame(lamost.read_spectrum(write_table_format(tmp_path / "a.fits", columns)))
    columns["flux"][1500:1520] = np.nan
    second = lamost.to_rest_frame(lamost.read_spectrum(write_table_format(tmp_path / "b.fits", columns)))
    np.testing.assert_array_equal(first, second)


def test_reading_many_keeps_the_order_and_accounts_for_every_file(tmp_path):
    paths = [write_table_format(tmp_path / f"spec-{n}.fits", arrays(n)) for n in range(9)]
    paths[4].write_bytes(b"nothing of the kind")
    reading = lamost.read_spectra(paths, progress=False)
    assert reading.spectra.ids.tolist() == [f"spec-{n}" for n in range(9) if n != 4]
    assert [failure.path for failure in reading.unreadable] == [str(paths[4])]
    assert reading.stars["id"].tolist() == reading.spectra.ids.tolist()
    np.testing.assert_allclose(reading.stars["snr"], 100.0, rtol=0.01)
    alone = lamost.read_spectra(paths[7:8], progress=False)
    np.testing.assert_array_equal(alone.spectra.flux[0], reading.spectra.flux[6])


def test_redshifts_are_used_only_where_the_header_has_none(tmp_path):
    header = {"RA": 1.0, "DEC": 2.0}
    without = write_image_format(tmp_path / "a.fits", header=header)
    unknown = write_image_format(tmp_path / "b.fits", header={**header, "Z": -9999.0})
    given = write_image_format(tmp_path / "c.fits", header={**header, "Z": 1e-4})
    redshifts = {"a": 1e-4, "b": 1e-4, "c": 5e-3}
    reading = lamost.read_spectra([without, unknown, given], redshifts=redshifts, progress=False)
    np.testing.assert_array_equal(reading.spectra.flux[0], reading.spectra.flux[2])
    np.testing.assert_array_equal(reading.spectra.flux[1], reading.spectra.flux[2])
    assert len(lamost.read_spectra([without], progress=False).unreadable) == 1


CATALOGUE = """obsid|designation|mjd|planid|spid|fiberid|ra|dec|snrg|class|z|teff|teff_err|logg|logg_err|feh|feh_err
101|J1|55859|F5902|1|2|330.5|-1.5|25.1|STAR|-9999|4800.5|110|2.5|0.4|-0.3|0.1
102|J2|55859|F5902|16|249|331.5|-2.5|7.3|STAR|0.0001|-9999|-9999|-9999|-9999|-9999|-9999
"""


def test_catalogue_as_pipe_separated_text(tmp_path):
    (tmp_path / "dr2.csv").write_text(CATALOGUE)
    table = lamost.read_catalogue(tmp_path / "dr2.csv")
    assert table["id"].tolist() == ["spec-55859-F5902_sp01-002", "spec-55859-F5902_sp16-249"]
    assert table["obsid"].tolist() == [101, 102]
    assert table["fe_h"][0] == -0.3
    assert np.isnan(table["z"][0])
    assert all(np.isnan(table[name][1]) for name in ("teff", "logg", "fe_h", "teff_err"))


def test_catalogue_as_fits_with_file_names_and_velocities(tmp_path):
    source = Table({"FILENAME": ["spec-a.fits.gz", "spec-b.fits"], "ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    source["rv"] = [29.9792458, -9999.0]
    source["teff"] = np.float32([4800, 5000])
    source.write(tmp_path / "dr2.fits")
    table = lamost.read_catalogue(tmp_path / "dr2.fits")
    assert table["id"].tolist() == ["spec-a", "spec-b"]
    assert table["z"][0] == pytest.approx(1e-4)
    assert np.isnan(table["z"][1])
    assert np.isnan(table["logg"]).all()


def test_of_several_tables_that_of_all_exposures_is_read(tmp_path):
    one = write_table_format(tmp_path / "one.fits", arrays(1))
    with fits.open(one) as single, fits.open(write_table_format(tmp_path / "spec-a.fits", arrays(2))) as hdus:
        single[1].name = "B-8475"
        fits.HDUList([hdus[0], single[1], hdus[1]]).writeto(tmp_path / "spec-b.fits")
        fits.HDUList([hdus[0], single[1]]).writeto(tmp_path / "spec-c.fits")
    np.testing.assert_array_equal(lamost.read_spectrum(tmp_path / "spec-b.fits").flux, np.float32(arrays(2)["flux"]))
    np.testing.assert_array_equal(lamost.read_spectrum(tmp_path / "spec-c.fits").flux, np.float32(arrays(1)["flux"]))


def test_an_image_on_its_side_is_refused(tmp_path):
    fits.PrimaryHDU(np.array(list(arrays().values()), dtype=np.float32).T).writeto(tmp_path / "spec-a.fits")
    with pytest.raises(ValueError, match=r"spec-a.fits: primary image has shape \(3909, 5\), wanted \(5, Q\)"):
        lamost.read_spectrum(tmp_path / "spec-a.fits")


def test_a_row_of_a_star_without_a_redshift_hides_no_other(tmp_path):
    lines = ["filename,ra,dec,snrg,z", "a,1,2,50,0.0001", "a,1,2,80,-9999", "b,1,2,9,0.0002", "b,1,2,90,0.0003"]
    (tmp_path / "catalogue.csv").write_text("\n".join(lines))
    assert lamost.read_redshifts(tmp_path / "catalogue.csv") == {"a": 0.0001, "b": 0.0003}
