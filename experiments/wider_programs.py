"""Do two further sorts of edits help a choice: scaled blocks, and one half of a layer?

    PYTHONPATH=benchmarks python experiments/wider_programs.py --run RUN --found FOLDER --threads 1

RUN holds a menu with a trained selector. A layer f of a Llama is changed in one of these ways:

- `20:21*2` scales what it adds to the states h: h + 2 (f(h) - h), without a further pass;
- `20:21+attention` leaves out its feed-forward part, `20:21+mlp` its attention.

Each is tried at every layer that programs of the menu may change, on the first half of the
questions of the race; the best dozen answer the second half. The menu is chosen again from its own
programs and this dozen. What is new on it answers further questions of the menu's table, and the
choice from both menus, made as the selector makes it, is judged out of fold. Held-out questions are
not looked at. FOLDER keeps what programs answered: a stopped command goes on where it was.

A layer and its halves are three layers of one larger model here, so that a batch runs all of them.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import arguments, report
from out_of_fold import over, picked
from torch import nn

from skiploop import LayerStack, Program
from skiploop.menus.menu import Menu, MenuConfig, _cover
from skiploop.models.view import graft, shallow_clone
from skiploop.policies.selector.choice import first_change
from skiploop.policies.selector.data import Answers, SelectorData
from skiploop.programs.layer_pass import LayerPass
from skiploop.runs.questions import menu_examples
from skiploop.runs.session import Run
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.score_table import ScoreTable, _right, _score, balanced

FACTORS = (0.5, 1.5, 2.0)
SHARES = {"attention": 0.25, "mlp": 0.75}  # of the weights of a layer of SmolLM2-135M
N_BEST = 12


@dataclass(frozen=True)
class Variant(Program):
    """A program over layers and halves: number 3i is layer i, 3i + 1 and 3i + 2 are its halves."""

    name: str = ""
    steps: tuple[int, ...] = ()
    n_passes: float = 0.0  # in whole layers

    @property
    def layer_inputs(self):
        return self.steps

    @property
    def n_slots(self):
        return len(self.steps)

    @property
    def path(self):
        return tuple(map(int, self.steps))

    def __str__(self):
        return self.name


def variant(n_layers, name, changed, n_passes):
    steps = [changed.get(layer, 3 * layer) for layer in range(n_layers)]
    return Variant(3 * n_layers, (), name, tuple(steps), n_passes)


def scaled(n_layers, layer, factor):
    """The layer after it is given a mix: of the states before and after the scaled one."""
    mixed = LayerPass.of(3 * (layer + 1), ((1, 1 - factor), (0, factor)))
    return variant(n_layers, f"{layer}:{layer + 1}*{factor:g}", {layer + 1: mixed}, n_layers)


def half(n_layers, layer, part):
    changed = {layer: 3 * layer + 1 + list(SHARES).index(part)}
    return variant(n_layers, f"{layer}:{layer + 1}+{part}", changed, n_layers - 1 + SHARES[part])


class NoFeedForward(nn.Module):
    def forward(self, states):
        return torch.zeros_like(states)


class NoAttention(nn.Module):
    """Adds nothing; its keys and values are zeros that nobody reads."""

    def __init__(self, attention):
        super().__init__()
        self.layer_idx = attention.layer_idx
        self.size = attention.config.num_key_value_heads, attention.head_dim

    def forward(self, hidden_states, past_key_values=None, **_others):
        if past_key_values is not None:
            (n_heads, size), (n_rows, n_tokens, _) = self.size, hidden_states.shape
            zeros = hidden_states.new_zeros(n_rows, n_heads, n_tokens, size)
            past_key_values.update(zeros, zeros, self.layer_idx)
        return torch.zeros_like(hidden_states), None


def with_halves(stack):
    """Return a stack whose layers are those of a Llama, each followed by its halves."""
    layers = []
    for layer in stack.layers:
        for part in ("whole", *SHARES):
            clone, attention = shallow_clone(layer), shallow_clone(layer.self_attn)
            attention.layer_idx = len(layers)
            clone.self_attn = NoAttention(attention) if part == "mlp" else attention
            clone.mlp = NoFeedForward() if part == "attention" else layer.mlp
            layers.append(clone)
    model = graft(stack.model, stack.layers_path, nn.ModuleList(layers))
    model.config = model.model.config = config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(layers)
    return LayerStack(model, stack.tokenizer, name="with halves")


def answered(stack, task, examples, programs, path):
    """Return right_QP and score_QP, from the file if it holds them."""
    if not path.exists():
        pairs = [(example, program) for example in examples for program in programs]
        trials = Evaluator(stack, task).grade_pairs(pairs, score_gold=True)
        found = np.array([[_right(trial), _score(trial)] for trial in trials])
        np.save(path, found.reshape(len(examples), len(programs), 2))
    both_QP2 = np.load(path)
    return both_QP2[..., 0], both_QP2[..., 1]


def chosen_again(run, menu, data, stack, examples, folder):
    """Return the programs of the menu that is chosen from its own ones and new ones."""
    n_layers, first, half_of = run.stack.n_layers, first_change(menu), len(examples) // 2
    layers = range(first, n_layers - 1)
    new = [scaled(n_layers, layer, factor) for factor in FACTORS for layer in layers]
    new += [half(n_layers, layer, part) for part in SHARES for layer in layers]
    score_QP = data.score_QP[: len(examples)].numpy()
    right, score = answered(stack, run.task, examples[:half_of], new, folder / "all.npy")
    added_P = balanced(examples[:half_of]) @ np.maximum(score - score_QP[:half_of, :1], 0)
    best = sorted(np.argsort(-added_P, kind="stable")[:N_BEST])
    field = [new[i] for i in best]
    rights, scores = answered(stack, run.task, examples[half_of:], field, folder / "best.npy")
    seen = ScoreTable(
        tuple(example.id for example in examples),
        (*menu.programs, *field),
        np.hstack([data.right_QP[: len(examples)].numpy(), np.vstack([right[:, best], rights])]),
        np.hstack([score_QP, np.vstack([score[:, best], scores])]),
        balanced(examples),
    )
    return [seen.programs[column] for column, _ in _cover(seen, len(menu.programs), 0.0)]


def compared(known, unseen_UF, lists, slots_P, seed):
    """Return lines about the choice from lists of columns, the first of them today's."""
    right_QP, lines, today = known.right_QP.nan_to_num(0), [], None
    for label, columns in lists.items():
        picked_Q = picked(known, unseen_UF, slots_P, seed, lambda _, columns=columns: columns)
        right_Q = right_QP.gather(1, picked_Q[:, None])[:, 0] == 1
        today = right_Q if today is None else today
        said = ", ".join(over(known, right_Q, other) for other in (right_QP[:, 0] == 1, today))
        lines.append(
            f"seed {seed}, {label}: {int(right_Q.sum())} right, fixed / broken over plain and "
            f"today's menu {said}; {slots_P[picked_Q].mean():.2f} layers"
        )
    return lines


