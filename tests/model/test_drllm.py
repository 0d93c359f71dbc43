"""Dr.LLM: its window arithmetic, its losses, and routers that decide while the layers run."""

import pytest
import torch
from families import MIXED_FAMILIES, N_LAYERS, load
from torch.testing import assert_close

from skiploop.errors import ConfigError, DataError, RunError
from skiploop.policies.drllm.network import Routers, padded_windows, window_means
from skiploop.policies.drllm.policy import RouterPolicy
from skiploop.policies.drllm.train import (
    RouterConfig,
    effective_number_weights,
    focal_loss,
    label_of,
    told_by,
    train_routers,
)
from skiploop.policies.weights import read_weights, write_weights
from skiploop.programs.program import Program

PROMPTS = ["12+7=", "a", "hello there, you?", "nine", "34+5="]
IDENTITY = Program.identity(N_LAYERS)


def parsed(text):
    return Program.parse(text, N_LAYERS)


def always(runs, layer=None):
    """Return routers that give all layers so many runs, or one of them, and run the others once."""
    routers = Routers(N_LAYERS, 32)
    with torch.no_grad():
        routers.outer_DHR.zero_()
        for one in range(N_LAYERS):
            routers.outer_bias_DR[one, runs if layer in (None, one) else 1] = 1.0
    return routers


def test_windows_are_equal_and_leave_out_what_does_not_fill_them():
    states_TE = torch.arange(19.0)[:, None]
    assert window_means(states_TE)[:, 0].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]


def test_a_prompt_of_fewer_tokens_than_windows_has_a_window_a_token():
    states_TE = torch.arange(5.0)[:, None]
    assert window_means(states_TE).tolist() == states_TE.tolist()


def test_a_router_averages_the_logits_of_the_windows_that_a_prompt_has():
    routers = Routers(N_LAYERS, 4)
    long, short = torch.randn(40, 4), torch.randn(3, 4)
    together = routers(2, *padded_windows([window_means(long), window_means(short)]))
    for row, states_TE in enumerate((long, short)):
        each = [routers(2, *padded_windows([one[None]]))[0] for one in window_means(states_TE)]
        assert_close(together[row], torch.stack(each).mean(0))


def test_routers_are_two_linear_maps_with_a_gelu_and_no_first_bias():
    routers = Routers(N_LAYERS, 4)
    inner, outer = torch.nn.Linear(4, 128), torch.nn.Linear(128, 3)
    with torch.no_grad():
        inner.weight.copy_(routers.inner_DEH[1].T)
        outer.weight.copy_(routers.outer_DHR[1].T)
        inner.bias.zero_()
        outer.bias.zero_()
    reference = torch.nn.Sequential(inner, torch.nn.GELU("tanh"), outer)
    mean_E = torch.randn(4)
    assert_close(routers(1, *padded_windows([mean_E[None]]))[0], reference(mean_E))


def test_rare_actions_count_by_the_effective_number_of_their_samples():
    counts = torch.tensor([10, 1000, 0])
    weight_R = effective_number_weights(counts, RouterConfig())
    expected = torch.tensor([0.001 / (1 - 0.999**n) for n in (10, 1000, 1)])
    assert_close(weight_R, expected / expected.mean())


def test_the_focal_loss_without_focus_is_the_weighted_cross_entropy():
    logits_BR, action_B = torch.randn(7, 3), torch.tensor([0, 1, 2, 1, 1, 0, 2])
    weight_R = torch.tensor([0.5, 1.0, 1.5])
    plain = torch.nn.functional.cross_entropy(logits_BR, action_B, reduction="none")
    assert_close(
        focal_loss(logits_BR, action_B, weight_R, 0.0), (weight_R[action_B] * plain).mean()
    )
    p_B = torch.exp(-plain)
    expected = (weight_R[action_B] * (1 - p_B) ** 2 * plain).mean()
    assert_close(focal_loss(logits_BR, action_B, weight_R, 2.0), expected)


