"""Policies that are ready to use: shipped, exported, or trained in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skiploop.arguments import shown
from skiploop.errors import ConfigError, unknown_name
from skiploop.loading import load
from skiploop.policies.polar.policy import PredictorPolicy, load_predictor
from skiploop.policies.selector.choice import MenuChoice
from skiploop.policies.selector.packed import POLICY_FILE, Origin, load_packed, read_origin
from skiploop.policies.selector.policy import SELECTOR_FOLDER, load_selector
from skiploop.runs.session import Run
from skiploop.shipped import shipped_policies
from skiploop.tasks.prompt_form import PromptForm

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


def load_policy(
    policy: str | Path, stack: LayerStack | None = None
) -> PredictorPolicy | MenuChoice:
    """Load a policy that was trained before; of a run its selector, or else its predictor.

    Args:
        policy: Name of a shipped policy, such as `smollm2-135m/arithmetic`; a folder that `skiploop
            export` wrote; or a run folder.
        stack: The model that programs are wanted for; by default that which the policy was made on
            is loaded.

    Returns:
        The policy. Its `form` puts a bare question as the questions were put that it learned from.

    Raises:
        UnknownNameError: There is no such name and no such folder.
        RunError: The folder holds no policy, or one for another model.
    """
    folder = _folder_of(policy)
    if stack is None:
        origin = origin_of(policy)
        stack = load(origin.model, dtype=origin.dtype)
    if (folder / POLICY_FILE).exists():
        return load_packed(folder, stack, str(policy))
    trained: PredictorPolicy | MenuChoice
    if (folder / SELECTOR_FOLDER).exists():
        trained = load_selector(folder, stack)
    else:
        trained = load_predictor(folder, stack)
    trained.form = origin_of(folder).form
    return trained


def origin_of(policy: str | Path) -> Origin:
    """Return what a policy was made on and from.

    Args:
        policy: As for `load_policy`.

    Raises:
        UnknownNameError: There is no such name and no such folder.
        RunError: The folder holds no policy and is no run.
    """
    folder = _folder_of(policy)
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
    folder = shipped.get(str(policy), Path(policy))
    if not folder.is_dir():
        raise unknown_name("policy or run folder", str(policy), shipped)
    return folder