def main():
    options = arguments(__doc__, run="", found="", judged=1000, at_once=100)
    run, folder = Run.open(Path(options.run)), Path(options.found)
    folder.mkdir(parents=True, exist_ok=True)
    menu, examples = Menu.load(run.folder), menu_examples(run)
    data = SelectorData.load(run.folder / "selector" / "model.safetensors")
    n_raced = run.finished("menu", MenuConfig).race_questions
    stack = with_halves(run.stack)
    again = chosen_again(run, menu, data, stack, examples[:n_raced], folder)
    new = [program for program in again if isinstance(program, Variant)]
    rights, scores = [], []
    judged = slice(n_raced, n_raced + options.judged)
    for start in range(judged.start, judged.stop, options.at_once):
        some = examples[start : min(start + options.at_once, judged.stop)]
        right, score = answered(stack, run.task, some, new, folder / f"{start}.npy")
        rights.append(right)
        scores.append(score)
    programs = [*menu.programs, *new]
    known = Answers(
        data.features_QF[judged],
        torch.hstack([data.score_QP[judged], torch.tensor(np.vstack(scores)).float()]),
        torch.hstack([data.right_QP[judged], torch.tensor(np.vstack(rights)).float()]),
        data.weight_Q[judged],
        data.group_Q[judged],
        data.blind_Q[judged],
        data.category_Q[judged],
    )
    lists = {
        "today's menu": list(range(len(menu.programs))),
        "chosen again": [programs.index(program) for program in again],
        "both": list(range(len(programs))),
    }
    passes = [program.n_slots for program in menu.programs] + [one.n_passes for one in new]
    slots_P = torch.tensor(passes, dtype=torch.float32)
    right_QP = known.right_QP.nan_to_num(0)
    lines = [f"chosen again: {', '.join(map(str, again))}"]
    lines += [
        f"{label}: {int(right_QP[:, columns].amax(1).sum())} of {len(right_QP)} right by an oracle"
        for label, columns in lists.items()
    ]
    for seed in range(3):
        lines += compared(known, data.unseen_UF, lists, slots_P, seed)
    report(options, lines, {"lines": lines})


if __name__ == "__main__":
    main()