def test_the_label_is_the_shortest_right_program_that_routers_can_choose():
    right = [parsed(text) for text in ("0:2x2 3:6x0", "1:2x2", "4:5x0", "identity", "1:2x2~0.5")]
    assert label_of(right) == parsed("4:5x0")
    assert label_of([parsed("1:3x2"), parsed("1:2x3"), parsed("2:4x2~0.5")]) is None
    assert label_of([]) is None


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_routers_that_always_run_a_layer_once_are_the_plain_model(family):
    stack, policy = load(family), RouterPolicy(load(family), always(1))
    assert policy.rank(PROMPTS, 3) == [[IDENTITY]] * len(PROMPTS)
    plain = stack.generate(PROMPTS, IDENTITY, max_new_tokens=5)
    routed = stack.generate(PROMPTS, policy.during_prefill(), max_new_tokens=5)
    assert [c.token_ids for c in routed] == [c.token_ids for c in plain]
    logprobs = [c.logprob for c in plain]
    assert [c.logprob for c in routed] == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("family", MIXED_FAMILIES)
@pytest.mark.parametrize(("runs", "text"), [(0, "2:3x0"), (2, "2:3x2")])
def test_a_router_that_always_skips_or_repeats_its_layer_is_that_program(family, runs, text):
    stack, program = load(family), parsed(text)
    policy = RouterPolicy(stack, always(runs, layer=2))
    assert policy.rank(PROMPTS, 1) == [[program]] * len(PROMPTS)
    expected = stack.generate(PROMPTS, program, max_new_tokens=5)
    routed = stack.generate(PROMPTS, policy.during_prefill(), max_new_tokens=5)
    logprobs = [c.logprob for c in expected]
    assert [c.token_ids for c in routed] == [c.token_ids for c in expected]
    assert [c.logprob for c in routed] == pytest.approx(logprobs, abs=1e-3)


def test_where_routers_skip_everything_the_last_layer_runs():
    (programs,) = RouterPolicy(load("llama"), always(0)).rank(["a"], 1)
    assert programs == [parsed(f"0:{N_LAYERS - 1}x0")]


def labels():
    """Return prompts of two sorts, each with the program that is right for it."""
    sorts = {"a": parsed("1:2x0 4:5x2"), "7": IDENTITY}
    return {f"{letter * n}=": sorts[letter] for n in range(1, 13) for letter in sorts}


CONFIG = RouterConfig(epochs=30, learning_rate=1e-2)


def test_routers_learn_the_programs_that_were_right_for_each_sort_of_prompt():
    stack, known = load("llama"), labels()
    policy = RouterPolicy(stack, train_routers(stack, known, CONFIG))
    assert policy.rank(list(known), 1) == [[program] for program in known.values()]


def test_the_same_training_gives_the_same_routers_and_another_seed_others():
    stack, known = load("llama"), labels()
    one, same, other = (
        train_routers(stack, known, RouterConfig(epochs=1, seed=seed)).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["inner_DEH"], other["inner_DEH"])


def test_without_labels_there_is_nothing_to_learn():
    with pytest.raises(DataError, match="no question has a right program"):
        train_routers(load("llama"), {}, CONFIG)


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"rarity": 1.0}, {"learning_rate": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError):
        RouterConfig(**setting)


def test_what_was_learned_is_read_again_for_the_same_model_and_labels_alone(tmp_path):
    stack, known = load("llama"), labels()
    recipe = told_by(CONFIG, known)
    routers = Routers(N_LAYERS, 32)
    assert read_weights(tmp_path / "drllm", stack, recipe) is None
    write_weights(tmp_path / "drllm", stack, recipe, routers.state_dict())
    again = read_weights(tmp_path / "drllm", stack, recipe)
    assert all(torch.equal(again[name], tensor) for name, tensor in routers.state_dict().items())
    assert (
        read_weights(tmp_path / "drllm", stack, told_by(CONFIG, {**known, "b": IDENTITY})) is None
    )
    with pytest.raises(RunError, match="was learned for"):
        read_weights(tmp_path / "drllm", load("qwen3"), recipe)
    (tmp_path / "drllm/config.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        read_weights(tmp_path / "drllm", stack, recipe)
