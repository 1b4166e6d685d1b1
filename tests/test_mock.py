"""The simulated survey: interpolation, stars, sky, instrument, labels, and the same bytes whatever the blocks."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from labeltransfer import apogee, lamost
from labeltransfer.mock import SimulatedSurvey, SyntheticGrid, facts, pointings
from labeltransfer.mock import sky as mock_sky
from labeltransfer.mock.detector import NEIGHBOUR
from labeltransfer.mock.grid import _scaled
from labeltransfer.mock.lamost_instrument import Instrument, pixel_wavelengths

BOOK_LABELS = [
    [4427.410423185106, 1.569903255847828, -1.139621149098682, 0.16149095388201296, 0.05650178071769922],
    [4791.643452595751, 2.4815755531509613, -0.33448888957074996, 0.23925625038267678, 0.15069803712865165],
    [6606.244227722906, 4.1272265876173115, -0.4279398500014304, 0.11419097750021456, 0.08272024798368431],
]
BOOK_FLUXES = [599.52386, 4161.7471, 3593.0811]
BOOK_IVARS = [4.605039e-04, 2.466529e-04, 1.680723e-04]


@pytest.fixture(scope="module")
def grid():
    return SyntheticGrid.load()


@pytest.fixture(scope="module")
def survey():
    return SimulatedSurvey(n_overlap=300, n_dr2=200, n_apogee=2000, seed=3)


@pytest.fixture(scope="module")
def big():
    return SimulatedSurvey(n_overlap=11057, n_dr2=0, n_apogee=20_000, seed=2017)


def test_the_grid_returns_its_own_nodes(grid):
    difference = (grid.interpolated_scores(grid.labels) - grid.scores) @ grid.components
    assert np.sqrt(np.mean(difference**2)) < 1e-3


def test_leaving_a_node_out_changes_little_where_it_has_neighbours(grid):
    residual = grid.leave_one_out
    assert np.sqrt(np.mean(residual[grid.interior] ** 2)) < 0.003
    assert np.sqrt(np.mean(residual[~grid.is_dwarf] ** 2)) < 0.006


def test_leave_one_out_is_what_one_gets_without_the_node(grid):
    node = int(np.flatnonzero(grid.interior)[5])
    keep = np.arange(len(grid.labels)) != node
    without = replace(grid, labels=grid.labels[keep], is_dwarf=grid.is_dwarf[keep], scores=grid.scores[keep])
    predicted = without.interpolated_scores(grid.labels[node])[0]
    np.testing.assert_allclose((grid.scores[node] - predicted) @ grid.components, grid.leave_one_out[node], atol=1e-4)


def test_the_spectra_are_no_quadratic_in_the_labels(grid):
    rng = np.random.default_rng(0)
    low, high = np.array([4300, 2.0, -0.8, 0.0]), np.array([5000, 3.0, 0.3, 0.3])
    labels = rng.uniform(low, high, (600, 4))
    scaled = (labels - low) / (high - low)
    quadratic = np.column_stack([np.ones(600), scaled, *[scaled[:, [a]] * scaled[:, a:] for a in range(4)]])
    flux = grid.flux(labels)
    flux /= flux.mean(axis=1, keepdims=True)
    residual = flux - quadratic @ np.linalg.lstsq(quadratic, flux, rcond=None)[0]
    assert np.sqrt(np.mean((residual / flux) ** 2)) > 0.001


def test_labels_outside_the_grid_are_moved_to_its_edge_and_flagged(grid):
    labels = np.array([[4800.0, 2.5, -0.2, 0.1], [3700.0, 0.2, -0.2, 0.1], [4800.0, 2.5, -2.6, 0.5]])
    assert grid.outside(labels).tolist() == [False, True, True]
    moved = grid.inside(labels)
    assert not grid.outside(moved).any()
    np.testing.assert_array_equal(moved[0], labels[0])
    np.testing.assert_allclose(grid.flux(labels), grid.flux(moved))
    assert moved[2, 2] == -2.0


def test_every_node_is_inside(grid):
    assert not grid.outside(grid.labels).any()


@pytest.mark.parametrize(
    "label",
    [
        [7300.0, 4.5, 0.0, 0.05],
        [6000.0, 4.2, -0.9, -0.1],
        [6000.0, 4.5, 0.0, 0.4],
        [6000.0, 4.2, 0.4, 0.05],
        [7400.0, 3.6, 0.0, 0.05],
        [4500.0, 4.6, 0.0, 0.05],
    ],
)
def test_dwarfs_without_nodes_around_are_flagged(grid, label):
    assert grid.outside(label).all()
    assert not grid.outside(grid.inside(label)).any()


def test_no_spectrum_is_made_outside_the_hull_of_the_nodes(grid):
    """Or by no more than 3 % of the way to its middle; but giants' nodes have [α/M] in random order, so that at a few
    corners of the giants' bounds there is no node."""
    from scipy.spatial import Delaunay

    hull = Delaunay(_scaled(grid.labels))
    stars = SimulatedSurvey(n_overlap=2000, n_dr2=4000, n_apogee=2000, seed=1).stars
    places = _scaled(stars.truth[:, :4])
    beyond = hull.find_simplex(places + 0.03 * (_scaled(grid.labels).mean(axis=0) - places)) < 0
    assert not beyond[~stars.giant].any()
    assert beyond[stars.giant].mean() < 0.003
    np.testing.assert_array_equal(stars.outside, np.any(stars.truth[:, :4] != stars.drawn, axis=1))


