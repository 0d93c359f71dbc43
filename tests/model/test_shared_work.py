"""What is computed once for many rows, checked ahead, or kept: against each row from scratch."""

import pytest
import torch
from families import FAMILIES, N_LAYERS, load

from skiploop.engine.cache.states import StateCache
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.engine.options import Options
from skiploop.errors import BatchError
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace

SPACE = ProgramSpace(N_LAYERS)
SINGLE_EDITS = [Program(N_LAYERS, (edit,)) for edit in SPACE.edits(Program.identity(N_LAYERS))]
PROGRAMS = SINGLE_EDITS[::4]
START = "one and the same start, "
PROMPTS = [START + end for end in ("12+7=", "a", "hello there, you?")]
PAIRS = [(prompt, program) for prompt in PROMPTS for program in PROGRAMS]
N_NEW = 5
every_family = pytest.mark.parametrize("family", FAMILIES)


def alone(stack, pairs=PAIRS):
    """The completion of every pair in a batch of its own."""
    return [stack.generate([p], program, max_new_tokens=N_NEW)[0] for p, program in pairs]


def together(stack, pairs=PAIRS, **settings):
    prompts, programs = zip(*pairs, strict=True)
    columns = stack.stream(prompts, programs, Options(max_new_tokens=N_NEW, **settings))
    finished = {row: c for column in columns for row, c in column.finished.items()}
    return [finished[row] for row in range(len(pairs))]


def assert_same(completions, expected):
    assert [c.token_ids for c in completions] == [c.token_ids for c in expected]
    assert [c.stopped_by for c in completions] == [c.stopped_by for c in expected]
    logprobs = [c.logprob for c in expected]
    assert [c.logprob for c in completions] == pytest.approx(logprobs, abs=1e-3)


def counted(stack):
    """Return a list that fills with the layer-token products of every layer call."""
    products = []
    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, args: products.append(args[0].shape[:2].numel()))
    return products


@every_family
def test_rows_that_share_prompts_and_layers_write_what_they_write_alone(family):
    stack = load(family)
    assert_same(together(stack), alone(stack))


def test_what_rows_share_is_computed_once():
    stack = load("llama")
    prompts = [START + end for end in ("12+7=", "34+5=")]
    pairs = [(prompt, program) for prompt in prompts for program in PROGRAMS]
    n_own = 5
    n_shared = len(stack.tokenizer(START)["input_ids"])
    beginnings = {p.path[:n] for p in PROGRAMS for n in range(1, p.n_slots + 1)}
    stack.generate(["a"], PROGRAMS[0])  # probes run once, before the count
    products = counted(stack)
    stack.generate(*zip(*pairs, strict=True), max_new_tokens=1)
    assert sum(products) == len(beginnings) * (n_shared + n_own * len(prompts))


@pytest.mark.parametrize(("family", "pays"), [("llama", True), ("mistral", False)])
def test_a_common_start_runs_alone_only_where_padding_after_it_is_safe(family, pays):
    stack = load(family)
    products = counted(stack)
    stack.generate(PROMPTS, PROGRAMS[0], max_new_tokens=1)
    n_shared = len(stack.tokenizer(START)["input_ids"])
    assert (products.count(n_shared) == PROGRAMS[0].n_slots) == pays


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize(("call_flops", "is_shared"), [(1.7e8, True), (1e12, False)])
def test_a_common_start_is_not_run_alone_where_its_calls_take_longer(
    tune, call_flops, is_shared, remembers
):
    tune(call_flops=call_flops)
    stack = load("llama")
    expected = alone(stack)
    lengths = set()
    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, args: lengths.add(args[0].shape[1]))
    saved = StateCache(10**7) if remembers else None
    assert_same(together(stack, saved=saved), expected)
    assert (len(stack.tokenizer(START)["input_ids"]) in lengths) == is_shared


