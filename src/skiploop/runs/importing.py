"""What comes into skiploop: questions with verdicts become a run folder, programs become a list."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from skiploop import config as settings
from skiploop.errors import DataError
from skiploop.exchange import listing
from skiploop.exchange.contents import Contents
from skiploop.exchange.formats import Format
from skiploop.exchange.reading import Source
from skiploop.files import check_new, filling, write_atomic
from skiploop.jsontext import json_text
from skiploop.models.packaged import sha256_of
from skiploop.runs import provenance
from skiploop.runs.folder import RunConfig
from skiploop.runs.verdicts import join, most_fixing, summed, write_run
from skiploop.stack import LayerStack
from skiploop.tasks import get_task
from skiploop.tasks.base import Task, questions_id

QUESTIONS_FILE = "questions.jsonl"


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """What an import of questions brought.

    Attributes:
        run: What the run is about.
        n_questions: Its questions with verdicts.
        n_train: Those of them in the training part.
        n_verdicts: Pairs of a question and a program with a verdict.
        n_programs: Different programs.
        n_listed: Those of them in the list of the run.
        left_out: What was left out, one short text for each reason.
    """

    run: RunConfig
    n_questions: int
    n_train: int
    n_verdicts: int
    n_programs: int
    n_listed: int
    left_out: tuple[str, ...]


def import_programs(source: Source, form: Format, stack: LayerStack, out: Path) -> Contents:
    """Write the programs of a file as a list, and return them and why others are left out.

    Raises:
        DataError: The file is none of this format, or holds no program.
        ConfigError: There is something at `out`.
    """
    check_new(out)
    contents = form.read(source)
    left_out = tuple(summed(contents.left_out, "entries that are no program"))
    if not contents.programs:
        raise DataError(f"{source.path} holds nothing that is a program: {left_out[0]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    listing.write(out, contents, stack)
    return replace(contents, left_out=left_out)


def import_questions(
    source: Source, form: Format, stack: LayerStack, asked: RunConfig, out: Path
) -> ImportedRun:
    """Make a run folder of a file of questions, as if a search had found its verdicts.

    An empty task stands for the questions of the file; those of another task are looked up there.

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
        verdicts, left_out = join(contents.questions, task, stack.n_layers)
        if not verdicts:
            raise DataError(f"{source.path} has no question of {task.name}: give the right --task")
        train = [one for one in task.examples("train") if one.id in verdicts]
        if not train:
            raise DataError(
                f"{source.path} has no question in the training part of {task.name}: there is "
                "nothing to learn from"
            )
        write_run(folder, made, task, train, verdicts, _facts(source, form, stack, task))
        listed = most_fixing(verdicts[one.id] for one in train)
        if listed:
            listing.write(folder / listing.PROGRAMS_FILE, Contents(programs=tuple(listed)), stack)
    return ImportedRun(
        run=made,
        n_questions=len(verdicts),
        n_train=len(train),
        n_verdicts=sum(map(len, verdicts.values())),
        n_programs=len(set(chain.from_iterable(verdicts.values()))),
        n_listed=len(listed),
        left_out=(*summed(contents.left_out, "paths that are no program"), *left_out),
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


def _facts(source: Source, form: Format, stack: LayerStack, task: Task) -> dict[str, object]:
    """Return where the verdicts come from."""
    return provenance.collect(
        weights=stack.model_id,
        task=task.name,
        task_version=task.version,
        imported_from=str(source.path),
        imported_as=form.name,
        sha256=sha256_of(source.path),
    )
