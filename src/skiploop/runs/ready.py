"""Policies that are ready to use: shipped, exported, or trained in a run folder."""

from __future__ import annotations

from pathlib import Path

from skiploop.arguments import shown
from skiploop.errors import ConfigError, unknown_name
from skiploop.files import at_home
from skiploop.loading import load
from skiploop.models.identity import check_model
from skiploop.models.packaged import DEFAULT_MODEL, PACKAGED
from skiploop.models.recipe import Recipe, has_recipe, is_within_weights, place_of_recipe
from skiploop.models.resolve import fetch_hub, is_hub_id
from skiploop.policies.base import FixedPolicy
from skiploop.policies.polar.policy import PredictorPolicy, has_predictor, load_predictor
from skiploop.policies.selector.choice import MenuChoice
from skiploop.policies.selector.packed import POLICY_FILE, Origin, load_packed, read_origin
from skiploop.policies.selector.policy import SELECTOR_FOLDER, load_selector
from skiploop.programs.program import Program
from skiploop.runs.session import Run
from skiploop.shipped import shipped_policies
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm


def load_policy(
    policy: str | Path, stack: LayerStack | None = None
) -> PredictorPolicy | MenuChoice | FixedPolicy:
    """Load a policy that was trained before; of a run its selector, or else its predictor.

    Args:
        policy: Name of a shipped policy, such as `smollm2-135m/arithmetic`; a folder that `skiploop
            export` wrote, or the hub id of one; that of the weights within which it wrote; or a run
            folder. The recipe of a program is the
            policy that gives it to every prompt.
        stack: The model that programs are wanted for; by default that which the policy was made on
            is loaded.

    Returns:
        The policy. Its `form` puts a bare question as the questions were put that it learned from;
        one that learned from none has no such form.

    Raises:
        UnknownNameError: There is no such name and no such folder.
        DownloadError: It is on the hub and cannot be fetched.
        RunError: The folder holds no policy, or one for another model.
    """
    folder = _folder_of(policy)
    if stack is None:
        model, dtype = base_for(policy, None, None)
        stack = load(model, dtype=dtype)
    if has_recipe(folder) and (text := Recipe.load(folder).program):
        check_model(Recipe.load(folder).weights, stack, f"{policy} was made for", "load that model")
        return FixedPolicy([Program.parse(text, stack.n_layers)], name=str(policy))
    if (folder / POLICY_FILE).exists():
        return load_packed(folder, stack, str(policy))
    trained: PredictorPolicy | MenuChoice
    if (folder / SELECTOR_FOLDER).exists():
        trained = load_selector(folder, stack)
    else:
        trained = load_predictor(folder, stack)
    trained.form = origin_of(folder).form
    return trained


def has_policy(run: Path) -> bool:
    """Whether a run folder holds a policy that was trained in it."""
    return (run / SELECTOR_FOLDER).exists() or has_predictor(run)


def base_for(
    policy: str | Path | None, model: str | None, dtype: str | None
) -> tuple[str, str | None]:
    """Return the model to load and its number format: as given, else those of a policy, if any.

    Policies are named as for `load_policy`, and refused as there.
    """
    made_on, made_in = DEFAULT_MODEL, None
    if policy:
        folder = _folder_of(policy)
        made = Recipe.load(folder) if has_recipe(folder) else origin_of(policy)
        made_on = str(policy) if is_within_weights(folder) else made.model
        made_in = made.dtype
    return (made_on if model is None else model, made_in if dtype is None else dtype)


def origin_of(policy: str | Path) -> Origin:
    """Return what a policy was made on and from.

    Policies are named as for `load_policy`, and refused as there.

    Raises:
        ConfigError: It is one program for all prompts, which learned from no questions.
    """
    folder = _folder_of(policy)
    if has_recipe(folder) and Recipe.load(folder).program:
        raise ConfigError(
            f"{policy} is one program for all prompts and knows no questions: give a whole prompt"
        )
    if (folder / POLICY_FILE).exists():
        return read_origin(folder)
    made = Run.open(folder).config
    form = PromptForm(made.task, made.options, made.questions)
    return Origin(model=made.model, dtype=made.dtype, form=form)


def _folder_of(policy: str | Path) -> Path:
    if not isinstance(policy, (str, Path)):
        raise ConfigError(
            f"policy is {shown(policy)}: give the name of a shipped policy or the path of a run "
            "folder"
        )
    shipped = shipped_policies()
    folder = shipped.get(str(policy), at_home(policy))
    if folder.is_dir():
        return _of_recipe(folder)
    owner = str(policy).partition("/")[0]
    if isinstance(policy, str) and is_hub_id(policy) and owner not in PACKAGED:
        return _of_recipe(fetch_hub(policy))
    raise unknown_name("policy or run folder", str(policy), shipped)


def _of_recipe(folder: Path) -> Path:
    """Return the folder of a policy: the one given, or that within some weights."""
    place = place_of_recipe(folder)
    return place if place.is_dir() else folder
