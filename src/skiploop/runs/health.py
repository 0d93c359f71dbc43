"""Which files of a run folder are damaged, and what can be had back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from skiploop.errors import RunError, SkiploopError, one_line
from skiploop.evaluation.kept_answers import ANSWERS
from skiploop.evaluation.readings import READINGS, read_readings
from skiploop.evaluation.records import RECORDS, read_records
from skiploop.jsontext import read_json
from skiploop.policies.tensors import read_tensors
from skiploop.runs.folder import RunFolder
from skiploop.runs.ledger import SETTINGS, TRIALS
from skiploop.tasks import SPLITS
from skiploop.trials.salvage import salvage
from skiploop.trials.store import TrialStore

SALVAGED = "trials.recovered.sqlite"
"""What is intact of damaged trials."""


@dataclass(frozen=True)
class Health:
    """What is wrong with the files of a run.

    Attributes:
        n_files: Files that were looked at.
        damaged: By path within the run, what is wrong and what to do.
    """

    n_files: int
    damaged: Mapping[str, str]


def examine(folder: Path) -> Health:
    """Look at every file of a run that can tell whether it is damaged.

    What is intact of damaged trials is written to a new file beside them; nothing is changed.

    Raises:
        RunError: There is no run in the folder.
    """
    if not (folder / SETTINGS).is_file() and not (folder / TRIALS).is_file():
        raise RunError(f"{folder} holds no run: give the folder of one")
    damaged, n_files = {}, 0
    for path in sorted(folder.rglob("*")):
        names = (path.name, path.parent.name, path.suffix)
        check = next((_CHECKS[name] for name in names if name in _CHECKS), None)
        if check is None or not path.is_file() or path.name == SALVAGED:
            continue
        n_files += 1
        try:
            check(path)
        except (SkiploopError, OSError, ValueError) as error:
            remedy = _recovered(path) if path.name == TRIALS else _REMEDIES.get(path.name, _ANEW)
            damaged[str(path.relative_to(folder))] = f"{one_line(error)}. {remedy}"
    return Health(n_files, damaged)


def _check_trials(path: Path) -> None:
    with closing(TrialStore(path)) as store:
        store.verify()


def _recovered(path: Path) -> str:
    """Write what is intact of damaged trials, and say so."""
    new = path.with_name(SALVAGED)
    new.unlink(missing_ok=True)
    found = salvage(path, new, _example_ids(path.parent))
    return (
        f"{found.n_trials} trials are intact, they are in {new}: move it to {path}, remove "
        f"{path}-wal and {path}-shm, and run the last command again for what is lost"
    )


def _example_ids(folder: Path) -> list[str]:
    """Return the ids of all questions that the run may know; none if they cannot be made."""
    with suppress(SkiploopError, OSError):
        task = RunFolder.open(folder).task
        return [example.id for split in SPLITS for example in task.examples(split)]
    return []


_ANEW = "Remove it, and run the command that made it again"
_REMEDIES = {
    SETTINGS: "Restore it: it says what the run is about",
    READINGS: "Restore it: it says which questions were read",
}
_CHECKS: Mapping[str, Callable[[Path], object]] = {
    TRIALS: _check_trials,
    RECORDS: read_records,
    ANSWERS: read_records,
    READINGS: lambda path: read_readings(path.parent),
    ".json": read_json,
    ".safetensors": read_tensors,
}
"""What reads a file of a name, of a folder or with an ending, and refuses a damaged one."""
