"""Tables of verdicts on a model of some shape: the first one, a large one, one in float32."""

import torch
from measure import layer_flops, n_differing, peak_gflops, peak_memory_gb, spread
from necessary import n_necessary
from reference import answers, tokens_with
from sized import arithmetic, make_stack, prompts

import skiploop
from skiploop.engine.counters import Work


def start(bench):
    """A small table and a few answers on a stack that nothing has run on; then the same again."""
    task = arithmetic()
    examples = task.examples("train", 8)

    def search():
        skiploop.score_grid(bench.stack, task, examples, bench.programs[:8])
        bench.write(prompts(8), bench.programs[:8], 20)

    first, again = bench.timed(search, 2).seconds
    return {"seconds": round(first, 2), "again": round(again, 3)}


def table(bench):
    """Verdicts on every question under every program."""
    stack, task = bench.stack, arithmetic()
    examples = task.examples("train", bench.sizes.questions)
    programs = bench.programs[: bench.sizes.programs]
    few = bench.sample(programs)
    texts = [task.prompt(example) for example in examples]
    ends = tokens_with(stack, "\n")

    def engine():
        stack.work = Work()
        skiploop.score_grid(stack, task, examples, programs)

    def one_program_at_a_time(programs=few):
        for program in programs:
            view = stack.view(program)
            answers(view, stack, texts, max_new_tokens=task.max_new_tokens, ends=ends)

    if bench.options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    engine()
    memory = peak_memory_gb(bench.options)  # before the reference has run
    ours = bench.timed(engine)
    one_program_at_a_time(few[:1])
    slow = bench.peer(one_program_at_a_time)
    rate = len(examples) * len(programs) / ours.best
    slow_rate = len(examples) * len(few) / slow.best
    drafted = [text + task.draft(one) for text, one in zip(texts, examples, strict=True)]
    tokens = [stack.tokenizer(text)["input_ids"] for text in drafted]
    necessary = n_necessary([(ids, program.path) for ids in tokens for program in programs])
    peak = peak_gflops(bench.options)
    gflops_a_token = layer_flops(stack) / 1e9

    def share_of_peak(n_layer_tokens):
        return round(n_layer_tokens * gflops_a_token / ours.best / peak, 4)

    return {
        "pairs": len(examples) * len(programs),
        "seconds": spread(ours.seconds),
        "pairs_per_s": round(rate, 1),
        "one_program_at_a_time_pairs_per_s": round(slow_rate, 1),
        "programs_run_one_at_a_time": len(few),
        "over_one_program_at_a_time": round(rate / slow_rate, 2),
        "share_of_peak": share_of_peak(stack.work.n_layer_tokens),
        "share_of_peak_necessary": share_of_peak(necessary),
        "gflops_peak": round(peak, 1),
        "executed_over_necessary": round(stack.work.n_layer_tokens / necessary, 3),
        "n_calls": stack.work.n_calls,
        "peak_memory_gb": round(memory, 2),
    }


def float32(bench):
    """A table in float32: every verdict, and every whole answer, against one program at a time."""
    exact = (
        bench.stack if bench.options.dtype == "float32" else make_stack(bench.options, "float32")
    )
    task = arithmetic()
    examples = task.examples("train", bench.sizes.exact)
    programs = bench.programs[: bench.sizes.exact]
    ends = tokens_with(exact, "\n")
    texts = [task.prompt(example) for example in examples]
    verdicts = skiploop.score_grid(exact, task, examples, programs)
    found = exact.generate(
        texts * len(programs),
        [program for program in programs for _ in texts],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
    )
    right, expected = [], []
    for program in programs:
        column = answers(
            exact.view(program), exact, texts, max_new_tokens=task.max_new_tokens, ends=ends
        )
        right += [grade.correct for grade in task.grade_many(examples, column)]
        expected += column
    n_verdicts = n_differing(verdicts.T.flatten(), right)
    n_answers = n_differing([one.text for one in found], expected)
    bench.must_agree(n_verdicts + n_answers, "float32 verdicts and answers")
    return {
        "pairs": len(examples) * len(programs),
        "layers": exact.n_layers,
        "verdicts_differing": n_verdicts,
        "answers_differing": n_answers,
        "different_answers": len(set(expected)),
    }
