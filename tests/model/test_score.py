"""Likelihoods, choices and hidden states, against plain computations."""

import math

import pytest
import torch
from families import ALL_FAMILIES, N_LAYERS, load, tokenizer, tolerance

from skiploop.engine import score
from skiploop.engine.batching.encoding import Pair
from skiploop.errors import BatchError
from skiploop.programs.program import Program

PROGRAMS = [Program.parse(text, N_LAYERS) for text in ("identity", "1:3x2", "0:2x0 3:6x3")]
PROMPTS = ["the end of ", "12+7=", "a\n"]
CONTINUATIONS = ["the one", "19", "b and b and b"]


def teacher_forced(model, context, continuation):
    """Sum the log-probabilities of tokens after other tokens, one row, no cache."""
    tokens = torch.tensor([context + continuation])
    with torch.no_grad():
        logprobs = model(tokens, use_cache=False).logits[0, :-1].log_softmax(-1)
    rows = range(len(context) - 1, tokens.shape[1] - 1)
    return sum(float(logprobs[row, tokens[0, row + 1]]) for row in rows)


@pytest.mark.parametrize("family", ["llama", "qwen2_sliding", "gemma2", "gpt2", "lfm2"])
def test_loglikelihood_equals_teacher_forcing(family):
    stack = load(family)
    scores = stack.loglikelihood(PROMPTS, CONTINUATIONS, PROGRAMS)
    heads = ["the end of", "12+7=", "a"]  # white space belongs to the continuation
    tails = [" the one", "19", "\nb and b and b"]
    for i, program in enumerate(PROGRAMS):
        context, continuation = (tokenizer()(text)["input_ids"] for text in (heads[i], tails[i]))
        expected = teacher_forced(stack.view(program), context, continuation)
        assert scores[i] == pytest.approx(expected, abs=1e-3)


def test_loglikelihood_does_not_depend_on_the_batch(tune):
    stack = load("qwen3")
    together = stack.loglikelihood(PROMPTS, CONTINUATIONS, PROGRAMS)
    tune(rows=1)
    assert stack.loglikelihood(PROMPTS, CONTINUATIONS, PROGRAMS) == pytest.approx(
        together, abs=1e-4
    )


def test_the_greedy_answer_has_the_likelihood_that_generation_reports():
    stack = load("olmo2")
    for prompt, completion in zip(
        PROMPTS, stack.generate(PROMPTS, PROGRAMS, max_new_tokens=5), strict=True
    ):
        tokens = stack.tokenizer(prompt)["input_ids"]
        model = stack.view(completion.program)
        expected = teacher_forced(model, tokens, list(completion.token_ids))
        assert completion.logprob == pytest.approx(expected, abs=1e-3)


def test_a_continuation_is_greedy_if_generation_writes_it():
    stack = load("qwen3")
    prompts = ["12+7=", "a:"]
    completions = stack.generate(prompts, PROGRAMS[1], max_new_tokens=4)
    pairs = []
    for prompt, completion in zip(prompts, completions, strict=True):
        tokens, written = tuple(tokenizer()(prompt)["input_ids"]), completion.token_ids
        other = (*written[:-1], (written[-1] + 1) % 72)
        pairs += [Pair((*tokens, *written), 4), Pair((*tokens, *other), 4)]
    scored = score.loglikelihood(stack, pairs, [PROGRAMS[1]] * len(pairs))
    assert [one.is_greedy for one in scored] == [True, False, True, False]


def test_a_last_token_that_only_ends_a_continuation_needs_no_position():
    stack = load("llama")
    (found,) = stack.loglikelihood(["a" * 100], ["b" * 29], PROGRAMS[0])
    expected = teacher_forced(
        stack.model, *(tokenizer()(t)["input_ids"] for t in ("a" * 100, "b" * 29))
    )
    assert found == pytest.approx(expected, abs=1e-3)


def test_choose_takes_the_likeliest_choice_for_each_character():
    stack = load("llama")
    choices = [["the one", "on", "nine and ten"], ["19", "20"], ["b", "bbbb", "c", "done"]]
    chosen = stack.choose(PROMPTS, choices, PROGRAMS)
    for i, completion in enumerate(chosen):
        n = len(choices[i])
        scores = stack.loglikelihood([PROMPTS[i]] * n, choices[i], [PROGRAMS[i]] * n)
        each = [value / len(text) for value, text in zip(scores, choices[i], strict=True)]
        best = max(range(n), key=each.__getitem__)
        assert completion.text == choices[i][best]
        among = torch.tensor(each).mul(sum(map(len, choices[i])) / n).log_softmax(0).tolist()
        assert completion.choice_logprobs == pytest.approx(among, abs=1e-4)
        assert completion.logprob == completion.choice_logprobs[best]
        assert (completion.token_ids, completion.stopped_by) == ((), "choice")
        assert completion.program == PROGRAMS[i]


