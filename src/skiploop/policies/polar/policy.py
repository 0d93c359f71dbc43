"""The trained predictor as a policy, kept in the run folder that it was trained in.

`RUN/predictor/` holds `config.json` (sizes, program space, encoder, origin), `model.safetensors`
and `metrics.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from skiploop.arguments import texts, whole_number
from skiploop.config import from_dict, load_file, to_dict
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.errors import ConfigError, RunError, told_as
from skiploop.jsontext import write_json
from skiploop.loading import load
from skiploop.models.identity import check_model
from skiploop.policies.encoders import PromptEncoder, build_encoder
from skiploop.policies.polar.decoding import likeliest_programs
from skiploop.policies.polar.network import CONFIG_FILE, PolarNetwork, pad
from skiploop.policies.polar.targets import TargetCounts
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.why import Considered, Why
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm

PREDICTOR_FOLDER = "predictor"
BATCH_SIZE = 64
"""Prompts that the network scores at once."""
N_CONSIDERED = 5
"""Programs that `why` tells of."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a predictor was made for and from.

    Attributes:
        model: Name of the language model, as `skiploop.load` takes it.
        weights_id: `LayerStack.model_id` of that model.
        dtype: Number format in which it ran.
        config: The recipe.
        training: What became of the training questions.
        validation: What became of the validation questions.
    """

    model: str
    weights_id: str
    dtype: str
    config: TrainConfig
    training: TargetCounts
    validation: TargetCounts


class PredictorPolicy:
    """Chooses programs by a `PolarNetwork`.

    Attributes:
        form: How questions are put for it; None where it is only given whole prompts.

    Raises:
        ConfigError: The network does not fit the space or the encoder.
    """

    name = "polar"

    def __init__(
        self,
        network: PolarNetwork,
        encoder: PromptEncoder,
        space: ProgramSpace,
        *,
        origin: Origin,
    ) -> None:
        sizes = network.config
        if (sizes.n_layers, sizes.n_runs) != (space.n_layers, space.max_runs + 1):
            raise ConfigError(f"{sizes} does not fit {space}: depth and runs must agree")
        if sizes.input_width != encoder.width:
            raise ConfigError(
                f"the network reads encodings of width {sizes.input_width}, the encoder gives "
                f"{encoder.width}: use the encoder it was trained with"
            )
        self.network = network.eval()
        self.encoder = encoder
        self.space = space
        self.origin = origin
        self.form: PromptForm | None = None

    def during_prefill(self, k: int = 1) -> PrefillChoice:
        """Refuse: only `rank` chooses."""
        raise ConfigError(
            f"{self.name} may change any layer, also those by which it chooses: use rank()"
        )

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return at most `k` different programs a prompt, the best first, never none.

        All programs of one prompt share one segmentation, which can hold fewer than `k`.

        Args:
            prompts: Texts of the same kind as in training, for skiploop's own runs what
                `Task.prompt` returns.
            k: At least 1.

        Raises:
            ConfigError: `k` is less than 1.

        Cost:
            The encoder once and about 2 million parameters a prompt.
        """
        k = whole_number("k", k, at_least=1, error=ConfigError)
        ranked = self._ranked(texts("prompts", prompts), k)
        return [[program for program, _ in best] for best in ranked]

    def why(self, prompt: str) -> Why:
        """Return the likeliest programs for one prompt; their scores are log-probabilities."""
        (best,) = self._ranked([prompt], N_CONSIDERED)
        return Why(
            considered=tuple(
                Considered(program=program, score=logprob, utility=logprob)
                for program, logprob in best
            )
        )

    def _ranked(self, prompts: Sequence[str], k: int) -> list[list[tuple[Program, float]]]:
        ranked = []
        for start in range(0, len(prompts), BATCH_SIZE):
            encodings = self.encoder.encode(prompts[start : start + BATCH_SIZE])
            with torch.inference_mode():
                scores = self.network(*pad(encodings, self.network.device))
            for logits in zip(scores.boundary_BD.tolist(), scores.runs_BDR.tolist(), strict=True):
                ranked.append(likeliest_programs(*logits, space=self.space, k=k))
        return ranked

    def save(self, run: str | Path) -> None:
        """Write the policy into the folder `predictor` of a run; `load_predictor` reads it."""
        folder = Path(run) / PREDICTOR_FOLDER
        self.network.save_pretrained(folder)
        config = {
            "network": to_dict(self.network.config),
            "space": to_dict(self.space),
            "encoder": self.encoder.spec,
            "origin": to_dict(self.origin),
        }
        write_json(folder / CONFIG_FILE, config)


def has_predictor(run: str | Path) -> bool:
    """Return whether a run folder holds a trained predictor."""
    return (Path(run) / PREDICTOR_FOLDER / CONFIG_FILE).exists()


def load_predictor(run: str | Path, stack: LayerStack | None = None) -> PredictorPolicy:
    """Load the predictor that was trained in a run folder.

    Args:
        run: The run folder, not the folder `predictor` in it.
        stack: The model whose programs are wanted; by default the one that the predictor was
            trained for is loaded by its name, in the same number format. In another format its
            states, and with them some choices, differ a little.

    Raises:
        RunError: The run has no predictor, or one for another model.
    """
    folder = Path(run) / PREDICTOR_FOLDER
    again = f"run 'skiploop train --run {run}'"
    if not has_predictor(run):
        raise RunError(f"{run} holds no trained predictor: {again} first")
    encoder_spec, origin, space = _read_config(folder, again)
    if stack is None:
        stack = load(origin.model, dtype=origin.dtype)
    remedy = f"load {origin.model}, or search and train with {stack.name}"
    what = f"the predictor in {run} was made for {origin.model} with"
    check_model(origin.weights_id, stack, what, remedy)
    if stack.n_layers != space.n_layers:
        raise RunError(
            f"{what} {space.n_layers} layers, but {stack.name} has {stack.n_layers}: {remedy}"
        )
    network = PolarNetwork.from_pretrained(folder)
    encoder = build_encoder(encoder_spec, stack)
    return PredictorPolicy(network.to(stack.device), encoder, space, origin=origin)


def _read_config(folder: Path, again: str) -> tuple[dict[str, Any], Origin, ProgramSpace]:
    """Return the encoder's spec, the origin and the space of a stored policy."""
    file = folder / CONFIG_FILE
    with told_as(RunError, f"{file} is not complete", again, of=(ConfigError, KeyError)):
        config: dict[str, Any] = load_file(file)
        origin = from_dict(Origin, config["origin"])
        return config["encoder"], origin, from_dict(ProgramSpace, config["space"])