@every_family
@pytest.mark.parametrize("wrong_at", [0, 1, 3, None])
def test_drafts_change_nothing_that_is_written(family, wrong_at):
    stack = load(family)
    expected = alone(stack)
    drafts = []
    for completion in expected:
        at = len(completion.text) if wrong_at is None else wrong_at
        drafts.append(completion.text[:at] + ("" if wrong_at is None else "zq"))
    assert_same(together(stack, drafts=drafts), expected)


def test_a_right_draft_saves_every_decoding_step():
    stack = load("llama")
    pair = (PROMPTS[0], PROGRAMS[0])
    (expected,) = alone(stack, [pair])
    products = counted(stack)
    assert_same(together(stack, [pair], drafts=[expected.text]), [expected])
    assert len(products) == PROGRAMS[0].n_slots


def test_a_draft_that_goes_on_behind_another_token_saves_the_other_steps(tune):
    tune(call_flops=1e12)  # nothing that prompts start with runs alone
    stack = load("llama")
    pair = (PROMPTS[0], PROGRAMS[0])
    (expected,) = alone(stack, [pair])
    draft = stack.tokenizer.decode(expected.token_ids[1:])
    products = counted(stack)
    assert_same(together(stack, [pair], drafts=[draft], saved=StateCache(10**7)), [expected])
    assert len(products) == 2 * PROGRAMS[0].n_slots


def test_an_answer_is_decided_only_where_it_leaves_its_draft():
    stack = load("llama")
    expected = alone(stack)
    drafts = [completion.text[:2] for completion in expected]
    asked = {}

    def decided(row, text):
        asked[row] = text
        return row % 2 == 0

    completions = together(stack, drafts=drafts, decided=decided)
    assert sorted(asked) == list(range(len(PAIRS)))
    for row, (completion, full) in enumerate(zip(completions, expected, strict=True)):
        assert full.text.startswith(asked[row])
        if row % 2 == 0:
            assert completion.stopped_by == "decided"
            assert completion.text.rstrip("\ufffd") == asked[row]
            assert completion.token_ids == full.token_ids[: len(completion.token_ids)]
        else:
            assert completion.token_ids == full.token_ids


@every_family
def test_what_starts_from_saved_states_is_what_starts_from_the_prompt(family):
    stack = load(family)
    saved = StateCache(10**7)
    for program in PROGRAMS:  # as a search does: one program a prompt at a time
        pairs = [(prompt, program) for prompt in PROMPTS]
        assert_same(together(stack, pairs, saved=saved), alone(stack, pairs))


def test_saved_states_save_the_layers_that_were_run_before():
    stack = load("llama")
    programs = [Program.identity(N_LAYERS), Program.parse("4:5x0", N_LAYERS)]
    saved = StateCache(10**7)
    drafts = [completion.text for completion in alone(stack, [(PROMPTS[0], p) for p in programs])]
    products = counted(stack)
    calls = []
    for program in programs:
        options = {"saved": saved, "drafts": [drafts[0][:1]], "decided": lambda *_: True}
        together(stack, [(PROMPTS[0], program)], **options)
        calls.append(len(products))
        products.clear()
    # The start of the prompt and what follows it; the second program skips layer 4 after four
    # layers that are known.
    assert calls == [2 * 6, 2 * 1]


def test_the_first_call_saves_states_where_prompts_share_no_start():
    saved = StateCache(10**7)
    together(load("mistral"), PAIRS[:3], saved=saved)
    assert len(saved) > 0


def test_saved_states_stay_within_their_memory_and_drop_the_oldest():
    stack = load("llama")
    saved = StateCache(10_000)
    for program in PROGRAMS:
        together(stack, [(PROMPTS[0], program)], saved=saved)
        assert 0 < saved.n_bytes <= 10_000
    tokens = tuple(stack.tokenizer(PROMPTS[0])["input_ids"])
    assert saved.longest(tokens, PROGRAMS[-1].path)[0] > saved.longest(tokens, PROGRAMS[0].path)[0]


