"""What JupyterLab may write: text of chapters and copies, and not the book's own notebooks."""

import asyncio
import json

import pytest

from labeltransfer.reproduction import jupyter
from labeltransfer.reproduction.book import PACKAGE, Book
from labeltransfer.reproduction.jupyter import keep_own


class Manager:
    """A contents manager in short: what was saved, by path."""

    def __init__(self, root):
        self.root_dir, self.saved = str(root), {}

    def get(self, path, type=None):
        return {"path": path, "type": type or "file", "writable": True}

    async def save(self, model, path=""):
        self.saved[path] = model["type"]


@pytest.mark.parametrize("name", ["a.ipynb", "a.md"])
def test_own_notebooks_are_for_reading_and_text_is_for_writing(tmp_path, name):
    manager = Manager(tmp_path)
    keep_own(manager, {tmp_path / name})
    assert asyncio.run(manager.get(f"/{name}", type="notebook"))["writable"] is False
    assert asyncio.run(manager.get(name, type="file"))["writable"] is True
    assert asyncio.run(manager.get("b.ipynb", type="notebook"))["writable"] is True
    with pytest.raises(Exception, match="Save Notebook As"):
        asyncio.run(manager.save({"type": "notebook"}, name))
    asyncio.run(manager.save({"type": "file"}, name))
    asyncio.run(manager.save({"type": "notebook"}, "b.ipynb"))
    assert manager.saved == {name: "file", "b.ipynb": "notebook"}


def test_the_setting_that_the_package_brings_switches_it_on():
    settings = json.loads((PACKAGE / "reproduction" / "labeltransfer.json").read_text())
    (module,) = settings["ServerApp"]["jpserver_extensions"]
    assert jupyter._jupyter_server_extension_points() == [{"module": module}]


def test_no_chapter_is_paired_with_its_twin():
    for chapter in Book().chapters:
        assert "formats" not in chapter.text.split("---")[1]
        assert "jupytext" not in json.loads(chapter.path.with_suffix(".ipynb").read_text())["metadata"]
