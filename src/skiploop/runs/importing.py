"""What comes into skiploop: questions with verdicts become a run folder, programs become a list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from skiploop import config as settings
from skiploop.errors import DataError
from skiploop.exchange import listing
from skiploop.exchange.contents import Contents, Judged
from skiploop.exchange.formats import Format
from skiploop.exchange.reading import Source
from skiploop.files import check_new, filling, write_atomic
from skiploop.jsontext import json_text
from skiploop.models.packaged import sha256_of
from skiploop.programs.program import Program, shortest_first
from skiploop.runs import provenance
from skiploop.runs.folder import RunConfig
from skiploop.runs.ledger import TRIALS, Ledger
from skiploop.search.campaign import SearchConfig
from skiploop.stack import LayerStack
from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.base import Example, Task, questions_id
from skiploop.tasks.key import question_key
from skiploop.trials.store import Trial, TrialStore

QUESTIONS_FILE = "questions.jsonl"
PROGRAMS_FILE = "programs.txt"
N_LISTED = 100
"""Programs that the list in a run has at most."""

Verdict = bool | None
Verdicts = dict[str, dict[Program, Verdict]]
"""By question, the verdict of each program, that of the plain model first."""


@dataclass(frozen=True)
class Imported:
    """What an import brought.

    Attributes:
        n_questions: Questions; none if it was a list of programs.
        n_train: Those of them in the training part.
        n_verdicts: Pairs of a question and a program with a verdict.
        n_programs: Different programs.
        first: The first program of a list.
        run: What the run is about; None for a list of programs.
        left_out: What was left out, one short text for each reason.
    """

    n_questions: int
    n_train: int
    n_verdicts: int
    n_programs: int
    first: Program | None
    run: RunConfig | None
    left_out: tuple[str, ...]


def import_programs(source: Source, form: Format, stack: LayerStack, out: Path) -> Imported:
    """Write the programs of a file as a list.

    Args:
        source: The file.
        form: Its format, one of programs.
        stack: The model that they are for.
        out: A new file.

    Raises:
        DataError: The file is none of this format, or holds no program.
        ConfigError: There is something at `out`.
    """
    check_new(out)
    contents = form.read(source)
    left_out = tuple(_summed(contents.left_out, "entries that are no program"))
    if not contents.programs:
        raise DataError(f"{source.path} holds nothing that is a program: {left_out[0]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    listing.write(out, contents, stack)
    return Imported(
        n_questions=0,
        n_train=0,
        n_verdicts=0,
        n_programs=len(contents.programs),
        first=contents.programs[0],
        run=None,
        left_out=left_out,
    )


def import_questions(
    source: Source, form: Format, stack: LayerStack, asked: RunConfig, out: Path
) -> Imported:
    """Make a run folder of a file of questions, as if a search had found its verdicts.

    Args:
        source: The file.
        form: Its format, one of questions.
        stack: The model that answered them.
        asked: What the run is about. An empty task stands for the questions of the file; those of
            another task are looked up there.
        out: A new or empty folder.

    Raises:
        DataError: The file is none of this format, or none of its questions can be asked.
        ConfigError: There is something at `out`.
    """
    check_new(out)
    contents = form.read(source)
    with filling(out) as folder:
        if asked.task:
            made, task = asked, get_task(asked.task, **settings.apply_overrides({}, asked.options))
        else:
            own = f"{form.task}:{out.absolute() / QUESTIONS_FILE}"
            made = replace(asked, task=own, options=form.options)
            task = _own_task(form, contents, folder, source)
        made = replace(made, weights=stack.model_id, questions=questions_id(task))
        verdicts, left_out = _joined(contents.questions, task, stack.n_layers)
        if not verdicts:
            raise DataError(f"{source.path} has no question of {task.name}: give the right --task")
        train = [one for one in task.examples("train") if one.id in verdicts]
        if not train:
            raise DataError(
                f"{source.path} has no question in the training part of {task.name}: there is "
                "nothing to learn from"
            )
        _write_run(folder, made, task, train, verdicts, _facts(source, form, stack, task))
        listed = _most_fixing(verdicts[one.id] for one in train)
        if listed:
            listing.write(folder / PROGRAMS_FILE, Contents(programs=tuple(listed)), stack)
    return Imported(
        n_questions=len(verdicts),
        n_train=len(train),
        n_verdicts=sum(map(len, verdicts.values())),
        n_programs=len(set(chain.from_iterable(verdicts.values()))),
        first=None,
        run=made,
        left_out=(*_summed(contents.left_out, "paths that are no program"), *left_out),
    )


def _own_task(form: Format, contents: Contents, folder: Path, source: Source) -> Task:
    """Return a task of the questions of a file, which it writes into the folder."""
    lines = ({"question": one.question, "answer": one.gold} for one in contents.questions)
    path = folder / QUESTIONS_FILE
    write_atomic(path, "".join(f"{json_text(line)}\n" for line in lines))
    try:
        return get_task(f"{form.task}:{path}", **settings.apply_overrides({}, form.options))
    except DataError as error:
        found = re.search(r", line (\d+): (.*)", str(error))
        where = f"record {int(found[1]) - 1}: {found[2]}" if found else str(error)
        raise DataError(f"{source.path}, {where}") from error


def _joined(
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
        *_summed(unknown, f"questions that {task.name} does not have"),
        *_summed(repeated, "records that repeat a question, their verdicts joined"),
    )
    return verdicts, reasons


def _write_run(
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
        (example.id, step, str(program))
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
        program=str(program),
        correct=correct,
        text="",
        answer="",
        reason="imported" if correct is not None else "the imported file does not say",
        n_tokens=0,
        logprob=None,
        stopped_by="settled",
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
    )


def _most_fixing(verdicts: Iterable[Mapping[Program, Verdict]]) -> list[Program]:
    """Return the programs that give most right answers where the plain model gives none."""
    fixed: Counter[Program] = Counter()
    for answered in verdicts:
        identity = next(iter(answered))
        if not answered[identity]:
            fixed.update(program for program, correct in answered.items() if correct)
    best = sorted(fixed, key=lambda program: (-fixed[program], shortest_first(program)))
    return best[:N_LISTED]


def _summed(places: Sequence[str], what: str) -> Iterator[str]:
    """Yield one text for all places of a sort, if there are any."""
    if places:
        yield f"{len(places):,} {what} (the first: {places[0]})"


def _facts(source: Source, form: Format, stack: LayerStack, task: Task) -> dict[str, object]:
    """Return where the verdicts come from."""
    return dict(
        provenance.collect(
            weights=stack.model_id,
            task=task.name,
            task_version=task.version,
            imported_from=str(source.path),
            imported_as=form.name,
            sha256=sha256_of(source.path),
        )
    )
