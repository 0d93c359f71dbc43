"""What the registry of policies says of names, and where it is shown."""

import importlib.util
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import pytest

from skiploop.errors import ConfigError, ProgramError, UnknownNameError
from skiploop.runs.policies import (
    available,
    checked_name,
    controls_of,
    entries,
    entry_of,
    find,
    patterns,
)

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("entry", entries(), ids=patterns())
def test_an_entry_says_in_one_line_what_it_gives_and_has_a_maker(entry):
    assert entry.does and "\n" not in entry.does and "|" not in entry.does
    assert callable(resolve_name(entry.maker))
    assert set(entry.controls) <= set(patterns())


def test_no_two_entries_have_the_same_names():
    assert len(set(patterns())) == len(patterns())


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("identity", "identity"),
        ("shuffled:open", "shuffled:open"),
        ("selector:29.0", "selector:29"),
        ("sample:05", "sample:5"),
        ("fixed: 14:15x2   3:4x0", "fixed:14:15x2 3:4x0"),
        ("smollm2-135m/words", "smollm2-135m/words"),
    ],
)
def test_a_name_has_one_spelling(name, spelling):
    assert checked_name(name) == spelling == checked_name(spelling)


def test_an_old_name_is_understood_and_offered_nowhere():
    assert checked_name("by-kind") == "by-category"
    assert "by-kind" not in patterns()
    with pytest.raises(UnknownNameError) as refusal:
        find("by-knd")
    assert "by-kind" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("selector:nan", "'selector:nan': after 'selector:' comes how many layer passes are"),
        ("selector:", "'selector:': after 'selector:' comes how many layer passes are allowed"),
        ("vote:0", "'vote:0': after 'vote:' comes how many answers vote, such as vote:5"),
        ("majority:1.5", "after 'majority:' comes how many answers vote, such as majority:5"),
        ("sample:x", "after 'sample:' comes how many answers vote, such as sample:5"),
    ],
)
def test_an_argument_that_is_none_is_refused_with_an_example(name, message):
    with pytest.raises(ConfigError, match=message):
        checked_name(name)


@pytest.mark.parametrize("name", ["vote", "fixed", "polar:x", "identity:", "", "shuffled:closed"])
def test_a_name_without_its_argument_or_with_one_too_many_is_unknown(name):
    with pytest.raises(UnknownNameError, match=f"unknown policy '{name}'"):
        checked_name(name)


def test_the_program_of_a_fixed_policy_is_read_before_a_model_is_loaded():
    with pytest.raises(ProgramError):
        checked_name("fixed:2:3")


def test_a_selector_is_seen_beside_its_controls():
    assert controls_of(["identity", "selector", "selector:29"]) == ("surface", "shuffled:open")
    assert controls_of(["identity", "vote:5", "static"]) == ()


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("choice", ["identity", "selector", "random", "selector:29", "shortgpt:26", "rys"]),
        ("vote", ["vote:5", "majority:3"]),
        ("sample", ["sample:5", "sampled"]),
        ("executor", ["early-exit:20"]),
        ("control", ["surface", "shuffled", "shuffled:open", "random-menu"]),
    ],
)
def test_a_policy_has_one_role(role, names):
    assert {entry_of(name).role for name in names} == {role}


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        ((), ["identity"]),
        (("search",), ["identity", "static", "random"]),
        (("search", "train"), ["identity", "polar", "static", "random"]),
        (("menu",), ["identity", "static", "random"]),
        (("menu", "selector"), ["identity", "selector", "static", "random"]),
        (
            ("menu", "search", "train", "selector"),
            ["identity", "polar", "static", "random", "selector"],
        ),
    ],
)
def test_what_is_compared_unasked_follows_from_the_stages_of_a_run(stages, names):
    run = SimpleNamespace(has=stages.__contains__, facts=stages.__contains__)
    assert available(run) == names


def test_the_table_in_the_docs_is_that_of_the_registry():
    spec = importlib.util.spec_from_file_location("page", DOCS / "make_policies_table.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    message = "run: python docs/make_policies_table.py"
    assert page.TARGET.read_text() == page.reference(), message
    assert all(f"| `{pattern}` |" in page.reference() for pattern in patterns())


def test_an_entry_that_learned_from_a_menu_alone_knows_only_its_kinds():
    known = [entry.pattern for entry in entries() if entry.learns_from_menu]
    assert {"selector", "vote:K", "by-category", "surface"} <= set(known)
    assert not {"static", "random", "identity"} & set(known)
    assert find("selector:29")[1] == "29"
