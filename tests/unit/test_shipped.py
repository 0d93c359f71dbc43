"""Every policy that comes with skiploop is small, whole, and knows today's questions."""

import pytest

from skiploop.errors import ConfigError, UnknownNameError
from skiploop.menus.menu import Menu
from skiploop.policies.selector.packed import read_origin
from skiploop.policies.tensors import read_tensors
from skiploop.runs.policies import checked_name
from skiploop.runs.ready import load_policy, origin_of
from skiploop.shipped import shipped_policies

SHIPPED = shipped_policies()
MAX_BYTES = 4_000_000
every_policy = pytest.mark.parametrize("name", SHIPPED)


def test_there_is_one_for_each_built_in_task():
    assert list(SHIPPED) == ["smollm2-135m/arithmetic", "smollm2-135m/words"]


@every_policy
def test_it_takes_at_most_four_megabytes(name):
    assert sum(file.stat().st_size for file in SHIPPED[name].iterdir()) <= MAX_BYTES


@every_policy
def test_it_is_whole(name):
    menu = Menu.load(SHIPPED[name])
    assert menu.programs[0].is_identity and menu.weights_id.count("-") == 3
    tensors, _ = read_tensors(SHIPPED[name] / "model.safetensors")
    assert tensors["weights_LP"].shape == (len(tensors["landmarks_LF"]), len(menu.programs))


@every_policy
def test_its_task_puts_questions_as_then(name):
    origin = read_origin(SHIPPED[name])
    assert origin == origin_of(name)
    assert origin.model == name.partition("/")[0]
    example = origin.form.made.examples("test", 1)[0]
    assert origin.form.prompt(example.question) == origin.form.made.prompt(example)


@every_policy
def test_its_card_says_what_it_was_made_on_and_where_it_does_not_help(name):
    card = (SHIPPED[name] / "card.md").read_text()
    assert Menu.load(SHIPPED[name]).weights_id in card
    for heading in ("## What it gains", "## Where it does not help"):
        assert heading in card


@every_policy
def test_an_evaluation_takes_its_name(name):
    assert checked_name(name) == name


def test_another_name_is_refused_with_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean 'smollm2-135m/words'"):
        load_policy("smollm2-135m/word")
    with pytest.raises(ConfigError, match="policy is 7: give the name of a shipped policy"):
        load_policy(7)
