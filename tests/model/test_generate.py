"""Greedy generation: against Hugging Face's own, and its stop rules."""

import dataclasses
import math
import re

import families
import pytest
import torch
from families import FAMILIES, MIXED_FAMILIES, N_LAYERS, load, restacked, tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

import skiploop
from skiploop.box import CLOSED_BOX
from skiploop.engine.batching import rows as batch
from skiploop.engine.cache.slots import attends_fully
from skiploop.engine.decoding.stop import StopFinder, cut
from skiploop.engine.decoding.written import decode
from skiploop.engine.tuning import CPU
from skiploop.errors import BatchError, ConfigError, ProgramError
from skiploop.programs.program import Program

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "0:2x0 3:5x0", "0:6x2", "5:6x0")
]
PROMPTS = ["the end", "12+7=", "a", "hello there, you?", "on and on", "3*4=\n"]


def alone(model, prompt, n_new, **settings):
    inputs = tokenizer()([prompt], return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=n_new, do_sample=False, **settings)
    return tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_mixed_batch_writes_what_each_row_writes_alone(family):
    stack = load(family)
    completions = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=10)
    for prompt, program, completion in zip(PROMPTS, PROGRAMS, completions, strict=True):
        if family in FAMILIES:
            assert completion.token_ids == alone(stack.view(program), prompt, 10)
        else:
            copied = restacked(stack.model, program)
            assert completion.token_ids == alone(copied, prompt, 10, use_cache=False)
        assert completion.program == program
        assert completion.stopped_by == "length"
        assert completion.text == decode(stack.tokenizer, completion.token_ids)


def test_logprob_is_the_sum_over_the_written_tokens():
    stack = load("qwen3")
    for prompt, completion in zip(PROMPTS, stack.generate(PROMPTS, PROGRAMS), strict=True):
        tokens = stack.tokenizer(prompt)["input_ids"]
        whole = torch.tensor([[*tokens, *completion.token_ids]])
        with torch.no_grad():
            logits = stack.view(completion.program)(whole).logits[0, len(tokens) - 1 : -1]
        each = logits.log_softmax(-1).gather(-1, whole[0, len(tokens) :, None])
        assert completion.logprob == pytest.approx(float(each.sum()), abs=1e-3)


def test_results_come_in_the_order_of_the_prompts_whatever_the_batches(tune):
    stack = load("llama")
    prompts, programs = PROMPTS * 5, (PROGRAMS * 6)[: len(PROMPTS) * 5]
    programs = programs[::-1]
    expected = stack.generate(prompts, programs, max_new_tokens=6)
    tune(tokens=40)
    small = stack.generate(prompts, programs, max_new_tokens=6)
    assert [c.token_ids for c in small] == [c.token_ids for c in expected]
    assert [c.program for c in small] == programs


def test_batches_respect_all_limits_and_keep_equal_prompts_together(tune):
    rows = [batch.Row(i, (i % 20,) * (21 + i % 20), PROGRAMS[i % 3]) for i in range(300)]
    stack = load("llama")
    for_24_tokens = CPU.call_flops * 24 / batch.call_tokens(stack)
    tune(call_flops=for_24_tokens)
    batches = list(batch.split(stack, rows))
    assert sorted(row.index for rows in batches for row in rows) == list(range(300))
    for rows in batches:
        lengths = [len(row.tokens) for row in rows]
        assert len(rows) * max(lengths) <= CPU.tokens
        assert sum(max(lengths) - length for length in lengths) <= 24
        assert lengths == sorted(lengths, reverse=True)
    wide = [batch.Row(i, (1,) * 4000, PROGRAMS[0]) for i in range(5)]
    assert [len(rows) for rows in batch.split(load("llama"), wide)] == [1] * 5
    heavy = [batch.Row(i, (1, 2), PROGRAMS[0], n_bytes=300) for i in range(9)]
    stack = load("llama")
    stack.memory = 2000
    assert [len(rows) for rows in batch.split(stack, heavy)] == [3, 3, 3]


def test_memory_splits_the_work_says_so_and_refuses_a_row_that_cannot_fit(caplog):
    caplog.set_level("INFO", "skiploop")
    stack = load("llama")
    expected = [c.token_ids for c in stack.generate(PROMPTS, PROGRAMS, max_new_tokens=6)]
    stack.memory = 2 * 12 * (17 + 6 + CPU.growth) * stack.token_bytes  # one row of 12 slots
    assert [c.token_ids for c in stack.generate(PROMPTS, PROGRAMS, max_new_tokens=6)] == expected
    assert re.search(r"6 rows may need .* GB of keys and values, .* batches", caplog.text)
    stack.memory = 1000
    with pytest.raises(
        BatchError, match=r"needs \d+,\d+ bytes of keys and values, but one batch has 500"
    ):
        stack.generate(PROMPTS[:1], PROGRAMS[1], max_new_tokens=9)


