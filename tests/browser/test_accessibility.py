"""The rendered book for people who see, hear or move otherwise: axe-core, the keyboard, paper."""

from importlib.resources import files
from importlib.util import find_spec

import pytest

from conftest import PAGES, SIZES

STEMS = sorted(page.stem for page in (PAGES / "book").glob("*.html")) or ["index"]
SCHEMES = ("light", "dark")
COLOURS = ["color-contrast", "link-in-text-block"]
"""Rules that depend on the scheme; all others are tested once, in light."""
PRINTED = ("02_training", "06_ledger", "A5_explorer")
"""Code, verdicts, drawings: the pages whose colours are tested on paper too."""
PAPER = {"width": 700, "height": 1000}
"""A4 without its margins, in pixels."""
UNSEEN = {"desk": "details.hide:not([open]) .highlight", "phone": ".highlight"}
"""Folded code takes half the time and has no faults of its own; its colours are the same on a phone."""
FAULTS = """async ([unseen, options, within]) => {
  const found = await axe.run({ include: [within], exclude: [unseen] },
    { resultTypes: ['violations'], preload: false, iframes: false, ...options });
  return found.violations.map(one => `${one.impact}: ${one.id} (${one.help}), ${one.nodes.length} times:` +
    one.nodes.slice(0, 3).map(node => `\\n    ${node.target.join(' ')}  ${node.html.slice(0, 150)}` +
      [...node.any, ...node.all, ...node.none].map(why => '\\n      ' + why.message).join('')).join(''));
}"""
OF_EACH_COLOUR = """([unseen, most]) => {
  const grounds = new Map(), seen = new Map();
  const ground = one => {  // what lies behind an element, from its ancestors
    if (!one) return '';
    if (!grounds.has(one)) {
      const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(one);
      const opaque = /^rgb\\(/.test(backgroundColor) && backgroundImage === 'none';
      const own = opaque || backgroundColor !== 'rgba(0, 0, 0, 0)' || backgroundImage !== 'none'
        ? backgroundColor + backgroundImage : '';
      const veil = opacity === '1' && filter === 'none' ? '' : opacity + filter;
      grounds.set(one, own + veil + (opaque && !veil ? '' : ground(one.parentElement)));
    }
    return grounds.get(one);
  };
  for (const one of document.querySelectorAll('body *')) {
    delete one.dataset.colour;
    const speaks = one.matches('input, select, textarea')
      || [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!speaks || one.closest(unseen) || !one.checkVisibility()) continue;
    const { color, fontSize, fontWeight, fill, textShadow } = getComputedStyle(one);
    const around = one.tagName === 'A' ? getComputedStyle(one.parentElement).color : '';
    const key = [one.tagName, color, around, fontSize, fontWeight, fill, textShadow, ground(one)].join();
    seen.set(key, (seen.get(key) || 0) + 1);
    if (seen.get(key) <= most) one.dataset.colour = '';
  }
}"""
"""Marks some elements of each kind, colour, size and ground: axe-core looks at colours one element after the other,
which takes ten times as long for all of them."""
CUT_OFF = """() => [...document.querySelectorAll('article img, article table, article svg, article pre, article p')]
  .filter(one => one.checkVisibility() && !one.closest('svg g')
    && (one.getBoundingClientRect().right > innerWidth + 1
      || (one.matches('pre') && one.scrollWidth > one.clientWidth + 1)))
  .map(one => one.outerHTML.slice(0, 100))"""
UNREACHED = """() => [...document.querySelectorAll('article, article *')]
  .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)
    && one.tabIndex < 0 && !one.querySelector('a[href], button, [tabindex="0"]'))
  .map(one => one.outerHTML.slice(0, 100))"""
