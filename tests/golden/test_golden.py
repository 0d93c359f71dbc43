"""What golden files hold comes out again; after a change of numbers `make.py` writes them anew."""

import json

import make
import pytest

REMEDY = "if this is meant, run: python tests/golden/make.py {}, and say so in CHANGELOG.md"


def differences(found, stored, place=""):
    """Yield the places at which two pieces of plain data differ by more than rounding."""
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in stored.keys() | found.keys():
            if key in stored and key in found:
                yield from differences(found[key], stored[key], f"{place}/{key}")
            else:
                yield f"{place}/{key} is {'new' if key in found else 'gone'}"
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for number, (one, other) in enumerate(zip(found, stored, strict=True)):
            yield from differences(one, other, f"{place}/{number}")
    elif isinstance(stored, float) and isinstance(found, float):
        if found != pytest.approx(stored, rel=1e-3, abs=1e-4):
            yield f"{place} is {found}, was {stored}"
    elif type(found) is not type(stored) or found != stored:
        yield f"{place} is {found!r}, was {stored!r}"


@pytest.mark.parametrize("name", make.GOLDENS)
def test_a_golden_file_comes_out_again(name):
    stored = json.loads((make.FOLDER / f"{name}.json").read_text())
    found = json.loads(json.dumps(make.rounded(make.GOLDENS[name]())))
    assert not list(differences(found, stored)), REMEDY.format(name)


def test_golden_files_are_small_and_each_has_its_maker():
    files = list(make.FOLDER.glob("*.json"))
    assert {file.stem for file in files} == set(make.GOLDENS)
    assert max(file.stat().st_size for file in files) < 100_000


@pytest.mark.parametrize(
    "found",
    [{"a": [1.1]}, {"a": [1]}, {"a": [True]}, {"a": []}, {"a": [1.0], "b": 0}, {}],
    ids=str,
)
def test_a_difference_is_found(found):
    assert list(differences(found, {"a": [1.0]}))
    assert not list(differences({"a": [1.00001]}, {"a": [1.0]}))
