"""The published predictor: one learned query a layer looks at the prompt and gives two scores.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: arXiv 2606.06574, section 3.2 and table 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from skiploop.config import from_dict, to_dict
from skiploop.config import load_file as load_json
from skiploop.errors import ConfigError, RunError, one_line
from skiploop.jsontext import write_json
from skiploop.policies.tensors import read_tensors, write_tensors

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The sizes of a `PolarNetwork`.

    Attributes:
        n_layers: Layers of the model whose programs are predicted.
        input_width: Width of the prompt encodings.
        width: Width inside.
        n_heads: Attention heads, of the cross-attention and of each block.
        n_blocks: Transformer blocks over the layers.
        feed_forward: Inner width of a block.
        dropout: Share of activations dropped while training, in 0..1.
        n_runs: Operations to choose from: 3 means 0, 1 or 2 passes over a segment.

    Raises:
        ConfigError: A size is below 1 or the heads do not divide the width.
    """

    n_layers: int
    input_width: int
    width: int = 256
    n_heads: int = 4
    n_blocks: int = 2
    feed_forward: int = 1024
    dropout: float = 0.1
    n_runs: int = 3

    def __post_init__(self) -> None:
        sizes = (self.n_layers, self.input_width, self.width, self.n_heads, self.n_blocks)
        if min(*sizes, self.feed_forward, self.n_runs) < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"{self}: every size must be at least 1 and dropout in 0..1")
        if self.width % self.n_heads:
            raise ConfigError(f"{self}: n_heads must divide width")


class Scores(NamedTuple):
    """What the network says about each layer.

    Attributes:
        boundary_BD: Logit that a segment starts at the layer.
        runs_BDR: Logits of the number of passes over a segment that starts at the layer.
    """

    boundary_BD: Tensor
    runs_BDR: Tensor


class PolarNetwork(nn.Module):
    """Scores segment boundaries and operations for every layer from encoded prompts.

    Encodings are standardised first, with the mean and deviation of each input dimension over
    the training tokens. This is an addition to the published network: in the states of a language
    model a few dimensions hold nearly all of the scale, and hide the others.

    Attributes:
        config: The sizes; 28 layers and input width 1024 give 2,113,284 parameters.
    """

    input_mean_E: Tensor
    input_scale_E: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("input_mean_E", torch.zeros(config.input_width))
        self.register_buffer("input_scale_E", torch.ones(config.input_width))
        self.project = nn.Linear(config.input_width, width)
        self.queries_DH = nn.Parameter(torch.randn(config.n_layers, width) * width**-0.5)
        # No residual and no norm around this attention, as published.
        self.read_prompt = nn.MultiheadAttention(
            width, config.n_heads, dropout=config.dropout, batch_first=True
        )
        block = nn.TransformerEncoderLayer(
            width, config.n_heads, config.feed_forward, config.dropout, batch_first=True
        )
        self.blocks = nn.TransformerEncoder(block, config.n_blocks, enable_nested_tensor=False)
        self.boundary_head = nn.Linear(width, 1)
        self.runs_head = nn.Linear(width, config.n_runs)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.queries_DH.device

    def standardize_inputs(self, encodings: Iterable[Tensor]) -> None:
        """Take the mean and deviation of each input dimension from these tokens.

        Args:
            encodings: One [T, E] tensor a prompt.
        """
        n_tokens = 0
        sum_E = torch.zeros(self.config.input_width, dtype=torch.float64)
        squares_E = torch.zeros_like(sum_E)
        for tokens_TE in encodings:
            n_tokens += len(tokens_TE)
            sum_E += tokens_TE.double().sum(0)
            squares_E += tokens_TE.double().square().sum(0)
        mean_E = sum_E / n_tokens
        scale_E = (squares_E / n_tokens - mean_E.square()).clamp_min(0).sqrt()
        # A dimension that hardly varies must not be blown up.
        scale_E = scale_E.clamp_min(1e-3 * scale_E.mean().item() + 1e-6)
        self.input_mean_E.copy_(mean_E)
        self.input_scale_E.copy_(scale_E)

    def forward(self, tokens_BTE: Tensor, is_padding_BT: Tensor) -> Scores:
        """Score every layer for every prompt.

        Args:
            tokens_BTE: Encoded prompts, float32.
            is_padding_BT: True where a position holds no token; every row has a False.
        """
        tokens_BTH = self.project((tokens_BTE - self.input_mean_E) / self.input_scale_E)
        queries_BDH = self.queries_DH.expand(len(tokens_BTE), -1, -1)
        read_BDH, _ = self.read_prompt(
            queries_BDH, tokens_BTH, tokens_BTH, key_padding_mask=is_padding_BT, need_weights=False
        )
        layers_BDH = self.blocks(read_BDH)
        return Scores(self.boundary_head(layers_BDH).squeeze(-1), self.runs_head(layers_BDH))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the sizes (`config.json`) and the weights (`model.safetensors`)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"network": to_dict(self.config)}
        write_tensors(folder / WEIGHTS_FILE, self.state_dict())
        write_json(folder / CONFIG_FILE, config)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> PolarNetwork:
        """Read what `save_pretrained` wrote; other keys of `config.json` are not looked at.

        Raises:
            RunError: A file is missing, damaged or does not fit the other one.
        """
        folder = Path(folder)
        try:
            config: dict[str, Any] = load_json(folder / CONFIG_FILE)
            network = cls(from_dict(NetworkConfig, config["network"]))
            network.load_state_dict(read_tensors(folder / WEIGHTS_FILE)[0])
        except (ConfigError, KeyError, RuntimeError, RunError) as error:
            raise RunError(
                f"{folder} holds no readable predictor: expected {CONFIG_FILE} and {WEIGHTS_FILE} "
                f"as PolarNetwork.save_pretrained writes them ({one_line(error)})"
            ) from error
        return network.eval()


def pad(encodings: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Stack encoded prompts of different lengths.

    Args:
        encodings: One [T, E] tensor a prompt, each with at least one token.
        device: Where the result goes.

    Returns:
        tokens_BTE: Float32, zeros where there is no token.
        is_padding_BT: True where there is no token.
    """
    tokens_BTE = pad_sequence(list(encodings), batch_first=True)
    lengths_B = torch.tensor([len(encoding) for encoding in encodings])
    is_padding_BT = torch.arange(tokens_BTE.shape[1]) >= lengths_B[:, None]
    return tokens_BTE.to(device), is_padding_BT.to(device)
