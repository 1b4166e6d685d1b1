"""Small LAMOST files of both formats, written with astropy for the tests."""

import gzip
import os
from pathlib import Path

import numpy as np
from astropy.io import fits

WAVELENGTH = 10.0 ** (3.5682 + 1e-4 * np.arange(3909))


def real_spectra() -> Path:
    """Folder of real LAMOST spectra (may not exist)."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("LABELTRANSFER_REAL_SPECTRA", default))


def arrays(seed=0, **changes):
    rng = np.random.default_rng(seed)
    columns = {
        "flux": 1000.0 * (1.0 + 0.1 * np.sin(WAVELENGTH / 50.0)) + rng.normal(0.0, 10.0, WAVELENGTH.size),
        "ivar": np.full(WAVELENGTH.size, 0.01),
        "wavelength": WAVELENGTH.copy(),
        "and_mask": np.zeros(WAVELENGTH.size),
        "or_mask": np.zeros(WAVELENGTH.size),
    }
    return {**columns, **changes}


HEADER = {"OBSID": 12345, "RA": 51.0, "DEC": 46.5, "Z": 1e-4, "SNRG": 71.5, "CLASS": "STAR", "SUBCLASS": "K1"}


def write_image_format(path, columns=None, header=HEADER):
    columns = arrays() if columns is None else columns
    hdu = fits.PrimaryHDU(np.array(list(columns.values()), dtype=np.float32))
    hdu.header.update(header)
    return _write(hdu, path)


def write_table_format(path, columns=None, header=HEADER, dtype="E"):
    columns = arrays() if columns is None else columns
    names = {"and_mask": "ANDMASK", "or_mask": "ORMASK"}
    primary = fits.PrimaryHDU()
    primary.header.update(header)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(names.get(name, name.upper()), format=f"{np.size(values)}{dtype}", array=np.asarray([values]))
            for name, values in columns.items()
        ],
        name="COADD",
    )
    return _write(fits.HDUList([primary, table]), path)


def _write(content, path):
    plain = path.with_name(path.name.removesuffix(".gz"))
    content.writeto(plain, overwrite=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path


def write_folder(folder, n_stars=12, labels="filename,ra,dec,snrg,z,teff,logg,fe_h\n"):
    """A survey folder: spectra of both formats in sub-folders and ``labels.csv``."""
    rows = []
    for n in range(n_stars):
        below = folder / f"plate{n % 3}"
        below.mkdir(parents=True, exist_ok=True)
        name = f"spec-55555-PLAN_sp01-{n:03d}.fits.gz"
        (write_table_format if n % 2 else write_image_format)(below / name, arrays(n))
        rows.append(f"{name},{10 + n},{20 + n},50,1e-4,{4000 + 100 * n},{1 + 0.2 * n:.2f},{-0.1 * n:.2f}\n")
    (folder / "labels.csv").write_text(labels + "".join(rows))
    return folder
