"""Whatever is given in the place of an argument: an answer, or an error of ours."""

import itertools

import numpy as np
import pytest
import torch
from families import N_LAYERS, build, load
from hypothesis import given, settings
from hypothesis import strategies as st

import skiploop
from skiploop import FixedPolicy, Options, Program, ProgramSpace, Sampling, Segment, SkiploopError
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.errors import BatchError, ProgramError

PLAIN = Program.identity(N_LAYERS)
SPACE = ProgramSpace(N_LAYERS)
TASK = skiploop.get_task("arithmetic", level=1)
EXAMPLES = TASK.examples("test", 1)


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text")


ODD = [
    10**5000,
    np.array(3),
    torch.tensor(1.5),
    torch.float32,
    np.str_("a"),
    "3:5x0",
    ["3:5x0", "identity"],
    [PLAIN, PLAIN],
    [[PLAIN]],
    Sampling(),
    Unprintable(),
    lambda *_: 1,
    int,
    PrefillChoice(1, lambda *_: 3),
    PrefillChoice(1, lambda *_: []),
    PrefillChoice(1, lambda numbers, _: ["x"] * len(numbers)),
    PrefillChoice(9, lambda numbers, _: [PLAIN] * len(numbers)),
]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.one_of(st.none(), st.text(max_size=2), st.integers(), st.floats()), max_size=3),
    st.sets(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.builds(lambda words: (word for word in words), st.lists(st.text(max_size=2), max_size=3)),
    st.builds(np.array, st.lists(st.floats(), max_size=3)),
    st.builds(torch.tensor, st.lists(st.integers(-9, 9), max_size=3)),
    st.sampled_from(ODD),
)
USUAL = {"prompts": ["a", "b"], "programs": PLAIN, "max_new_tokens": 2}
CALLS = {
    **{
        f"generate {name}": lambda stack, junk, name=name: stack.generate(**USUAL | {name: junk})
        for name in ("prompts", "programs", "max_new_tokens", "stop", "sampling", "seeds")
    },
    "sampling with seeds": lambda stack, junk: stack.generate(
        **USUAL, sampling=Sampling(), seeds=junk
    ),
    **{
        f"Sampling {name}": lambda stack, junk, name=name: stack.generate(
            **USUAL, sampling=Sampling(**{name: junk}), seeds=[1, 2]
        )
        for name in ("temperature", "top_k", "top_p")
    },
    "stream options": lambda stack, junk: list(stack.stream(["a"], PLAIN, junk)),
    **{
        f"Options {name}": lambda stack, junk, name=name: list(
            stack.stream(["a", "b"], PLAIN, Options(max_new_tokens=2, **{name: junk}))
        )
        for name in ("drafts", "score_drafts", "saved", "sampling")
    },
    "late layer": lambda stack, junk: stack.generate(
        ["a"], PrefillChoice(junk, lambda *_: [PLAIN]), max_new_tokens=1
    ),
    "late longest": lambda stack, junk: stack.generate(
        ["a"], PrefillChoice(1, lambda *_: [PLAIN], junk), max_new_tokens=1
    ),
    "view": lambda stack, junk: stack.view(junk),
    "choose prompts": lambda stack, junk: stack.choose(junk, [["a"], ["b"]], PLAIN),
    "choose choices": lambda stack, junk: stack.choose(["a", "b"], junk, PLAIN),
    "choose one's choices": lambda stack, junk: stack.choose(["a", "b"], [["a"], junk], PLAIN),
    "choose programs": lambda stack, junk: stack.choose(["a", "b"], [["a"], ["b"]], junk),
    "loglikelihood prompts": lambda stack, junk: stack.loglikelihood(junk, ["a"], PLAIN),
    "loglikelihood texts": lambda stack, junk: stack.loglikelihood(["a"], junk, PLAIN),
    "loglikelihood programs": lambda stack, junk: stack.loglikelihood(["a"], ["b"], junk),
    "hidden_states prompts": lambda stack, junk: stack.hidden_states(junk, 1),
    "hidden_states layer": lambda stack, junk: stack.hidden_states(["a"], junk),
    "load": lambda _, junk: skiploop.load(junk),
    **{
        f"load {name}": lambda stack, junk, name=name: skiploop.load(stack.model, **{name: junk})
        for name in ("dtype", "device", "layers", "memory", "exact", "trust_remote_code")
    },
    "get_task": lambda _, junk: skiploop.get_task(junk),
    "examples split": lambda _, junk: TASK.examples(junk),
    "examples limit": lambda _, junk: TASK.examples("test", junk),
    "load_policy": lambda stack, junk: skiploop.load_policy(junk, stack),
    "score_grid task": lambda stack, junk: skiploop.score_grid(stack, junk, EXAMPLES, [PLAIN]),
    "score_grid examples": lambda stack, junk: skiploop.score_grid(stack, TASK, junk, [PLAIN]),
    "score_grid programs": lambda stack, junk: skiploop.score_grid(stack, TASK, EXAMPLES, junk),
    "FixedPolicy": lambda _, junk: FixedPolicy(junk, "x").rank(["a"], 1),
    "FixedPolicy k": lambda _, junk: FixedPolicy([PLAIN], "x").rank(["a"], junk),
    "Program layers": lambda _, junk: Program(junk),
    "Program edits": lambda _, junk: Program(N_LAYERS, junk),
    "Program.parse": lambda _, junk: Program.parse(junk, N_LAYERS),
    "Program.parse layers": lambda _, junk: Program.parse("identity", junk),
    "Program.from_path": lambda _, junk: Program.from_path(junk, N_LAYERS),
    "Program.from_path layers": lambda _, junk: Program.from_path([0, 1], junk),
    "Program.from_segments": lambda _, junk: Program.from_segments(junk, N_LAYERS),
    "Program.from_json": lambda _, junk: Program.from_json(junk),
    "Program.with_edit": lambda _, junk: PLAIN.with_edit(junk),
    "Program.segments": lambda _, junk: PLAIN.segments(junk),
    **{
        f"Segment {name}": lambda _, junk, name=name: Segment(
            **{"start": 1, "stop": 2, "runs": 2, "anchor": 0.5} | {name: junk}
        )
        for name in ("start", "stop", "runs", "anchor")
    },
    "Segment.parse": lambda _, junk: Segment.parse(junk),
    "Segment.from_json": lambda _, junk: Segment.from_json(junk),
    **{
        f"ProgramSpace {name}": lambda _, junk, name=name: ProgramSpace(
            **{"n_layers": N_LAYERS} | {name: junk}
        )
        for name in ("n_layers", "max_block", "max_runs")
    },
    "space.edits": lambda _, junk: SPACE.edits(junk),
    "space.n_edits": lambda _, junk: SPACE.n_edits(junk),
    "space.count": lambda _, junk: SPACE.count(junk),
    "space.sample": lambda _, junk: SPACE.sample(junk),
    "space.sample edits": lambda _, junk: SPACE.sample(1, junk),
    "space.labels": lambda _, junk: SPACE.labels(junk),
    "space.from_labels": lambda _, junk: SPACE.from_labels(junk, [1] * N_LAYERS),
    "space.from_labels runs": lambda _, junk: SPACE.from_labels([0] * N_LAYERS, junk),
}


