"""Packages that only some sub-commands need: asked for before anything is written."""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRAS = {
    "survey": ("zarr", "dask", "distributed", "pyarrow", "pooch"),
    "book": ("jupyter_book", "jupytext", "jinja2", "myst_nb", "nbformat", "papermill", "psutil", "docutils"),
}
"""What is imported of the packages that ``pip install "labeltransfer[…]"`` adds."""


def need(extra: str, *modules: str) -> None:
    """Refuse to begin without the modules of an extra (default: all of them).

    Raises
    ------
    ImportError
        Naming what is missing and how to install it.
    """
    missing = [name for name in modules or EXTRAS[extra] if not is_there(name)]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise ImportError(f'{", ".join(missing)} {are} not installed: pip install "labeltransfer[{extra}]"')


def is_there(module: str) -> bool:
    """Whether a module can be imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None