@pytest.mark.parametrize("stop", [["q"], ["th", "zq"]])
def test_ends_inside_a_draft_are_found(stop):
    stack = load("gpt_neox")
    plain = together(stack, stop=stop)
    eos = plain[0].token_ids[-1]
    for drafts in ([c.text + stop[0] + "more" for c in plain], ["", "a", *stop] * len(PAIRS)):
        assert_same(together(stack, stop=stop, drafts=drafts[: len(PAIRS)]), plain)
    free = together(stack)
    stack.model.generation_config.eos_token_id = eos
    assert_same(together(stack, drafts=[c.text for c in free]), together(stack))


def test_one_new_token_takes_no_draft_and_no_step():
    stack = load("llama")
    prompts, programs = zip(*PAIRS, strict=True)
    options = Options(max_new_tokens=1, drafts=["ab"] * len(PAIRS))
    columns = list(stack.stream(prompts, programs, options))
    assert sum(len(column.rows) for column in columns) == len(PAIRS)
    assert sum(len(column.finished) for column in columns) == len(PAIRS)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_columns_hold_the_tokens_of_the_completions_in_order(family):
    stack = load(family)
    drafts = [c.text[: i % 4] + "a" * (i % 3) for i, c in enumerate(alone(stack))]
    prompts, programs = zip(*PAIRS, strict=True)
    written, finished = {row: [] for row in range(len(PAIRS))}, {}
    options = Options(max_new_tokens=N_NEW, drafts=drafts)
    for column in stack.stream(prompts, programs, options):
        assert not finished.keys() & set(column.rows)
        for row, token in zip(column.rows, column.tokens_B.tolist(), strict=True):
            written[row].append(token)
        finished |= column.finished
    assert {row: tuple(tokens) for row, tokens in written.items()} == {
        row: completion.token_ids for row, completion in finished.items()
    }


def test_what_is_judged_has_no_part_of_a_character_or_of_a_stop_string():
    from skiploop.engine.decoding.stop import without_part_of

    assert without_part_of([" END", "\n"], "67 E") == "67"
    assert without_part_of([" END", "\n"], "67 EX") == "67 EX"
    assert without_part_of(["\n"], "67") == "67"
    assert without_part_of([], "67") == "67"


def test_lists_that_do_not_fit_the_prompts_are_refused():
    with pytest.raises(BatchError, match="9 prompts but 1 drafts"):
        together(load("llama"), PAIRS[:9], drafts=["a"])


def as_a_search(stack, saved, pairs_of_steps, **settings):
    """Run steps of pairs one after the other, and compare with every pair alone."""
    for pairs in pairs_of_steps:
        assert_same(together(stack, pairs, saved=saved, **settings), alone(stack, pairs))
        assert saved.n_bytes <= saved.max_bytes


@every_family
@pytest.mark.parametrize("max_bytes", [0, 5_000, 40_000, 10**7])
def test_a_search_that_forgets_writes_what_one_that_remembers_writes(family, max_bytes):
    stack = load(family)
    n_steps = 8
    steps = [  # each prompt goes through the programs from another place on
        [(prompt, PROGRAMS[(step + 3 * i) % len(PROGRAMS)]) for i, prompt in enumerate(PROMPTS)]
        for step in range(n_steps)
    ]
    as_a_search(stack, StateCache(max_bytes), steps)


@pytest.mark.parametrize("wrong_at", [0, 1])
def test_a_search_goes_on_after_drafts_that_are_wrong(wrong_at):
    stack = load("llama")
    saved = StateCache(10**7)
    for program in PROGRAMS[:4] * 2:
        pairs = [(prompt, program) for prompt in PROMPTS]
        expected = alone(stack, pairs)
        drafts = [completion.text[:wrong_at] + "zq" for completion in expected]
        assert_same(together(stack, pairs, saved=saved, drafts=drafts), expected)


def test_the_start_of_a_search_is_what_all_its_prompts_start_with():
    stack = load("llama")
    saved = StateCache(10**7)
    lengths = []
    for prompts in (PROMPTS[:1], PROMPTS[1:], PROMPTS, [START[:4] + "other"], PROMPTS, ["x"]):
        as_a_search(stack, saved, [[(prompt, PROGRAMS[0]) for prompt in prompts]])
        lengths.append(len(saved.start))
    n_tokens = len(stack.tokenizer(START)["input_ids"])
    assert lengths == [n_tokens + 4, n_tokens, n_tokens, 3, 3, 0]