@pytest.fixture(scope="module")
def stack():
    return load("llama")


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=40)
@given(junk=JUNK)
def test_junk_gives_an_answer_or_an_error_of_ours(stack, call, junk):
    try:
        CALLS[call](stack, junk)
    except SkiploopError as error:
        assert str(error)


def test_iterators_are_taken_as_meant(stack):
    prompts, stop, seeds = ["a", "b"], ["e", "1"], [3, 4]
    expected = stack.generate(
        prompts, [PLAIN] * 2, stop=stop, sampling=Sampling(), seeds=seeds, max_new_tokens=12
    )
    assert "stop" in {completion.stopped_by for completion in expected}
    found = stack.generate(
        (p for p in prompts),
        itertools.repeat(PLAIN, 2),
        stop=map(np.str_, stop),
        sampling=Sampling(),
        seeds=np.array(seeds, dtype=np.uint64),
        max_new_tokens=np.int64(12),
    )
    assert found == expected
    choices = [["a", "bc"], ["d", "e"]]
    assert stack.choose(iter(prompts), map(iter, choices), PLAIN) == stack.choose(
        prompts, choices, PLAIN
    )
    assert stack.loglikelihood(iter(prompts), iter(stop), PLAIN) == stack.loglikelihood(
        prompts, stop, PLAIN
    )


def test_a_text_in_the_place_of_a_program_says_how_to_read_it(stack):
    message = r"program is '3:5x0': give a Program, such as Program.parse\('3:5x0', n_layers=6\)"
    for programs in ("3:5x0", ["3:5x0", "identity"]):
        with pytest.raises(ProgramError, match=message):
            stack.generate(["a", "b"], programs)


def test_seeds_of_nothing_are_not_dropped(stack):
    with pytest.raises(BatchError, match="seeds are of random draws: give sampling too"):
        stack.generate(**USUAL, seeds=[1, 2])


def test_number_formats_of_torch_are_taken():
    model = build("llama")
    assert skiploop.load(model, dtype=torch.float32, device=torch.device("cpu")).model is model
