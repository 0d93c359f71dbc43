"""A selector made small enough to ship: its menu, a short regression, and the form of prompts.

A folder holds `policy.json`, `menu.json`, `model.safetensors` and `card.md`; what the selector was
learned from stays behind.

Shapes: the letters of learning (docs/reference/shapes.md), and C: category, D: direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skiploop import config as settings
from skiploop.errors import ConfigError, RunError, told_as
from skiploop.jsontext import read_json, write_json
from skiploop.menus.menu import Menu
from skiploop.models.identity import check_model
from skiploop.policies.encoders import build_encoder
from skiploop.policies.selector.categories import KnownCategories
from skiploop.policies.selector.choice import MenuChoice, PromptFeatures
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.gate import Gate, tune
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.policies.selector.landmarks import fit_landmarks
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy
from skiploop.policies.tensors import read_tensors, write_tensors
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm

POLICY_FILE = "policy.json"
_MODEL_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a packed policy was made on and from.

    Attributes:
        model: Anything that `skiploop.load` takes by name.
        dtype: Number format of weights and computation.
        form: How the questions were put.
    """

    model: str
    dtype: str
    form: PromptForm


@dataclass(frozen=True)
class Kept:
    """Right answers to the questions that were learned from, each expected from other folds.

    Attributes:
        n_questions: How many there are.
        identity: Of the plain model.
        whole: Of the programs that the whole selector chooses.
        packed: Of those that the packed one chooses.
        mean_slots: Layer passes of what the packed one chooses.
    """

    n_questions: int
    identity: int
    whole: int
    packed: int
    mean_slots: float

    def summary(self) -> str:
        """Return all of it in one sentence."""
        return (
            f"of {self.n_questions:,} questions, out of fold, the plain model answers "
            f"{self.identity:,} right, the selector {self.whole:,}, the exported one "
            f"{self.packed:,} with {self.mean_slots:.2f} layer passes on average"
        )


def pack(
    policy: SelectorPolicy,
    stack: LayerStack,
    form: PromptForm,
    config: SelectorConfig,
    n: int,
    max_slots: float | None = None,
) -> tuple[MenuChoice, Kept]:
    """Return a selector that keeps few of the questions that it learned from.

    Its gate is tuned as that of the whole one: on what is expected of questions of other folds.

    Args:
        policy: The whole selector.
        stack: The model that it was made for.
        form: How the questions were put.
        config: How the selector was trained.
        n: Questions to keep.
        max_slots: Layer passes that it keeps to on average; None for no limit.

    Raises:
        RunError: The selector keeps the identity, as it is not shown to help, and is not to save
            layer passes either.
        ConfigError: `n` is not above 0.

    Cost:
        Some seconds for each fold at 5,000 questions.
    """
    if n < 1:
        raise ConfigError(f"{n} landmarks are none: give a number above 0")
    saves = max_slots is not None and max_slots < policy.slots_P[0]
    if not (policy.validation.is_shown_to_help or saves):
        raise RunError(
            "the selector is not shown to help and keeps the plain model for every prompt: there "
            "is nothing to export; learn from more questions"
        )
    known, ridge = policy.data, policy.data.ridge
    fold_Q = deal(known.group_Q, config.n_folds, config.seed)
    predicted_QP = torch.empty_like(known.score_QP)
    for fold in fold_Q.unique().tolist():
        held_Q = fold_Q == fold
        model = fit_landmarks(known.of(~held_Q), ridge, n, config.seed)
        predicted_QP[held_Q] = model.predict(known.features_QF[held_Q])
    gate = tune(
        predicted_QP, known.right_QP, known.weight_Q, policy.slots_P, max_slots, policy.far_Q
    )
    menu = replace(policy.menu, weights_id=stack.model_id)
    packed = MenuChoice(
        menu,
        policy.features,
        fit_landmarks(known, ridge, n, config.seed),
        policy.categories,
        gate,
        policy.name,
        form,
    )
    chosen_Q = gate.choose(predicted_QP, policy.slots_P, policy.far_Q)
    whole_Q = policy.gate.choose(known.predicted_QP, policy.slots_P, policy.far_Q)
    kept = Kept(
        n_questions=len(chosen_Q),
        identity=_n_right(known.right_QP, torch.zeros_like(chosen_Q)),
        whole=_n_right(known.right_QP, whole_Q),
        packed=_n_right(known.right_QP, chosen_Q),
        mean_slots=float(policy.slots_P[chosen_Q].mean()),
    )
    return packed, kept


