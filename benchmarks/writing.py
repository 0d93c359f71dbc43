"""Token by token on a model of some shape: many rows, the plain model, mixed programs."""

import torch
from measure import n_differing, spread
from reference import written
from sized import mean_slots, prompts

from skiploop import Program
from skiploop.engine.counters import Work


def rows(bench):
    """Every question under every program, answers of the published length."""
    stack, n_new = bench.stack, bench.sizes.answer
    questions = prompts(bench.sizes.questions)
    programs = bench.programs[: bench.sizes.columns]
    few = bench.sample(programs)
    every = questions * len(programs)
    their = [program for program in programs for _ in questions]
    bench.write(questions, programs[0], n_new)  # warms up
    ours = bench.timed(lambda: bench.write(every, their, n_new))
    written(stack.view(few[0]), stack, questions, 2)
    slow = bench.peer(
        lambda: [row for p in few for row in written(stack.view(p), stack, questions, n_new)]
    )
    n_other = n_differing(ours.result, slow.result)
    bench.must_agree(n_other, "rows")
    rate, slow_rate = len(every) / ours.best, len(slow.result) / slow.best
    return {
        "rows": len(every),
        "prompt_tokens": spread([len(stack.tokenizer(q)["input_ids"]) for q in questions]),
        "seconds": spread(ours.seconds),
        "rows_per_s": round(rate, 1),
        "one_program_at_a_time_rows_per_s": round(slow_rate, 1),
        "programs_run_one_at_a_time": len(few),
        "over_one_program_at_a_time": round(rate / slow_rate, 2),
        "rows_differing": f"{n_other} of {len(slow.result)}",
    }


def plain(bench):
    """The plain model against its own `generate`, and against the time to read its weights."""
    limit = 1e3 * n_bytes_read(bench.stack.model) / bandwidth(bench)
    figures = {"ms_to_read_the_weights": round(limit, 3)}
    for n_rows in bench.sizes.rows:
        of_rows = plain_rows(bench, n_rows, limit)
        figures |= {f"{name}_{n_rows}": value for name, value in of_rows.items()}
    return figures


def plain_rows(bench, n_rows, limit):
    """Return the figures of the plain model on so many rows."""
    stack, n_new, some = bench.stack, bench.sizes.tokens, prompts(n_rows)
    identity = Program.identity(stack.n_layers)
    bench.write(some, identity, n_new)
    ours = bench.timed(lambda: bench.write(some, identity, n_new))
    longer = bench.timed(lambda: bench.write(some, identity, 2 * n_new), 2)
    written(stack.model, stack, some, 2)
    slow = bench.peer(lambda: written(stack.model, stack, some, n_new))
    n_other = n_differing(ours.result, slow.result)
    bench.must_agree(n_other, "plain rows")
    ms, steady = (1e3 * s / n_new for s in (ours.best, longer.best - ours.best))
    return {
        "seconds": spread(ours.seconds),
        "generate_seconds": spread(slow.seconds),
        "ms_a_token": round(ms, 3),
        "ms_a_token_once_started": round(steady, 3),
        "ms_a_token_over_limit": round(ms / limit, 2),
        "ms_a_token_once_started_over_limit": round(steady / limit, 2),
        "over_generate": round(slow.best / ours.best, 2),
        "rows_differing": f"{n_other} of {n_rows}",
    }


def mixed32(bench):
    """Rows with a program each, against rows of one program and against one row at a time."""
    stack, n_new = bench.stack, bench.sizes.tokens
    programs, some = bench.programs[: bench.sizes.mixed], prompts(bench.sizes.mixed)
    one = bench.alike(programs)
    few = bench.sample(range(len(some)))
    bench.write(some, programs, n_new)
    bench.write(some, one, n_new)
    ours = bench.timed(lambda: bench.write(some, programs, n_new))
    alike = bench.timed(lambda: bench.write(some, one, n_new))
    written(stack.view(programs[0]), stack, some[:1], 2)
    slow = bench.peer(
        lambda: [written(stack.view(programs[i]), stack, [some[i]], n_new)[0] for i in few]
    )
    n_other = n_differing(ours.result, slow.result)
    bench.must_agree(n_other, "mixed rows")
    per_pass = mean_slots(programs) / one.n_slots
    return {
        "rows": len(some),
        "seconds": spread(ours.seconds),
        "one_program_seconds": spread(alike.seconds),
        "mean_layer_passes": round(mean_slots(programs), 2),
        "one_program_layer_passes": one.n_slots,
        "ms_a_token": round(1e3 * ours.best / n_new, 2),
        "one_program_ms_a_token": round(1e3 * alike.best / n_new, 2),
        "over_one_program": round(per_pass * alike.best / ours.best, 3),
        "over_one_row_at_a_time": round(slow.best / len(few) * len(some) / ours.best, 2),
        "rows_run_one_at_a_time": len(few),
        "layer_calls_a_step": calls_a_step(bench, some, programs),
        "one_program_layer_calls_a_step": calls_a_step(bench, some, one),
        "rows_differing": f"{n_other} of {len(few)}",
    }


def mixed256(bench):
    """Many mixed rows, against `generate` of one program on as many rows."""
    stack, n_new, n_rows = bench.stack, bench.sizes.tokens, bench.sizes.many
    some = prompts(n_rows)
    programs = [bench.programs[i % len(bench.programs)] for i in range(n_rows)]
    one = bench.alike(programs)
    view = stack.view(one)
    bench.write(some, programs, n_new)
    ours = bench.timed(lambda: bench.write(some, programs, n_new))
    written(view, stack, some, 2)
    slow = bench.peer(lambda: written(view, stack, some, n_new))
    return {
        "rows": n_rows,
        "programs": len(set(programs)),
        "mean_layer_passes": round(mean_slots(programs), 2),
        "one_program_layer_passes": one.n_slots,
        "seconds": spread(ours.seconds),
        "tokens_per_s": round(n_rows * n_new / ours.best, 1),
        "generate_one_program_tokens_per_s": round(n_rows * n_new / slow.best, 1),
        "over_generate": round(slow.best / ours.best, 3),
        "layer_calls_a_step": calls_a_step(bench, some, programs),
    }


def calls_a_step(bench, some, programs):
    """Return how many calls of a layer make one token of every row."""
    n_calls = []
    n_few, n_many = 2, 2 + min(16, bench.sizes.tokens)
    for n_new in (n_few, n_many):
        bench.stack.work = Work()
        bench.write(some, programs, n_new)
        n_calls.append(bench.stack.work.n_calls)
    return round((n_calls[1] - n_calls[0]) / (n_many - n_few), 1)


def n_bytes_read(model):
    """Return the bytes of all weights that one token needs: of the embeddings, one row alone."""
    weights = {id(weight): weight for weight in model.parameters()}
    if not model.config.tie_word_embeddings:
        weights.pop(id(model.get_input_embeddings().weight))
    return sum(weight.nbytes for weight in weights.values())


def bandwidth(bench, repeats=10):
    """Return the bytes a second that a large copy on the device reads and writes."""
    n_bytes = 10**8 if bench.options.device == "cpu" else 4 * 10**9
    source = torch.ones(n_bytes, dtype=torch.uint8, device=bench.options.device)
    target = torch.empty_like(source)
    return 2 * n_bytes / bench.timed(lambda: target.copy_(source), repeats).best
