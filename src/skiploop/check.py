"""A stack proves itself before it is used: a few random tokens, run as the engine would.

Two rows of different length under several programs, in one batch, with what they share computed
once and keys and values kept, are held against the plain model and program views, each row alone
and without a cache. A family that keeps states elsewhere, counts padding or couples its layers
shows here, not in somebody's results.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from torch import Tensor, nn

import skiploop
from skiploop.engine.batching.prefix import shared_prefix, shares_prefixes
from skiploop.engine.batching.rows import Row
from skiploop.engine.decoding.prefill import first_pass
from skiploop.engine.forward.calling import without_cache
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.way import Way
from skiploop.engine.plan.schedule import schedule
from skiploop.errors import SkiploopError, UnsupportedModelError, one_line
from skiploop.jsontext import digest, read_json, write_json
from skiploop.models.resolve import cache_dir
from skiploop.models.view import program_view
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.stack import LayerStack

_log = logging.getLogger("skiploop")

LENGTHS = (9, 6)  # tokens of the rows
N_SHARED = 3  # tokens that all of them start with
N_JUDGED = 4  # positions, the last ones
N_LATER = N_JUDGED - 1  # tokens that come one after the other
MOST_LAYERS = 8  # a deeper model is checked whole under the identity, and a part under programs

TOLERANCE = {torch.float64: 3e-3, torch.float32: 3e-3, torch.bfloat16: 0.5, torch.float16: 0.5}
"""Largest difference that rounding makes, in standard deviations of the logits."""

NOTES = 2  # version of what is noted about a model

_SLOWER = {
    Way.EQUAL: "rows of different length do not run right in one batch; only rows of one length "
    "share one",
    Way.RECOMPUTED: "does not run right with a cache; every new token runs all tokens before it "
    "again, which is slow",
}


class _Case(NamedTuple):
    """A row and what is right for it.

    Attributes:
        tokens: Token ids.
        program: What it runs.
        right_NV: Logits at its last positions.
    """

    tokens: tuple[int, ...]
    program: Program
    right_NV: Tensor


@torch.inference_mode()
def check(stack: LayerStack) -> None:
    """Compare the engine with the plain model on a few random tokens.

    Where rows of different length, or a cache, do not give what is right, the stack gets the first
    other way that does; where no batch does, every row runs alone from now on, as with `exact`.

    Args:
        stack: Not used so far; `way` and `exact` may be set.

    Raises:
        UnsupportedModelError: A check differs or fails; the message names it, and what works.

    Cost:
        About ten forward passes of nine tokens, through at most a few layers of each kind, and
        two through all layers.
    """
    family = type(stack.model).__name__
    try:
        part = _part(stack)
        _check_part(part)
        if part is not stack:
            stack.way, stack.exact, stack.has_views = part.way, part.exact, part.has_views
            plain = _case(stack, _tokens(stack)[0], Program.identity(stack.n_layers))
            _require(stack, plain, 0)
    except SkiploopError:
        raise
    except Exception as error:
        raise UnsupportedModelError(
            f"{family} fails the check at load ({type(error).__name__}: {one_line(error)}): "
            f"{_advice(stack)}"
        ) from error


def check_once(stack: LayerStack, folder: Path) -> None:
    """Check a stack whose model was read from a folder, unless it was checked before.

    The result is kept in skiploop's cache, for these files, number format, kind of device and
    versions.
    """
    files = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in folder.iterdir())
    versions = [skiploop.__version__, torch.__version__, transformers.__version__]
    ways = [str(stack.dtype), stack.device.type, stack.model.config._attn_implementation]
    facts = [NOTES, str(folder.resolve()), stack.layers_path, stack.exact, *ways, *versions, files]
    note = cache_dir() / "checked" / f"{digest(facts)}.json"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        found = read_json(note)
        stack.way, stack.exact = Way[str(found["way"])], found["exact"] is True
        stack.has_views = found["has_views"] is True
        return
    check(stack)
    found = {"way": stack.way.name, "exact": stack.exact, "has_views": stack.has_views}
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"folder": str(folder), **found})
    except OSError as error:  # a read-only cache: checked again next time
        _log.info("the check of %s is not kept (%s)", folder, error)


def _check_part(stack: LayerStack) -> None:
    """Check what is run under programs, and find the first way that is right."""
    family = type(stack.model).__name__
    cases = [_case(stack, row, program) for program in _programs(stack) for row in _tokens(stack)]
    for way in Way:
        stack.way = way
        if _run_together(stack, cases):
            if way in _SLOWER:
                _log.warning("%s: %s", family, _SLOWER[way])
            return
    stack.exact = True
    for case in cases:
        _require(stack, case, 0)
        _require(stack, case, N_LATER)
    _log.warning(
        "%s: rows do not run right in one batch; every row runs alone, as with exact=True, and "
        "without a cache, which is slow",
        family,
    )


def _run_together(stack: LayerStack, cases: Sequence[_Case]) -> bool:
    """Whether rows run right in one batch; what goes wrong there may go right alone."""
    batches = [cases]
    if not stack.way.pads:
        batches = [[case for case in cases if len(case.tokens) == length] for length in LENGTHS]
    try:
        differences = [_difference(stack, batch, N_LATER) for batch in batches]
        return max(differences) <= TOLERANCE[stack.dtype]
    except Exception as error:  # noqa: BLE001  whatever a family's code raises
        _log.info("%s: a batch fails (%s)", type(stack.model).__name__, one_line(error))
        return False


def _require(stack: LayerStack, case: _Case, n_later: int) -> None:
    """Refuse a model on which a row differs that runs alone."""
    difference = _difference(stack, [case], n_later)
    if difference <= TOLERANCE[stack.dtype]:
        return
    how = "token by token" if n_later else "in one pass"
    raise UnsupportedModelError(
        f"{type(stack.model).__name__} fails the check at load: one row under {case.program} "
        f"{how} differs from copied layers without a cache by {difference:.2g} standard "
        f"deviations of the logits (rounding makes at most {TOLERANCE[stack.dtype]}): "
        f"{_advice(stack)}"
    )


def _advice(stack: LayerStack) -> str:
    """Return what to do with a model that is refused."""
    if not stack.has_views:
        return "use another family"
    return (
        "use another family, or load(..., verify=False) for stack.view(program) alone, "
        "with use_cache=False"
    )


def _difference(stack: LayerStack, cases: Sequence[_Case], n_later: int) -> float:
    """Return by how much logits differ from what is right, with `n_later` tokens after one pass."""
    rows = [
        Row(i, case.tokens[: len(case.tokens) - n_later], case.program)
        for i, case in enumerate(cases)
    ]
    start = shared_prefix(stack, rows, saved=None, n_kept=1)  # whatever its calls take
    first = first_pass(stack, rows, start, saved=None, may_go_on=n_later > 0)
    found = [first.executor.head(first.states_RTD[:, n_later - N_JUDGED :])]
    if n_later:
        later_RT = torch.tensor([case.tokens[-n_later:] for case in cases], device=stack.device)
        executor, mask_RK = first.executor.fork(range(len(rows)), range(len(rows))), first.mask_RK
        # One token as in decoding; then several, as continuations of one prompt are scored.
        sizes = (1, n_later - 1) if shares_prefixes(stack) else (1,) * n_later
        for tokens_RT in later_RT.split(sizes, dim=1):
            mask_RK = torch.cat([mask_RK, torch.ones_like(tokens_RT)], dim=1)
            found.append(executor.logits(tokens_RT, mask_RK, n_last=tokens_RT.shape[1]))
    right_RNV = torch.stack([case.right_NV for case in cases])
    difference = ((torch.cat(found, dim=1) - right_RNV).abs().max() / right_RNV.std()).item()
    return difference if difference == difference else float("inf")


def _case(stack: LayerStack, tokens: tuple[int, ...], program: Program) -> _Case:
    """Return a row with what is right for it: alone, from its first token, without a cache."""
    tokens_1T = torch.tensor([tokens], device=stack.device)
    run = _viewed if program.edits else _plain
    return _Case(tokens, program, run(stack, tokens_1T, program)[0, -N_JUDGED:].float())


def _plain(stack: LayerStack, tokens_1T: Tensor, _program: Program) -> Tensor:
    logits_1TV: Tensor = stack.model(input_ids=tokens_1T, **without_cache(stack)).logits
    return logits_1TV


def _viewed(stack: LayerStack, tokens_1T: Tensor, program: Program) -> Tensor:
    """Return the logits of a view; of a family without views those of the engine, uncached."""
    try:
        view = program_view(stack, program)
        logits_1TV: Tensor = view(input_ids=tokens_1T, **without_cache(stack)).logits
    except UnsupportedModelError as error:
        _log.info("%s has no views (%s)", type(stack.model).__name__, one_line(error))
    except Exception as error:  # noqa: BLE001  whatever a family's code raises
        _log.info("%s has no views (%s)", type(stack.model).__name__, one_line(error))
        stack.has_views = False  # others are refused
    else:
        return logits_1TV
    executor = Executor(stack, schedule([program.layer_inputs]), use_cache=False)
    return executor.logits(tokens_1T, torch.ones_like(tokens_1T), n_last=N_JUDGED)


def _programs(stack: LayerStack) -> list[Program]:
    """Return the identity, one loop over all layers, and a skip of each kind of layer."""
    n_layers = stack.n_layers
    edits = [Segment(0, n_layers, 2)]
    if n_layers > 1:
        edits += [Segment(layer, layer + 1, 0) for layer in _first_of_each_kind(stack)]
    return [Program.identity(n_layers), *(Program(n_layers, (edit,)) for edit in edits)]


def _part(stack: LayerStack) -> LayerStack:
    """Return the stack, or of a deep one a part that has layers of all kinds."""
    kept = sorted({*_first_of_each_kind(stack), 0, 1, stack.n_layers - 1})
    if stack.n_layers <= MOST_LAYERS or len(kept) > MOST_LAYERS:
        return stack
    try:
        model = program_view(stack, Program.from_path(kept, stack.n_layers))
    except UnsupportedModelError:
        return stack
    part = copy.copy(stack)
    part.model, part.layers = model, model.get_submodule(stack.layers_path)
    part.n_layers = len(kept)
    return part


def _first_of_each_kind(stack: LayerStack) -> list[int]:
    """Return the first layer of each kind: with the same modules, shapes and settings."""
    kinds: dict[object, int] = {}
    for index, layer in enumerate(stack.layers):
        kinds.setdefault(_kind(layer), index)
    return list(kinds.values())


def _kind(layer: nn.Module) -> object:
    return tuple(
        (name, type(module), _settings(module), _shapes(module))
        for name, module in layer.named_modules()
    )


def _settings(module: nn.Module) -> tuple[tuple[str, object], ...]:
    plain = (str, int, float, bool)
    return tuple((n, v) for n, v in vars(module).items() if n != "layer_idx" and type(v) in plain)


def _shapes(module: nn.Module) -> tuple[torch.Size, ...]:
    return tuple(weight.shape for weight in module.parameters(recurse=False))


def _tokens(stack: LayerStack) -> list[tuple[int, ...]]:
    """Return token ids of the rows: random, but none with a meaning of its own."""
    config = stack.model.config.get_text_config(decoder=True).to_dict()
    special = {value for name, value in config.items() if "token" in name and type(value) is int}
    n_tokens = stack.model.get_input_embeddings().weight.shape[0]
    order = torch.randperm(n_tokens, generator=torch.Generator().manual_seed(0)).tolist()
    ids = [token for token in order if token not in special] * max(LENGTHS)
    shared = tuple(ids[:N_SHARED])
    rows, at = [], N_SHARED
    for length in LENGTHS:
        rows.append((*shared, *ids[at : at + length - N_SHARED]))
        at += length - N_SHARED
    return rows
