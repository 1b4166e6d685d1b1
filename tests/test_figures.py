"""Drawings: pure pieces without a figure, then every drawing with simple data."""

import inspect
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from labeltransfer import LABELS, PAPER_LABELS, CannonModel, Labels, Spectra, figures
from labeltransfer.figures import (
    density,
    label_figures,
    plane_figures,
    sky_figures,
    spectra_figures,
    style,
    transfer_figures,
)

EDGES = np.arange(10, 111, 20)


@pytest.fixture(autouse=True)
def _close_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def giants(n, names=PAPER_LABELS, seed=1):
    rng = np.random.default_rng(seed)
    centres = {"teff": 4800.0, "logg": 2.5, "fe_h": -0.2, "alpha_m": 0.1, "a_k": 0.15}
    widths = {"teff": 250.0, "logg": 0.6, "fe_h": 0.3, "alpha_m": 0.08, "a_k": 0.05}
    values = np.column_stack([rng.normal(centres[name], widths[name], n) for name in names])
    covariance = np.broadcast_to(np.diag([widths[name] ** 2 / 25 for name in names]), (n, len(names), len(names)))
    return Labels([f"star-{row}" for row in range(n)], names, values, covariance)


def noisy(labels, seed=2):
    rng = np.random.default_rng(seed)
    values = labels.values + labels.errors * rng.normal(size=labels.values.shape)
    values[: len(values) // 50] = np.nan
    return Labels(labels.ids, labels.names, values, labels.covariance)


def model_of(names=PAPER_LABELS):
    rng = np.random.default_rng(3)
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(235, 3861, 4))
    n_labels = len(names)
    coefficients = rng.normal(0, 0.01, (wavelength.size, (n_labels + 1) * (n_labels + 2) // 2))
    scatter = np.full(wavelength.size, 0.01)
    coefficients[::50], scatter[::50] = 0.0, np.inf
    pivots = np.array([4800.0, 2.5, -0.2, 0.1, 0.15])[:n_labels]
    scales = np.array([200.0, 0.5, 0.3, 0.1, 0.05])[:n_labels]
    limits = np.array([pivots - 2 * scales, pivots + 2 * scales])
    return CannonModel(names, pivots, scales, wavelength, coefficients, scatter, limits)


def spectra_of(n, wavelength, normalized=True):
    rng = np.random.default_rng(4)
    ivar = np.full((n, wavelength.size), 1e4)
    ivar[:, ::30] = 0
    flux = 1 + rng.normal(0, 0.01, ivar.shape)
    return Spectra([f"star-{row}" for row in range(n)], wavelength, flux, ivar, normalized)


def gallery(n=300, names=PAPER_LABELS):
    """Every drawing as a function of `simulated`, made from n stars."""
    reference = giants(n, names)
    inferred = noisy(reference)
    rng = np.random.default_rng(5)
    snr = 10 ** rng.normal(1.7, 0.3, n)
    model = model_of(names)
    raw, normalized = spectra_of(2, model.wavelength, False), spectra_of(2, model.wavelength)
    teff, logg = reference.column("teff"), reference.column("logg")
    distance = rng.chisquare(3, n)
    scatters = {name: np.linspace(0.4, 0.1, len(EDGES) - 1) for name in names}
    sky = rng.uniform(0, 360, n), rng.uniform(-90, 90, n), rng.normal(0.1, 0.05, n)
    residuals = inferred.values - reference.values
    triple = [reference.column(name) for name in ("teff", "logg", "fe_h")]
    return {
        "label_offsets": lambda s: figures.label_offsets(reference, inferred, snr, simulated=s),
        "normalization_steps": lambda s: figures.normalization_steps(
            raw, np.ones(model.wavelength.size), normalized, star=1, labels=giants(2, names), simulated=s
        ),
        "normalization_steps_apogee": lambda s: figures.normalization_steps(
            raw, np.ones(model.wavelength.size), normalized, apogee=(np.arange(9.0), np.ones(9)), simulated=s
        ),
        "label_plane": lambda s: figures.label_plane(
            teff, logg, {"LAMOST pipeline": triple, "APOGEE": reference}, simulated=s
        ),
        "label_histograms": lambda s: figures.label_histograms(
            {"APOGEE": reference, "LAMOST pipeline": inferred.select(names[:3])}, simulated=s
        ),
        "leading_coefficients": lambda s: figures.leading_coefficients(model, simulated=s),
        "one_to_one": lambda s: figures.one_to_one(reference, inferred, snr > 50, simulated=s),
        "scatter_against_snr": lambda s: figures.scatter_against_snr(
            EDGES, scatters, {"teff": scatters["teff"] * 2}, simulated=s
        ),
        "label_plane_comparison": lambda s: figures.label_plane_comparison(
            {"LAMOST pipeline": triple, "The Cannon": inferred, "APOGEE": reference}, simulated=s
        ),
        "model_spectrum": lambda s: figures.model_spectrum(normalized, model, giants(2, names), simulated=s),
        "label_distance_gap": lambda s: figures.label_distance_gap(distance, distance, logg, simulated=s),
        "distance_in_plane": lambda s: figures.distance_in_plane(teff, logg, distance, np.arange(n // 2), simulated=s),
        "precision_window": lambda s: figures.precision_window(reference, inferred, simulated=s),
        "abundance_plane": lambda s: figures.abundance_plane(triple[2], rng.normal(0.1, 0.1, n), simulated=s),
        "sky_maps": lambda s: figures.sky_maps(sky, sky, simulated=s),
        "share_against_latitude": lambda s: figures.share_against_latitude(
            [0, 10, 30, 90], {"here": [0.1, 0.2, np.nan], "there": [0.1, 0.3, 0.6]}, simulated=s
        ),
        "pulls_histogram": lambda s: figures.pulls_histogram(residuals / reference.errors, names, simulated=s),
        "chi2_histogram": lambda s: figures.chi2_histogram(rng.chisquare(50, n) / 50, simulated=s),
        "masked_spectrum": lambda s: figures.masked_spectrum(normalized, simulated=s),
        "label_curves": lambda s: figures.label_curves(
            [100, 1000, 10000],
            {"order 1": {n: [3.0, 2.0, 1.0] for n in names}, "order 2": {"teff": [1, np.nan, 2]}},
            xlabel="reference stars",
            log_x=True,
            simulated=s,
        ),
        "changes_of_scatter": lambda s: figures.changes_of_scatter(
            ["n_folds = 4", "mask = or"],
            rng.normal(0, 0.1, (2, len(names))),
            np.full((2, len(names)), 0.03),
            names,
            simulated=s,
        ),
        "relative_scatter": lambda s: figures.relative_scatter(
            [125, 1000, 8000],
            rng.normal(0, 0.1, (3, len(names))),
            np.full((3, len(names)), 0.03),
            names,
            base="of all stars",
            log_x=True,
            simulated=s,
        ),
        "information_by_window": lambda s: figures.information_by_window(
            np.linspace(4000, 9000, 11), rng.uniform(size=(10, len(names))), names, simulated=s
        ),
        "formal_against_empirical": lambda s: figures.formal_against_empirical(
            inferred.errors * rng.uniform(0.5, 2, (n, 1)), residuals, names, simulated=s
        ),
    }


DRAWINGS = list(gallery(20))


def figure_of(drawn):
    return drawn if isinstance(drawn, Figure) else drawn.figure


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_says_simulated_and_gives_back_its_data(name, tmp_path):
    drawn = gallery()[name](True)
    figure = figure_of(drawn)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    assert stream.tell() < 500_000
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    assert sum("simulated" in text for text in texts_of(figure)) == 1
    table = figures.data_of(drawn)
    assert len(table) > 0
    written = Table.read(figures.write_data(drawn, tmp_path / "data.csv"), format="ascii.csv")
    assert written.colnames == table.colnames
    assert len(written) == len(table)
    for ax in figure.axes:
        if ax.get_xlabel():
            assert "nan" not in ax.get_xlabel()


@pytest.mark.parametrize("name", DRAWINGS)
def test_real_data_and_three_labels_can_be_drawn(name):
    figure = figure_of(gallery(names=PAPER_LABELS[:3])[name](False))
    figure.canvas.draw()
    assert not any("simulated" in text for text in texts_of(figure))


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_demands_to_know_whether_the_data_are_simulated(name):
    parameter = inspect.signature(getattr(figures, name.removesuffix("_apogee"))).parameters["simulated"]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is parameter.empty


@pytest.mark.slow
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", DRAWINGS)
def test_hardly_any_stars_can_be_drawn(name, n):
    figure_of(gallery(n)[name](True)).canvas.draw()


def test_the_callers_style_stays_as_it_was():
    before = dict(plt.rcParams)
    gallery()["one_to_one"](True)
    assert dict(plt.rcParams) == before


@pytest.mark.slow
def test_every_cell_of_a_notebook_shows_its_figure():
    nbclient = pytest.importorskip("nbclient", reason="running a notebook needs nbclient")
    nbformat = pytest.importorskip("nbformat", reason="writing a notebook needs nbformat")
    draw = "figure = figures.chi2_histogram(np.array([1.0, 2.0]), simulated=True)"
    sources = ["import numpy as np\nfrom labeltransfer import figures", draw, draw]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    assert [len(cell.outputs) for cell in notebook.cells] == [0, 1, 1]
    assert "image/png" in notebook.cells[2].outputs[0].data


def test_single_panels_are_drawn_where_asked():
    _, (left, right) = plt.subplots(1, 2)
    n = 50
    assert figures.chi2_histogram(np.ones(n), simulated=True, ax=left) is left
    drawn = figures.label_distance_gap(np.ones(n), np.ones(n), np.ones(n), simulated=True, ax=right)
    assert drawn is right
    assert "chi2_min" in figures.data_of(left).colnames
    assert "distance" in figures.data_of(right).colnames


@pytest.mark.parametrize("name", ["one_to_one", "label_offsets", "label_histograms", "scatter_against_snr"])
def test_every_label_is_on_an_axis_with_its_unit(name):
    texts = " ".join(texts_of(figure_of(gallery()[name](True))))
    for label in PAPER_LABELS:
        assert LABELS[label].axis in texts


def test_label_offsets_print_bias_and_scatter_of_each_range():
    reference = giants(1000, ("teff",))
    other = Labels(reference.ids, ("teff",), reference.values - 30 + 10 * (-1.0) ** np.arange(1000)[:, None])
    figure = figures.label_offsets(
        reference, other, np.r_[np.full(500, 20.0), np.full(500, 70.0)], simulated=True, snr_edges=(0, 50, np.inf)
    )
    assert texts_of(figure).count("\N{MINUS SIGN}30 ± 10 K") == 2
    table = figures.data_of(figure)
    assert table["stars"].sum() + table.meta["n_outside"] == 1000
    assert set(table["snr_min"]) == {0.0, 50.0}


def test_figures_1_and_7_can_share_their_axes():
    reference = giants(500)
    ranges = figures.residual_ranges(reference, noisy(reference))
    figure = figures.label_offsets(reference, reference, np.ones(500), half_ranges=ranges, simulated=True)
    for ax, half in zip(figure.axes, ranges.values(), strict=False):
        assert ax.get_ylim() == pytest.approx((-half, half))


def test_one_to_one_prints_the_statistics_of_chosen_stars():
    reference = giants(400, ("logg",))
    values = reference.values + np.r_[np.full(200, 0.5), np.full(200, 0.0)][:, None]
    figure = figures.one_to_one(
        reference, Labels(reference.ids, ("logg",), values), np.arange(400) < 200, simulated=False
    )
    assert "bias +0.500, scatter 0.000 dex" in texts_of(figure)
    assert "bias and scatter of 200 of 400 stars" in texts_of(figure)


def test_stars_without_labels_are_counted():
    table = figures.data_of(gallery(1000)["label_plane_comparison"](True))
    assert table.meta["n_ignored"] == 3 * 20
    assert table.meta["n_drawn"] + table.meta["n_outside"] == 3 * 980


def test_planes_show_the_same_stars_in_all_panels_and_name_the_dwarfs():
    pipeline = giants(300)
    values = pipeline.values.copy()
    values[:30, 0], values[30:60, 1] = np.nan, 4.5
    cannon = Labels(pipeline.ids, pipeline.names, values, pipeline.covariance)
    figure = figures.precision_window(pipeline, cannon, simulated=True, dwarf_logg=3.8)
    assert figures.data_of(figure).meta["n_ignored"] == 2 * 30
    assert "dwarfs" in texts_of(figure)
    assert "dwarfs" not in texts_of(figures.precision_window(pipeline, pipeline, simulated=True, dwarf_logg=9.0))


def test_stars_beyond_the_axes_stand_at_the_edge():
    reference = giants(200, ("teff",))
    values = reference.values.copy()
    values[0] += 1000
    figure = figures.label_offsets(
        reference, Labels(reference.ids, ("teff",), values), np.ones(200), half_ranges={"teff": 300.0}, simulated=True
    )
    edge = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    (place,) = np.column_stack([np.concatenate([line.get_data()[k] for line in edge]) for k in (0, 1)])
    assert place[0] == pytest.approx(reference.values[0, 0], abs=1) or place[0] in figure.axes[0].get_xlim()
    assert 280 < place[1] < 300
    assert figures.data_of(figure)["beyond"].max() >= 1


def test_labels_in_one_panel_differ_without_colour_and_in_words_are_not_joined():
    lines = []
    for x in ([15, 50], ["near", "far"]):
        figure = figures.relative_scatter(
            x, np.zeros((2, 5)), np.full((2, 5), 0.1), PAPER_LABELS, base="everywhere", simulated=True
        )
        lines.append([line for line in figure.axes[0].lines if line.get_marker() in tuple("os^Dv")])
    assert [len({line.get_marker() for line in some}) for some in lines] == [5, 5]
    assert {line.get_linestyle() for line in lines[1]} == {"None"}
    assert "None" not in {line.get_linestyle() for line in lines[0]}


def test_a_logarithmic_axis_has_plain_numbers():
    _, ax = plt.subplots()
    ax.plot([1, 2], [0.004, 0.3])
    style.plain_logarithm(ax, "y")
    ax.figure.canvas.draw()
    assert {"0.01", "0.1"} <= {text.get_text() for text in ax.get_yticklabels()}


def test_lines_break_at_gaps_in_wavelength():
    wave = np.r_[np.arange(5000.0, 5010.0), np.arange(6000.0, 6010.0)]
    assert np.flatnonzero(transfer_figures.after_gaps(wave)).tolist() == [10]


def test_scatter_panels_need_one_value_for_each_range():
    with pytest.raises(ValueError, match=r"scatter of teff: found shape \(3,\), wanted \(5,\)"):
        figures.scatter_against_snr(EDGES, {"teff": np.ones(3)}, simulated=True)


def test_tables_of_other_stars_are_refused():
    with pytest.raises(ValueError, match="same stars"):
        figures.one_to_one(giants(10), giants(11), simulated=True)
    with pytest.raises(ValueError, match="in the same order"):
        figures.label_offsets(giants(10), giants(10)[::-1], np.ones(10), simulated=True)


def test_a_plane_without_gravity_is_refused():
    with pytest.raises(ValueError, match="no logg; found teff"):
        figures.label_plane_comparison({"APOGEE": giants(3, ("teff",))}, simulated=True)


def test_leading_coefficients_are_flux_changes_per_label_error():
    model = model_of()
    expected = model.coefficients[:, 1] / model.scales[0] * 91.5
    np.testing.assert_allclose(figures.scaled_coefficients(model)[:, 0], expected)
    table = figures.data_of(figures.leading_coefficients(model, simulated=True, wavelength_range=(5000, 6000)))
    assert table["wavelength"].min() >= 5000
    np.testing.assert_allclose(table["teff"], expected[(model.wavelength >= 5000) & (model.wavelength <= 6000)])


def test_a_label_without_a_typical_error_is_named():
    with pytest.raises(ValueError, match="no error for a_k"):
        figures.leading_coefficients(
            model_of(), label_errors={"teff": 1, "logg": 1, "fe_h": 1, "alpha_m": 1}, simulated=True
        )


def test_contour_levels_are_those_of_a_two_dimensional_gaussian():
    rng = np.random.default_rng(0)
    radius = np.hypot(*rng.normal(size=(2, 200_000)))
    inside = [np.mean(radius < sigma) for sigma in plane_figures.CONTOUR_SIGMAS]
    np.testing.assert_allclose(figures.contour_levels(), inside, atol=0.004)


def test_counts_lose_no_star():
    x = np.array([0.1, 0.1, 0.9, 5.0, np.nan, 0.5])
    y = np.array([0.1, 0.1, 0.9, 0.5, 0.5, np.inf])
    counts = density.count(x, y, (0, 1), (1, 0), bins=(2, 2))
    assert (counts.n_drawn, counts.n_outside, counts.n_ignored) == (3, 1, 2)
    columns = counts.columns()
    np.testing.assert_array_equal(columns["stars"], [2, 1])
    np.testing.assert_allclose(columns["x"], [0.25, 0.75])


def test_more_stars_get_finer_bins():
    assert [density.bins_for(n) for n in (0, 2_000, 10_000, 1_000_000)] == [20, 37, 59, 90]


def test_ranges_of_signal_to_noise_in_words():
    assert label_figures.snr_text(0, 50) == "S/N < 50"
    assert label_figures.snr_text(50, 100) == "50 < S/N < 100"
    assert label_figures.snr_text(100, np.inf) == "S/N > 100"
    assert label_figures.snr_text(0, np.inf) == "all S/N"


@pytest.mark.parametrize(
    ("name", "value", "signed", "text"),
    [
        ("teff", -12.4, True, "\N{MINUS SIGN}12 K"),
        ("teff", -0.2, True, "0 K"),
        ("alpha_m", 0.0391, False, "0.039 dex"),
        ("a_k", 0.0062, True, "+0.006 mag"),
    ],
)
def test_quantities_carry_their_units(name, value, signed, text):
    assert style.quantity(name, value, signed) == text


def test_span_of_nothing_and_of_one_value():
    assert style.span(np.array([np.nan])) == (0.0, 1.0)
    assert style.span(np.array([3.0]), margin=0.0) == (2.5, 3.5)


def test_stacked_panels_fill_missing_columns_with_nan():
    columns = style.stacked([{"panel": "a", "x": [1, 2]}, {"panel": "b", "y": [3.0]}])
    np.testing.assert_array_equal(columns["panel"], ["a", "a", "b"])
    np.testing.assert_array_equal(columns["y"], [np.nan, np.nan, 3.0])


def test_the_sky_raster_reads_each_pixel_where_it_is():
    lon, lat = np.array([0.0, 120.0, 250.0]), np.array([0.0, 60.0, -30.0])
    mean, counts = sky_figures.healpix_mean(lon, lat, np.array([1.0, 2.0, 3.0]), nside=16)
    assert counts.sum() == 3
    x, y, values = sky_figures.raster(mean, centre=120.0, step=0.5)
    for place, height, value in ((120, 0, 1.0), (0, 60, 2.0), (-130, -30, 3.0)):
        column = np.searchsorted(x, np.radians(place)) - 1
        row = np.searchsorted(y, np.radians(height)) - 1
        near = values[max(row - 1, 0) : row + 3, max(column - 1, 0) : column + 3]
        assert value in near


def test_masked_pixels_break_the_line_and_are_counted():
    spectra = spectra_of(1, np.linspace(4000, 5000, 60))
    ax = figures.masked_spectrum(spectra, simulated=False)
    assert isinstance(ax, Axes)
    assert "2 of 60 pixels masked" in texts_of(ax.figure)
    table = figures.data_of(ax)
    assert np.isnan(table["flux"][table["masked"]]).all()
    assert np.isnan(spectra_figures.visible(np.ones(2), np.array([0.0, 1.0]))[0])


def test_undetermined_pixels_are_gaps():
    model = model_of()
    assert np.isnan(figures.data_of(figures.leading_coefficients(model, simulated=True))["scatter"][0])
    spectra = spectra_of(1, model.wavelength)
    figure = figures.model_spectrum(spectra, model, giants(1), window=(3900, 4000), simulated=True)
    assert np.isnan(figures.data_of(figure)["sigma"][0])


def test_information_is_shown_as_shares():
    figure = figures.information_by_window([4000, 5000, 6000], np.array([[3.0], [1.0]]), ["teff"], simulated=True)
    np.testing.assert_allclose(figures.data_of(figure)["teff"], [0.75, 0.25])
    with pytest.raises(ValueError, match="found 2 windows, wanted 1"):
        figures.information_by_window([4000, 5000], np.ones((2, 1)), ["teff"], simulated=True)


def test_histograms_show_every_label_of_the_richest_source():
    sources = {"LAMOST pipeline": giants(50, PAPER_LABELS[:3]), "APOGEE": giants(50)}
    table = figures.data_of(figures.label_histograms(sources, simulated=True))
    assert set(table["label"]) == set(PAPER_LABELS)
    assert set(table["source"][table["label"] == "a_k"]) == {"APOGEE"}


def test_a_figure_from_elsewhere_has_no_data():
    with pytest.raises(ValueError, match="no data recorded"):
        figures.data_of(plt.figure())


def catalogue_of(n=6):
    labels = giants(n)
    table = Table({"id": [f"spec-55859-F5902_sp01-{row:03d}" for row in range(n)]})
    table["ra"], table["dec"] = np.linspace(331, 332, n), np.linspace(-2, -1, n)
    for name, values, errors in zip(labels.names, labels.values.T, labels.errors.T, strict=True):
        table[name], table[f"{name}_err"] = values, errors
    table["reduced_chi2"] = np.full(n, 0.62)
    return table


def test_the_excerpt_shows_what_table_1_shows():
    excerpt = figures.excerpt_table(catalogue_of(), rows=4, simulated=True)
    assert len(excerpt.table) == 4
    html = excerpt._repr_html_()
    for text in (
        "LAMOST ID",
        "<i>T</i><sub>eff</sub>",
        "σ([α/M])",
        "red. χ²",
        "<td>(K)</td>",
        "<td>0.62</td>",
        "simulated",
    ):
        assert text in html
    assert "<sub>K</sub>" not in html
    assert "simulated" in repr(excerpt)
    assert "simulated" not in figures.excerpt_table(catalogue_of(), simulated=False)._repr_html_()


def test_an_excerpt_names_missing_columns():
    table = catalogue_of()
    table.remove_column("logg_err")
    with pytest.raises(ValueError, match="no column logg_err"):
        figures.excerpt_table(table, simulated=True)
