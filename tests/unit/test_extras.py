"""A core without extras: what needs one says which."""

import importlib
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from skiploop.errors import ConfigError, MissingExtraError
from skiploop.extras import PACKAGES, brought_by
from skiploop.graders import grade_math, grade_number
from skiploop.models.resolve import resolve
from skiploop.tasks import get_task

EXTRAS = sorted({package for packages in PACKAGES.values() for package in packages})

CORE = f"""
import importlib, pkgutil, sys

for package in {EXTRAS}:
    sys.modules[package] = None  # an import of it fails

import skiploop

missing = set()
for module in pkgutil.walk_packages(skiploop.__path__, "skiploop."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        missing.add((module.name, type(error).__name__))
print(sorted(missing))
"""


@pytest.fixture
def without(monkeypatch):
    """Return what makes a package look as if it was not installed."""

    def hide(package, distribution):
        def version(name):
            if name == distribution:
                raise metadata.PackageNotFoundError(name)
            return "1"

        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr("skiploop.graders.math.version", version)

    return hide


def test_every_extra_for_users_has_its_packages_listed():
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = pyproject["project"]["optional-dependencies"].keys()
    assert PACKAGES.keys() == extras - {"audit", "demo", "dev", "docs", "test"}


def test_the_core_is_imported_without_extras_but_for_what_is_of_one_alone():
    done = subprocess.run([sys.executable, "-c", CORE], capture_output=True, text=True, check=True)
    # The first is imported in grading processes only, after math_verify_version was asked; those of
    # the server are behind 'skiploop serve' and 'skiploop studio', which name their extras.
    assert done.stdout.strip() == str(
        [
            ("skiploop.backends.ray", "MissingExtraError"),
            ("skiploop.graders.equivalence", "ModuleNotFoundError"),
            ("skiploop.integrations.lm_eval", "MissingExtraError"),
            ("skiploop.server.app", "ModuleNotFoundError"),
            ("skiploop.server.chat", "ModuleNotFoundError"),
            ("skiploop.server.metrics", "ModuleNotFoundError"),
            ("skiploop.server.protocol", "ModuleNotFoundError"),
            ("skiploop.server.scheduler", "ModuleNotFoundError"),
            ("skiploop.server.service", "ModuleNotFoundError"),
            ("skiploop.server.voting", "ModuleNotFoundError"),
            ("skiploop.studio", "ModuleNotFoundError"),
            ("skiploop.tasks.reasoning_gym", "MissingExtraError"),
        ]
    )


def test_boxed_answers_name_their_extra_where_a_number_is_not_enough(without):
    without("math_verify", "math-verify")
    (grade,) = grade_math([r"\boxed{7}"], ["7"])
    assert grade.correct is True and grade_number("7", "7").correct is True
    with pytest.raises(MissingExtraError, match=r'math-verify .*pip install "skiploop\[math\]"'):
        grade_math([r"\boxed{x}"], ["y"])


def test_a_data_set_of_reasoning_gym_names_its_extra_and_other_tasks_do_not_need_it(
    without, monkeypatch
):
    without("reasoning_gym", "reasoning-gym")
    monkeypatch.delitem(sys.modules, "skiploop.tasks.reasoning_gym", raising=False)
    with pytest.raises(MissingExtraError, match=r'pip install "skiploop\[reasoning-gym\]"'):
        get_task("reasoning-gym:chain_sum")
    assert get_task("arithmetic", level=1).examples("test", 1)


def test_a_missing_extra_is_an_import_error_and_names_what_could_not_be_imported():
    expected = pytest.raises(ConfigError, match=r"maps need it .*nobody.*skiploop\[maps\]")
    with expected, brought_by("maps", "maps need it"):
        importlib.import_module("nobody_has_this_package")
    assert issubclass(MissingExtraError, ImportError)


@pytest.mark.parametrize("package", ["accelerate", "gguf"])
def test_a_packaged_model_names_its_extra_before_a_download(
    without, monkeypatch, tmp_path, package
):
    without(package, package)
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "skiploop.models.resolve.fetch_gguf", None
    )  # would be called without the check
    with pytest.raises(MissingExtraError, match=r"smollm2-135m .*skiploop\[gguf\]"):
        resolve("smollm2-135m")
