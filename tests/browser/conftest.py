"""A browser, the rendered book on a server of this machine, and pages that tell what they asked for."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "_build" / "html"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="session")
def pages():
    """Folder of the rendered book."""
    if not (PAGES / "book" / "index.html").exists():
        pytest.skip("the book is not rendered: `make book` does it")
    return PAGES


@pytest.fixture(scope="session")
def address(pages):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pages)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no chromium: `apt-get install chromium fonts-dejavu-core fonts-liberation`")
    with playwright.sync_playwright() as engine:
        instance = engine.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def window(browser):
    """A browser's window of a size and scheme of colours, which remembers what it has loaded."""
    windows = {}

    def open_window(size="desk", scheme="light"):
        if (size, scheme) not in windows:
            width, height = SIZES[size]
            viewport = {"width": width, "height": height}
            windows[size, scheme] = browser.new_context(viewport=viewport, color_scheme=scheme)
        return windows[size, scheme]

    yield open_window
    for one in windows.values():
        one.close()


@pytest.fixture
def opened(window):
    """Open an address and return the page with what it asked for from elsewhere and what went wrong."""
    pages = []

    def open_address(url, size="desk", scheme="light", home="file:"):
        page = window(size, scheme).new_page()
        pages.append(page)
        page.elsewhere, page.wrong = [], []
        page.on("request", lambda r: page.elsewhere.append(r.url) if not local(r.url, home) else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("response", lambda r: page.wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(url, wait_until="load")
        return page

    yield open_address
    for page in pages:
        page.close()


@pytest.fixture
def visit(opened, address):
    """Open a page of the book, wait until its mathematics is set, and return it."""

    def open_page(stem, size="desk", scheme="light"):
        page = opened(f"{address}/book/{stem}.html", size, scheme, home=address)
        page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")
        page.wait_for_load_state("networkidle")
        return page

    return open_page


def local(url, address):
    return url.startswith((address, "data:", "blob:", "about:"))
