"""A dense table of verdicts: questions x programs, against Hugging Face `generate` on views.

    python benchmarks/grid.py --dtype float32

Checks first that every verdict is that of the reference (float32: none may differ), then times
both. The reference runs one program at a time on all questions; a second one runs one pair at a
time, on a sample. The table at four times the work shows how the cost grows.
"""

import random
import time

from measure import (
    arguments,
    in_turns,
    layer_flops,
    load,
    must_be_equal,
    peak_gflops,
    peak_memory_gb,
    ratio,
    report,
    spread,
)
from necessary import n_necessary
from reference import answers, stop_tokens

import skiploop
from skiploop import Program, ProgramSpace
from skiploop.engine.counters import Work
from skiploop.engine.plan.beginnings import common_length

SINGLE_PAIRS = 24


def main():
    options = arguments(__doc__, questions=64, programs=64, level="1,2,3", linear=1)
    peak = peak_gflops(options)
    stack = load(options)
    task = skiploop.get_task("arithmetic", level=options.level)
    examples = task.examples("train", 2 * options.questions)
    space = ProgramSpace(stack.n_layers)
    edits = space.edits(Program.identity(stack.n_layers))
    random.Random(0).shuffle(edits)
    programs = [Program(stack.n_layers, (edit,)) for edit in edits]
    some, few = programs[: options.programs], examples[: options.questions]
    ends = stop_tokens(stack, "\n")
    prompts = [task.prompt(example) for example in few]

    tables = {}
    column_seconds = []
    seconds_of = {}

    def engine():
        stack.work = Work()
        started = time.perf_counter()
        tables["engine"] = skiploop.score_grid(stack, task, few, some)
        seconds_of["engine"] = time.perf_counter() - started

    def by_program():
        columns = []
        for program in some:
            started = time.perf_counter()
            texts = answers(
                stack.view(program), stack, prompts, max_new_tokens=task.max_new_tokens, ends=ends
            )
            columns.append([g.correct for g in task.grade_many(few, texts)])
            column_seconds.append(time.perf_counter() - started)
        tables["by program"] = [list(row) for row in zip(*columns, strict=True)]

    skiploop.score_grid(stack, task, few[:4], some[:4])  # warm up
    engine()
    memory = peak_memory_gb(options)  # before the reference has run
    seconds = in_turns({"engine": engine, "by program": by_program}, options.repeats)
    n_pairs = len(few) * len(some)
    differing = sum(
        one != other
        for row, expected in zip(tables["engine"], tables["by program"], strict=True)
        for one, other in zip(row, expected, strict=True)
    )
    if must_be_equal(options) and differing:
        raise SystemExit(f"{differing} of {n_pairs} verdicts differ from the reference")

    tokens = {example.id: stack.tokenizer(task.prompt(example))["input_ids"] for example in few}
    drafts = {
        example.id: stack.tokenizer(task.prompt(example) + task.draft(example))["input_ids"]
        for example in few
    }
    rng = random.Random(1)
    pairs = [(rng.choice(prompts), rng.choice(some)) for _ in range(SINGLE_PAIRS)]
    started = time.perf_counter()
    for prompt, program in pairs:
        answers(stack.view(program), stack, [prompt], max_new_tokens=task.max_new_tokens, ends=ends)
    single = (time.perf_counter() - started) / SINGLE_PAIRS

    engine_s = sorted(seconds["engine"])[len(seconds["engine"]) // 2]
    reference_s = sorted(seconds["by program"])[len(seconds["by program"]) // 2]
    necessary, with_drafts = (
        n_necessary([(ids[example.id], program.path) for example in few for program in some])
        for ids in (tokens, drafts)
    )
    # The same where questions share only the start that all of them have.
    n_start = min(common_length(drafts[few[0].id], drafts[example.id]) for example in few)
    apart = {
        example.id: drafts[example.id][:n_start]
        + [(example.id, token) for token in drafts[example.id][n_start:]]
        for example in few
    }
    one_start = n_necessary([(apart[e.id], program.path) for e in few for program in some])
    work = stack.work
    gflops = work.n_layer_tokens * layer_flops(stack) / engine_s / 1e9
    figures = {
        "benchmark": "grid",
        "pairs": n_pairs,
        "verdicts_differing": differing,
        "engine_pairs_per_s": round(n_pairs / engine_s, 1),
        "by_program_pairs_per_s": round(n_pairs / reference_s, 1),
        "one_by_one_pairs_per_s": round(1 / single, 2),
        "by_program_seconds_per_program": spread(column_seconds),
        "ratio_by_program": ratio(seconds["by program"], seconds["engine"]),
        "ratio_one_by_one": round(single * n_pairs / engine_s, 1),
        "executed": work.n_layer_tokens,
        "necessary_prompts": necessary,
        "necessary_with_drafts": with_drafts,
        "executed_over_necessary": round(work.n_layer_tokens / necessary, 3),
        "executed_over_necessary_with_drafts": round(work.n_layer_tokens / with_drafts, 3),
        "executed_over_necessary_with_one_start": round(work.n_layer_tokens / one_start, 3),
        "gflops_layers": round(gflops, 1),
        "gflops_peak": round(peak, 1),
        "share_of_peak": round(gflops / peak, 3),
        "peak_memory_gb": round(memory, 2),
        "work": work.to_json(),
    }
    if options.linear:
        more_questions, more_programs = (
            examples[: 2 * options.questions],
            programs[: 2 * options.programs],
        )
        started = time.perf_counter()
        skiploop.score_grid(stack, task, more_questions, more_programs)
        four = time.perf_counter() - started
        engine()
        n_more = len(more_questions) * len(more_programs)
        per_pair = four / n_more / (seconds_of["engine"] / n_pairs)
        figures["cost_per_pair_at_four_times_the_work"] = round(per_pair, 3)
    lines = [f"{name:>40}  {value}" for name, value in figures.items()]
    report(options, lines, figures)


if __name__ == "__main__":
    main()
