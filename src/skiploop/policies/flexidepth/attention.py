"""The attention of some tokens to the keys of all: a family's own code, with parts left out.

Keys and values are computed of every token. Queries, scores and outputs are computed of those that
are asked for, and of no other.

Shapes: the letters of learning (docs/reference/shapes.md); E numbers of a hidden state, N tokens
that are asked for, S keys.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from skiploop.models.view import shallow_clone

_NOTHING = "skiploop_no_scores"

Arguments = dict[str, Any]


def no_scores(
    _module: nn.Module, query_BHTS: Tensor, *_others: object, **_more: object
) -> tuple[Tensor, None]:
    """Return zeros in the form of attention, which compare no query with any key."""
    return torch.zeros_like(query_BHTS).transpose(1, 2), None


AttentionInterface.register(_NOTHING, no_scores)


class _Zeros(nn.Module):
    """Stands where a linear map stands, and multiplies nothing."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.n_out = linear.out_features

    def forward(self, states_BTE: Tensor) -> Tensor:
        return states_BTE.new_zeros(*states_BTE.shape[:-1], self.n_out)


class _Noting:
    """A cache that notes what a layer attends to."""

    def __init__(self, cache: Any) -> None:  # noqa: ANN401  any cache or None
        self.cache = cache
        self.held: tuple[Tensor, Tensor] = torch.empty(0), torch.empty(0)

    def update(self, keys: Tensor, values: Tensor, *where: object, **more: object) -> object:
        self.held = (
            (keys, values)
            if self.cache is None
            else self.cache.update(keys, values, *where, **more)
        )
        return self.held


class _Held:
    """A cache that holds what was noted, whatever is written to it."""

    def __init__(self, noted: _Noting) -> None:
        self._noted = noted

    def update(self, *_keys_values: object, **_more: object) -> tuple[Tensor, Tensor]:
        return self._noted.held


class PartialAttention:
    """The attention of a layer, of as many tokens as are asked for.

    Args:
        attention: Of Hugging Face, with `q_proj`, `k_proj`, `v_proj` and `o_proj`.
    """

    def __init__(self, attention: nn.Module) -> None:
        self._whole = attention
        self._keys = _without(attention, ("q_proj", "o_proj"))
        config: Any = copy.copy(attention.config)
        config._attn_implementation = _NOTHING
        self._keys.config = config
        self._queries = _without(attention, ("k_proj", "v_proj"))

    def __call__(self, states_BTE: Tensor, runs_T: Tensor, arguments: Arguments) -> Tensor:
        """Return attended_NE of the tokens for which `runs_T` is true.

        Args:
            states_BTE: Of one sequence.
            runs_T: Which tokens attend to others.
            arguments: Those that the layer is called with; their cache gets all keys and values.
        """
        if runs_T.all():
            attended: Tensor = self._whole(hidden_states=states_BTE, **arguments)[0]
            return attended[0]
        noted = _Noting(arguments["past_key_values"])
        self._keys(hidden_states=states_BTE, **{**arguments, "past_key_values": noted})
        if not runs_T.any():
            return states_BTE[0, :0]
        some = arguments | {
            "past_key_values": _Held(noted),
            "attention_mask": _mask(arguments["attention_mask"], runs_T, noted.held[0].shape[-2]),
            "position_ids": arguments["position_ids"][:, runs_T],
            "position_embeddings": tuple(
                one[:, runs_T] for one in arguments["position_embeddings"]
            ),
        }
        asked: Tensor = self._queries(hidden_states=states_BTE[:, runs_T], **some)[0]
        return asked[0]


def _without(attention: nn.Module, names: tuple[str, ...]) -> Any:  # noqa: ANN401  any attention
    """Return a clone of an attention in which some linear maps give zeros."""
    clone = shallow_clone(attention)
    for name in names:
        clone._modules[name] = _Zeros(attention.get_submodule(name))  # type: ignore[arg-type]
    return clone


def _mask(mask: Tensor | None, runs_T: Tensor, n_keys: int) -> Tensor:
    """Return which keys the asked tokens see; all up to their own where no mask is given."""
    if mask is not None:
        return mask[:, :, runs_T]
    places_N = runs_T.nonzero()[:, 0] + n_keys - len(runs_T)
    keys_S = torch.arange(n_keys, device=runs_T.device)
    return (keys_S <= places_N[:, None])[None, None]
