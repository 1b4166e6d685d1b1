"""Plugin of pytest: a notebook that nbval has executed and compared is kept, with what its cells gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    import pytest

KEPT = "--executed-notebook"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to."""
    parser.addoption(KEPT, type=Path, help="write the one notebook, as nbval executed it, to this file")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the notebook as far as it came."""
    cells: list[Any] = [item for item in session.items if hasattr(item, "test_outputs")]
    for number, item in enumerate(cells, start=1):
        outputs = [nbformat.from_dict(dict(output)) for output in item.test_outputs or []]
        item.cell.outputs, item.cell.execution_count = outputs, number if item.test_outputs is not None else None
    if cells:
        nbformat.write(cells[0].parent.nb, session.config.getoption(KEPT))
