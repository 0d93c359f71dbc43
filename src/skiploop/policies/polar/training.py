"""Fitting the predictor: weighted targets and encoded prompts in, a network out.

Shapes: the letters of learning (docs/reference/shapes.md); N targets.

Source: arXiv 2606.06574, sections 3.2 and D.2; defaults from the command of its released code.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from skiploop.config import to_dict
from skiploop.errors import ConfigError, DataError
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.policies.encoders import check_one_encoder
from skiploop.policies.optimizing import cosine_with_warmup
from skiploop.policies.polar.checkpoint import Metrics, TrainState
from skiploop.policies.polar.network import NetworkConfig, PolarNetwork, Scores, pad
from skiploop.policies.polar.targets import Target, TargetRules
from skiploop.programs.space import NO_LABEL, ProgramSpace
from skiploop.seeds import derive_seed

CHECKPOINT_FILE = "checkpoint.safetensors"
METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a predictor is trained; the defaults are the published recipe.

    Attributes:
        epochs: Passes over all targets.
        batch_size: Targets a step.
        learning_rate: Highest rate of AdamW; a cosine takes it to 0.
        warmup_steps: Steps in which the rate rises from 0.
        weight_decay: Of AdamW.
        seed: Decides first weights, order of the targets, dropout and sampled programs.
        targets: Which programs of a question count, and how much.
        text_encoder: Folder or hub id of a Hugging Face encoder; None uses the first layers of
            the language model.
        layer: How many layers that is; None for a quarter of them. Not used by a text encoder.

    Raises:
        ConfigError: A number is out of range, or both encoders are asked for.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 5e-4
    warmup_steps: int = 10
    weight_decay: float = 0.0
    seed: int = 42
    targets: TargetRules = field(default_factory=TargetRules)
    text_encoder: str | None = None
    layer: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not vars(self)[name] > 0:
                raise ConfigError(f"train.{name} is {vars(self)[name]}: give more than 0")
        for name in ("warmup_steps", "weight_decay"):
            if vars(self)[name] < 0:
                raise ConfigError(f"train.{name} is {vars(self)[name]}: give 0 or more")
        check_one_encoder(self.text_encoder, self.layer)


def fit(
    training: Sequence[Target],
    validation: Sequence[Target],
    encodings: Mapping[str, Tensor],
    *,
    space: ProgramSpace,
    config: TrainConfig,
    out: Path,
    device: str = "cpu",
    progress: Callable[[Metrics], None] | None = None,
) -> PolarNetwork:
    """Train a network, or go on with a training that was interrupted in the same folder.

    Args:
        training: Targets inside the space, at least one.
        validation: Targets of other questions. The epoch with the least loss on them is kept;
            without any, the last epoch.
        encodings: [T, E] float32 tensors on the CPU by prompt, for every prompt of the targets.
        space: What the network can express.
        config: The recipe.
        out: Gets `model.safetensors`, `config.json`, `metrics.jsonl` and, until the training is
            finished, `checkpoint.safetensors`.
        device: Where to train.
        progress: Called after each epoch with its line of the metrics.

    Raises:
        DataError: There is nothing to train on.
        RunError: The folder holds an unfinished training with other settings or data, or cannot
            be written.

    Guarantees:
        On the CPU the same arguments give the same weights, interrupted or not
        (tests/model/test_predictor_training.py). The global random state is left as it was.

    Cost:
        One forward and backward pass of about 2 million parameters per target and epoch.
    """
    if not training:
        raise DataError("there is no target to train on: search with a larger budget first")
    out.mkdir(parents=True, exist_ok=True)
    train_set = _Examples(training, encodings, space)
    validation_set = _Examples(validation, encodings, space) if validation else None
    made_with = {
        "training": to_dict(config),
        "space": to_dict(space),
        "data": {"training": _digest(training, encodings), "validation": _digest(validation, {})},
    }
    checkpoint = out / CHECKPOINT_FILE
    where = torch.device(device)
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        state = _new_state(train_set.width, space, config, where)
        prompts = dict.fromkeys(target.prompt for target in training)
        state.network.standardize_inputs(encodings[prompt] for prompt in prompts)
        if checkpoint.exists():
            state.restore(checkpoint, made_with)
        for epoch in range(len(state.metrics), config.epochs):
            metrics = _run_epoch(state, train_set, validation_set, config, epoch)
            state.save(checkpoint, made_with)
            lines = "".join(json_text(line) + "\n" for line in state.metrics)
            write_atomic(out / METRICS_FILE, lines)
            if progress:
                progress(metrics)
    state.network.load_state_dict(state.best)
    state.network.save_pretrained(out)
    checkpoint.unlink()
    return state.network.eval()


def read_metrics(folder: Path) -> list[Metrics]:
    """Return the metrics of every epoch of a training in the folder that `fit` was given."""
    lines = (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def best_epoch(metrics: Sequence[Metrics]) -> int:
    """Return the epoch, counted from 1, whose weights `fit` keeps."""
    losses = [line["validation_loss"] for line in metrics]
    known = [loss for loss in losses if loss is not None]
    return losses.index(min(known)) + 1 if known else len(losses)


def target_losses(scores: Scores, boundaries_BD: Tensor, runs_BD: Tensor) -> Tensor:
    """Return the loss of each target: boundaries plus operations.

    Args:
        scores: Of the network.
        boundaries_BD: 1.0 where a segment starts, else 0.0; layer 0 is not read.
        runs_BD: Passes over the segment that starts at a layer, `NO_LABEL` elsewhere.

    Returns:
        Mean binary cross-entropy over layers 1..D-1 plus mean cross-entropy over the segment
        starts, shape [B].
    """
    n_layers = runs_BD.shape[1]
    boundary_BD = F.binary_cross_entropy_with_logits(
        scores.boundary_BD[:, 1:], boundaries_BD[:, 1:], reduction="none"
    )
    runs_loss_BD = F.cross_entropy(
        scores.runs_BDR.transpose(1, 2), runs_BD, ignore_index=NO_LABEL, reduction="none"
    )
    n_starts_B = (runs_BD != NO_LABEL).sum(1)
    return boundary_BD.sum(1) / max(n_layers - 1, 1) + runs_loss_BD.sum(1) / n_starts_B


class _Examples:
    """Targets as tensors, one row each, and their encoded prompts."""

    def __init__(
        self, targets: Sequence[Target], encodings: Mapping[str, Tensor], space: ProgramSpace
    ) -> None:
        labels = [space.labels(target.program) for target in targets]
        self._encodings = [encodings[target.prompt] for target in targets]
        self._boundaries_ND = torch.tensor([label.boundaries for label in labels]).float()
        self._runs_ND = torch.tensor([label.runs for label in labels])
        self._weights_N = torch.tensor([target.weight for target in targets])
        self.width = self._encodings[0].shape[1]

    def __len__(self) -> int:
        return len(self._encodings)

    def losses(
        self, network: PolarNetwork, order: Sequence[int], batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the losses and the weights of one batch after the other, both [B]."""
        device = network.device
        for start in range(0, len(order), batch_size):
            rows = list(order[start : start + batch_size])
            scores = network(*pad([self._encodings[row] for row in rows], device))
            losses_B = target_losses(
                scores, self._boundaries_ND[rows].to(device), self._runs_ND[rows].to(device)
            )
            yield losses_B, self._weights_N[rows].to(device)


