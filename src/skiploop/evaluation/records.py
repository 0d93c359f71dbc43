"""One evaluated answer, and the file of them from which every report is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skiploop.errors import DataError, ProgramError
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.programs.program import Program

RECORDS = "records.jsonl"

_KINDS: dict[str, tuple[type, ...]] = {
    "policy": (str,),
    "example_id": (str,),
    "rank": (int,),
    "program": (str,),
    "n_layers": (int,),
    "n_slots": (int,),
    "correct": (bool, type(None)),
    "n_tokens": (int,),
    "text": (str,),
    "extra_passes": (int, float),
    "confidence": (float, type(None)),
    "kv_bytes": (int, type(None)),
}
_NEW = {"kv_bytes"}
"""What records of older versions lack."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one program, chosen by one policy, answered to one question.

    Attributes:
        policy: Name of the policy that chose the program.
        example_id: The question.
        rank: Place of the program in the policy's list; 0 is the one it would use (top-1).
        program: What ran.
        correct: The verdict; None if the answer could not be graded.
        n_tokens: New tokens; 0 where a choice was picked by likelihood.
        text: What the model wrote.
        extra_passes: Layer passes of a prompt token beyond those of the program: of the other
            programs of a vote, what several start with counted once. Of a method that runs layers
            for some tokens only, the mean; below 0 where it runs fewer.
        confidence: How sure the answer is, 0..1: its probability; of the winner of a vote, its
            weight over all ballots divided by their number; of a sample, the share of samples with
            the same answer. None if the logits were not numbers.
        kv_bytes: Key-value bytes that were held when the answer ended; None where nobody can tell.
    """

    policy: str
    example_id: str
    rank: int
    program: Program
    correct: bool | None
    n_tokens: int
    text: str
    extra_passes: float = 0
    confidence: float | None = None
    kv_bytes: int | None = None

    @property
    def n_slots(self) -> int:
        """Executed layer passes of the program."""
        return self.program.n_slots

    def to_dict(self) -> dict[str, object]:
        """Return plain data, the program in its text form with `n_layers` and `n_slots`."""
        return {
            "policy": self.policy,
            "example_id": self.example_id,
            "rank": self.rank,
            "program": str(self.program),
            "n_layers": self.program.n_layers,
            "n_slots": self.n_slots,
            "correct": self.correct,
            "n_tokens": self.n_tokens,
            "text": self.text,
            "extra_passes": self.extra_passes,
            "confidence": self.confidence,
            "kv_bytes": self.kv_bytes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Record:
        """Read the form that `to_dict` returns.

        Raises:
            DataError: A key is missing, unknown or has the wrong type, the program is no program,
                or `n_slots` is not its length.
        """
        if not isinstance(data, Mapping) or not _KINDS.keys() - _NEW <= set(data) <= _KINDS.keys():
            raise DataError(f"{data!r} is no record: expected the keys {', '.join(_KINDS)}")
        for key, value in data.items():
            kinds = _KINDS[key]
            if type(value) not in kinds:  # a bool is no number here
                raise DataError(f"{key} of a record is {value!r}: expected {kinds[0].__name__}")
        values = dict(data)
        try:
            program = Program.parse(str(values.pop("program")), n_layers=values.pop("n_layers"))  # type: ignore[arg-type]
        except ProgramError as error:
            raise DataError(f"record of {data['example_id']!r}: {error}") from error
        if values.pop("n_slots") != program.n_slots:
            raise DataError(
                f"record of {data['example_id']!r}: n_slots is {data['n_slots']}, "
                f"but {program} has {program.n_slots}"
            )
        return cls(program=program, **values)  # type: ignore[arg-type]


def write_records(path: str | Path, records: Iterable[Record]) -> None:
    """Write one JSON object a line; an existing file is replaced in one step."""
    lines = (json_text(record.to_dict()) for record in records)
    write_atomic(Path(path), "".join(f"{line}\n" for line in lines))


def read_records(path: str | Path) -> list[Record]:
    """Read what `write_records` wrote.

    Raises:
        DataError: The file is missing or a line is no record; the message names the line.
    """
    records = []
    try:
        with Path(path).open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                records.append(_read_line(line, f"{path}, line {number}"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return records


def _read_line(line: str, place: str) -> Record:
    try:
        return Record.from_dict(json.loads(line))
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: no JSON ({error.msg}): was the file cut off?") from error
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
