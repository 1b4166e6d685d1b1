"""Parameters: one place, checked, and the same in every chapter."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.parameters import PARAMETERS, check_all, from_text, known


@pytest.mark.parametrize("chapter", Book().chapters, ids=lambda chapter: chapter.stem)
def test_cells_of_the_chapters_repeat_the_one_place(chapter):
    for name, default in chapter.parameters.items():
        assert name in PARAMETERS
        assert default == PARAMETERS[name].default, f"{chapter.stem}: {name}"
        assert type(default) is type(PARAMETERS[name].default)


@pytest.mark.parametrize("chapter", Book().chapters, ids=lambda chapter: chapter.stem)
def test_a_chapter_names_its_own_parameters_and_those_of_its_upstream_follow(chapter):
    book = Book()
    follow = {name for one in book.upstream(chapter, asked=True) for name in one.parameters}
    assert set(book.parameters(chapter)) == follow | set(chapter.parameters)
    assert book.key(chapter, book.parameters(chapter))
    named = set(re.findall(r"\bp\.(\w+)", chapter.code))
    assert named <= set(chapter.parameters), "what a chapter uses stands in its first cell"
    assert set(chapter.parameters) & follow <= named | {"run"}, "what follows from upstream is declared there"


@pytest.mark.parametrize("chapter", Book().chapters, ids=lambda chapter: chapter.stem)
def test_no_variable_of_a_chapter_has_the_name_of_a_parameter(chapter):
    code = ast.parse("\n".join(cell.source for cell in chapter.cells if "parameters" not in cell.tags))
    stored = {one.id for one in ast.walk(code) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    assert not stored & set(PARAMETERS), "it would be taken for the parameter when the chapter is opened again"


def test_every_default_passes_its_own_check_and_is_described():
    for parameter in PARAMETERS.values():
        assert parameter.check(parameter.default) == parameter.default
        assert parameter.description
        assert parameter.allowed


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clip_sgima", "2", "did you mean 'clip_sigma'"),
        ("n_folds", "1", "range 2 to 100"),
        ("n_folds", "2.5", "wanted int"),
        ("n_folds", "true", "wanted int"),
        ("smoothing_width", "wide", "wanted float"),
        ("smoothing_width", "-3", "range 5 to 500"),
        ("smoothing_width", ".nan", "range 5 to 500"),
        ("mask", "any", "none, and, or"),
        ("distance_root", "1", "wanted bool"),
        ("label_names", "[teff, fe_g]", "did you mean 'fe_h'"),
        ("label_names", "[teff, teff]", "occurs twice"),
        ("label_names", "[]", "wanted names"),
        ("label_names", "[1, 2]", "wanted names"),
        ("n_folds", "[", "cannot read"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(name, text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        from_text(name, text)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("label_names", "[teff,logg,fe_h]", ["teff", "logg", "fe_h"]),
        ("label_names", "teff,logg", ["teff", "logg"]),
        ("smoothing_width", "30", 30.0),
        ("chi2_max", "1e3", 1000.0),
        ("seed", "7", 7),
        ("survey_dir", "2017", "2017"),
        ("distance_root", "true", True),
    ],
)
def test_values_are_read_as_typed_in_a_shell(name, text, value):
    assert from_text(name, text) == value
    assert type(from_text(name, text)) is type(value)


def test_a_parameter_of_another_chapter_is_named_as_such():
    with pytest.raises(ValueError, match="no chapter of this book declares it"):
        known("n_folds", ["seed", "run"])


def test_a_folder_needs_its_name():
    with pytest.raises(ValueError, match="survey_dir"):
        check_all({"source": "folder", "survey_dir": ""})


def test_the_stars_in_common_are_among_those_of_apogee():
    with pytest.raises(ValueError, match="n_apogee: found 500, wanted at least n_overlap, 600"):
        check_all({"n_overlap": 600, "n_apogee": 500})
    check_all({"n_overlap": 600, "n_apogee": 500, "source": "folder"})


@given(st.text(min_size=1, max_size=20))
def test_whatever_is_typed_is_read_or_refused(text):
    for name in ("n_folds", "smoothing_width", "label_names", "distance_root", "mask"):
        try:
            value = from_text(name, text)
        except (ValueError, TypeError) as error:
            assert name in str(error)  # noqa: PT017
        else:
            assert PARAMETERS[name].check(value) == value