def test_programs_of_a_table_are_taken_in_groups_whose_start_fits_into_memory():
    stack = load("llama")
    n_start = len(stack.tokenizer(START)["input_ids"])
    pairs = [(f"{START}{i}", program) for i in range(10) for program in SINGLE_EDITS]
    expected = stack.generate(*zip(*pairs, strict=True), max_new_tokens=1)
    shapes = []
    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape[:2]))
    stack.memory = 400_000  # the start of all programs takes twice its share of this
    assert_same(stack.generate(*zip(*pairs, strict=True), max_new_tokens=1), expected)
    n_nodes = len({p.path[:n] for p in SINGLE_EDITS for n in range(1, p.n_slots + 1)})
    n_run = sum(n_nodes for n_nodes, n_tokens in shapes if n_tokens == n_start)
    assert n_nodes < n_run < 2 * n_nodes


@pytest.mark.parametrize("late", [False, True])
def test_kinds_of_prompts_that_start_differently_share_their_own_starts(tune, late):
    tune(call_flops=1)
    stack = load("llama")
    kinds = ("one and the same start of these, ", "twenty others that start so: ")
    pairs = [(k + end, p) for end in ("12+7=", "34+5=", "a") for k in kinds for p in PROGRAMS]
    if late:
        pairs = [(prompt, PROGRAMS[-1]) for prompt, _ in pairs]
    expected = alone(stack, pairs)
    before = stack.work.n_layer_tokens
    prompts, programs = zip(*pairs, strict=True)
    choice = PrefillChoice(1, lambda numbers, _: [programs[n] for n in numbers])
    options = Options(max_new_tokens=N_NEW)
    columns = stack.stream(prompts, choice if late else programs, options)
    found = {row: c for column in columns for row, c in column.finished.items()}
    assert_same([found[row] for row in range(len(pairs))], expected)
    n_tokens = sum(len(stack.tokenizer(p)["input_ids"]) * g.n_slots for p, g in pairs)
    assert stack.work.n_layer_tokens - before < n_tokens


def test_a_draft_is_scored_with_every_token_that_ends_it():
    stack = load("llama")
    stop = ("th", "1")  # tokens `th`, `the` and `1` start with them
    options = Options(max_new_tokens=9, stop=stop, drafts=["on"], score_drafts=True)
    columns = stack.stream(["12+7="], PROGRAMS[:1], options)
    (scored,) = [c.draft_logprob for column in columns for c in column.finished.values()]
    tokens = stack.tokenizer("12+7=on")["input_ids"]
    with torch.no_grad():
        logits_TV = stack.view(PROGRAMS[0])(torch.tensor([tokens])).logits[0].log_softmax(-1)
    pieces = {stack.tokenizer.decode([token]): token for token in range(len(stack.tokenizer))}
    ends = [pieces[piece] for piece in ("th", "the", "1")]
    expected = logits_TV[-2, tokens[-1]] + logits_TV[-1, ends].logsumexp(0)
    assert scored == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.parametrize("work", ["generate", "choose", "late"])
def test_keys_and_values_of_batches_stay_within_the_memory(work):
    stack = load("llama")
    pairs = [
        (f"{prompt}{i}", program) for prompt in PROMPTS for i in range(9) for program in PROGRAMS
    ]
    prompts, programs = map(list, zip(*pairs, strict=True))
    stack.memory = 6 * 2 * max(p.n_slots for p in programs) * 80 * stack.token_bytes
    if work == "generate":
        stack.generate(prompts, programs, max_new_tokens=N_NEW)
    elif work == "choose":
        stack.choose(prompts, [["one", "nine and ten", "end of it"]] * len(prompts), programs)
    else:
        choice = PrefillChoice(1, lambda numbers, _: [PROGRAMS[-1]] * len(numbers))
        stack.generate(prompts, choice, max_new_tokens=N_NEW)
    assert 0 < stack.work.peak_cache_bytes <= stack.memory
