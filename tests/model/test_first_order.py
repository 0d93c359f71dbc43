"""First-order effects of edits, against finite steps from the plain model to the edited one."""

import families
import numpy as np
import pytest
import torch
from families import N_LAYERS

from skiploop import Program, ProgramSpace
from skiploop.search.first_order import first_order_gains

PROMPT, ANSWER = "12+7= ", "19\n"
EDITS = ProgramSpace(N_LAYERS, max_block=2).single_edits
STEP = 1e-3  # norms are computed in float32, whatever the model is


def given(stack, edit):
    """Return what the layer after a block is given in the plain model, and under an edit of it."""
    states = []

    def note(layer, args):
        states.append(args[0].detach())

    program = Program.identity(N_LAYERS)
    for one in (program, program.with_edit(edit)):
        view = stack.view(one)
        slot = edit.stop if one.is_identity else edit.stop + (edit.runs - 1) * len(edit)
        run(view, slot, note)
    return states


def run(view, slot, hook):
    """Return the log-probability of the answer; the input of a slot goes through a hook."""
    tokens = [
        families.tokenizer()(text)["input_ids"] for text in (PROMPT.rstrip(), PROMPT + ANSWER)
    ]
    n_prompt, whole = len(tokens[0]), torch.tensor([tokens[1]])
    body = view.model
    module = body.layers[slot] if slot < len(body.layers) else body.norm
    handle = module.register_forward_pre_hook(hook)
    with torch.no_grad():
        logits = view(whole, use_cache=False).logits[0, n_prompt - 1 : -1]
    handle.remove()
    return float(logits.log_softmax(-1).gather(1, whole[0, n_prompt:, None]).sum())


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite"])
def test_an_effect_is_the_slope_of_the_way_from_the_plain_model_to_the_edited_one(family):
    stack = families.load(family, torch.float64)
    gains = first_order_gains(stack, PROMPT, ANSWER, EDITS)
    plain = stack.view(Program.identity(N_LAYERS))
    for edit, gain in zip(EDITS, gains, strict=True):
        before, after = given(stack, edit)

        def moved(share, before=before, after=after):
            return lambda _, args: (before + share * (after - before), *args[1:])

        at = {share: run(plain, edit.stop, moved(share)) for share in (-STEP, STEP, 1.0)}
        assert gain == pytest.approx((at[STEP] - at[-STEP]) / (2 * STEP), rel=0.01, abs=0.002)
        (edited,) = stack.loglikelihood(
            [PROMPT], [ANSWER], Program.identity(N_LAYERS).with_edit(edit)
        )
        assert at[1.0] == pytest.approx(edited, abs=1e-4)  # the whole way is the edit itself


def test_the_model_is_as_it_was_and_no_weight_has_a_gradient():
    stack = families.load("llama")
    before = stack.loglikelihood([PROMPT], [ANSWER], Program.identity(N_LAYERS))
    assert all(weight.requires_grad for weight in stack.model.parameters())
    first_order_gains(stack, PROMPT, ANSWER, EDITS)
    assert all(weight.grad is None and weight.requires_grad for weight in stack.model.parameters())
    assert stack.loglikelihood([PROMPT], [ANSWER], Program.identity(N_LAYERS)) == before


@pytest.mark.parametrize("family", ["qwen3_moe", "gpt2", "lfm2", "qwen3_5"])
def test_families_of_all_sorts_have_effects(family):
    gains = first_order_gains(families.load(family), PROMPT, ANSWER, EDITS)
    assert np.isfinite(gains).all() and np.count_nonzero(gains) == len(EDITS)
