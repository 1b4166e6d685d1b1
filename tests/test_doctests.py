"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

from labeltransfer.reproduction.book import PACKAGE

MODULES = sorted(
    ".".join(["labeltransfer", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted, f"{name}: its examples stand in no docstring"
    assert not found.failed, f"{name}: {found.failed} of {found.attempted} examples give something else; see above"


def test_the_nouns_and_the_way_in_show_an_example():
    assert {"labeltransfer.labels.labels", "labeltransfer.spectra.spectra", "labeltransfer.cannon.model"} <= {*MODULES}
