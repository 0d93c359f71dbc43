"""Who a model is: a short text that changes with everything that changes its numbers.

It has four parts, so that a difference can be named: `WEIGHTS-CHECKSUM-CONFIG-TOKENIZER`. What was
made before the last three were noted has the first part alone; files keep its name (`weights`,
`weights_id`) for all of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from skiploop.errors import RunError

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel

_log = logging.getLogger("skiploop")

_PARTS = ("weights", "weights with checksum", "configuration", "tokenizer")
_N_SAMPLES = 16  # numbers of each parameter that go into `weights_id`
_CHUNK = 1 << 20  # numbers that are added up at once; a multiple of 8
_HARMLESS = {
    "architectures",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",  # answers end by the generation config
    "id2label",
    "initializer_range",
    "label2id",
    "name_or_path",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
"""Settings that change no number, or are looked at elsewhere."""


def check_model(made_for: str, stack: FrozenModel, what: str, remedy: str) -> None:
    """Refuse what was made for another model.

    What was made before identities held the configuration and the tokenizer is told apart: where
    the weights agree, it is accepted with a warning.

    Args:
        made_for: The identity of the model that it was made for.
        stack: The model at hand.
        what: The start of a sentence, such as "RUN was made with".
        remedy: What to do if the models differ.

    Raises:
        RunError: The weights, the configuration or the tokenizer differ; the message says which.
    """
    before, now = made_for.split("-"), stack.model_id.split("-")
    for part, was, found in zip(_PARTS, before, now, strict=False):
        if was != found:
            raise RunError(f"{what} {part} {was}, but {stack.name} has {found}: {remedy}")
    if len(before) < len(now):
        _log.warning(
            "%s weights %s, those of %s; configuration and tokenizer were not noted then and are "
            "taken for the same",
            what,
            made_for,
            stack.name,
        )


def weights_id(model: PreTrainedModel) -> str:
    """Return sixteen hexadecimal digits; see `LayerStack.weights_id`."""
    parameters = sorted(model.named_parameters())
    shapes = [model.config.model_type, *((n, tuple(w.shape)) for n, w in parameters)]
    samples = torch.cat([_sample(_whole(weight)).to(model.device) for _, weight in parameters])
    numbers = samples.cpu().view(torch.int16).numpy().tobytes()
    return hashlib.sha256(repr(shapes).encode() + numbers).hexdigest()[:16]


def weights_checksum(model: PreTrainedModel) -> str:
    """Return eight hexadecimal digits of all numbers of a model, rounded to bfloat16.

    Cost:
        About 0.4 seconds for a billion numbers on one core.
    """
    digest = hashlib.sha256()
    saved = set(model.state_dict())
    buffers = ((name, b) for name, b in model.named_buffers() if name in saved)
    for name, tensor in sorted([*model.named_parameters(), *buffers]):
        digest.update(repr((name, tuple(tensor.shape))).encode())
        for part in _sums(_whole(tensor)):
            digest.update(part)
    return digest.hexdigest()[:8]


def config_id(model: PreTrainedModel) -> str:
    """Return eight hexadecimal digits of the settings that change numbers, and of the end tokens.

    What is off, zero or empty is left out, so that a version that knows more settings agrees.
    """
    ends = model.generation_config.eos_token_id
    ends = sorted({ends} if isinstance(ends, int) else ends or ())
    settings = json.dumps([_relevant(model.config.to_dict()), ends], sort_keys=True, default=str)
    return _short(settings.encode())


def tokenizer_id(tokenizer: PreTrainedTokenizerBase | None) -> str:
    """Return eight hexadecimal digits of all that a tokenizer does; `none` if there is none.

    Chat templates are left out: skiploop's prompts do not use them. A tokenizer in Python is known
    by its class, its vocabulary and its special tokens.
    """
    if tokenizer is None:
        return "none"
    parts = [repr(tokenizer("a")["input_ids"]).encode()]
    if tokenizer.is_fast:
        backend = tokenizer.backend_tokenizer
        steps = (
            backend.normalizer,
            backend.pre_tokenizer,
            backend.model,
            backend.post_processor,
            backend.decoder,
        )
        parts += [step.__getstate__() for step in steps if step is not None]
        added = backend.get_added_tokens_decoder().items()
        parts.append(repr(sorted((number, repr(token)) for number, token in added)).encode())
    else:
        vocabulary = sorted(tokenizer.get_vocab().items())
        known_by = type(tokenizer).__qualname__, vocabulary, sorted(tokenizer.all_special_ids)
        parts.append(repr(known_by).encode())
    return _short(b"\0".join(parts))


def _whole(tensor: Tensor) -> Tensor:
    """Return a tensor of which each process may hold a part; all processes ask for it together."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _sample(weight: Tensor) -> Tensor:
    """Return a few evenly spread numbers of a parameter in bfloat16."""
    flat = weight.reshape(-1)
    return flat[:: max(1, len(flat) // _N_SAMPLES)][:_N_SAMPLES].to(torch.bfloat16)


def _sums(tensor: Tensor) -> Iterator[bytes]:
    """Yield the sum of the bits of each chunk, eight bytes at a time, and bytes that are left."""
    for chunk in tensor.reshape(-1).split(_CHUNK):
        dtype = torch.bfloat16 if chunk.is_floating_point() else chunk.dtype
        numbers = chunk.to(dtype, copy=True).view(torch.uint8)  # a copy starts at a whole word
        n_even = len(numbers) // 8 * 8
        yield numbers[:n_even].view(torch.int64).sum().cpu().numpy().tobytes()
        yield numbers[n_even:].cpu().numpy().tobytes()


def _relevant(settings: object) -> object:
    """Return settings without those that are harmless, private or empty, at any depth."""
    if isinstance(settings, Mapping):
        kept = {str(name): _relevant(value) for name, value in settings.items()}
        return {
            name: value
            for name, value in kept.items()
            if value and name not in _HARMLESS and not name.startswith("_")
        }
    return [_relevant(one) for one in settings] if isinstance(settings, list) else settings


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