def test_the_error_of_dwarfs_is_known(grid):
    error = np.sqrt(np.mean(grid.leave_one_out[grid.is_dwarf] ** 2))
    assert 0.003 < error < 0.016


def test_same_seed_same_bytes_whatever_the_block(survey):
    whole = survey.raw_block(0, 20)
    again = SimulatedSurvey(n_overlap=300, n_dr2=200, n_apogee=2000, seed=3)
    parts = [again.raw_block(15, 20), again.raw_block(7, 15), again.raw_block(0, 7)]
    for name in ("wavelength", "flux", "ivar", "and_mask", "or_mask"):
        joined = np.concatenate([getattr(part, name) for part in reversed(parts)])
        np.testing.assert_array_equal(joined, getattr(whole, name), err_msg=name)


def test_spectra_do_not_depend_on_order_or_threads(survey, monkeypatch):
    rows = np.array([411, 3, 250])
    scattered = survey.spectra(rows)
    monkeypatch.setattr("labeltransfer.mock.simulated_survey.available_cores", lambda: 1)
    monkeypatch.setattr("labeltransfer.mock.simulated_survey.BLOCK", 7)
    everything = survey.spectra()
    np.testing.assert_array_equal(everything.flux[rows], scattered.flux)
    np.testing.assert_array_equal(everything.ivar[rows], scattered.ivar)


@pytest.mark.parametrize("threads", [1, 2])
def test_interpolation_does_not_depend_on_the_threads_of_linear_algebra(grid, threads):
    with threadpool_limits(limits=threads, user_api="blas"):
        again = replace(grid)
        for one, other in zip(again._solution, grid._solution, strict=True):
            np.testing.assert_array_equal(one, other)


def test_another_seed_gives_another_survey(survey):
    other = SimulatedSurvey(n_overlap=300, n_dr2=200, n_apogee=2000, seed=4)
    assert not np.array_equal(other.spectra([0]).flux, survey.spectra([0]).flux)
    assert not np.array_equal(other.truth().values, survey.truth().values)


def test_the_overlap_does_not_depend_on_the_size_of_dr2(survey):
    alone = SimulatedSurvey(n_overlap=300, n_dr2=0, n_apogee=2000, seed=3)
    np.testing.assert_array_equal(alone.truth().values, survey.truth().values[:300])
    np.testing.assert_array_equal(alone.spectra([5]).flux, survey.spectra([5]).flux)
    more = SimulatedSurvey(n_overlap=300, n_dr2=900, n_apogee=2000, seed=3)
    for name in alone.catalogue().colnames:
        np.testing.assert_array_equal(alone.catalogue()[name], more.catalogue()[name][:300], err_msg=name)
    assert facts(alone)["simulated"].tolist() == facts(more)["simulated"].tolist()


def test_raw_spectra_are_what_lamost_delivers(survey):
    block = survey.raw_block(0, 40)
    assert set(np.unique(block.n_pixels)) <= set(range(3905, 3912))
    assert len(np.unique(block.n_pixels)) > 2
    for n in range(3):
        raw = block.spectrum(n)
        step = np.diff(np.log10(raw.wavelength))
        np.testing.assert_allclose(step, 1e-4, atol=1e-7)
        flux, ivar = lamost.to_rest_frame(raw)
        made = survey.spectra([n])
        np.testing.assert_array_equal(flux, made.flux[0])
        np.testing.assert_array_equal(ivar, made.ivar[0])
        assert ((raw.ivar == 0) == (raw.and_mask != 0)).all()


def test_signal_to_noise_is_the_one_drawn(survey):
    measured = survey.spectra().signal_to_noise()
    np.testing.assert_allclose(np.median(measured / survey.stars.snr), 1.0, atol=0.03)


