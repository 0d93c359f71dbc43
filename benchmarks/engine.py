"""Token by token: mixed batches against one row at a time, one program and plain `generate`.

    python benchmarks/engine.py --dtype float32

Checks first that all sides write the same tokens (float32), then times them.
"""

import random

from measure import arguments, in_turns, load, must_be_equal, ratio, report
from reference import written

from skiploop import Program, ProgramSpace

N_ALONE = 8  # rows that are also run one by one, which is slow
TEXT = "The following story is about a small house at the edge of a forest. Once upon a time"


def main():
    options = arguments(__doc__, rows=32, tokens=64)
    stack = load(options)
    n_layers, n_new = stack.n_layers, options.tokens
    stack.model.generation_config.eos_token_id = None  # all sides write all tokens
    space = ProgramSpace(n_layers)
    edits = space.edits(Program.identity(n_layers))
    random.Random(0).shuffle(edits)
    programs = [Program(n_layers, (edit,)) for edit in edits[: options.rows]]
    words = TEXT.split()
    prompts = [" ".join(words[i % 5 : 8 + i % 9]) for i in range(options.rows)]
    passes = sum(program.n_slots for program in programs)
    mean = round(passes / len(programs))
    alike = Program.parse(f"10:{10 + max(mean - n_layers, 1)}x2", n_layers)
    plain = Program.identity(n_layers)

    def ids(prompts, programs):
        return [c.token_ids for c in stack.generate(prompts, programs, max_new_tokens=n_new)]

    def hugging_face(model, prompts):
        return written(model, stack, prompts, n_new)

    views = [stack.view(program) for program in programs[:N_ALONE]]

    def one_by_one():
        return [hugging_face(v, [p])[0] for v, p in zip(views, prompts[:N_ALONE], strict=True)]

    mixed = ids(prompts, programs)
    differing = sum(one != other for one, other in zip(mixed[:N_ALONE], one_by_one(), strict=True))
    identity_differing = sum(
        one != other
        for one, other in zip(ids(prompts, plain), hugging_face(stack.model, prompts), strict=True)
    )
    if must_be_equal(options) and (differing or identity_differing):
        raise SystemExit(f"{differing} mixed and {identity_differing} plain rows differ")

    longer = Program.parse("10:14x2 20:24x2", n_layers)
    sides = {
        "mixed": lambda: ids(prompts, programs),
        "one by one": one_by_one,
        "one program": lambda: ids(prompts, alike),
        "identity 1": lambda: ids(prompts[:1], plain),
        "generate 1": lambda: hugging_face(stack.model, prompts[:1]),
        "identity 32": lambda: ids(prompts, plain),
        "generate 32": lambda: hugging_face(stack.model, prompts),
        "longer 32": lambda: ids(prompts, longer),
    }
    seconds = in_turns(sides, options.repeats)
    per_pass = passes / (alike.n_slots * len(programs))
    slots = longer.n_slots / n_layers
    figures = {
        "benchmark": "engine",
        "rows": len(programs),
        "rows_run_one_by_one": N_ALONE,
        "rows_differing": differing,
        "mean_layer_passes": round(passes / len(programs), 2),
        "seconds": {name: [round(s, 3) for s in times] for name, times in seconds.items()},
        "mixed_over_one_by_one": ratio(
            [s * len(programs) / N_ALONE for s in seconds["one by one"]], seconds["mixed"]
        ),
        "mixed_over_one_program": ratio(
            [s * per_pass for s in seconds["one program"]], seconds["mixed"]
        ),
        "identity_over_generate_1": ratio(seconds["generate 1"], seconds["identity 1"]),
        "identity_over_generate_32": ratio(seconds["generate 32"], seconds["identity 32"]),
        "longer_over_identity_times_slots": ratio(
            seconds["longer 32"], [s * slots for s in seconds["identity 32"]]
        ),
    }
    lines = [f"{name:>40}  {value}" for name, value in figures.items()]
    report(options, lines, figures)


if __name__ == "__main__":
    main()
