"""`skiploop models`: what is in the cache, and fetching a model into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.console import made_by, print_json, show_log
from skiploop.cli.options import Json

if TYPE_CHECKING:
    from skiploop.models.resolve import CachedModel

app = typer.Typer()


@app.callback(invoke_without_command=True)
def models(ctx: typer.Context, as_json: Json = False) -> None:
    """List the models of skiploop's cache with size and licence.

    Example: skiploop models

    Models of the Hugging Face hub stay in that hub's own cache: hf cache ls
    """
    if ctx.invoked_subcommand is not None:
        return
    from skiploop.models.resolve import cache_dir, cached_models

    found = cached_models()
    if as_json:
        listed = [{**vars(one), "folder": one.folder and str(one.folder)} for one in found]
        print_json({"cache": str(cache_dir()), "models": listed, **made_by()})
    else:
        _print_list(found)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="smollm2-135m, a hub id, or a .gguf file.")],
    as_json: Json = False,
) -> None:
    """Fetch a model, convert it if need be, and print its folder.

    Example: skiploop models pull smollm2-135m
    """
    from skiploop.models.resolve import resolve

    show_log()
    folder = resolve(name)
    if as_json:
        print_json({"name": name, "folder": str(folder), **made_by()})
    else:
        print(folder)


def _print_list(found: list[CachedModel]) -> None:
    for model in found:
        print(f"{model.name}  {model.n_bytes / 1e6:.0f} MB  {model.licence}")
        print(f"  {model.folder or 'not fetched yet'}")
