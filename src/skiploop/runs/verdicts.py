"""Verdicts of others as the trials of a finished search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from skiploop import config as settings
from skiploop.exchange.contents import Judged
from skiploop.programs.program import Program, shortest_first
from skiploop.runs.folder import RunConfig
from skiploop.runs.ledger import TRIALS, Ledger
from skiploop.search.campaign import SearchConfig
from skiploop.search.methods import TREE
from skiploop.tasks import SPLITS
from skiploop.tasks.base import Example, Task
from skiploop.tasks.key import question_key
from skiploop.trials.store import Trial, TrialStore

N_LISTED = 100
"""Programs that the list in a run has at most."""

Verdict = bool | None
Verdicts = dict[str, dict[Program, Verdict]]
"""By question, the verdict of each program, that of the plain model first."""


def join(
    questions: Sequence[Judged], task: Task, n_layers: int
) -> tuple[Verdicts, tuple[str, ...]]:
    """Return the verdicts by the questions of the task, and what was left out."""
    examples = [example for split in SPLITS for example in task.examples(split)]
    by_key = {question_key(example.question): example for example in reversed(examples)}
    by_text = {example.question: example for example in examples}
    verdicts: Verdicts = {}
    unknown, repeated = [], []
    for number, judged in enumerate(questions):
        text = judged.question
        example = by_text.get(text) or by_key.get(question_key(text))
        if example is None:
            unknown.append(f"record {number}")
            continue
        if example.id in verdicts:
            repeated.append(f"record {number}")
        known = verdicts.setdefault(example.id, {Program.identity(n_layers): None})
        for program in judged.wrong:
            known[program] = known.get(program) or False
        known |= dict.fromkeys(judged.right, True)
    reasons = (
        *summed(unknown, f"questions that {task.name} does not have"),
        *summed(repeated, "records that repeat a question, their verdicts joined"),
    )
    return verdicts, reasons


def write_run(
    folder: Path,
    made: RunConfig,
    task: Task,
    train: Sequence[Example],
    verdicts: Verdicts,
    facts: Mapping[str, object],
) -> None:
    """Write trials and settings of a run whose search is finished."""
    trials = [
        _trial(example_id, program, correct)
        for example_id, answered in verdicts.items()
        for program, correct in answered.items()
    ]
    asks = [
        (example.id, step, program)
        for example in train
        for step, program in enumerate(verdicts[example.id])
    ]
    with closing(TrialStore(folder / TRIALS)) as store:
        store.add(trials)
        store.add_asks("search", asks)
    ledger = Ledger(folder)
    config = _search_config(task, train, verdicts)
    ledger.write_sections({"run": settings.to_dict(made), "search": settings.to_dict(config)})
    ledger.end("search", facts, len(trials))


def _trial(example_id: str, program: Program, correct: Verdict) -> Trial:
    """Return a verdict without a text: whoever needs the answer runs the program."""
    return Trial(
        example_id=example_id,
        program=program,
        correct=correct,
        text="",
        answer="",
        reason="imported" if correct is not None else "the imported file does not say",
        n_tokens=0,
        logprob=None,
        stopped_by="decided",
        n_rows=0,
        n_positions=0,
        dtype="unknown",
    )


def _search_config(task: Task, train: Sequence[Example], verdicts: Verdicts) -> SearchConfig:
    """Return the settings of a search that could have tried all these programs."""
    ids = {example.id for example in train}
    limit = max(i for i, one in enumerate(task.examples("train"), start=1) if one.id in ids)
    tried = [verdicts[example.id] for example in train]
    loops = [e for program in set(chain.from_iterable(tried)) for e in program.edits if e.runs]
    return SearchConfig(
        limit=limit,
        budget=max(1, max(map(len, tried)) - 1),
        max_block=max([SearchConfig.max_block, *map(len, loops)]),
        max_runs=max([SearchConfig.max_runs, *(loop.runs for loop in loops)]),
        method=TREE,
    )


def most_fixing(verdicts: Iterable[Mapping[Program, Verdict]]) -> list[Program]:
    """Return the programs that give most right answers where the plain model gives none."""
    fixed: Counter[Program] = Counter()
    for answered in verdicts:
        identity = next(iter(answered))
        if not answered[identity]:
            fixed.update(program for program, correct in answered.items() if correct)
    best = sorted(fixed, key=lambda program: (-fixed[program], shortest_first(program)))
    return best[:N_LISTED]


def summed(places: Sequence[str], what: str) -> Iterator[str]:
    """Yield one text for all places of a sort, if there are any."""
    if places:
        yield f"{len(places):,} {what} (the first: {places[0]})"
