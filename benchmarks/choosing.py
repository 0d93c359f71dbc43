"""What choosing a program costs: while the prompts run, or before, next to programs known before.

    python benchmarks/choosing.py --dtype float32

The selector has learned invented scores: what it costs depends on sizes alone. Checks first that
it chooses the same programs both ways (float32: and that the answers are the same).
"""

import random
import time

import numpy as np
import torch
from measure import arguments, in_turns, load, must_be_equal, ratio, report

import skiploop
from skiploop import Program
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.encoders import LayerStates
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import PromptFeatures, SelectorPolicy, learn
from skiploop.trials.score_table import ScoreTable


def invented(stack, prompts, n_programs):
    """Return a selector that has learned random scores of random programs on some prompts."""
    config = MenuConfig()
    space, rng = config.space(stack.n_layers), random.Random(0)
    identity = Program.identity(stack.n_layers)
    edits = [edit for edit in space.edits(identity) if edit.start >= config.first_layer]
    programs = (identity, *(identity.with_edit(edit) for edit in rng.sample(edits, n_programs - 1)))
    score_QP = torch.rand(len(prompts), n_programs, generator=torch.Generator().manual_seed(0))
    score_QP = score_QP.double().numpy()
    features = PromptFeatures(LayerStates(stack, layer=config.first_layer))
    table = ScoreTable(tuple(prompts), programs, score_QP > 0.5, score_QP, np.ones(len(prompts)))
    data = learn(features.of(prompts), table, SelectorConfig())
    menu = Menu(programs, stack.model_id, (0.0,) * n_programs)
    return SelectorPolicy(menu, features, data)


def main():
    options = arguments(
        __doc__, questions=256, single=16, learned=1500, programs=24, tokens=4, level="1,2,3"
    )
    stack = load(options)
    task = skiploop.get_task("arithmetic", level=options.level)
    n_asked = options.questions
    prompts = [task.prompt(e) for e in task.examples("train", options.learned + n_asked)]
    policy = invented(stack, prompts[n_asked:], options.programs)
    prompts = prompts[:n_asked]
    known = [best for (best,) in policy.rank(prompts, 1)]

    def generate(some, programs):
        return stack.generate(some, programs, max_new_tokens=options.tokens)

    late, expected = generate(prompts, policy.during_prefill()), generate(prompts, known)
    n_other_programs = sum(c.program != program for c, program in zip(late, known, strict=True))
    n_other_texts = sum(c.text != e.text for c, e in zip(late, expected, strict=True))
    if must_be_equal(options) and n_other_programs + n_other_texts:
        raise SystemExit(f"{n_other_programs} programs and {n_other_texts} answers differ")

    def one_by_one(programs_of):
        return lambda: [generate([prompts[i]], programs_of(i)) for i in range(options.single)]

    together = in_turns(
        {
            "known": lambda: generate(prompts, known),
            "late": lambda: generate(prompts, policy.during_prefill()),
            "before": lambda: generate(prompts, [best for (best,) in policy.rank(prompts, 1)]),
        },
        options.repeats,
    )
    alone = in_turns(
        {
            "known": one_by_one(lambda i: known[i]),
            "late": one_by_one(lambda i: policy.during_prefill()),
            "before": one_by_one(lambda i: policy.rank([prompts[i]], 1)[0][0]),
        },
        options.repeats,
    )
    late_choice = policy.during_prefill()
    states = stack.hidden_states(prompts[:1], late_choice.layer) * n_asked
    started = time.perf_counter()
    late_choice.choose(range(n_asked), states)
    arithmetic_s = time.perf_counter() - started
    figures = {
        "benchmark": "choosing",
        "programs_differing": n_other_programs,
        "answers_differing": n_other_texts,
        "different_programs_chosen": len(set(known)),
        "batch_late_over_known": ratio(together["late"], together["known"]),
        "batch_before_over_known": ratio(together["before"], together["known"]),
        "alone_late_over_known": ratio(alone["late"], alone["known"]),
        "alone_before_over_known": ratio(alone["before"], alone["known"]),
        "regression_share_of_batch": round(arithmetic_s / min(together["known"]), 4),
    }
    lines = [f"{name:>40}  {value}" for name, value in figures.items()]
    report(options, lines, figures)


if __name__ == "__main__":
    main()
