"""Reading the spectra that Ness et al. (2015) trained on, from files made in their format."""

import numpy as np
import pytest
from astropy.io import fits

from labeltransfer.archive import apogee_dr10, sources
from labeltransfer.cannon import train

HEADER = "ID,Rvel,Teff,Teff_{corr},logg,logg_{corr},[M/H],[M/H]_{corr},e_Teff_corr,e_[MH]+corr\n"
N_PIXELS = 400


def write_spectrum(path, flux, error):
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.asarray(array, np.float32)) for array in (flux, error, flux))]
    for hdu in hdus[1:]:
        hdu.header.update({"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1})
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


@pytest.fixture
def fetched(tmp_path):
    data = tmp_path / "spectra" / "Data"
    data.mkdir(parents=True)
    rng = np.random.default_rng(1)
    rows = []
    for n in range(40):
        teff, depth = 4000.0 + 25 * n, 0.2 + 0.005 * n
        flux = 1 - depth * np.exp(-0.5 * ((np.arange(N_PIXELS) % 50 - 25) / 3.0) ** 2)
        flux += rng.normal(0, 0.005, N_PIXELS)
        error = np.full(N_PIXELS, 0.005)
        flux[:20], error[:20] = 0.0, 1e10
        error[100 + n] = 1e10
        write_spectrum(data / f"star-{n:02d}.fits", flux, error)
        rows.append(f"star-{n:02d}.fits,0,1,{teff},1,{2.0 + rng.normal()},1,{rng.normal(0, 0.2)},90,0.1\n")
    table = tmp_path / "spectra" / "reference_labels.csv"
    table.write_text(HEADER + "".join(rows))
    return tmp_path


@pytest.mark.slow
def test_spectra_and_labels_become_a_reference_set(fetched):
    reference = apogee_dr10.read_reference(fetched)
    assert len(reference) == 40
    assert reference.labels.names == ("teff", "logg", "fe_h")
    assert reference.labels.column("teff")[3] == 4075.0
    assert reference.spectra.normalized
    assert reference.spectra.wavelength.size == N_PIXELS - 20
    np.testing.assert_allclose(reference.spectra.wavelength[0], 10 ** (4.179 + 20 * 6e-6))
    assert reference.spectra.good_pixels.tolist() == [N_PIXELS - 21] * 40
    assert train(reference[np.arange(40)]).label_names == reference.labels.names
    assert apogee_dr10.stated_errors(fetched) == {"teff": 90.0, "fe_h": 0.1}
    assert apogee_dr10.read_reference(fetched, ("fe_h",)).labels.names == ("fe_h",)


def test_no_pixel_counts_for_more_than_its_limit(tmp_path):
    path = write_spectrum(tmp_path / "a.fits", np.ones(10), np.r_[1e-5, np.full(9, 0.01)])
    _, flux, ivar = apogee_dr10.read_spectrum(path)
    np.testing.assert_allclose(np.sqrt(ivar) * flux, np.r_[200.0, np.full(9, 100.0)], rtol=1e-5)


@pytest.mark.slow
def test_files_that_cannot_be_read_are_left_out(fetched):
    data = fetched / "spectra" / "Data"
    (data / "star-00.fits").write_bytes(b"no FITS")
    (data / "star-01.fits").unlink()
    write_spectrum(data / "star-03.fits", np.ones(7), np.ones(7))
    reference = apogee_dr10.read_reference(fetched)
    assert len(reference) == 37
    assert reference.labels.column("teff")[0] == 4050.0
    for path in data.iterdir():
        path.write_bytes(b"no FITS")
    with pytest.raises(ValueError, match=r"none of 40 APOGEE spectra could be read; .*not a FITS file"):
        apogee_dr10.read_reference(fetched)


@pytest.mark.parametrize(
    ("hdus", "message"),
    [
        ([fits.PrimaryHDU()], "1 HDUs, wanted flux in the second"),
        ([fits.PrimaryHDU(), fits.ImageHDU(np.ones(5)), fits.ImageHDU(np.ones(6))], r"error of \(6,\)"),
        (
            [fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 5))), fits.ImageHDU(np.ones((2, 5)))],
            r"flux of shape \(2, 5\)",
        ),
    ],
)
def test_files_of_another_form_are_named(tmp_path, hdus, message):
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=rf"a.fits: .*{message}"):
        apogee_dr10.read_spectrum(tmp_path / "a.fits")


def test_what_has_not_been_fetched_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv(sources.CACHE, str(tmp_path))
    for read in (apogee_dr10.read_reference, apogee_dr10.stated_errors):
        with pytest.raises(FileNotFoundError, match=r"fetch it with `labeltransfer fetch apogee-dr10`"):
            read()
