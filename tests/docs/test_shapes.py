"""Every letter at the end of a name is in the page of shapes, or its module says what it is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/shapes.md").read_text()
SOURCE = ROOT / "src/skiploop"
MODULES = sorted(SOURCE.rglob("*.py"))


def letters(section):
    """Return the letters that a section of the page explains."""
    return set(re.findall(r"^\| ([A-Z]) \|", PAGE.partition(f"## {section}\n")[2], re.MULTILINE))


LEARNING = letters("Learning")
ENGINE = set(re.findall(r"^\| ([A-Z]) \|", PAGE.partition("## Learning\n")[0], re.MULTILINE))


def names(tree):
    """Yield all names in a module: variables, parameters, attributes and keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_letters_of_shapes_are_explained(path):
    tree = ast.parse(path.read_text())
    of_engine = "engine" in path.parts or path.name == "check.py"
    known = ENGINE if of_engine else LEARNING
    told = set(re.findall(r"\b[A-Z]\b", (ast.get_docstring(tree) or "").partition("Shapes:")[2]))
    used = {
        letter
        for name in names(tree)
        for suffix in re.findall(r"^[a-z_]+_([A-Z]{1,5})$", name)
        for letter in suffix
    }
    assert used <= known | told
