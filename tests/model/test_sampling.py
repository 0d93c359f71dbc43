"""Drawing tokens: the right distribution, and the same tokens whatever else is in the batch."""

import numpy as np
import pytest
import torch
from families import N_LAYERS, load
from scipy import stats

from skiploop.engine.sampling import Sampling, draw, uniform
from skiploop.errors import BatchError, ConfigError
from skiploop.programs.program import Program

PROMPTS = ["the end", "12+7=", "a", "hello there, you?"]
PROGRAMS = [Program.parse(t, N_LAYERS) for t in ("identity", "1:3x2", "0:2x0", "5:6x0")]
SEEDS = [3, 1, 4, 1]


@pytest.mark.parametrize("family", ["llama", "qwen2_sliding", "lfm2"])
def test_a_row_draws_the_same_tokens_whatever_else_is_in_the_batch(family):
    stack = load(family)
    settings = {"max_new_tokens": 12, "sampling": Sampling(temperature=1.3, top_k=30, top_p=0.95)}
    mixed = stack.generate(PROMPTS, PROGRAMS, seeds=SEEDS, **settings)
    for prompt, program, seed, completion in zip(PROMPTS, PROGRAMS, SEEDS, mixed, strict=True):
        (single,) = stack.generate([prompt], program, seeds=[seed], **settings)
        assert single.token_ids == completion.token_ids
    other = stack.generate(PROMPTS, PROGRAMS, seeds=[s + 1 for s in SEEDS], **settings)
    assert all(c.token_ids != o.token_ids for c, o in zip(mixed, other, strict=True))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.1, 0.6, 0.3]),
        (Sampling(temperature=0.5), [0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46]),
        (Sampling(top_k=2), [0, 2 / 3, 1 / 3]),
        (Sampling(top_p=0.6), [0, 1, 0]),
        (Sampling(top_p=0.61), [0, 2 / 3, 1 / 3]),
    ],
)
def test_tokens_are_drawn_with_their_probabilities(sampling, expected):
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(20_000, 3)
    tokens, logprobs = draw(logits, sampling, range(20_000), [2] * 20_000)
    counts = np.bincount(tokens.numpy(), minlength=3)
    wanted = np.array(expected) * 20_000
    assert (counts[wanted == 0] == 0).all()
    assert (abs(counts - wanted) < 4 * np.sqrt(np.maximum(wanted, 1))).all()
    torch.testing.assert_close(logprobs, logits.gather(1, tokens[:, None])[:, 0])


def test_logits_that_are_equal_but_for_rounding_draw_the_same_tokens():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 50, generator=generator).repeat(2000, 1)
    logits[:, 10], logits[:, 40] = logits[:, 40] + 2e-7, logits[:, 40]
    others = logits.clone()
    others[:, 10] -= 4e-7  # it and its neighbour change places in the order of likelihood
    seeds, steps = range(2000), [1] * 2000
    for sampling in (Sampling(), Sampling(temperature=0.8, top_p=0.9)):
        tokens, _ = draw(logits, sampling, seeds, steps)
        same, _ = draw(others, sampling, seeds, steps)
        assert tokens.equal(same)
        assert {10, 40} <= set(tokens.tolist())


def test_uniform_numbers_depend_on_seed_and_step_alone_and_fill_the_interval():
    seeds, steps = np.divmod(np.arange(40_000), 200)
    numbers = uniform(seeds, steps)
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert len(set(numbers)) == len(numbers)
    assert uniform([7], [3])[0] == numbers[7 * 200 + 3]
    assert uniform([-1], [0])[0] == uniform([2**64 - 1], [0])[0]


@pytest.mark.parametrize("numbers", [{"temperature": 0}, {"top_k": 0}, {"top_p": 0}, {"top_p": 2}])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(ConfigError, match="give a temperature above 0"):
        Sampling(**numbers)


def test_every_prompt_needs_a_seed():
    with pytest.raises(BatchError, match="4 prompts but 0 seeds"):
        load("llama").generate(PROMPTS, PROGRAMS, sampling=Sampling())
