"""A packed policy chooses after its journey as before, for its own model alone."""

import json

import numpy as np
import pytest
import torch
from families import N_LAYERS, load

import skiploop
from skiploop.errors import ConfigError, RunError
from skiploop.menus.menu import Menu
from skiploop.policies.encoders import LayerStates
from skiploop.policies.selector.choice import PromptFeatures
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.packed import Origin, load_packed, pack, save_packed
from skiploop.policies.selector.policy import SelectorPolicy, learn
from skiploop.policies.tensors import read_tensors, write_tensors
from skiploop.programs.program import Program
from skiploop.runs.ready import origin_of
from skiploop.shipped import shipped_policies
from skiploop.tasks.prompt_form import PromptForm
from skiploop.trials.score_table import ScoreTable

PROGRAMS = tuple(Program.parse(text, N_LAYERS) for text in ("identity", "2:3x2", "3:5x0"))
FORM = PromptForm("arithmetic", ("level=1",))
PROMPTS = [f"{'ab'[i % 2]}{i} = " for i in range(120)]


@pytest.fixture(scope="module")
def stack():
    return load("llama")


def selector(stack, *, helps=True):
    """A selector of which the second program is right for the prompts that start with an a."""
    score = np.full((len(PROMPTS), 3), 0.1)
    score[1::2, 0] = score[:: 2 if helps else 1, 0 if not helps else 1] = 0.9
    ids = tuple(map(str, range(len(PROMPTS))))
    table = ScoreTable(ids, PROGRAMS, (score > 0.5).astype(float), score, np.ones(len(PROMPTS)))
    features = PromptFeatures(LayerStates(stack, layer=2))
    lessons = learn(features.of(PROMPTS), table, SelectorConfig())
    return SelectorPolicy(Menu(PROGRAMS, stack.model_id, (0.1, 0.2, 0.3)), features, lessons)


@pytest.fixture(scope="module")
def packed(stack, tmp_path_factory):
    policy, kept = pack(selector(stack), stack, FORM, SelectorConfig(), 40)
    folder = tmp_path_factory.mktemp("packed") / "policy"
    save_packed(folder, policy, Origin(model="tiny", dtype="float32", form=FORM))
    return policy, kept, folder


def test_a_policy_from_a_folder_chooses_as_before(stack, packed):
    policy, _, folder = packed
    loaded = load_packed(folder, stack, "mine")
    assert torch.equal(loaded.expected(PROMPTS), policy.expected(PROMPTS))
    assert loaded.rank(PROMPTS, 3) == policy.rank(PROMPTS, 3)
    assert len({ranked[0] for ranked in loaded.rank(PROMPTS, 1)}) == 2
    assert (loaded.gate, loaded.name, loaded.form) == (policy.gate, "mine", FORM)
    again = folder.parent / "again"
    save_packed(again, loaded, origin_of(folder))
    for file in folder.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes()


def test_one_of_before_that_has_no_categories_is_read_and_takes_no_question_for_another_one(
    stack, packed, tmp_path
):
    policy, _, folder = packed
    save_packed(tmp_path, policy, origin_of(folder))
    path = tmp_path / "model.safetensors"
    tensors, notes = read_tensors(path)
    for name in ("directions_FD", "centers_CD", "limit"):
        del tensors[name]
    write_tensors(path, tensors, notes)
    loaded = load_packed(tmp_path, stack, "mine")
    assert not loaded.categories.lack(torch.full((2, len(tensors["center_F"])), 1e6)).any()
    assert torch.equal(loaded.expected(PROMPTS), policy.expected(PROMPTS))


def test_it_chooses_while_the_prompt_runs_too(stack, packed):
    policy = packed[0]
    late = stack.generate(PROMPTS[:4], policy.during_prefill(), max_new_tokens=2)
    assert [c.program for c in late] == [ranked[0] for ranked in policy.rank(PROMPTS[:4], 1)]


def test_what_packing_costs_is_counted(packed):
    kept = packed[1]
    assert (kept.n_questions, kept.identity, kept.whole) == (120, 60, 120)
    assert kept.identity < kept.packed <= kept.whole
    assert N_LAYERS <= kept.mean_slots <= N_LAYERS + 1
    assert "120 questions, out of fold, the plain model answers 60 right" in kept.summary()


def test_load_policy_takes_the_folder_and_carries_the_form(stack, packed):
    policy = skiploop.load_policy(packed[2], stack)
    assert policy.form.prompt("2 + 3").endswith("\n2 + 3 = ")


def test_other_weights_are_refused_by_name(packed):
    other = load("gpt2")
    with pytest.raises(RunError, match=r"was made for tiny with weights .*, but .* has .*: load"):
        load_packed(packed[2], other, "mine")


@pytest.mark.parametrize("name", sorted(shipped_policies()))
def test_a_shipped_policy_refuses_other_weights(stack, name):
    with pytest.raises(RunError, match=r"was made for smollm2-135m with weights .*: load smollm2"):
        skiploop.load_policy(name, stack)


def test_a_selector_that_keeps_the_plain_model_is_not_packed(stack):
    policy = selector(stack, helps=False)
    with pytest.raises(RunError, match="there is nothing to export"):
        pack(policy, stack, FORM, SelectorConfig(), 40)
    with pytest.raises(ConfigError, match="0 landmarks are none"):
        pack(policy, stack, FORM, SelectorConfig(), 0)


@pytest.mark.parametrize("part", ["policy.json", "menu.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["lost", "flipped", "cut"])
def test_a_damaged_part_is_named(stack, packed, tmp_path, part, damage):
    folder = tmp_path / "policy"
    save_packed(folder, packed[0], Origin(model="tiny", dtype="float32", form=FORM))
    content = bytearray((folder / part).read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"lost": None, "flipped": bytes(content), "cut": bytes(content[:50])}[damage]
    (folder / part).unlink() if damaged is None else (folder / part).write_bytes(damaged)
    with pytest.raises(RunError):
        load_packed(folder, stack, "mine")


def test_numbers_of_another_shape_are_refused(stack, packed, tmp_path):
    folder = tmp_path / "policy"
    save_packed(folder, packed[0], Origin(model="tiny", dtype="float32", form=FORM))
    data = json.loads((folder / "menu.json").read_text())
    data["programs"].pop()
    data.pop("sha256")
    (folder / "menu.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match="3 scores for 2 programs"):
        load_packed(folder, stack, "mine")