def _new_state(
    input_width: int, space: ProgramSpace, config: TrainConfig, device: torch.device
) -> TrainState:
    torch.manual_seed(derive_seed(config.seed, "weights"))
    sizes = NetworkConfig(
        n_layers=space.n_layers, input_width=input_width, n_runs=space.max_runs + 1
    )
    network = PolarNetwork(sizes).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    return TrainState(network, optimizer)


def _run_epoch(
    state: TrainState,
    training: _Examples,
    validation: _Examples | None,
    config: TrainConfig,
    epoch: int,
) -> Metrics:
    """Train one epoch, validate, and add to the state's metrics."""
    started = time.perf_counter()
    train_loss = _train(state, training, config, epoch)
    validation_loss = _validate(state.network, validation, config) if validation else None
    earlier = [m["validation_loss"] for m in state.metrics]
    if validation_loss is None or all(e is not None and validation_loss < e for e in earlier):
        state.keep_as_best()
    state.metrics.append(
        {
            "epoch": epoch + 1,
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "time_s": round(time.perf_counter() - started, 3),
        }
    )
    return state.metrics[-1]


def _train(state: TrainState, training: _Examples, config: TrainConfig, epoch: int) -> float:
    """Run one epoch of steps and return the mean of their losses."""
    n_batches = math.ceil(len(training) / config.batch_size)
    torch.manual_seed(derive_seed(config.seed, "epoch", epoch))
    order = torch.randperm(len(training)).tolist()
    state.network.train()
    total = 0.0
    batches = training.losses(state.network, order, config.batch_size)
    for step, (losses_B, weights_B) in enumerate(batches, start=epoch * n_batches):
        share = cosine_with_warmup(
            step, warmup_steps=config.warmup_steps, n_steps=config.epochs * n_batches
        )
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        # Weights only compare the targets of one batch, as published.
        loss = (losses_B * weights_B / weights_B.mean()).mean()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        total += loss.item()
    return total / n_batches


def _validate(network: PolarNetwork, validation: _Examples, config: TrainConfig) -> float:
    """Return the weighted mean loss, which does not depend on the batches."""
    network.eval()
    total = weight = 0.0
    with torch.inference_mode():
        order = range(len(validation))
        for losses_B, weights_B in validation.losses(network, order, config.batch_size):
            total += (losses_B * weights_B).sum().item()
            weight += weights_B.sum().item()
    return total / weight


def _digest(targets: Sequence[Target], encodings: Mapping[str, Tensor]) -> str:
    """Return a hash of the targets and of the shapes of their encodings."""
    digest = hashlib.sha256()
    for t in targets:
        digest.update(json.dumps([t.prompt, str(t.program), t.weight]).encode())
    for prompt in encodings:
        digest.update(str(tuple(encodings[prompt].shape)).encode())
    return digest.hexdigest()[:16]
