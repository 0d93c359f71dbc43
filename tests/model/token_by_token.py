"""Rows of one batch, each against a model of its own, while tokens are added."""

import torch

from skiploop.engine.batching.rows import pad_left
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule

NEW = (5, 40)


def logits(model, tokens):
    """Return logits_TV of a model without a cache."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0]


def check_rows(stack, programs, prompts, model_of, atol):
    """Check the last logits of each row against `model_of(program)` on all of its tokens."""
    executor = Executor(stack, schedule([p.layer_inputs for p in programs]), use_cache=True)
    tokens, mask = pad_left(prompts, torch.device("cpu"))
    found = [executor.logits(tokens, mask, n_last=1)[:, -1]]
    for token in NEW:
        column = torch.full((len(prompts), 1), token)
        mask = torch.cat([mask, torch.ones_like(column)], dim=1)
        found.append(executor.logits(column, mask, n_last=1)[:, -1])
    for row, program in enumerate(programs):
        model = model_of(program)
        for n_new in range(len(NEW) + 1):
            expected = logits(model, prompts[row] + list(NEW[:n_new]))[-1]
            torch.testing.assert_close(found[n_new][row], expected, rtol=0, atol=atol)