def test_three_to_five_per_cent_of_pixels_are_masked(survey):
    assert 0.03 < np.mean(survey.spectra().ivar == 0) < 0.05


@pytest.mark.statistical
def test_reported_errors_are_too_large_by_the_factor():
    """Two surveys of the same stars that differ in their noise only."""
    quiet = SimulatedSurvey(n_overlap=300, n_dr2=0, n_apogee=300, seed=8, error_factor=1e6, floor_scale=0.0)
    noisy = SimulatedSurvey(n_overlap=300, n_dr2=0, n_apogee=300, seed=8, floor_scale=0.0)
    a, b = quiet.spectra(), noisy.spectra()
    good = (a.ivar > 0) & (b.ivar > 0)
    pull = np.where(good, (b.flux - a.flux) * np.sqrt(b.ivar), np.nan)
    assert abs(1.4826 * np.nanmedian(np.abs(pull)) * noisy.error_factor - 1.0) < 0.04
    neighbours = np.nanmean(pull[:, :-1] * pull[:, 1:]) / np.nanmean(pull**2)
    assert 0.25 < neighbours < 0.5
    assert neighbours > NEIGHBOUR


def test_interstellar_lines_stay_in_the_frame_of_the_sun():
    survey = SimulatedSurvey(n_overlap=60, n_dr2=0, n_apogee=60, seed=8, error_factor=1e6, floor_scale=0.0)
    stars = survey.stars
    object.__setattr__(stars, "velocity", np.full(60, 300.0))
    stars.truth[:, 4] = 0.0
    clear = survey.raw_block(0, 60)
    stars.truth[:, 4] = 0.4
    dusty = survey.raw_block(0, 60)
    ratio = np.nanmedian(dusty.flux / clear.flux, axis=0)
    wavelength = dusty.wavelength[np.argmax(dusty.n_pixels)]
    near = np.flatnonzero((wavelength > 5860) & (wavelength < 5930))
    assert abs(wavelength[near[np.argmin(ratio[near])]] - 5891.6) < 4.0


def test_redder_light_comes_through_dust():
    curve = Instrument.load().extinction
    wavelength = pixel_wavelengths()
    assert np.all(np.diff(curve[::100]) < 0)
    assert abs(np.interp(5500.0, wavelength, curve) * 0.114 - 1.0) < 0.02


def test_galactic_coordinates_agree_with_astropy():
    from astropy import units
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-89, 89, 50)
    wanted = SkyCoord(ra * units.deg, dec * units.deg).galactic
    lon, lat = mock_sky.galactic(ra, dec)
    np.testing.assert_allclose(lon, wanted.l.deg, atol=1e-4)
    np.testing.assert_allclose(lat, wanted.b.deg, atol=1e-4)
    back = mock_sky.equatorial(lon, lat)
    np.testing.assert_allclose(back[0], ra, atol=1e-8)
    np.testing.assert_allclose(back[1], dec, atol=1e-8)


def test_every_star_stands_where_a_telescope_pointed(big, survey):
    for simulated in (big, survey):
        lamost_places = mock_sky.directions(simulated.stars.ra, simulated.stars.dec)
        assert pointings.on_lamost_plates(lamost_places).all()
        assert pointings.in_apogee_fields(lamost_places[: simulated.n_overlap]).all()
        table = simulated.allstar()
        apogee_places = mock_sky.directions(np.asarray(table["ra"]), np.asarray(table["dec"]))
        assert pointings.in_apogee_fields(apogee_places, margin=0.05).all()
    assert big.stars.dec.min() > -10 - 2.6
    assert big.stars.dec.max() < 60 + 2.6


def test_apogee_covers_patches_and_lamost_most_of_the_northern_sky():
    ra, dec = mock_sky.coordinates(mock_sky._even_directions(40_000))
    places = mock_sky.directions(ra, dec)
    assert 0.04 < pointings.in_apogee_fields(places).mean() < 0.08
    northern = (dec > -8) & (dec < 58)
    assert 0.6 < pointings.on_lamost_plates(places)[northern].mean() < 0.9
    assert not pointings.on_lamost_plates(places)[np.abs(dec - 25) > 40].any()
    lon, lat = mock_sky.galactic(ra, dec)
    anticentre = northern & (np.abs(lon - 180) < 20) & (np.abs(lat) < 15)
    assert pointings.on_lamost_plates(places)[anticentre].mean() > 0.9


