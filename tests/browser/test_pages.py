"""The rendered book in a real browser, at the width of a desk and of a phone, without a network."""

from pathlib import Path

import pytest

from labeltransfer.evidence.verdicts import VERDICTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "_build" / "html"
PICTURES = ROOT / "_build" / "screenshots"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}

LOADED = "async i => { i.loading = 'eager'; await i.decode().catch(() => 0); return i.naturalWidth > 0 }"
"""Whether an image can be shown, fetched now if the page would fetch it when it is scrolled to."""

STEMS = sorted(page.stem for page in (PAGES / "book").glob("*.html")) or ["index"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stem", STEMS)
def test_a_page_is_whole(visit, stem, size):
    page = visit(stem, size)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{stem}-{size}.png", full_page=True)
    assert page.elsewhere == []
    assert page.wrong == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, "scrolls sideways"
    for image in page.query_selector_all("article img"):
        alt = image.get_attribute("alt") or ""
        assert alt, f"image without alt text: {image.get_attribute('src')}"
        assert "/" not in alt.split()[0], "the alt text is a path"
        assert image.evaluate(LOADED), f"broken image: {image.get_attribute('src')}"
        assert image.evaluate("i => i.getBoundingClientRect().right <= window.innerWidth + 1"), "image is cut off"
    if size == "desk":
        check_that_it_reads_well(page, stem)
    else:
        check_that_cells_say_their_column(page, stem)


def check_that_it_reads_well(page, stem):
    source = ROOT / "book" / f"{stem}.md"
    if source.exists() and "$$" in source.read_text(encoding="utf-8"):
        assert page.query_selector_all("mjx-container")
    assert not page.query_selector_all("mjx-merror")
    text = page.inner_text("article")
    for sign in ("{glue", "{numref}", "{eq}", "{cite", "??", "Traceback", "np.float64("):
        assert sign not in text
    assert "Run default" in text, "the foot of the page names the run"
    assert len(page.query_selector_all("article h1")) == 1
    assert page.get_attribute("html", "lang")
    nameless = page.evaluate(
        "[...document.querySelectorAll('a[href], button')].filter(e => e.offsetParent && "
        "!(e.textContent.trim() || e.getAttribute('aria-label') || e.title || e.querySelector('img[alt], svg'))).length"
    )
    assert nameless == 0


def check_that_cells_say_their_column(page, stem):
    """Where a phone stacks the cells of a table."""
    said = page.evaluate(
        "[...document.querySelectorAll('table.ledger td:not(:first-child, .what, :empty)')]"
        ".map(e => [e.textContent, getComputedStyle(e, '::before').content])"
    )
    assert not [text for text, heading in said if len(heading.strip('" ')) < 3 or heading == "none"]
    if stem == "A10_real_giants":
        assert "log g [dex]" in {heading.strip('" ') for _, heading in said}


def test_search_works_without_a_network(visit, address):
    page = visit("index")
    page.goto(f"{address}/search.html?q=normalization")
    page.wait_for_selector("#search-results li", timeout=20_000)
    assert "normalization" in page.inner_text("#search-results").lower()
    assert page.elsewhere == []


def test_the_ledger_fits_a_phone_and_links_to_its_chapters(visit):
    if "06_ledger" not in STEMS:
        pytest.skip("this book has no ledger")
    page = visit("06_ledger", "phone")
    rows = page.query_selector_all("table.ledger tbody tr")
    assert len(rows) > 20
    widths = page.evaluate(
        "[...document.querySelectorAll('table.ledger td')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(widths) <= SIZES["phone"][0]
    words = {word.inner_text() for word in page.query_selector_all(".verdict")}
    assert words <= set(VERDICTS)
    links = {link.get_attribute("href") for link in page.query_selector_all("table.ledger a")}
    for link in links:
        name, _, anchor = link.partition("#")
        assert (PAGES / "book" / name).exists(), link
        assert not anchor or f'id="{anchor}"' in (PAGES / "book" / name).read_text(), link


def test_dark_pages_can_be_read(visit):
    page = visit("index", scheme="dark")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    colour = page.evaluate("getComputedStyle(document.querySelector('article')).color")
    channels = [int(float(part)) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    assert min(channels) > 128, "light text on dark ground"


def test_a_page_opened_as_a_file_sets_its_mathematics(browser, address):
    stem = "02_training" if "02_training" in STEMS else STEMS[0]
    page = browser.new_page()
    asked = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto((PAGES / "book" / f"{stem}.html").as_uri(), wait_until="load")
    page.wait_for_selector("mjx-container", timeout=20_000)
    assert not [url for url in asked if url.startswith("http")]
    page.close()
