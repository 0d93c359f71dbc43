"""From prompt texts to token states, the only thing the predictor sees of a prompt.

The default encoder is the first layers of the model that will run the program, so no second
model has to be loaded; any Hugging Face encoder can take its place.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: arXiv 2606.06574, section 3.2 (frozen text features); early-layer states: arXiv
2510.12773 compares them with text embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from skiploop.engine.plan.beginnings import common_length
from skiploop.errors import ConfigError
from skiploop.models.reading import reading
from skiploop.stack import LayerStack

BATCH_SIZE = 32
"""Prompts that are encoded at once."""

MAX_TOKENS = 128
"""Last tokens of a prompt that are kept."""


class PromptEncoder(Protocol):
    """Turns prompts into token states; frozen, and the same text always gives the same states.

    Attributes:
        spec: JSON data from which `build_encoder` makes the same encoder again.
    """

    spec: dict[str, Any]

    @property
    def width(self) -> int:
        """Width E of the states."""

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return one float32 tensor [T, E] a prompt, on the CPU."""


class LayerStates:
    """The states of the language model itself after its first layers.

    Each token's state is divided by its root mean square, as the next layer's norm would do,
    because the scale of raw states differs between models and layers.

    Args:
        stack: The model; only the layers below `layer` run.
        layer: How many layers run; by default a quarter of them.
        max_tokens: Last tokens of a prompt to keep. Few-shot prompts differ at the end only, and
            every state has already seen the tokens before it.

    Raises:
        ConfigError: `layer` or `max_tokens` is out of range.
    """

    def __init__(
        self, stack: LayerStack, *, layer: int | None = None, max_tokens: int = MAX_TOKENS
    ) -> None:
        if layer is None:
            layer = max(1, stack.n_layers // 4)
        if not 0 <= layer <= stack.n_layers or max_tokens < 1:
            raise ConfigError(
                f"cannot encode with layer={layer}, max_tokens={max_tokens}: {stack.name} has "
                f"{stack.n_layers} layers, and at least one token is needed"
            )
        self._stack = stack
        self.layer = layer
        self.max_tokens = max_tokens
        self.width = stack.width
        self.spec = {"kind": "layer-states", "layer": layer, "max_tokens": max_tokens}

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return the last `max_tokens` states of each prompt, at unit root mean square.

        Prompts that start alike run together, and their start once.
        """
        distinct = sorted(set(prompts))
        encodings = (
            self.encoding(states_TE)
            for batch in _batches(distinct)
            for states_TE in self._stack.hidden_states(batch, self.layer)
        )
        encoded = dict(zip(distinct, encodings, strict=True))
        return [encoded[prompt] for prompt in prompts]

    def encoding(self, states_TE: Tensor) -> Tensor:
        """Return what `encode` makes of the states of one prompt, where they are known."""
        last_TE = states_TE[-self.max_tokens :].float().cpu()
        scale_T1 = last_TE.square().mean(1, keepdim=True).sqrt()
        return last_TE / scale_T1.clamp_min(1e-6)


class TextEncoder:
    """The last hidden states of a Hugging Face encoder, loaded on first use.

    Args:
        name: Folder or hub id for `AutoModel`; the published predictor uses
            Qwen/Qwen3-Embedding-0.6B.
        max_tokens: Last tokens of a prompt to keep, fewer for an encoder that takes fewer; tokens
            before them are not read.
        device: Where the encoder runs.
    """

    def __init__(self, name: str, *, max_tokens: int = 512, device: str = "cpu") -> None:
        self.name = name
        self.max_tokens = max_tokens
        self._device = device
        self.spec = {"kind": "text-encoder", "name": name, "max_tokens": max_tokens}

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer  # slow import, seldom needed

        with reading(
            f"cannot load the text encoder {self.name!r}",
            "give the folder or hub id of a Hugging Face encoder with safetensors and a tokenizer",
        ):
            tokenizer = AutoTokenizer.from_pretrained(self.name, truncation_side="left")
            model = AutoModel.from_pretrained(
                self.name,
                dtype=torch.float32,
                use_safetensors=True,  # never a pickle
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer, model.to(self._device).eval()

    @property
    def width(self) -> int:
        """Width E of the states."""
        width: int = self._loaded[1].config.hidden_size
        return width

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return the last hidden states of each prompt, padding removed."""
        tokenizer, model = self._loaded
        n_positions = getattr(model.config, "max_position_embeddings", self.max_tokens)
        max_length = min(self.max_tokens, tokenizer.model_max_length, n_positions)
        encodings: list[Tensor] = []
        for batch in _batches(prompts):
            inputs = tokenizer(
                batch,
                padding=True,
                truncation=True,
                max_length=max_length,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                states_BTE = model(**inputs).last_hidden_state.cpu()
            is_token_BT = inputs["attention_mask"].bool().cpu()
            encodings += [
                states[kept] for states, kept in zip(states_BTE, is_token_BT, strict=True)
            ]
        return encodings


def check_one_encoder(text_encoder: str | None, layer: int | None) -> None:
    """Refuse settings that ask for a text encoder and for layers of the language model."""
    if text_encoder is not None and layer is not None:
        raise ConfigError(
            f"text_encoder is {text_encoder!r} and layer is {layer}: give one of them"
        )


def make_encoder(
    stack: LayerStack, *, text_encoder: str | None, layer: int | None, prompts: Sequence[str] = ()
) -> PromptEncoder:
    """Make the encoder that settings ask for: layers of the model unless they name another.

    Args:
        stack: The model.
        text_encoder: Folder or hub id of another encoder.
        layer: As for `LayerStates`.
        prompts: What layers of the model are to tell apart: of more tokens than differ among them,
            such as those of solved questions, none is kept.
    """
    if text_encoder is not None:
        return TextEncoder(text_encoder, device=str(stack.device))
    n_differing = _n_differing(stack, prompts) if prompts else MAX_TOKENS
    return LayerStates(stack, layer=layer, max_tokens=min(n_differing, MAX_TOKENS))


def _n_differing(stack: LayerStack, prompts: Sequence[str]) -> int:
    """Return how many tokens the longest prompt has after those that all of them start with."""
    tokens: list[list[int]] = stack.tokenizer(list(prompts))["input_ids"]
    n_shared = common_length(min(tokens), max(tokens))  # all others are between them
    return max(1, max(map(len, tokens)) - n_shared)


def build_encoder(spec: Mapping[str, Any], stack: LayerStack) -> PromptEncoder:
    """Make the encoder that a `spec` describes.

    Raises:
        ConfigError: The spec describes no known encoder.
    """
    match dict(spec):
        case {"kind": "layer-states", "layer": int(layer), "max_tokens": int(max_tokens)}:
            return LayerStates(stack, layer=layer, max_tokens=max_tokens)
        case {"kind": "text-encoder", "name": str(name), "max_tokens": int(max_tokens)}:
            return TextEncoder(name, max_tokens=max_tokens, device=str(stack.device))
    raise ConfigError(
        f"{dict(spec)!r} describes no prompt encoder: the kinds are layer-states and text-encoder"
    )


def _batches(prompts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(prompts), BATCH_SIZE):
        yield list(prompts[start : start + BATCH_SIZE])