def test_no_field_has_more_stars_than_apogee_can_observe():
    from scipy.spatial import cKDTree

    table = SimulatedSurvey(n_overlap=0, n_dr2=0, n_apogee=40_000, seed=2, duplicate_share=0.0).allstar()
    centres, _ = pointings.apogee_fields()
    _, nearest = cKDTree(centres).query(mock_sky.directions(np.asarray(table["ra"]), np.asarray(table["dec"])))
    assert np.bincount(nearest).max() < 2 * pointings.FIELD_STARS * pointings.COHORTS


def test_where_telescopes_point_changes_no_label_and_no_spectrum(survey, monkeypatch):
    def stay(rng, ra, dec, *arguments, **options):
        return ra, dec

    monkeypatch.setattr("labeltransfer.mock.pointings.gather", stay)
    smooth = SimulatedSurvey(n_overlap=300, n_dr2=200, n_apogee=2000, seed=3)
    assert not np.allclose(smooth.stars.ra, survey.stars.ra)
    for name in ("drawn", "truth", "velocity", "snr"):
        np.testing.assert_array_equal(getattr(smooth.stars, name), getattr(survey.stars, name), err_msg=name)
    np.testing.assert_array_equal(smooth.spectra([0, 499]).flux, survey.spectra([0, 499]).flux)
    for name in ("teff", "alpha_m", "a_k", "snr", "aspcapflag"):
        np.testing.assert_array_equal(np.asarray(smooth.allstar()[name]), np.asarray(survey.allstar()[name]))


def test_the_survey_is_still_the_one_of_the_book():
    """Labels and spectra of the default seed, to the digit: a change here changes every number of every chapter."""
    survey = SimulatedSurvey(n_overlap=11057, n_dr2=100, n_apogee=11057)
    np.testing.assert_allclose(survey.stars.truth[[0, 11056, 11100]], BOOK_LABELS, rtol=1e-9)
    spectra = survey.spectra([0, 11056, 11100])
    np.testing.assert_allclose(spectra.flux[:, 1800], BOOK_FLUXES, rtol=1e-5)
    np.testing.assert_allclose(spectra.ivar[:, 1800], BOOK_IVARS, rtol=1e-5)


def test_allstar_has_duplicates_flags_and_gaps(big):
    table = big.allstar()
    assert len(table) == 20_000
    unique, dropped = apogee.best_of_duplicates(table)
    assert 0.01 < dropped / len(table) < 0.03
    assert 0.04 < apogee.flagged(unique).mean() < 0.06
    assert 0.005 < np.isnan(np.asarray(unique["teff"])).mean() < 0.015
    bits = np.asarray(table["aspcapflag"])
    assert ((bits >> apogee.ASPCAP_BITS["NO_ASPCAP_RESULT"]) & 1).sum() > 50


def test_cuts_excise_about_as_many_stars_as_in_the_paper(big):
    from labeltransfer.archive.overlap import match_surveys
    from labeltransfer.reference import quality_cuts

    match = match_surveys(big.catalogue(), big.allstar())
    assert len(match.rows) == 11_057
    labels = apogee.labels_of(match.allstar, ("teff", "logg", "fe_h", "alpha_m", "a_k"))
    cuts = quality_cuts(labels, apogee.flagged(match.allstar))
    excised = np.any(list(cuts.values()), axis=0)
    assert abs(excised.sum() - 677) < 60


def test_a_spectrum_takes_few_steps_of_python(big):
    """All that is done pixel by pixel is compiled: 10,000 spectra then take seconds (``benchmarks/simulate.py``)."""

    def steps(number):
        count = 0

        def counted(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(counted)
        big.raw_block(0, number)
        sys.setprofile(None)
        return count

    steps(2)
    few, many = steps(16), steps(48)
    assert (many - few) / 32 < 60


@pytest.mark.slow
def test_a_full_sized_catalogue_needs_no_spectra():
    survey = SimulatedSurvey(n_overlap=100, n_dr2=200_000, n_apogee=100, seed=1)
    assert abs(survey.stars.giant[100:].mean() - 0.2) < 0.01
    assert len(survey.raw_block(150_000, 150_010)) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_overlap": -1}, "n_overlap"),
        ({"giant_share": 1.5}, "giant_share"),
        ({"error_factor": 0.0}, "error_factor"),
    ],
)
def test_impossible_surveys_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SimulatedSurvey(**settings)


def test_rows_that_do_not_exist_are_refused(survey):
    with pytest.raises(ValueError, match="catalogue of 500 stars"):
        survey.raw([500])
    with pytest.raises(ValueError, match="mask: found 'both'"):
        survey.spectra([0], mask="both")
