"""Pick a star: in a browser, by mouse, finger and keyboard, and with the model of the library."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from explorer_stars import picked, survey
from labeltransfer.reproduction.tables import StarPage

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "_build" / "screenshots"
KNOWN = "THEBE_JS_URL"
STATIC = ROOT / "book" / "_static"
HEAD = '<!doctype html><html lang="en" data-theme="{}"><head><meta charset="utf-8"><title>Stars</title></head><body>'
FIRST = "#explorer .explorer-plane >> nth=0"
SECOND = "#explorer .explorer-plane >> nth=1"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def picker():
    return picked(*survey(300, n_pixels=900))


@pytest.fixture(scope="module")
def address(picker, tmp_path_factory):
    """A page with nothing but the stars, as a file."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(STATIC, folder / "_static", ignore=shutil.ignore_patterns("mathjax"))
    shown = StarPage(picker.write(folder / "_static" / "explorer_data.js"))
    (folder / "book").mkdir()
    page = folder / "book" / "page.html"
    page.write_text(HEAD.format("light") + shown._repr_html_() + "</body></html>", encoding="utf-8")
    return page.as_uri()


@pytest.fixture
def stars(opened, address):
    page = opened(address)
    page.wait_for_selector(".explorer-plane circle")
    return page


def announced(page):
    return page.inner_text("#explorer [aria-live]")


def chosen(page):
    return int(page.input_value("#explorer select"))


def slide(page, name, value):
    page.locator(f"#explorer-{name}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
    )


def test_the_model_of_the_page_is_that_of_the_library(stars, picker):
    rng = np.random.default_rng(2)
    labels = picker.labels.values[:5] + picker.model.scales * rng.normal(size=(5, 5))
    wanted = picker.model.model_flux(labels)
    for values, flux in zip(labels, wanted, strict=True):
        found = stars.evaluate("labels => [...window.labeltransferExplorer.predict(labels)]", values.tolist())
        np.testing.assert_allclose(found, flux, atol=1e-5)


def test_a_button_gives_the_sliders_the_reference_labels(stars, picker):
    stars.click("text=labels disagree")
    star = chosen(stars)
    stars.click("text=Take the reference labels")
    moved = stars.eval_on_selector_all(".explorer-sliders input", "sliders => sliders.map(slider => +slider.value)")
    steps = stars.eval_on_selector_all(".explorer-sliders input", "sliders => sliders.map(slider => +slider.step)")
    wanted = picker.labels.values[star] - picker.fit.labels.values[star]
    assert (np.abs(np.array(moved) - wanted) <= 0.51 * np.array(steps)).all()
    assert "with these labels" in stars.inner_text(".explorer-chi2")
    stars.click("text=Reset")
    assert "Move a slider" in stars.inner_text(".explorer-chi2")


def test_arrow_keys_go_to_the_star_in_that_direction(stars, picker):
    stars.focus(FIRST)
    teff, logg = picker.labels.column("teff"), picker.labels.column("logg")
    for key, moved in {
        "ArrowRight": lambda old, new: teff[new] < teff[old],  # temperature falls to the right
        "ArrowLeft": lambda old, new: teff[new] > teff[old],
        "ArrowUp": lambda old, new: logg[new] < logg[old],
        "ArrowDown": lambda old, new: logg[new] > logg[old],
    }.items():
        before, words = chosen(stars), announced(stars)
        stars.keyboard.press(key)
        assert moved(before, chosen(stars)), key
        assert announced(stars) != words
        assert picker.labels.ids[chosen(stars)] in announced(stars)
    assert "S/N" in announced(stars)


def test_at_the_edge_an_arrow_key_stays(stars):
    stars.focus(FIRST)
    for _ in range(80):
        stars.keyboard.press("ArrowLeft")
    hottest = chosen(stars)
    stars.keyboard.press("ArrowLeft")
    assert chosen(stars) == hottest


def test_a_click_picks_the_star_below_it(stars, picker):
    circles = stars.locator(f"{SECOND} >> circle.star")
    for row in (3, 20):
        box = circles.nth(row).bounding_box()
        stars.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert chosen(stars) == row
    assert f"{picker.labels.column('alpha_m')[20]:.2f}".replace("-", "−") in stars.inner_text("#explorer tbody")


def test_buttons_and_the_list_pick_too(stars, picker):
    before = chosen(stars)
    stars.click("[aria-label='Next star']")
    assert chosen(stars) == (before + 1) % len(picker)
    stars.click("[aria-label='Previous star']")
    assert chosen(stars) == before
    stars.click(".explorer-random")
    assert chosen(stars) != before
    stars.select_option("#explorer select", "11")
    assert picker.labels.ids[11] in announced(stars)
    stars.click("text=metal-poor")
    bright = picker.snr >= np.median(picker.snr)
    metals = picker.fit.labels.column("fe_h")
    assert metals[chosen(stars)] == pytest.approx(metals[bright].min(), abs=0.05)


