"""What Jupyter and nbval do otherwise with the book's own notebooks.

JupyterLab opens them for reading: they are run and changed there, and saved as a copy. That is a server extension,
switched on by ``etc/jupyter/jupyter_server_config.d/labeltransfer.json`` of the environment. Text of a chapter opened
in an editor is saved as usual; only what is opened as a notebook is not written back.

A notebook that nbval has executed and compared is kept, with what its cells gave. That is a plugin of pytest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_core.utils import ensure_async

from .book import Book, project_root

if TYPE_CHECKING:
    import pytest

EXECUTED = "--executed-notebook"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter when it starts."""
    try:
        own = {page.with_suffix(suffix) for page in Book().pages for suffix in (".md", ".ipynb")}
    except FileNotFoundError:  # no book in this installation
        return
    keep_own(server.contents_manager, own)
    server.log.info(f"labeltransfer: the chapters in {project_root() / 'book'} are read-only; save a copy")


def keep_own(manager: Any, own: set[Path]) -> None:
    """Let a contents manager show files as read-only notebooks, and refuse to write them as notebooks."""
    get, save = manager.get, manager.save

    def is_own(path: str) -> bool:
        return (Path(manager.root_dir) / path.strip("/")).resolve() in own

    async def read(path: str, *arguments: Any, **options: Any) -> Any:
        model = await ensure_async(get(path, *arguments, **options))
        if model.get("type") == "notebook" and is_own(model["path"]):
            model["writable"] = False
        return model

    async def write(model: dict[str, Any], path: str = "") -> Any:
        if model.get("type") == "notebook" and is_own(path):
            from tornado.web import HTTPError

            raise HTTPError(403, f"{path} is the book's own; choose File, Save Notebook As, and give another name")
        return await ensure_async(save(model, path))

    manager.get, manager.save = read, write


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to."""
    parser.addoption(EXECUTED, type=Path, help="write the one notebook, as nbval executed it, to this file")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the notebook as far as it came."""
    cells: list[Any] = [item for item in session.items if hasattr(item, "test_outputs")]
    for number, item in enumerate(cells, start=1):
        outputs = [nbformat.from_dict(dict(output)) for output in item.test_outputs or []]
        item.cell.outputs, item.cell.execution_count = outputs, number if item.test_outputs is not None else None
    if cells:
        nbformat.write(cells[0].parent.nb, session.config.getoption(EXECUTED))
