"""The engine on the packaged model: against Hugging Face's own generate, one pair at a time."""

import pytest
import torch

import skiploop
from skiploop import Options, Program
from skiploop.box import CLOSED_BOX
from skiploop.engine.cache.states import StateCache

pytestmark = pytest.mark.slow

PROGRAMS = (
    "identity",
    "14:15x2",
    "15:16x0",
    "3:5x0 20:22x2",
    "0:1x2",
    "28:30x0",
    "13:17x3~0.5",
    "14:15x2~0.25 20:22x2",
)


@pytest.fixture(scope="module")
def stack():
    torch.set_num_threads(1)
    return skiploop.load("smollm2-135m")


@pytest.fixture(scope="module")
def pairs(stack):
    task = skiploop.get_task("arithmetic", level="1,2,3")
    programs = [Program.parse(text, stack.n_layers) for text in PROGRAMS]
    return [(task, e, p) for e in task.examples("train", 6) for p in programs]


@pytest.fixture(scope="module")
def alone(stack, pairs):
    """The text that a view writes for each pair, the newline and what follows cut off."""
    texts = []
    for task, example, program in pairs:
        inputs = stack.tokenizer([task.prompt(example)], return_tensors="pt")
        n_prompt = inputs["input_ids"].shape[1]
        output = stack.view(program).generate(**inputs, max_new_tokens=5, do_sample=False)
        text = stack.tokenizer.decode(output[0, n_prompt:], skip_special_tokens=True)
        texts.append(text.partition("\n")[0])
    return texts


def texts_of(stack, pairs, **settings):
    prompts = [task.prompt(example) for task, example, _ in pairs]
    options = Options(max_new_tokens=5, stop=["\n"], **settings)
    columns = stack.stream(prompts, [program for *_, program in pairs], options)
    finished = {row: c.text for column in columns for row, c in column.finished.items()}
    return [finished[row] for row in range(len(pairs))]


def test_shared_starts_and_layers_change_no_text(stack, pairs, alone):
    assert texts_of(stack, pairs) == alone


def test_drafts_change_no_text(stack, pairs, alone):
    drafts = [task.draft(example) for task, example, _ in pairs]
    assert texts_of(stack, pairs, drafts=drafts) == alone


def test_saved_states_change_no_text(stack, pairs, alone):
    saved = StateCache(10**8)
    n_programs = len(PROGRAMS)
    for at in range(n_programs):  # one program after the other, as a search does
        column = pairs[at::n_programs]
        drafts = [task.draft(example) for task, example, _ in column]
        assert texts_of(stack, column, drafts=drafts, saved=saved) == alone[at::n_programs]
    assert len(saved) > 0


def test_a_table_holds_the_verdicts_of_whole_texts_and_resumes(stack, pairs, alone, tmp_path):
    task = pairs[0][0]
    examples = list(dict.fromkeys(example for _, example, _ in pairs))
    programs = [program for *_, program in pairs[: len(PROGRAMS)]]
    path = tmp_path / "grid.sqlite"
    first = skiploop.score_grid(stack, task, examples[:2], programs, path=path)
    table = skiploop.score_grid(stack, task, examples, programs, path=path)
    verdicts = [task.grade(e, t).correct for (_, e, _), t in zip(pairs, alone, strict=True)]
    assert table.ravel().tolist() == verdicts
    assert (table[:2] == first).all()
    assert {True, False} == set(verdicts)


def test_the_identity_writes_what_the_plain_model_writes(stack):
    (completion,) = stack.generate(["Once upon a time"], Program.identity(30), max_new_tokens=20)
    inputs = stack.tokenizer(["Once upon a time"], return_tensors="pt")
    output = stack.model.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert completion.token_ids == tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


def test_a_closed_box_ends_the_answer_where_the_whole_text_closes_it(stack):
    prompt = "2 + 2 = \\boxed{4}, done.\n1 + 1 = \\boxed{2}, done.\n2 + 1 ="
    (whole,) = stack.generate([prompt], Program.identity(30), max_new_tokens=20)
    (closed,) = stack.generate([prompt], Program.identity(30), max_new_tokens=20, stop=[CLOSED_BOX])
    end = whole.text.index("}") + 1
    assert closed.text == whole.text[:end] and "\\boxed{" in closed.text
    assert closed.stopped_by == "stop" and len(closed.token_ids) < len(whole.token_ids)
