"""The rendered book for people who see, hear or move otherwise: axe-core, the keyboard, paper."""

from importlib.resources import files
from importlib.util import find_spec

import pytest

from conftest import PAGES, SIZES

STEMS = sorted(page.stem for page in (PAGES / "book").glob("*.html")) or ["index"]
FAULTS = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] });
  return found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(one =>
    `${one.impact}: ${one.id} (${one.help}) in ${one.nodes.length}: ` +
    one.nodes.slice(0, 3).map(node =>
      node.html.slice(0, 150) + ' ' + node.any.map(a => a.message).join('; ')).join('\\n  '));
}"""
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core."""
    if find_spec("axe_playwright_python") is None:
        pytest.skip("axe-playwright-python is not installed: `make setup` does it")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def look(browser, address):
    """Open pages one after the other, each kind of screen in a window of its own."""
    windows = {}

    def open_page(stem, size="desk", scheme="light"):
        if (size, scheme) not in windows:
            width, height = SIZES[size]
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            context.add_init_script(
                f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')"
            )
            windows[size, scheme] = context.new_page()
        page = windows[size, scheme]
        page.goto(f"{address}/book/{stem}.html", wait_until="load")
        page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")
        return page

    yield open_page
    for page in windows.values():
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stem", STEMS)
def test_axe_finds_no_serious_fault(look, axe, stem, size, scheme):
    page = look(stem, size, scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate(axe)
    faults = page.evaluate(FAULTS)
    assert not faults, "\n".join(faults)


def test_tab_reaches_the_skip_link_first_and_it_leads_to_the_text(look):
    page = look("02_training")
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main-content"


def test_whatever_has_the_focus_shows_it(look):
    page = look("06_ledger" if "06_ledger" in STEMS else "index")
    hidden = []
    for _ in range(25):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' || "
            "style.boxShadow !== 'none' || document.activeElement === document.body; })()"
        )
        if not shown:
            hidden.append(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
    assert not hidden


def test_the_contents_open_by_keyboard_on_a_phone(look):
    page = look("index", "phone")
    page.focus("button.primary-toggle")
    page.keyboard.press("Enter")
    page.wait_for_selector("nav.bd-links a[href$='02_training.html']", state="visible", timeout=5_000)


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem[:2] in ("06", "A5", "09")] or ["index"])
def test_on_paper_there_is_the_text_and_nothing_is_cut_off(look, stem):
    page = look(stem)
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    try:
        for part in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer"):
            assert not any(found.is_visible() for found in page.query_selector_all(part)), part
        right = page.evaluate(
            "Math.max(...[...document.querySelectorAll('article img, article table, article svg')]"
            ".filter(e => e.offsetParent).map(e => e.getBoundingClientRect().right))"
        )
        assert right <= 794 + 1
    finally:
        page.emulate_media(media="screen")
        page.set_viewport_size(dict(zip(("width", "height"), SIZES["desk"], strict=True)))
