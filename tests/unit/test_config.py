import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.config import (
    apply_overrides,
    differences,
    from_dict,
    load_file,
    renamed,
    to_dict,
)
from skiploop.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Rules:
    exploration: float = 1.4
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    model: str
    budget: int = 100
    rate: float = 0.5
    is_fast: bool = False
    layers: tuple[int, ...] = (1, 2)
    limit: int | None = None
    search: Rules = Rules()


@dataclass(frozen=True, kw_only=True)
class Renamed:
    cost: float = renamed("price")
    questions: int = renamed("raced", 120)


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Settings,
        model=st.text(),
        budget=st.integers(),
        rate=finite,
        is_fast=st.booleans(),
        layers=st.lists(st.integers()).map(tuple),
        limit=st.none() | st.integers(),
        search=st.builds(Rules, exploration=finite, names=st.lists(st.text()).map(tuple)),
    )
)
def test_a_configuration_survives_json(config):
    assert from_dict(Settings, json.loads(json.dumps(to_dict(config)))) == config


def test_defaults_fill_what_is_left_out():
    assert from_dict(Settings, {"model": "m"}) == Settings(model="m")


def test_a_whole_number_is_accepted_where_a_float_is_expected():
    rate = from_dict(Settings, {"model": "m", "rate": 1}).rate
    assert type(rate) is float


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": "m", "budgt": 1}, "unknown setting 'budgt': did you mean 'budget'"),
        ({"model": "m", "search": {"explore": 1}}, "'search.explore': did you mean 'search.expl"),
        ({"model": "m", 7: 1}, "unknown setting '7'"),
        ({}, "setting 'model' is missing"),
        ({"model": "m", "budget": "many"}, "budget is 'many': expected a whole number"),
        ({"model": "m", "budget": 1.5}, "budget is 1.5: expected a whole number"),
        ({"model": "m", "budget": True}, "budget is True: expected a whole number"),
        ({"model": "m", "rate": "fast"}, "rate is 'fast': expected a finite number"),
        ({"model": "m", "rate": True}, "rate is True: expected a finite number"),
        ({"model": "m", "rate": "nan"}, "rate is nan: expected a finite number"),
        ({"model": 135}, "model is 135: expected text .write it in quotes"),
        ({"model": "m", "is_fast": 1}, "is_fast is 1: expected true or false"),
        ({"model": "m", "layers": "12"}, "layers is '12': expected a list"),
        ({"model": "m", "layers": [1, "a"]}, r"layers\[1\] is 'a': expected a whole number"),
        ({"model": "m", "budget": None}, "budget is None: expected a whole number"),
        ({"model": "m", "search": 3}, "search is 3: expected settings by name"),
    ],
)
def test_wrong_settings_are_refused_by_name(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Settings, data)


def test_yaml_and_json_files_hold_the_same_settings(tmp_path):
    (tmp_path / "a.yaml").write_text("model: m\nsearch:\n  exploration: 1e-4\n")
    (tmp_path / "a.json").write_text('{"model": "m", "search": {"exploration": 1e-4}}')
    configs = [from_dict(Settings, load_file(tmp_path / name)) for name in ("a.yaml", "a.json")]
    assert configs[0] == configs[1]
    assert configs[0].search.exploration == 1e-4


def test_an_empty_file_holds_no_settings(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert load_file(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1\nb: 2", "a.yaml cannot be read.*correct the YAML at that place"),
        ("a.json", "{", "a.json cannot be read.*correct the JSON at that place"),
        ("a.yaml", "- 1\n- 2", r"a.yaml holds \[1, 2\]: expected settings"),
        ("a.yaml", None, "no configuration file"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused_in_one_line(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_file(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_overrides_replace_values_in_sections_and_leave_the_original_alone():
    data = {"search": {"budget": 100, "seed": 1}}
    result = apply_overrides(
        data, ["search.budget=5", "layers=[3, 4]", "run.name=a=b", "limit=", "is_fast=true"]
    )
    assert result == {
        "search": {"budget": 5, "seed": 1},
        "layers": [3, 4],
        "run": {"name": "a=b"},
        "limit": None,
        "is_fast": True,
    }
    assert data == {"search": {"budget": 100, "seed": 1}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget", "'budget' is not KEY=VALUE"),
        ("=3", "'=3' is not KEY=VALUE"),
        ("a..b=3", "is not KEY=VALUE"),
        ("a=[1", "value of override 'a=\\[1' is no YAML"),
        ("budget.x=1", "'budget' is 3 and not a section"),
    ],
)
def test_a_malformed_override_is_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides({"budget": 3}, [override])


def test_differences_name_the_setting_and_both_values():
    old = {"budget": 100, "search": {"exploration": 1.4, "gone": 1}, "layers": (1, 2)}
    new = {"budget": 50, "search": {"exploration": 1.4}, "layers": [1, 2], "added": "x"}
    assert differences(old, new) == [
        "budget: 100 in the run, 50 asked",
        "search.gone: 1 in the run, nothing asked",
        "added: nothing in the run, 'x' asked",
    ]


def test_a_configuration_does_not_differ_from_its_stored_form():
    config = Settings(model="m", rate=0.1)
    assert differences(json.loads(json.dumps(to_dict(config))), to_dict(config)) == []


@pytest.mark.parametrize("data", [{"price": 1, "raced": 5}, {"cost": 1, "questions": 5}])
def test_a_setting_is_read_by_its_old_name_too_and_written_by_the_new_one(data):
    config = from_dict(Renamed, data)
    assert config == Renamed(cost=1.0, questions=5)
    assert to_dict(config) == {"cost": 1.0, "questions": 5}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"cost": 1, "price": 1}, "'menu.price' is the old name of 'menu.cost': give one of them"),
        ({"price": "much"}, "menu.cost is 'much': expected a finite number"),
        ({"raced": 5}, "setting 'menu.cost' is missing"),
    ],
)
def test_an_old_name_is_checked_as_the_new_one(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Renamed, data, "menu")
