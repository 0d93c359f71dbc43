"""Chooses from a menu the program with the highest expected score, or keeps the identity.

What is learned from are right and wrong answers alike: every question of a table under every
program of a menu. `RUN/selector/` holds `config.json` and `model.safetensors`.

Shapes: Q questions, F features, P programs, the first one the identity.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from skiploop import config as settings
from skiploop.arguments import texts, whole_number
from skiploop.engine.late import LateChoice
from skiploop.errors import ConfigError, DataError, RunError, one_line
from skiploop.identity import check_model
from skiploop.jsontext import write_json
from skiploop.predictor.features import LayerStates, PromptEncoder, build_encoder, make_encoder
from skiploop.predictor.folds import numbered
from skiploop.predictor.gate import ALWAYS, NEVER, Gate, tune
from skiploop.predictor.kernel import KernelRidge
from skiploop.predictor.learning import SelectorConfig, expect
from skiploop.predictor.lessons import Answers, Lessons
from skiploop.predictor.validation import choose_in_turn, validate
from skiploop.program import Program
from skiploop.search.evidence import Evidence
from skiploop.search.menu import Menu

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

SELECTOR_FOLDER = "selector"
MIN_QUESTIONS = 50
"""Fewer questions cannot tell a gate from chance."""


class PromptFeatures:
    """What a selector sees of a prompt.

    Args:
        encoder: Turns prompts into token states.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self.encoder = encoder
        self._known: dict[str, Tensor] = {}

    def of(self, prompts: Sequence[str]) -> Tensor:
        """Return features_QF: the state of the last token of each prompt, and the mean of all."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        encoded = dict(zip(new, map(_pooled, self.encoder.encode(new)), strict=True))
        known = self._known | encoded if len(new) < len(prompts) else encoded
        return torch.stack([known[prompt] for prompt in prompts])

    def remember(self, prompts: Sequence[str]) -> None:
        """Encode prompts that several policies will be asked about, once for all of them."""
        distinct = list(dict.fromkeys(prompts))
        self._known = dict(zip(distinct, self.of(distinct), strict=True))

    def forget(self) -> None:
        """Encode every prompt anew from now on."""
        self._known = {}


def _pooled(states_TE: Tensor) -> Tensor:
    return torch.cat([states_TE[-1], states_TE.mean(0)])


class SelectorPolicy:
    """Chooses programs from a menu by what they did on similar questions.

    Args:
        menu: The programs, the identity first.
        features: Of prompts.
        lessons: What to learn from.
        name: Name in tables.

    Attributes:
        validation: What such a choice is worth on questions that it had not seen.
        gate: When a program takes the place of the identity: never, unless the validation shows
            that it helps.
    """

    def __init__(
        self,
        menu: Menu,
        features: PromptFeatures,
        lessons: Lessons,
        name: str = "selector",
    ) -> None:
        self.menu = menu
        self.features = features
        self.lessons = lessons
        self.name = name
        self._slots_P = torch.tensor([float(program.n_slots) for program in menu.programs])
        self.validation = validate(
            lessons.chosen_Q, lessons.right_QP, lessons.weight_Q, lessons.group_Q, lessons.blind_Q
        )
        self.gate = self._tuned(None) if self.validation.is_shown_to_help else NEVER
        (self._model,) = KernelRidge.fit(
            lessons.features_QF, lessons.score_QP, lessons.weight_Q, (lessons.ridge,)
        )

    def _tuned(self, max_slots: float | None) -> Gate:
        it = self.lessons
        return tune(it.predicted_QP, it.right_QP, it.weight_Q, self._slots_P, max_slots)

    def within(self, max_slots: float, name: str) -> SelectorPolicy:
        """Return the selector that keeps to so many layer passes, on average over the lessons.

        Raises:
            ConfigError: No choice from the menu is so short.
        """
        policy = copy.copy(self)
        policy.gate = self._tuned(max_slots)
        shortest = float(self._slots_P.min())
        if policy.gate == NEVER and max_slots < self._slots_P[0]:
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

    def expected(self, prompts: Sequence[str]) -> Tensor:
        """Return score_QP that is expected of each program of the menu, whatever the gate keeps.

        Cost:
            That of `rank`.
        """
        return self._model.predict(self.features.of(texts("prompts", prompts)))

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the best `k` programs of the menu for each prompt, the best first.

        Args:
            prompts: Texts of the same kind as in training.
            k: At least 1.

        Cost:
            The first layers of the model, or the text encoder, for each prompt, and `Q * F`
            multiplications.
        """
        k = whole_number("k", k, at_least=1, error=ConfigError)
        prompts = texts("prompts", prompts)
        return self._rank(self.features.of(prompts), k) if prompts else []

    def late(self, k: int = 1) -> LateChoice:
        """Return the same choice made while the prompts run, for `LayerStack.generate`.

        The layers that describe a prompt are not run again: choosing costs what `rank` costs
        without them.

        Args:
            k: Prompts come `k` times in a row each and get the best `k` programs.

        Raises:
            ConfigError: Prompts are described by something else than layers that all programs of
                the menu run first, or the menu has fewer than `k` programs.
        """
        k = whole_number("k", k, error=ConfigError)
        if not 1 <= k <= len(self.menu.programs):
            raise ConfigError(f"the menu has {len(self.menu.programs)} programs, not {k}")
        encoder = self.features.encoder
        if not isinstance(encoder, LayerStates):
            raise ConfigError(
                f"prompts are described by {encoder.spec}, not by layers that all programs run "
                "first: use rank(), or train without a text encoder"
            )
        if encoder.layer > first_change(self.menu):
            raise ConfigError(
                f"prompts are described by {encoder.spec}, but programs of the menu change layer "
                f"{first_change(self.menu)}: use rank(), or train with an earlier layer"
            )

        def choose(numbers: Sequence[int], states: Sequence[Tensor]) -> list[Program]:
            by_prompt = {n // k: states_TD for n, states_TD in zip(numbers, states, strict=True)}
            features = [_pooled(encoder.encoding(states_TD)) for states_TD in by_prompt.values()]
            ranked = dict(zip(by_prompt, self._rank(torch.stack(features), k), strict=True))
            return [ranked[number // k][number % k] for number in numbers]

        longest = max(self.menu.programs, key=lambda program: program.n_slots)
        return LateChoice(encoder.layer, choose, longest)

    def _rank(self, features_QF: Tensor, k: int) -> list[list[Program]]:
        worth_QP = self.gate.worth(self._model.predict(features_QF), self._slots_P)
        best_QK = worth_QP.argsort(dim=1, descending=True, stable=True)[:, :k]
        return [[self.menu.programs[column] for column in row] for row in best_QK.tolist()]

    def save(self, run: Path) -> None:
        """Write the policy into the folder `selector` of a run; `load_selector` reads it."""
        folder = run / SELECTOR_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").unlink(missing_ok=True)  # until the other files are there
        self.menu.save(folder)
        self.lessons.save(folder / "model.safetensors")
        config = {"encoder": self.features.encoder.spec, "n_questions": len(self.lessons.score_QP)}
        write_json(folder / "config.json", config)


def train_selector(
    stack: LayerStack,
    menu: Menu,
    prompts: Sequence[str],
    evidence: Evidence,
    config: SelectorConfig,
    groups: Sequence[Hashable] = (),
    n_raced: int = 0,
) -> SelectorPolicy:
    """Learn which program of a menu suits which prompt.

    Args:
        stack: The model that the menu is for.
        menu: The programs.
        prompts: Of the questions of the table.
        evidence: The table, with the programs of the menu as columns.
        config: How to learn.
        groups: Of the questions, `Example.group`; each question is its own if there are none.
        n_raced: As for `learn`.

    Raises:
        DataError: There are too few questions, no wrong answers, or all programs did equally well
            on all.
        ConfigError: There are more folds than questions, the model has no such layer, or the text
            encoder cannot be loaded.

    Cost:
        The first layers of the model, or the text encoder, for each prompt, and what `learn` costs.
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
    if not (evidence.right_QP == 0).any():
        raise DataError(
            "no program of the menu answered any question wrong: there is nothing to choose; take "
            "harder questions"
        )
    score_QP = torch.from_numpy(evidence.score_QP).float()
    if not score_QP.std(1, correction=0).any():
        raise DataError("all programs of the menu did equally well: there is nothing to choose")
    layer = first_change(menu) if config.layer is None else config.layer
    features = PromptFeatures(make_encoder(stack, text_encoder=config.text_encoder, layer=layer))
    lessons = learn(features.of(prompts), evidence, config, group_Q, n_raced)
    return SelectorPolicy(menu, features, lessons)


def learn(
    features_QF: Tensor,
    evidence: Evidence,
    config: SelectorConfig,
    group_Q: Tensor | None = None,
    n_raced: int = 0,
) -> Lessons:
    """Learn from a table, and choose once for each question by what questions before it taught.

    Args:
        features_QF: What is known of each question beforehand.
        evidence: What each program did on it.
        config: How to learn.
        group_Q: Groups of the questions that the features are of, from `numbered`; each question
            is its own if not given.
        n_raced: So many first questions chose the programs: they teach, but judge nothing.

    Cost:
        About twice `n_folds` fits for each ridge, a minute or two of one core at 5,000 questions.
    """
    weight_Q, blind_Q = evidence.balanced_among(features_QF.numpy())
    answers = Answers(
        features_QF,
        torch.from_numpy(evidence.score_QP).float(),
        torch.from_numpy(evidence.right_QP).float(),
        torch.from_numpy(weight_Q).float(),
        torch.arange(len(features_QF)) if group_Q is None else group_Q,
        torch.from_numpy(blind_Q).float(),
    )
    slots_P = torch.tensor([float(program.n_slots) for program in evidence.programs])
    predicted_QP, ridge = expect(answers, config)
    chosen_Q = choose_in_turn(answers, slots_P, config, n_raced)
    return Lessons(**vars(answers), predicted_QP=predicted_QP, chosen_Q=chosen_Q, ridge=ridge)


def first_change(menu: Menu) -> int:
    """Return how many first layers all programs of a menu run once."""
    return min(program.edits[0].start for program in menu.programs if program.edits)


def load_selector(run: Path, stack: LayerStack) -> SelectorPolicy:
    """Return the selector of a run.

    Args:
        run: The run folder.
        stack: The model that it chooses programs for.

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
    try:
        spec = settings.load_file(folder / "config.json")["encoder"]
        lessons = Lessons.load(folder / "model.safetensors")
        if lessons.score_QP.shape[1] != len(menu.programs):
            raise RunError(f"{len(menu.programs)} programs, but scores of another number")
        encoder = build_encoder(spec, stack)  # type: ignore[arg-type]
        return SelectorPolicy(menu, PromptFeatures(encoder), lessons)
    except (KeyError, TypeError, ConfigError, RunError, LinAlgError) as error:
        raise RunError(f"{folder} is not complete ({one_line(error)}): {again}") from error
