"""JSON is JSON, and a damaged file is told from a whole one."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.errors import DataError, SkiploopError
from skiploop.jsontext import json_text, plain, read_json, write_json
from skiploop.stats import Share

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=6,
)
DATA = {"n_layers": 30, "programs": ["identity", "3:5x0"], "gains": [0.25, 0.5], "id": "ab12"}


@dataclass(frozen=True)
class Row:
    name: str
    share: object
    layers: tuple[int, ...] = ()


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


@given(VALUES)
def test_what_is_written_is_json_and_numbers_that_are_none_are_null(data):
    for ensure_ascii in (True, False):
        json.loads(json_text(data, ensure_ascii=ensure_ascii), parse_constant=no_constant)
    assert json_text([float("nan"), float("-inf"), 1.5]) == "[null, null, 1.5]"


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_a_file_gives_back_what_was_written(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "values.json"
    write_json(path, data)
    assert read_json(path) == json.loads(json_text(data))


def test_every_flipped_bit_is_told_or_changes_nothing(tmp_path):
    path = tmp_path / "menu.json"
    write_json(path, DATA)
    whole, n_refused = path.read_bytes(), 0
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = read_json(path)
        except (SkiploopError, ValueError):
            n_refused += 1
        else:
            assert {name: found[name] for name in DATA} == DATA  # the name of the checksum
    assert n_refused > 0.9 * 8 * len(whole)


def test_a_file_that_a_person_changed_says_what_to_do(tmp_path):
    path = tmp_path / "menu.json"
    write_json(path, DATA)
    changed = json.loads(path.read_text()) | {"n_layers": 31}
    path.write_text(json.dumps(changed))
    with pytest.raises(DataError, match=r"is damaged, .* or delete the line 'sha256' in it"):
        read_json(path)
    del changed["sha256"]
    path.write_text(json.dumps(changed))
    assert read_json(path) == DATA | {"n_layers": 31}


@pytest.mark.parametrize("text", ["[1]", "3", "null", "[" * 100_000])
def test_what_holds_no_values_by_name_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"expected values by name|no JSON of a sensible depth"):
        read_json(tmp_path / "a.json")


def test_a_dataclass_is_its_fields_and_what_has_more_to_tell_tells_it():
    rows = [Row("a", {"polar": Share(1, 4)}, (3, 4)), Row("b", None)]
    low, high = Share(1, 4).interval
    share = {"count": 1, "total": 4, "value": 0.25, "low": low, "high": high}
    assert plain(rows) == [
        {"name": "a", "share": {"polar": share}, "layers": [3, 4]},
        {"name": "b", "share": None, "layers": []},
    ]
