"""A report with questions behind it, of any size, made without a model."""

import random
from dataclasses import replace
from itertools import accumulate

from skiploop import Program
from skiploop.evaluation.records import Record
from skiploop.evaluation.search_table import SearchOutcome, search_table
from skiploop.evaluation.wall_time import Timing
from skiploop.jsontext import plain
from skiploop.menus.menu import Menu
from skiploop.policies.selector.calibration import CalibrationBin
from skiploop.programs.space import ProgramSpace
from skiploop.report.details import Asked, Details, Grown, Step
from skiploop.report.report import build_report
from skiploop.search.protocol import Outcome
from skiploop.search.tree import Tree
from skiploop.stats import Mean, Share
from skiploop.tasks.base import Example
from skiploop.trials.store import Trial

N_LAYERS = 30
N_STEPS = 40
MENU = ("identity", "5:8x0 9:10x0 26:30x0", "18:19x2", "5:6x2", "17:19x3~0.5", "13:15x2", "25:28x0")
POLICIES = ("identity", "selector", "selector:28.5", "surface", "static", "vote:5")
CATEGORIES = ("adding", "the middle of words", "plural")
HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)"> 'quoted' & "so" """
PROGRAMS = tuple(Program.parse(text, N_LAYERS) for text in MENU)


def example(i):
    question = HOSTILE if i == 0 else f"question {i}: {i} + {i % 7} ="
    gold = HOSTILE if i == 0 else str(i + i % 7)
    return Example(id=f"q{i}", question=question, gold=gold, category=CATEGORIES[i % 3])


def trial(one, program, rng):
    right = rng.random() < 0.3
    return Trial(
        example_id=one.id,
        program=program,
        correct=right if rng.random() < 0.98 else None,
        text=f" {one.gold}" if right else f" {rng.randrange(20)}",
        answer="",
        reason="",
        n_tokens=2,
        logprob=-3 * rng.random(),
        stopped_by="stop",
        n_rows=1,
        n_positions=9,
        dtype="float32",
        gold_logprob=-4 * rng.random(),
    )


def searched(one, rng):
    """Return a question with the tree of a search."""
    tree, steps = Tree(ProgramSpace(N_LAYERS), seed=0), []
    for _ in range(N_STEPS):
        (program,) = tree.ask(1)
        tried = trial(one, program, rng)
        steps.append(Step(tried, tree.walk_to(program)))
        tree.tell(program, Outcome(tried.correct, tried.gold_logprob))
    return Grown(one, steps)


def asked(one, rng, policies):
    """Return a question with an answer of every policy and a trial of every program."""
    trials = [trial(one, program, rng) for program in PROGRAMS]
    answers = {policy: answer(policy, one, rng, trials) for policy in policies}
    prompt = f"Examples: 1 + 1 = 2\n\n{one.question}\nAnswer:"
    return Asked(example=one, prompt=prompt, answers=answers, trials=trials)


def answer(policy, one, rng, trials):
    trial = trials[0] if policy == "identity" else rng.choice(trials)
    return Record(
        policy=policy,
        example_id=one.id,
        rank=0,
        program=trial.program,
        correct=trial.correct,
        n_tokens=2,
        text=trial.text,
        extra_passes=59 if policy == "vote:5" else 0,
        confidence=rng.random(),
    )


def report_and_details(n_judged=120, n_of_menu=90):
    """Return what `write_report` takes."""
    rng = random.Random(0)
    judged = [asked(example(i), rng, POLICIES) for i in range(n_judged)]
    of_menu = [asked(example(i), rng, ()) for i in range(n_judged, n_judged + n_of_menu)]
    records = [record for one in judged for record in one.answers.values()]
    searches = [searched(example(i), rng) for i in range(2)]
    outcomes = [
        SearchOutcome(one.example.id, [(s.trial.program, s.trial.correct) for s in one.steps])
        for one in searches
    ]
    coverage = tuple(accumulate((0.3, *[0.05] * (len(PROGRAMS) - 1))))
    report = build_report(
        records,
        title=f"toy, test, {HOSTILE}",
        examples=[one.example for one in judged],
        menu=Menu(PROGRAMS, "weights", tuple(x / 2 for x in coverage), coverage),
        search=search_table(outcomes),
        timing=Timing(16, {name: [1.0, 1.1] for name in POLICIES}),
        provenance={"python": "3.11", "command": HOSTILE},
    )
    bins = [CalibrationBin(x / 10, Mean(x / 11, 0.02, 90), Share(x, 10)) for x in range(1, 9)]
    report = replace(report, calibration=tuple(bins))
    return report, Details(
        judged=judged,
        of_menu=of_menu,
        searches=searches,
        elsewhere={"another task": plain(report.policies)},
    )
