"""What an evaluation measured beside its records, kept because only a model could tell it again."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skiploop.errors import RunError, one_line
from skiploop.evaluation.wall_time import Timing
from skiploop.jsontext import read_json, write_json
from skiploop.policies.selector.calibration import CalibrationBin
from skiploop.stats import Mean, Share

MEASURED = "measured.json"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Wall times, and how well a selector was calibrated.

    Attributes:
        timing: None where nothing was timed.
        calibration: Of the selector at that time; none without a selector.
    """

    timing: Timing | None
    calibration: tuple[CalibrationBin, ...]

    def save(self, run: Path) -> None:
        """Write `measured.json`."""
        write_json(run / MEASURED, asdict(self))

    @classmethod
    def load(cls, run: Path) -> Measured:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        path = run / MEASURED
        if not path.exists():
            raise RunError(
                f"{run} holds no {MEASURED}, which older versions did not write: run the same "
                "'skiploop evaluate' command again"
            )
        try:
            data: dict[str, Any] = read_json(path)
            timing = None if data["timing"] is None else Timing(**data["timing"])
            return cls(timing=timing, calibration=tuple(map(_bin, data["calibration"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot read {path}: {one_line(error)}") from error


def _bin(data: dict[str, Any]) -> CalibrationBin:
    """Return a bin from plain data, in which an infinite error is null."""
    observed = data["observed"]
    error = math.inf if observed["error"] is None else observed["error"]
    return CalibrationBin(
        data["expected"], Mean(observed["value"], error, observed["total"]), Share(**data["right"])
    )