def test_an_exact_row_is_the_same_to_the_last_bit_whatever_else_is_asked_for():
    stack = skiploop.load(families.build("llama"), tokenizer=tokenizer(), exact=True)
    many = stack.generate(PROMPTS * 2, PROGRAMS * 2, max_new_tokens=6)
    for prompt, program, completion in zip(PROMPTS, PROGRAMS, many[: len(PROMPTS)], strict=True):
        assert stack.generate([prompt], program, max_new_tokens=6) == [completion]
    with pytest.raises(ConfigError, match="use dtype float32"):
        skiploop.load(families.build("llama", torch.bfloat16), exact=True)


def test_an_end_token_ends_its_row_and_no_other():
    stack = load("llama")
    free = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=12)
    ends = {free[0].token_ids[3], free[2].token_ids[0]}
    stack.model.generation_config.eos_token_id = sorted(ends)
    for before, completion in zip(
        free, stack.generate(PROMPTS, PROGRAMS, max_new_tokens=12), strict=True
    ):
        at = [i for i, token in enumerate(before.token_ids) if token in ends]
        n_kept = at[0] + 1 if at else 12
        assert completion.token_ids == before.token_ids[:n_kept]
        assert completion.stopped_by == ("eos" if at else "length")
        text = before.token_ids[: at[0]] if at else before.token_ids
        assert completion.text == decode(stack.tokenizer, text)
    assert free[2].token_ids[0] in ends  # a row that ends with its first token is covered


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_rows_leave_the_batch_without_changing_the_others(tune, share):
    stack = load("lfm2")
    free = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=12)
    stack.model.generation_config.eos_token_id = [c.token_ids[4] for c in free[::2]]
    tune(call_flops=1e12, shrink_at=share)  # in one; never, or as soon as a row is finished
    sizes = []
    stack.model.lm_head.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    completions = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=12)
    for before, completion in zip(free, completions, strict=True):
        assert completion.token_ids == before.token_ids[: len(completion.token_ids)]
    assert {c.stopped_by for c in completions} == {"eos", "length"}
    assert sizes[0] == len(PROMPTS)
    assert (sizes[-1] < len(PROMPTS)) == (share == 1.0)


@pytest.mark.parametrize("n_characters", [1, 2, 4])
def test_a_stop_string_ends_a_row_also_across_tokens(n_characters):
    stack = load("mistral")
    free = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=16)
    stop = free[1].text[5 : 5 + n_characters]
    completions = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=16, stop=[stop, "never"])
    for before, completion in zip(free, completions, strict=True):
        written = stack.tokenizer.decode(before.token_ids)  # special tokens are text, too
        at = written.find(stop)
        assert completion.text == cut(decode(stack.tokenizer, completion.token_ids), [stop])
        assert completion.stopped_by == ("stop" if at >= 0 else "length")
        n_tokens = len(completion.token_ids)
        assert completion.token_ids == before.token_ids[:n_tokens]
        if at >= 0:  # the last token is the one that completed it
            assert stop not in stack.tokenizer.decode(completion.token_ids[:-1])
            assert stop in stack.tokenizer.decode(completion.token_ids)
    assert completions[1].stopped_by == "stop"


@pytest.mark.parametrize(
    ("text", "stop"),
    [("a€ the end", "the e"), ("a€€b\n", "€b"), ("no\n\nyes", "\n\n"), ("end", "en"), ("€", "€")],
)
def test_stop_strings_are_found_at_the_token_that_completes_them(text, stop):
    tokens = tokenizer()(text)["input_ids"]
    finder = StopFinder(tokenizer(), [stop], frozenset())
    found = [
        bool(finder.watched(torch.tensor([token]))) and finder.has_stop(tokens[: n + 1])
        for n, token in enumerate(tokens)
    ]
    complete = [stop in decode(tokenizer(), tokens[:n]) for n in range(1, len(tokens) + 1)]
    assert found.index(True) == complete.index(True)
    assert cut(text, [stop, "absent"]) == text[: text.find(stop)]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (r"So \boxed{7}. Or \boxed{8}", r"So \boxed{7}"),
        (r"\boxed{\frac{1}{2}} is it}", r"\boxed{\frac{1}{2}}"),
        (r"{1} \fbox{2} \fboxed{3}}}", r"{1} \fbox{2} \fboxed{3}"),
    ],
)
def test_the_first_box_that_closes_cuts_after_its_last_brace(text, kept):
    assert cut(text, ["absent", CLOSED_BOX]) == kept
    assert cut(kept[:-1], [CLOSED_BOX]) == kept[:-1]  # an open box ends nothing


def test_the_first_of_several_stop_strings_cuts():
    assert cut("one two three", ["three", "two", "four"]) == "one "
    assert cut("one", []) == "one"


def test_one_program_for_all_prompts():
    stack = load("gpt2")
    one = stack.generate(PROMPTS, PROGRAMS[1], max_new_tokens=4)
    assert one == stack.generate(PROMPTS, [PROGRAMS[1]] * len(PROMPTS), max_new_tokens=4)
    assert stack.generate([], [], max_new_tokens=4) == []