AT_REST = "document.getAnimations().forEach(one => one.finish())"
WITHOUT_SCOPE = "[...document.querySelectorAll('article th:not([scope])')].map(one => one.outerHTML.slice(0, 100))"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core."""
    if find_spec("axe_playwright_python") is None:
        pytest.skip("axe-playwright-python is not installed: `make setup` does it")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def look(browser, address):
    """Open pages one after the other, each size of screen in a window of its own."""
    windows = {}

    def open_page(stem, size="desk", scheme="light"):
        if size not in windows:
            width, height = SIZES[size]
            windows[size] = browser.new_context(viewport={"width": width, "height": height}).new_page()
            windows[size].goto(f"{address}/book/{stem}.html")
        page = windows[size]
        page.emulate_media(media="screen")
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        page.evaluate("scheme => { localStorage.mode = localStorage.theme = scheme; }", scheme)
        page.goto(f"{address}/book/{stem}.html", wait_until="load")
        page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        return page

    yield open_page
    for page in windows.values():
        page.context.close()


def faults_of_colour(page, unseen):
    """What axe-core finds in some elements of each colour."""
    page.evaluate(OF_EACH_COLOUR, [unseen, 2])
    return page.evaluate(FAULTS, [unseen, {"runOnly": COLOURS}, "[data-colour]"])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stem", STEMS)
def test_axe_finds_no_fault(look, axe, stem, size):
    page = look(stem, size)
    page.evaluate(axe)
    others = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
    faults = page.evaluate(FAULTS, [UNSEEN[size], others, "html"]) + faults_of_colour(page, UNSEEN[size])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate(AT_REST)
    faults += [f"dark: {fault}" for fault in faults_of_colour(page, UNSEEN[size])]
    assert not faults, "\n" + "\n".join(faults)
    assert page.evaluate(UNREACHED) == [], "scrolls, but not by keyboard"
    assert page.evaluate(WITHOUT_SCOPE) == [], "a heading does not say which cells it is of"


def test_axe_would_find_faults_of_colour(look, axe):
    page = look("index")
    page.evaluate(axe)
    for wrong, rule in {
        "<p style='color: #bbb'>pale</p>": "color-contrast",
        "<div style='background: #ddd'><p><span style='color: #888'>on grey</span></p></div>": "color-contrast",
        "<p>a text with <a href='#' style='color: #333; text-decoration: none'>a link</a></p>": "link-in-text-block",
    }.items():
        page.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", wrong)
        found = faults_of_colour(page, UNSEEN["desk"])
        assert any(rule in fault for fault in found), wrong
        page.evaluate("document.querySelector('article').lastElementChild.remove()")
        assert faults_of_colour(page, UNSEEN["desk"]) == []


def test_tab_reaches_the_skip_link_first_and_it_leads_to_the_text(look):
    page = look("02_training" if "02_training" in STEMS else STEMS[0])
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    page.evaluate(AT_REST)
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0, "not seen"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main-content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_whatever_has_the_focus_shows_it(look, size, scheme):
    page = look("06_ledger" if "06_ledger" in STEMS else STEMS[0], size, scheme)
    hidden = []
    for _ in range(30):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' || "
            "style.boxShadow !== 'none' || document.activeElement === document.body; })()"
        )
        if not shown:
            hidden.append(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
    assert not hidden


def test_the_contents_open_and_close_by_keyboard_on_a_phone(look):
    page = look("index", "phone")
    first = f"nav.bd-links a[href$='{STEMS[0]}.html']"
    assert not page.is_visible(first)
    page.focus("button.primary-toggle")
    page.keyboard.press("Enter")
    page.wait_for_selector(first, state="visible", timeout=5_000)
    page.keyboard.press("Escape")
    page.wait_for_selector(first, state="hidden", timeout=5_000)


@pytest.mark.parametrize("stem", STEMS)
def test_figures_of_dark_pages_stand_on_white_and_on_paper_nothing_is_cut_off(look, axe, stem):
    page = look(stem, scheme="dark")
    grounds = page.evaluate(
        "[...document.querySelectorAll('.cell_output figure img')].map(one => getComputedStyle(one).backgroundColor)"
    )
    assert set(grounds) <= {"rgb(255, 255, 255)"}
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    for part in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer", ".copybtn", "details.hide"):
        assert not any(found.is_visible() for found in page.query_selector_all(part)), part
    assert page.is_visible("#jb-print-docs-body h1")
    assert page.evaluate(CUT_OFF) == []
    if stem in PRINTED:
        page.evaluate(axe)
        faults = faults_of_colour(page, UNSEEN["desk"])
        assert not faults, "\n" + "\n".join(faults)
    page.emulate_media(media="screen")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