def _n_right(right_QP: Tensor, chosen_Q: Tensor) -> int:
    return int((right_QP.gather(1, chosen_Q[:, None]) == 1).sum())


def save_packed(folder: Path, policy: MenuChoice, origin: Origin) -> None:
    """Write a packed policy into a folder of its own; `load_packed` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / POLICY_FILE).unlink(missing_ok=True)  # until the other files are there
    policy.menu.save(folder)
    model, categories = policy.model, policy.categories
    tensors = {
        "landmarks_LF": model.features_QF.half(),
        "weights_LP": model.weights_QP,
        "center_F": model.center_F,
        "scale_F": model.scale_F,
        "mean_P": model.mean_P,
        "bandwidth": torch.tensor(model.bandwidth, dtype=torch.float64),
        "directions_FD": categories.directions_FD,
        "centers_CD": categories.centers_CD,
        "limit": torch.tensor(categories.limit, dtype=torch.float64),
    }
    write_tensors(folder / _MODEL_FILE, tensors)
    facts = {
        "origin": settings.to_dict(origin),
        "encoder": policy.features.encoder.spec,
        "gate": settings.to_dict(policy.gate),
    }
    write_json(folder / POLICY_FILE, facts)


def read_origin(folder: Path) -> Origin:
    """Return what a packed policy was made on and from.

    Raises:
        RunError: The folder holds none, or a damaged one.
    """
    with _being_whole(folder):
        facts: dict[str, Any] = read_json(folder / POLICY_FILE)
        return settings.from_dict(Origin, facts["origin"])


def load_packed(folder: Path, stack: LayerStack, name: str) -> MenuChoice:
    """Return the packed policy in a folder.

    Raises:
        RunError: There is none, it is damaged, or it was made for another model.
    """
    with _being_whole(folder):
        facts: dict[str, Any] = read_json(folder / POLICY_FILE)
        origin = settings.from_dict(Origin, facts["origin"])
    menu = Menu.load(folder)
    what = f"the policy in {folder} was made for {origin.model} with"
    check_model(menu.weights_id, stack, what, f"load {origin.model}")
    tensors, _ = read_tensors(folder / _MODEL_FILE)
    with _being_whole(folder):
        model = KernelRidge(
            tensors["landmarks_LF"].float(),
            tensors["weights_LP"],
            tensors["center_F"],
            tensors["scale_F"],
            tensors["mean_P"],
            float(tensors["bandwidth"]),
        )
        categories = _categories(tensors)
        gate = settings.from_dict(Gate, facts["gate"])
        encoder = build_encoder(facts["encoder"], stack)
        n_scores, n_programs = len(model.mean_P), len(menu.programs)
        if n_scores != n_programs:
            raise ConfigError(f"{n_scores} scores for {n_programs} programs")
    return MenuChoice(menu, PromptFeatures(encoder), model, categories, gate, name, origin.form)


def _categories(tensors: Mapping[str, Tensor]) -> KnownCategories:
    """Return the categories of a packed policy; those that were made before had none."""
    if "limit" not in tensors:
        return KnownCategories.none(len(tensors["center_F"]))
    return KnownCategories(tensors["directions_FD"], tensors["centers_CD"], float(tensors["limit"]))


def _being_whole(folder: Path) -> AbstractContextManager[None]:
    """Refuse a folder in which something is missing or wrong."""
    of = (OSError, KeyError, TypeError, ValueError)
    problem = f"{folder} holds no whole policy"
    return told_as(RunError, problem, "make it with 'skiploop export'", of=of)