def test_generation_leaves_the_model_as_it_was():
    stack = load("qwen2_moe")
    tokens = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        plain = stack.model(tokens).logits
        config = stack.model.config.to_dict()
        stack.generate(PROMPTS, PROGRAMS, max_new_tokens=3)
        assert torch.equal(stack.model(tokens).logits, plain)
    assert stack.model.config.to_dict() == config


def test_routers_that_a_config_wants_recorded_do_not_disturb():
    stack = load("qwen3_moe")
    expected = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=3)
    stack.model.config.output_router_logits = True
    assert stack.generate(PROMPTS, PROGRAMS, max_new_tokens=3) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": ["a", ""]}, "prompt 1 has no tokens"),
        ({"prompts": "ab"}, "prompts must be a list"),
        ({"stop": "END"}, "stop must be a list"),
        ({"stop": [""]}, "no empty stop string"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0: give a whole number, at least 1"),
        ({"prompts": ["a", "b" * 120]}, "prompt 1 has 120 tokens and may get 16 more, but .* 128"),
        ({"programs": PROGRAMS[:1]}, "2 prompts but 1 programs"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    stack = load("llama")
    usual = {"prompts": ["a", "b"], "programs": PROGRAMS[:2], "max_new_tokens": 16, "stop": ["x"]}
    with pytest.raises(BatchError, match=message):
        stack.generate(**usual | arguments)


def test_a_program_for_another_depth_is_refused():
    with pytest.raises(ProgramError, match="has 6"):
        load("llama").generate(["a"], Program.identity(5))


def test_logits_that_are_not_numbers_end_their_own_row_only():
    stack = load("llama")
    with torch.no_grad():
        stack.layers[2].mlp.down_proj.weight.fill_(math.inf)
    programs = [Program.parse("2:3x0", N_LAYERS), PROGRAMS[1]]
    sound, broken = stack.generate(["a", "b"], programs)
    assert (broken.token_ids, broken.stopped_by) == ((), "nan") and math.isnan(broken.logprob)
    assert sound.token_ids == stack.generate(["a"], programs[:1])[0].token_ids


def test_a_row_without_numbers_does_not_disturb_others_that_are_drawn():
    stack = load("llama")
    with torch.no_grad():
        stack.layers[2].mlp.down_proj.weight.fill_(math.inf)
    programs = [Program.parse("2:3x0", N_LAYERS), PROGRAMS[1]]
    settings = {"sampling": skiploop.Sampling(), "max_new_tokens": 5}
    sound, broken = stack.generate(["a", "b"], programs, seeds=[1, 2], **settings)
    assert broken.stopped_by == "nan"
    (alone,) = stack.generate(["a"], programs[:1], seeds=[1], **settings)
    assert sound.token_ids == alone.token_ids


def test_windows_and_distances_that_count_keys_do_not_attend_fully():
    assert attends_fully(families.build("llama"))
    for family in ("mistral", "qwen2_sliding", "lfm2"):
        assert not attends_fully(families.build(family))
    config = AutoConfig.for_model("gpt_neo", num_layers=2, attention_types=[[["local"], 2]])
    config.hidden_size, config.num_heads, config.vocab_size = 32, 4, 72
    assert not attends_fully(AutoModelForCausalLM.from_config(config))


def test_a_stack_without_tokenizer_takes_no_text():
    with pytest.raises(ConfigError, match="without a tokenizer"):
        skiploop.load(families.build("llama")).generate(["a"], PROGRAMS[0])


def test_padding_counts_as_memory(tune):
    tune(call_flops=1e12)
    stack, program = load("llama"), PROGRAMS[0]
    node = program.n_slots * stack.token_bytes
    lengths = [60, *[5] * 40]
    rows = [batch.Row(i, (1,) * n, program, n_bytes=n * node) for i, n in enumerate(lengths)]
    stack.memory = 2 * 240 * node
    batches = list(batch.split(stack, rows))
    assert [max(len(row.tokens) for row in some) * len(some) for some in batches] == [240, 185]


def test_completions_are_values():
    completion = load("llama").generate(["a"], PROGRAMS[0])[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        completion.text = "b"


def test_candidates_of_several_prompts_never_exceed_the_rows_of_a_batch(conformance, tune):
    (case,) = (c for c in conformance["search_rules"] if c["id"] == "passk_chunk")
    n_prompts, k = 20, case["k"]
    rows = [batch.Row(i, [1, 2, 3], PROGRAMS[i % k % len(PROGRAMS)]) for i in range(n_prompts * k)]
    tune(rows=case["batch_size"])
    batches = list(batch.split(load("llama"), rows))
    assert max(map(len, batches)) <= case["batch_size"]
    assert max(map(len, batches)) // k == case["max_prompts_per_call"]
