"""The state of an unfinished training in one safetensors file, from which it goes on.

Random numbers need no place in it: every epoch derives its own from the seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer

from skiploop.config import differences
from skiploop.errors import RunError, told_as
from skiploop.jsontext import json_text
from skiploop.policies.polar.network import PolarNetwork
from skiploop.policies.tensors import read_tensors, write_tensors

Metrics = dict[str, float | None]


@dataclass
class TrainState:
    """Everything that changes from one epoch to the next.

    Attributes:
        network: Weights after the last epoch.
        optimizer: Its moments.
        best: Weights of the epoch that is best so far, by parameter name.
        metrics: One entry a finished epoch.
    """

    network: PolarNetwork
    optimizer: Optimizer
    best: dict[str, Tensor] = field(default_factory=dict)
    metrics: list[Metrics] = field(default_factory=list)

    def keep_as_best(self) -> None:
        """Remember the weights as they are now."""
        self.best = {name: t.detach().clone() for name, t in self.network.state_dict().items()}

    def save(self, path: Path, made_with: Mapping[str, object]) -> None:
        """Write the state, at a moment or not at all."""
        moments = {
            f"{index}.{name}": value
            for index, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        parts = {"network": self.network.state_dict(), "best": self.best, "optimizer": moments}
        tensors = {
            f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()
        }
        notes = {"metrics": json_text(self.metrics), "made_with": json_text(made_with)}
        write_tensors(path, tensors, notes)

    def restore(self, path: Path, made_with: Mapping[str, object]) -> None:
        """Go back to a saved state.

        Raises:
            RunError: The file is damaged, or was written by a training with other settings or
                data; the message names what differs.
        """
        problem, again = f"{path} cannot be used", "delete it to start again"
        with told_as(RunError, problem, again, of=(RunError, KeyError, ValueError)):
            tensors, notes = read_tensors(path)
            made_before = json.loads(notes["made_with"])
            metrics = json.loads(notes["metrics"])
        changed = differences(made_before, made_with)
        if changed:
            raise RunError(
                f"{path} belongs to an unfinished training with other settings or data "
                f"({'; '.join(changed)}): finish that one, or delete the file to start again"
            )
        self.network.load_state_dict(_part(tensors, "network"))
        self.best = _part(tensors, "best")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimizer").items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.metrics = metrics


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}/"
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
