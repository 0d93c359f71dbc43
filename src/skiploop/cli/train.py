"""`skiploop train`: learn to choose, from a search or from a menu."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import Folder, Json, SettingOptions
from skiploop.config import from_dict, to_dict
from skiploop.errors import ConfigError

if TYPE_CHECKING:
    from skiploop.policies.polar.training import TrainConfig
    from skiploop.policies.selector.learning import SelectorConfig
    from skiploop.runs.session import Run


class Method(StrEnum):
    """What is trained."""

    polar = "polar"
    selector = "selector"


@with_groups
def train(
    *,
    out: Folder,
    method: Annotated[
        Method,
        typer.Option(
            help="polar: the published network, from a search or a menu. selector: a choice from a "
            "menu."
        ),
    ] = Method.polar,
    epochs: Annotated[int | None, typer.Option(help="Passes over all targets. [10]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate. [5e-4]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Targets a step. [128]")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of an encoder. [the model's own first layers]"),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="How many first layers. [a quarter; selector: two thirds]")
    ] = None,
    machine: Machine,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Train what chooses a program for a prompt.

    Of the options of the recipe, the selector takes --text-encoder, --layer and --seed.

    Example: skiploop train --run RUN --method selector
    """
    recipe: dict[str, object] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
    }
    given = [f"--{name.replace('_', '-')}" for name, value in recipe.items() if value is not None]
    if method is Method.selector and given:
        raise ConfigError(f"{', '.join(given)}: the selector has no such option, only polar has")
    section = "train" if method is Method.polar else "selector"
    flags = {**recipe, "text_encoder": text_encoder, "layer": layer, "seed": settings.seed}
    sections = settings.merged((section, "run"), {section: flags})

    from skiploop.policies.polar.training import TrainConfig
    from skiploop.policies.selector.learning import SelectorConfig

    of: type[TrainConfig | SelectorConfig]
    of = TrainConfig if method is Method.polar else SelectorConfig
    config = from_dict(of, sections[section], section)
    run = machine.opened_run(out)
    run.check(sections["run"])
    if isinstance(config, SelectorConfig):
        _train_selector(run, config, as_json=as_json)
    else:
        _train_polar(run, config, as_json=as_json)


def _train_polar(run: Run, config: TrainConfig, *, as_json: bool) -> None:
    """Fit the published network to the programs that a search found."""
    from skiploop.policies.polar.policy import PREDICTOR_FOLDER
    from skiploop.policies.polar.training import best_epoch, read_metrics
    from skiploop.runs import pipeline

    started = time.perf_counter()
    with console.progress_bar() as bar:
        progress = console.EpochProgress(bar, config.epochs)
        with console.resumable([progress], run.folder):
            policy = pipeline.train(run, config, progress)
    print(f"trained on {policy.origin.training.n_targets} programs: {run.folder}/predictor")
    if as_json:
        metrics = read_metrics(run.folder / PREDICTOR_FOLDER)
        epoch_s = [line.pop("time_s") for line in metrics]
        console.print_json(
            {
                "run": str(run.folder),
                "train": to_dict(policy.origin),
                "metrics": metrics,
                "best_epoch": best_epoch(metrics),
                "provenance": run.provenance("train"),
                "timing": {"seconds": time.perf_counter() - started, "epoch_s": epoch_s},
            }
        )


def _train_selector(run: Run, config: SelectorConfig, *, as_json: bool) -> None:
    """Learn to choose from the menu of a run, and say what the gate expects."""
    from skiploop.policies.selector.calibration import calibration
    from skiploop.report.tables.selector import calibration_table
    from skiploop.report.validation import validation_lines
    from skiploop.runs import pipeline

    started = time.perf_counter()
    policy = pipeline.train_on_menu(run, config)
    data = policy.data
    bins = calibration(data.predicted_QP, data.score_QP, data.right_QP)
    figures = {
        "n_questions": len(data.score_QP),
        "ridge": data.ridge,
        "layer": policy.features.encoder.spec.get("layer"),
        "margin": policy.gate.margin,
        "layer_cost": policy.gate.layer_cost,
        "validation": policy.validation,
        "keeps_identity": not policy.validation.is_shown_to_help,
    }
    print(
        f"learned from {figures['n_questions']} questions under {len(policy.menu.programs)} "
        f"programs: {run.folder}/selector"
    )
    print("\n".join(validation_lines(policy.validation, run.folder)))
    console.print_table(calibration_table(bins))
    if as_json:
        console.print_json(
            {
                "run": str(run.folder),
                "selector": {**to_dict(config), **figures},
                "calibration": bins,
                "provenance": run.provenance("selector"),
                "timing": {"seconds": time.perf_counter() - started},
            }
        )
