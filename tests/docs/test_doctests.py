"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import skiploop

MODULES = [
    module.name
    for module in pkgutil.walk_packages(skiploop.__path__, "skiploop.")
    if ">>> " in Path(importlib.util.find_spec(module.name).origin).read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0 == outcome.failed
