"""Methods compared on one task, as a plain file that others can read and add to a collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skiploop import config as settings
from skiploop.errors import ConfigError, DataError, one_line
from skiploop.evaluation.policy_table import PolicyRow
from skiploop.evaluation.wall_time import Timing
from skiploop.jsontext import read_json, write_json
from skiploop.stats import Mean, Share

if TYPE_CHECKING:
    from skiploop.evaluation.shuffled_answers import ShuffledAnswers

FORMAT = 1
"""Version of the layout of the file; changes when a key changes its place or meaning."""

FOLDER = "compare"
"""Folder of the files in a run folder."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; the ends are None if nothing is known of them."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, number: Mean | ShuffledAnswers | None) -> Interval | None:
        """Return what a mean or a control says; None without one."""
        if number is None or number.value is None or number.interval is None:
            return None
        return cls(number.value, *number.interval)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a method took beside its layer passes, means over questions; None: not measured.

    Attributes:
        kv_bytes: Keys and values that an answer leaves behind.
        flops: Operations of an answer.
        time: Wall time over that of the plain model, at equal numbers of generated tokens.
        time_spread: How far the ends of its 95 % interval are from it.
        time_with_choosing: The same with what choosing a program takes.
        choosing_s: Seconds in which a program is chosen for one prompt.
        training_s: Seconds of all that ran before it could choose: search, menu, training.
    """

    kv_bytes: float | None = None
    flops: float | None = None
    time: float | None = None
    time_spread: float | None = None
    time_with_choosing: float | None = None
    choosing_s: float | None = None
    training_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one task.

    Attributes:
        method: Its name.
        accuracy: Right answers.
        n_ungraded: Answers without a verdict.
        fixed: Questions that it answers right and the plain model wrong.
        broken: The reverse.
        harm: Share of all questions that are broken.
        p_holm: McNemar's exact test against the plain model, adjusted over the methods (Holm).
        verdict: What the tests say, as in reports; None for the plain model.
        shuffled: Right answers if its answers went to other questions.
        beyond: What it gains beyond what its answers gain on other questions.
        identity_share: Questions for which it runs the plain model.
        mean_passes: Layer passes of a prompt token, mean over questions.
        mean_new_tokens: Length of its answers.
        cost: What it took.
    """

    method: str
    accuracy: Share
    n_ungraded: int
    fixed: int
    broken: int
    harm: Share
    p_holm: float | None
    verdict: str | None
    shuffled: Interval | None
    beyond: Interval | None
    identity_share: Share
    mean_passes: float
    mean_new_tokens: float
    cost: Cost

    def saves_layers_not_time(self, n_layers: int) -> bool:
        """Whether it runs fewer layers than the plain model, and is not shown to be faster."""
        time = self.cost.time_with_choosing
        if time is None or self.mean_passes >= n_layers:
            return False
        return time + (self.cost.time_spread or 0.0) >= 1


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods on the same questions.

    Attributes:
        format: `FORMAT`.
        model: Its name.
        model_id: `LayerStack.model_id`.
        n_layers: Of the model.
        dtype: Number format.
        task: Name of the task.
        questions: What changes with its questions, prompts and verdicts.
        trained_on: The same of the task that the methods learned from.
        split: Part of the task.
        n_questions: Questions asked.
        n_read_before: Those of them that earlier evaluations of the run had read.
        asked: What was asked for: methods and limits.
        settings: Of every stage of the run.
        provenance: Versions, machine, time and command.
        rows: One a method, the plain model first.
    """

    format: int
    model: str
    model_id: str
    n_layers: int
    dtype: str
    task: str
    questions: str
    trained_on: str
    split: str
    n_questions: int
    n_read_before: int
    asked: dict[str, object]
    settings: dict[str, object]
    provenance: dict[str, object]
    rows: tuple[Row, ...]

    @property
    def is_in_distribution(self) -> bool:
        """Whether the methods learned from questions of this very task."""
        return self.questions == self.trained_on

    def save(self, path: Path) -> None:
        """Write the file; its folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))  # shares as their counts

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            DataError: It cannot be read, or is no such file; the message names the field.
        """
        try:
            data = read_json(path)
            if data.get("format") != FORMAT:
                raise DataError(
                    f"format is {data.get('format')!r}, expected {FORMAT}: make it again with "
                    "'skiploop compare', or use the skiploop that wrote it"
                )
            found = settings.from_dict(cls, data)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ConfigError, ValueError) as error:
            raise DataError(f"{path} is no comparison: {one_line(error)}") from error
        if not found.rows:
            raise DataError(f"{path} is no comparison: it has no rows")
        return found


def row_of(
    found: PolicyRow, shuffled: Mapping[str, ShuffledAnswers], timing: Timing | None, cost: Cost
) -> Row:
    """Return one row from what a report says of a method.

    Args:
        found: Its row in the report.
        shuffled: From the report.
        timing: From the report.
        cost: What the report does not know.
    """
    against = found.against_identity
    broken = against.only_second if against else 0
    return Row(
        method=found.policy,
        accuracy=found.accuracy,
        n_ungraded=found.n_ungraded,
        fixed=against.only_first if against else 0,
        broken=broken,
        harm=Share(broken, against.total if against else found.accuracy.total),
        p_holm=found.p_holm,
        verdict=found.verdict,
        shuffled=Interval.of(shuffled.get(found.policy)),
        beyond=Interval.of(found.beyond),
        identity_share=found.identity_share,
        mean_passes=found.mean_slots,
        mean_new_tokens=found.mean_new_tokens,
        cost=cost if timing is None else _timed(cost, timing, found.policy),
    )


def _timed(cost: Cost, timing: Timing, method: str) -> Cost:
    return replace(
        cost,
        time=timing.ratio(method),
        time_spread=timing.spread(method),
        time_with_choosing=timing.ratio_with_choosing(method),
        choosing_s=timing.choosing_s.get(method),
    )


def comparison_files(place: Path) -> list[Path]:
    """Return the files of a run folder, of a folder of such files, or the one file itself.

    Raises:
        DataError: There are none.
    """
    if place.is_file():
        return [place]
    is_run = (place / FOLDER).is_dir() or (place / "config.json").is_file()
    found = sorted((place / FOLDER if is_run else place).glob("*.json"))
    if not found:
        raise DataError(
            f"{place} holds no comparison: make one with 'skiploop compare --methods ... --out "
            f"{place}'"
        )
    return found
