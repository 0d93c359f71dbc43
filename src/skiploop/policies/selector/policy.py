"""A choice from a menu that is learned from a table of answers.

What is learned from are right and wrong answers alike: every question of a table under every
program of a menu. `RUN/selector/` holds `config.json` and `model.safetensors`.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from skiploop import config as settings
from skiploop.errors import ConfigError, DataError, RunError, told_as
from skiploop.jsontext import write_json
from skiploop.menus.menu import Menu
from skiploop.models.identity import check_model
from skiploop.policies.encoders import build_encoder, make_encoder
from skiploop.policies.selector.calibration import calibration
from skiploop.policies.selector.choice import MenuChoice, PromptFeatures, slots_of
from skiploop.policies.selector.data import Answers, SelectorData
from skiploop.policies.selector.folds import numbered
from skiploop.policies.selector.gate import ALWAYS, NEVER, tune
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.policies.selector.learning import SelectorConfig, expect, fit_categories
from skiploop.policies.selector.validation import choose_in_turn, validate
from skiploop.stack import LayerStack
from skiploop.trials.score_table import ScoreTable

SELECTOR_FOLDER = "selector"
MIN_QUESTIONS = 50
"""Fewer questions cannot tell a gate from chance."""

DEPTH = 2 / 3
"""Of the layers, those after which states tell most of what programs will do; later ones are about
the next word alone (benchmarks/results/2026-11-27-states-and-scores.md)."""


class SelectorPolicy(MenuChoice):
    """A choice from a menu, with all that it was learned from.

    Attributes:
        validation: What such a choice is worth on questions that it had not seen.
        gate: When a program takes the place of the identity: never, unless the validation shows
            that it helps.
    """

    def __init__(
        self,
        menu: Menu,
        features: PromptFeatures,
        data: SelectorData,
        name: str = "selector",
    ) -> None:
        (model,) = KernelRidge.fit(data.features_QF, data.score_QP, data.weight_Q, (data.ridge,))
        slots_P = slots_of(menu.programs)
        gate = tune(data.predicted_QP, data.right_QP, data.weight_Q, slots_P)
        chosen_Q = gate.choose(data.predicted_QP, slots_P)
        categories = fit_categories(data, chosen_Q, data.distance_Q, data.unseen_UF)
        super().__init__(menu, features, model, categories, NEVER, name)
        self.data = data
        self.validation = validate(
            data.chosen_Q, data.right_QP, data.weight_Q, data.group_Q, data.blind_Q
        )
        if self.validation.is_shown_to_help:
            self.gate = gate

    @property
    def far_Q(self) -> Tensor:
        """The questions of the data that those of other folds take for ones of another category."""
        return self.data.distance_Q > self.categories.limit

    def within(self, max_slots: float, name: str) -> SelectorPolicy:
        """Return the selector that keeps to so many layer passes, on average over its data.

        Raises:
            ConfigError: No choice from the menu is so short.
        """
        policy, it = copy.copy(self), self.data
        policy.gate = tune(
            it.predicted_QP, it.right_QP, it.weight_Q, self.slots_P, max_slots, self.far_Q
        )
        shortest = float(self.slots_P.min())
        if policy.gate == NEVER and max_slots < self.slots_P[0]:
            raise ConfigError(
                f"{name}: no choice from this menu, whose shortest program has {shortest:g} layer "
                f"passes, keeps to {max_slots:g} on average: allow more, or make a menu with "
                "shorter programs"
            )
        policy.name = name
        return policy

    def ungated(self, name: str) -> SelectorPolicy:
        """Return the selector that always takes the program of the highest expected score."""
        policy = copy.copy(self)
        policy.gate, policy.name = ALWAYS, name
        return policy

    def calibrated(self, scores: Sequence[float]) -> list[float | None]:
        """Return what programs scored of which as much was expected, of unseen questions.

        Between the bins of `calibration` it is interpolated.
        """
        it = self.data
        bins = calibration(it.predicted_QP, it.score_QP, it.right_QP)
        found = np.interp(scores, [b.expected for b in bins], [b.observed.value for b in bins])
        return [float(one) for one in found]

    def save(self, run: Path) -> None:
        """Write the policy into the folder `selector` of a run; `load_selector` reads it."""
        folder = run / SELECTOR_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").unlink(missing_ok=True)  # until the other files are there
        self.menu.save(folder)
        self.data.save(folder / "model.safetensors")
        config = {"encoder": self.features.encoder.spec, "n_questions": len(self.data.score_QP)}
        write_json(folder / "config.json", config)


def train_selector(
    stack: LayerStack,
    menu: Menu,
    prompts: Sequence[str],
    table: ScoreTable,
    config: SelectorConfig,
    groups: Sequence[Hashable] = (),
    n_raced: int = 0,
    unseen: Sequence[str] = (),
) -> SelectorPolicy:
    """Learn which program of a menu suits which prompt.

    Where no choice can help, as all programs did equally well on all questions, the selector keeps
    the identity.

    Args:
        stack: The model that the menu is for.
        menu: The programs.
        prompts: Of the questions of the table.
        table: The table, with the programs of the menu as columns.
        config: How to learn.
        groups: Of the questions, `Example.group`; each question is its own if there are none.
        n_raced: As for `learn`.
        unseen: Prompts of questions of the same categories, as new as those that will be asked.

    Raises:
        DataError: There are too few questions.
        ConfigError: There are more folds than questions, the model has no such layer, or the text
            encoder cannot be loaded.

    Cost:
        Layers of the model, or the text encoder, for each prompt, and what `learn` costs.
    """
    group_Q = numbered(groups or range(len(prompts)))
    n_questions = len(group_Q.unique())
    if n_questions < MIN_QUESTIONS:
        raise DataError(
            f"{n_questions} questions are too few to learn a choice from: "
            f"make the menu with --limit {MIN_QUESTIONS} or more"
        )
    if config.n_folds > n_questions:
        raise ConfigError(
            f"selector.n_folds is {config.n_folds}: there are {n_questions} questions, give fewer"
        )
    layer = max(1, round(DEPTH * stack.n_layers)) if config.layer is None else config.layer
    encoder = make_encoder(stack, text_encoder=config.text_encoder, layer=layer, prompts=prompts)
    features = PromptFeatures(encoder)
    data = learn(features.of(prompts), table, config, group_Q, n_raced, features.of(unseen))
    return SelectorPolicy(menu, features, data)


def learn(
    features_QF: Tensor,
    table: ScoreTable,
    config: SelectorConfig,
    group_Q: Tensor | None = None,
    n_raced: int = 0,
    unseen_UF: Tensor | None = None,
) -> SelectorData:
    """Learn from a table, and choose once for each question by what questions before it taught.

    Args:
        features_QF: What is known of each question beforehand.
        table: What each program did on it.
        config: How to learn.
        group_Q: Groups of the questions that the features are of, from `numbered`; each question
            is its own if not given.
        n_raced: So many first questions chose the programs: they teach, but judge nothing.
        unseen_UF: The same of questions of these categories that are as new as those that will be
            asked.

    Cost:
        About twice `n_folds` fits for each ridge, a minute or two of one core at 5,000 questions;
        as many of `KnownCategories`, seconds at 1,000 features.
    """
    weight_Q, blind_Q = table.balanced_among(features_QF.numpy())
    answers = Answers(
        features_QF,
        torch.from_numpy(table.worth_QP).float(),
        torch.from_numpy(table.right_QP).float(),
        torch.from_numpy(weight_Q).float(),
        torch.arange(len(features_QF)) if group_Q is None else group_Q,
        torch.from_numpy(blind_Q).float(),
        numbered([category for category, _ in table.answers] or [""] * len(features_QF)),
    )
    slots_P = slots_of(table.programs)
    unseen_UF = features_QF[:0] if unseen_UF is None else unseen_UF
    expected = expect(answers, config)
    chosen_Q = choose_in_turn(answers, unseen_UF, slots_P, config, n_raced)
    return SelectorData(**vars(answers), **vars(expected), chosen_Q=chosen_Q, unseen_UF=unseen_UF)


def load_selector(run: Path, stack: LayerStack) -> SelectorPolicy:
    """Return the selector of a run.

    Raises:
        RunError: The run has none, or one for another model.
    """
    folder = run / SELECTOR_FOLDER
    again = f"run 'skiploop train --method selector --run {run}'"
    if not (folder / "config.json").exists():
        raise RunError(f"{run} holds no trained selector: {again} first")
    menu = Menu.load(folder)
    remedy = f"load that one, or make a menu for {stack.name}"
    check_model(menu.weights_id, stack, f"the selector in {run} was made for", remedy)
    of = (KeyError, TypeError, ConfigError, RunError, LinAlgError)
    with told_as(RunError, f"{folder} is not complete", again, of=of):
        spec = settings.load_file(folder / "config.json")["encoder"]
        data = SelectorData.load(folder / "model.safetensors")
        if data.score_QP.shape[1] != len(menu.programs):
            raise RunError(f"{len(menu.programs)} programs, but scores of another number")
        encoder = build_encoder(spec, stack)  # type: ignore[arg-type]
        return SelectorPolicy(menu, PromptFeatures(encoder), data)
