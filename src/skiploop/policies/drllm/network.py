"""The routers of Dr.LLM: one small network before each layer, on windows of the prompt.

Shapes: the letters of learning (docs/reference/shapes.md); W windows of a prompt, E numbers of a
hidden state.

Source: arXiv 2510.12773, section 3; sizes and first weights of its released code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N_WINDOWS = 8
WIDTH = 128
N_ACTIONS = 3
"""A layer is skipped, runs, or runs twice: the action is the number of runs."""


def window_means(states_TE: Tensor) -> Tensor:
    """Return means_WE over windows of equal length; tokens that do not fill the last are left out.

    There are `N_WINDOWS` windows, or as many as tokens where these are fewer.
    """
    n_windows = min(N_WINDOWS, len(states_TE))
    size = len(states_TE) // n_windows
    return states_TE[: n_windows * size].view(n_windows, size, -1).mean(1)


def padded_windows(means: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack the windows of prompts: means_BWE with zeros behind, and the share_BW of each window.

    The shares of a prompt sum up to 1, and are 0 where it has no window.
    """
    means_BWE = means[0].new_zeros(len(means), N_WINDOWS, means[0].shape[1])
    share_BW = means[0].new_zeros(len(means), N_WINDOWS)
    for row, of_prompt in enumerate(means):
        means_BWE[row, : len(of_prompt)] = of_prompt
        share_BW[row, : len(of_prompt)] = 1 / len(of_prompt)
    return means_BWE, share_BW


class Routers(nn.Module):
    """All routers of a model, each two linear maps with a GELU between them.

    Args:
        n_layers: Layers of the model (D).
        width: Numbers of its hidden states (E).
    """

    def __init__(self, n_layers: int, width: int) -> None:
        super().__init__()
        self.inner_DEH = nn.Parameter(torch.empty(n_layers, width, WIDTH))
        self.inner_bias_DH = nn.Parameter(torch.zeros(n_layers, WIDTH))
        self.outer_DHR = nn.Parameter(torch.empty(n_layers, WIDTH, N_ACTIONS))
        self.outer_bias_DR = nn.Parameter(torch.zeros(n_layers, N_ACTIONS))
        for weight in (*self.inner_DEH, *self.outer_DHR):
            nn.init.xavier_uniform_(weight)

    def forward(self, layer: int, means_BWE: Tensor, share_BW: Tensor) -> Tensor:
        """Return logits_BR of the actions at a layer: those of `padded_windows`, averaged."""
        hidden_BWH = F.gelu(
            means_BWE @ self.inner_DEH[layer] + self.inner_bias_DH[layer], approximate="tanh"
        )
        logits_BWR = hidden_BWH @ self.outer_DHR[layer] + self.outer_bias_DR[layer]
        return (logits_BWR * share_BW[:, :, None]).sum(1)
