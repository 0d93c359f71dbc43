"""Programs chosen while prompts run: the same answers as for programs that were known before."""

import numpy as np
import pytest
import torch
from families import FAMILIES, N_LAYERS, load

from skiploop.engine.batching.encoding import encode
from skiploop.engine.counters import Work
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.engine.options import Options
from skiploop.errors import BatchError, ConfigError, ProgramError
from skiploop.menus.menu import Menu
from skiploop.policies.base import Ranked
from skiploop.policies.encoders import LayerStates
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import PromptFeatures, SelectorPolicy, learn
from skiploop.policies.vote import Vote, probability
from skiploop.programs.program import Program
from skiploop.runs.asking import answer_asked
from skiploop.tasks.asked import AskedTask
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.score_table import ScoreTable

LAYER = 2
TEXTS = ("identity", "2:3x2", "3:5x0", "2:4x2 4:6x0", "4:6x3")
PROGRAMS = [Program.parse(text, N_LAYERS) for text in TEXTS]
START = "one and the same start, "
PROMPTS = [START + end for end in ("12+7=", "a", "a", "hello there, you?", "nine", "34+5=")]
CHOSEN = [PROGRAMS[number % len(PROGRAMS)] for number in range(len(PROMPTS))]
N_NEW = 5


def by_number(numbers, states):
    assert len(numbers) == len(states)
    return [CHOSEN[number] for number in numbers]


def finished(stack, programs, **settings):
    columns = stack.stream(PROMPTS, programs, Options(max_new_tokens=N_NEW, **settings))
    found = {row: c for column in columns for row, c in column.finished.items()}
    return [found[row] for row in range(len(PROMPTS))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("layer", "n_shared"), [(LAYER, LAYER), (N_LAYERS - 1, LAYER), (1, 0)])
def test_a_late_choice_writes_what_the_chosen_programs_write(family, layer, n_shared):
    stack = load(family)
    expected = finished(stack, CHOSEN)
    for drafts in (None, [c.text for c in expected], ["x"] * len(PROMPTS)):
        choice = PrefillChoice(layer, by_number, n_shared=n_shared)
        late = finished(stack, choice, drafts=drafts)
        assert [c.program for c in late] == CHOSEN
        assert [c.token_ids for c in late] == [c.token_ids for c in expected]
        logprobs = [c.logprob for c in expected]
        assert [c.logprob for c in late] == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen2_sliding", "lfm2"])
@pytest.mark.parametrize("layer", [1, LAYER])
def test_a_choice_is_shown_the_states_of_the_whole_prompt(family, layer):
    stack = load(family)
    seen = {}

    def note(numbers, states):
        seen.update(zip(numbers, states, strict=True))
        return [CHOSEN[number] for number in numbers]

    finished(stack, PrefillChoice(layer, note), drafts=["nine"] * len(PROMPTS))
    for number, states_TD in enumerate(stack.hidden_states(PROMPTS, layer)):
        torch.testing.assert_close(seen[number], states_TD, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "text", "n_again"),
    [(LAYER, "2:3x2", 0), (4, "identity", 0), (4, "4:6x0", 0), (4, "2:3x2", 2)],
)
def test_layers_that_choose_run_again_only_for_a_program_that_changes_them(layer, text, n_again):
    stack, prompts, program = load("llama"), ["12+7="], Program.parse(text, N_LAYERS)
    (states_TD,) = stack.hidden_states(prompts, 0)
    stack.generate(prompts, program, max_new_tokens=1)  # probes run once
    products = []
    for late in (program, PrefillChoice(layer, lambda *_: [program], n_shared=LAYER)):
        before = stack.work.n_layer_tokens
        stack.generate(prompts, late, max_new_tokens=1)
        products.append(stack.work.n_layer_tokens - before)
    assert products[1] - products[0] == n_again * len(states_TD)


def test_a_program_that_changes_what_has_run_is_refused():
    stack = load("llama")
    late = PrefillChoice(
        LAYER, lambda numbers, _: [Program.parse("0:1x2", N_LAYERS)] * len(numbers)
    )
    with pytest.raises(ProgramError, match="share their first 2 layers but changes one of them"):
        stack.generate(PROMPTS, late)


def selector(stack, layer):
    generator = torch.Generator().manual_seed(0)
    score_QP = torch.rand(60, len(PROGRAMS), generator=generator).double().numpy()
    prompts = [f"{number}+{number * 7}=" for number in range(60)]
    menu = Menu(tuple(PROGRAMS), stack.model_id, (0.0,) * len(PROGRAMS))
    features = PromptFeatures(LayerStates(stack, layer=layer))
    table = ScoreTable(
        tuple(prompts), menu.programs, score_QP > 0.5, score_QP, np.ones(len(prompts))
    )
    return SelectorPolicy(menu, features, learn(features.of(prompts), table, SelectorConfig()))