def test_the_window_changes_the_spectrum(stars):
    whole = stars.get_attribute(".explorer-spectrum .data >> nth=0", "d")
    stars.click("text=Mg b")
    assert stars.get_attribute("text=Mg b", "aria-pressed") == "true"
    assert stars.get_attribute(".explorer-windows button >> nth=0", "aria-pressed") == "false"
    assert stars.get_attribute(".explorer-spectrum .data >> nth=0", "d") != whole
    assert "from 5110 to 5230 Å" in stars.get_attribute(".explorer-spectrum", "aria-label")


def test_a_slider_moves_the_model_and_reset_brings_it_back(stars):
    assert stars.locator(".what-if").count() == 0
    stars.focus("#explorer-alpha_m")
    for _ in range(5):
        stars.keyboard.press("ArrowRight")
    first = stars.get_attribute(".what-if >> nth=0", "d")
    assert "+0.05" in stars.get_attribute("#explorer-alpha_m", "aria-valuetext")
    slide(stars, "teff", 100)
    assert stars.get_attribute(".what-if >> nth=0", "d") != first
    assert "with these labels" in stars.inner_text(".explorer-chi2")
    stars.click(".explorer-reset")
    assert stars.locator(".what-if").count() == 0
    assert stars.input_value("#explorer-teff") == "0"


def test_another_star_is_shown_as_fitted(stars):
    slide(stars, "fe_h", 0.1)
    stars.click("[aria-label='Next star']")
    assert stars.locator(".what-if").count() == 0


def test_everything_is_reached_by_the_tab_key_and_has_a_name(stars):
    stars.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        stars.keyboard.press("Tab")
        reached.add(stars.evaluate("[...document.querySelectorAll('#explorer *')].indexOf(document.activeElement)"))
        if stars.evaluate("document.activeElement !== document.body"):
            assert stars.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    controls = stars.evaluate(
        "(() => { const all = [...document.querySelectorAll('#explorer *')]; return all.filter(one => "
        "one.matches('button, select, input, [tabindex]')).map(one => all.indexOf(one)); })()"
    )
    assert set(controls) <= reached
    nameless = stars.evaluate(
        "[...document.querySelectorAll('#explorer :is(button, select, input, [role])')].filter(one => !("
        "one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).length"
    )
    assert nameless == 0


def test_simulated_is_written_on_every_drawing(stars):
    assert stars.locator("#explorer svg").count() == 3
    assert stars.locator("#explorer svg .simulated").all_text_contents() == ["simulated"] * 3


def test_without_its_data_the_page_says_what_to_do(opened, address):
    page = opened(address)
    page.evaluate("document.body.innerHTML = '<section id=explorer><p>wait</p></section>'")
    page.evaluate("delete window.labeltransferExplorer")
    page.add_script_tag(path=str(STATIC / "explorer.js"))
    assert page.inner_text("#explorer") == "wait"
    assert page.wrong == []


def test_it_works_embedded_in_a_notebook(opened, picker, tmp_path):
    frame = StarPage(picker.write(tmp_path / "data.js")).embedded().data
    notebook = tmp_path / "notebook.html"
    notebook.write_text(HEAD.format("light") + frame + "</body></html>", encoding="utf-8")
    page = opened(notebook.as_uri())
    inside = page.frame_locator("iframe")
    inside.locator("circle.star").first.wait_for()
    inside.locator("[aria-label='Next star']").click()
    assert page.wrong == []
    assert page.elsewhere == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_page_of_the_book_is_whole(opened, pages, size, scheme):
    rendered = pages / "book" / "A5_explorer.html"
    if not rendered.exists():
        pytest.skip("the rendered book has no A5_explorer: `make book` renders it")
    page = opened(rendered.as_uri(), size, scheme)
    page.wait_for_selector(".explorer-plane circle")
    page.evaluate("scheme => { document.documentElement.dataset.theme = scheme; }", scheme)
    page.click("text=Mg b")
    slide(page, "alpha_m", -0.1)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"A5_explorer-{size}-{scheme}.png", full_page=True)
    assert page.elsewhere == []
    assert [error for error in page.wrong if KNOWN not in error] == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, "scrolls sideways"
    wide = page.evaluate(
        "(() => { const right = document.querySelector('#explorer').getBoundingClientRect().right + 1; return "
        "[...document.querySelectorAll('#explorer *')].filter(one => !one.closest('svg g') && "
        "one.getBoundingClientRect().right > right).map(one => one.outerHTML.slice(0, 60)); })()"
    )
    assert wide == [], "something is cut off"
    ground, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('#explorer')).color]"
    )
    assert (brightness(ground) < brightness(ink)) == (scheme == "dark")


def brightness(colour):
    return sum(float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