def test_choice_depends_on_the_program():
    stack = load("llama")
    choices = [[str(n) for n in range(10)]] * 20
    programs = [Program.identity(N_LAYERS)] + [
        Program.parse(f"{i}:{i + 1}x{runs}", N_LAYERS)
        for i in range(N_LAYERS)
        for runs in (0, 2, 3)
    ]
    texts = {c.text for c in stack.choose(["7"] * 19, choices[:19], programs)}
    assert len(texts) > 2


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_hidden_states_are_those_of_the_plain_model(family):
    stack = load(family)
    for layer in (0, 2, N_LAYERS - 1):
        for prompt, states in zip(PROMPTS, stack.hidden_states(PROMPTS, layer), strict=True):
            tokens = torch.tensor([tokenizer()(prompt)["input_ids"]])
            with torch.no_grad():
                output = stack.model(tokens, use_cache=False, output_hidden_states=True)
            expected = output.hidden_states[layer][0]
            torch.testing.assert_close(states, expected, rtol=0, atol=tolerance(family))


def test_hidden_states_stop_at_their_layer():
    stack = load("llama")
    assert not stack.calling.n_returned
    ran = []
    for index, layer in enumerate(stack.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
    stack.model.lm_head.register_forward_pre_hook(lambda *_: ran.append("head"))
    stack.hidden_states(PROMPTS, 3)
    assert set(ran) == {0, 1, 2}


def test_hidden_states_run_the_start_of_prompts_once():
    stack = load("llama")
    alike = ["one and the same start, " + end for end in ("12+7=", "a", "nine", "hello there")]
    products = []
    for prompts in (alike, [f"{number}{prompt}" for number, prompt in enumerate(alike)]):
        before = stack.work.n_layer_tokens
        together = stack.hidden_states(prompts, 3)
        products.append(stack.work.n_layer_tokens - before)
        alone = [stack.hidden_states([prompt], 3)[0] for prompt in prompts]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert products[0] < 0.6 * products[1]


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_hidden_states_of_prompts_that_start_alike_are_those_of_each_alone(family):
    stack = load(family)
    prompts = ["one and the same start, " + end for end in ("12+7=", "a", "nine", "hello there")]
    for layer in (0, 2):
        together = stack.hidden_states(prompts, layer)
        alone = [stack.hidden_states([prompt], layer)[0] for prompt in prompts]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=tolerance(family))


def test_hidden_states_can_train_something():
    stack = load("llama")
    features = torch.stack([states.mean(0) for states in stack.hidden_states(PROMPTS, 2)])
    head = torch.nn.Linear(features.shape[1], 1)
    head(features).sum().backward()
    assert head.weight.grad.abs().sum() > 0
    assert not features.requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s: s.loglikelihood(["a"], ["b", "c"], PROGRAMS[0]),
            "1 prompts but 2 continuations",
        ),
        (lambda s: s.loglikelihood(["a"], [""], PROGRAMS[0]), "adds no token"),
        (lambda s: s.loglikelihood([" "], ["b"], PROGRAMS[0]), "prompt 0 has no tokens"),
        (lambda s: s.loglikelihood(["a" * 100], ["b" * 30], PROGRAMS[0]), "129 tokens"),
        (lambda s: s.choose(["a"], [[]], PROGRAMS[0]), "none of them empty"),
        (lambda s: s.choose(["a"], ["bc"], PROGRAMS[0]), r"choices\[0\] must be a list"),
        (lambda s: s.choose(["a", "b"], [["c"]], PROGRAMS[0]), "2 prompts but 1 lists"),
        (lambda s: s.hidden_states(["a"], 7), r"layer 7 is outside 0\.\.6"),
        (lambda s: s.hidden_states([""], 1), "no tokens"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(BatchError, match=message):
        call(load("llama"))


def test_logits_that_are_not_numbers_spoil_their_own_row_only():
    stack = load("llama")
    with torch.no_grad():
        stack.layers[2].mlp.down_proj.weight.fill_(float("nan"))
    programs = [Program.identity(6), Program.parse("2:3x0", 6)]
    broken, sound = stack.loglikelihood(["a", "a"], ["b", "b"], programs)
    assert math.isnan(broken) and math.isfinite(sound)
    broken, sound = stack.choose(["a", "a"], [["b", "c"]] * 2, programs)
    assert (broken.text, broken.stopped_by) == ("", "nan")
    assert sound.stopped_by == "choice"


def test_choices_of_one_prompt_run_it_once_and_are_scored_as_if_alone():
    stack = load("qwen3")
    prompts = [f"{'nine and ten are ' * 4}{name}: the" for name in ("one", "twenty", "a")]
    choices = [[" end", " end of it", " nine", " nine and ten", " b"]] * 3
    asked = [
        (p, c, g) for p, cs in zip(prompts, choices, strict=True) for c in cs for g in PROGRAMS
    ]
    alone = [stack.loglikelihood([p], [c], [g])[0] for p, c, g in asked]
    before = stack.work.n_layer_tokens
    together = stack.loglikelihood(*(list(column) for column in zip(*asked, strict=True)))
    assert together == pytest.approx(alone, abs=1e-4)
    n_tokens = sum(len(stack.tokenizer(p + c)["input_ids"]) * g.n_slots for p, c, g in asked)
    assert stack.work.n_layer_tokens - before < n_tokens / 4


def test_choices_come_as_their_batches_are_done(tune):
    tune(rows=1)
    stack = load("llama")
    choices = [["the one", "on"], ["19", "20"], ["b", "c", "done"]]
    in_turns = list(score.choose(stack, PROMPTS, choices, PROGRAMS))
    assert sorted(index for index, _ in in_turns) == [0, 1, 2]
    found = [completion.text for _, completion in sorted(in_turns, key=lambda one: one[0])]
    assert found == [c.text for c in stack.choose(PROMPTS, choices, PROGRAMS)]
