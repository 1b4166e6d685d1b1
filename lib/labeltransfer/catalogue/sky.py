"""Places on the sky: galactic coordinates, and means over the cells of a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.units import Unit
from astropy_healpix import HEALPix


def galactic(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Galactic longitude and latitude [deg] from right ascension and declination [deg]; NaN stays NaN."""
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    lon, lat = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
    known = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    if known.any():
        place = SkyCoord(ra[known], dec[known], unit="deg").galactic
        lon[known], lat[known] = place.l.deg, place.b.deg
    return lon, lat


def healpix_mean(
    lon: np.ndarray | Sequence[float], lat: np.ndarray | Sequence[float], values: np.ndarray, nside: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average a quantity over the cells of a HEALPix map (ring order).

    Parameters
    ----------
    lon, lat : (N,) deg
    values : (N,) a value, or a place, that is not finite is left out
    nside : cells on a side of each of the twelve faces

    Returns
    -------
    mean : (12 nside²,) NaN where there is no star
    count : (12 nside²,)
    """
    lon, lat, values = (np.asarray(array, dtype=float) for array in (lon, lat, values))
    usable = np.isfinite(lon) & (np.abs(lat) <= 90.0) & np.isfinite(values)
    healpix = HEALPix(nside=nside, order="ring")
    cells = healpix.lonlat_to_healpix(lon[usable] * Unit("deg"), lat[usable] * Unit("deg"))
    count = np.bincount(cells, minlength=healpix.npix)
    total = np.bincount(cells, weights=values[usable], minlength=healpix.npix)
    mean = np.full(healpix.npix, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean, count