@pytest.mark.parametrize("layer", [LAYER, N_LAYERS - 1])
def test_a_selector_chooses_late_what_it_ranks_first(layer):
    stack = load("qwen3")
    policy = selector(stack, layer)
    for k in (1, 3):
        repeated = [prompt for prompt in PROMPTS for _ in range(k)]
        chosen = [
            c.program for c in stack.generate(repeated, policy.during_prefill(k), max_new_tokens=2)
        ]
        assert chosen == [program for best in policy.rank(PROMPTS, k) for program in best]


LONGEST = max(PROGRAMS, key=lambda program: program.n_slots)


def test_memory_is_counted_by_the_longest_program_that_may_be_chosen():
    stack = load("llama")
    prompts = ["12+7=" + "x" * n for n in range(12)]
    stack.memory = 2 * 3 * LONGEST.n_slots * 60 * stack.token_bytes  # for three long rows

    def choose(numbers, _states):
        return [LONGEST] * len(numbers)

    expected = [c.token_ids for c in stack.generate(prompts, LONGEST, max_new_tokens=9)]
    stack.work = Work()
    found = stack.generate(prompts, PrefillChoice(LAYER, choose, LONGEST), max_new_tokens=9)
    assert [c.token_ids for c in found] == expected
    assert stack.work.peak_cache_bytes <= stack.memory
    with pytest.raises(
        BatchError, match=r"the programs chosen for .* PrefillChoice\(..., longest=...\)"
    ):
        stack.generate(prompts, PrefillChoice(LAYER, choose), max_new_tokens=9)


def test_a_row_that_may_not_fit_is_refused_before_the_choice():
    stack = load("llama")
    stack.memory = 2 * N_LAYERS * 60 * stack.token_bytes
    never = PrefillChoice(LAYER, lambda *_: pytest.fail("it was asked"), LONGEST)
    with pytest.raises(BatchError, match=f"prompt 0 under program {LONGEST} needs"):
        stack.generate(["a"], never, max_new_tokens=16)


def test_a_selector_says_how_long_its_choice_may_be():
    assert selector(load("qwen3"), LAYER).during_prefill().longest == LONGEST


@pytest.mark.parametrize(
    ("late", "error", "message"),
    [
        (
            PrefillChoice(LAYER, lambda *_: 3),
            BatchError,
            "what was chosen must be a list of programs",
        ),
        (PrefillChoice(LAYER, lambda *_: []), BatchError, "6 prompts but 0 chosen programs"),
        (PrefillChoice(LAYER, lambda *_: ["2:3x2"] * 6), ProgramError, "program is '2:3x2': give"),
        (PrefillChoice(99, by_number), ConfigError, "layer=99: .* has 6 layers"),
        (PrefillChoice(LAYER, by_number, Program(5)), ProgramError, "was made for 5 layers"),
    ],
)
def test_what_is_no_choice_is_refused_by_name(late, error, message):
    with pytest.raises(error, match=message):
        load("llama").generate(PROMPTS, late)


def test_a_selector_that_cannot_choose_late_says_so():
    stack = load("qwen3")
    with pytest.raises(ConfigError, match="n_shared=3: give how many of the 2 layers"):
        PrefillChoice(LAYER, by_number, n_shared=3)
    with pytest.raises(ConfigError, match="choose after at least one layer"):
        selector(stack, 0).during_prefill()
    with pytest.raises(ConfigError, match="the menu has 5 programs, not 6"):
        selector(stack, LAYER).during_prefill(6)


@pytest.mark.parametrize("n_voters", [None, 3])
def test_a_prompt_that_is_asked_runs_the_layers_that_choose_once(n_voters):
    stack = load("qwen3")
    policy = selector(stack, LAYER)
    vote = Vote(policy, 3, weigh=probability, name="vote:3")
    method = vote if n_voters else Ranked(policy)
    for prompt in PROMPTS:
        task = AskedTask(prompt, max_new_tokens=3)
        found, n_run = [], []
        for answer in (
            lambda e, t=task: method.answer([t.asked], e)[0],
            lambda e, t=task: answer_asked(policy, t, e, n_voters),
        ):
            stack.work = Work()
            found.append(answer(Evaluator(stack, task)))
            n_run.append(stack.work.n_layer_tokens)
        plain, at_once = found
        n_prompt = len(encode(stack, [prompt])[0])
        assert n_run[0] - n_run[1] == LAYER * n_prompt
        assert [(a.program, a.text) for a in at_once] == [(a.program, a.text) for a in plain]
        assert [a.confidence for a in at_once] == pytest.approx([a.confidence for a in plain])
        assert [(a.cost.n_passes, a.cost.kv_bytes) for a in at_once] == [
            (a.cost.n_passes, a.cost.kv_bytes) for a in plain
        ]


def test_a_selector_that_looks_too_late_answers_after_it_has_chosen():
    stack = load("qwen3")
    policy, task = selector(stack, LAYER + 1), AskedTask(PROMPTS[0], max_new_tokens=3)
    (answer,) = answer_asked(policy, task, Evaluator(stack, task))
    assert [[answer.program]] == policy.rank(PROMPTS[:1], 1)
