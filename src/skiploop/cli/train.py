"""`skiploop train`: fit the predictor to the programs that a search found."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from skiploop.cli.options import (
    GIGABYTE,
    ConfigFile,
    Device,
    Folder,
    Json,
    Memory,
    Overrides,
    Seed,
    Threads,
    read_settings,
)


def train(
    out: Folder,
    epochs: Annotated[int | None, typer.Option(help="Passes over all targets. [10]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate. [5e-4]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Targets a step. [128]")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of an encoder. [the model's own first layers]"),
    ] = None,
    layer: Annotated[int | None, typer.Option(help="How many first layers. [a quarter]")] = None,
    device: Device = "cpu",
    memory: Memory = 1.0,
    threads: Threads = 1,
    seed: Seed = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Train the predictor of a run, the network that chooses a program for a prompt.

    Example: skiploop train --run RUN
    """
    flags: dict[str, dict[str, object]] = {
        "train": {
            "epochs": epochs,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "text_encoder": text_encoder,
            "layer": layer,
            "seed": seed,
        }
    }
    sections = read_settings(("train", "run"), config, overrides, flags)

    from skiploop import pipeline
    from skiploop.cli import console
    from skiploop.config import from_dict, to_dict
    from skiploop.predictor.policy import PREDICTOR_FOLDER
    from skiploop.predictor.training import TrainConfig, best_epoch, read_metrics
    from skiploop.run import Run

    console.prepare(threads)
    train_config = from_dict(TrainConfig, sections["train"], "train")
    run = Run.open(out, device=device, memory=int(memory * GIGABYTE))
    run.check(sections["run"])
    started = time.perf_counter()
    with console.progress_bar() as bar:
        progress = console.EpochProgress(bar, train_config.epochs)
        with console.resumable([progress], out):
            policy = pipeline.train(run, train_config, progress)
    print(f"trained on {policy.origin.training.n_targets} programs: {out}/predictor")
    if as_json:
        metrics = read_metrics(out / PREDICTOR_FOLDER)
        epoch_s = [line.pop("time_s") for line in metrics]
        console.print_json(
            {
                "run": str(out),
                "train": to_dict(policy.origin),
                "metrics": metrics,
                "best_epoch": best_epoch(metrics),
                "provenance": run.provenance("train"),
                "timing": {"seconds": time.perf_counter() - started, "epoch_s": epoch_s},
            }
        )
