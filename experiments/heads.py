"""What should stand on top of the prompt: compares ways to choose from a menu by cross-validation.

    PYTHONPATH=benchmarks python experiments/heads.py --run RUN --threads 1

RUN holds a menu with a trained selector. Every way learns from four fifths of the questions of the
menu's table and is judged on the rest, never on held-out questions:

- kernel ridge on pooled states, the selector as built;
- the trunk of the published network with a score for each program in place of its two heads;
- the same trunk with a decoder that writes a program edit by edit, trained on right programs.

Ways that give scores choose through a gate that was tuned on other questions.
"""

from pathlib import Path

import torch
from measure import arguments, report
from torch import nn
from torch.nn import functional as F

from skiploop.policies.polar.network import NetworkConfig, PolarNetwork, pad
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.gate import tune
from skiploop.policies.selector.kernel import out_of_fold
from skiploop.runs.questions import menu_examples
from skiploop.runs.session import Run
from skiploop.stats import Paired

N_FOLDS = 5
BATCH = 64


class Trunk(nn.Module):
    """The published network up to its heads, pooled over the layers."""

    def __init__(self, n_layers, width):
        super().__init__()
        self.network = PolarNetwork(NetworkConfig(n_layers=n_layers, input_width=width, n_blocks=1))
        self.network.boundary_head = self.network.runs_head = nn.Identity()
        self.width = self.network.config.width

    def forward(self, encodings):
        return self.network(*pad(encodings, self.network.device)).runs_BDR.mean(1)


class ScoreHead(nn.Module):
    """One score a program: P(right) by cross-entropy against the score."""

    def __init__(self, trunk, n_programs):
        super().__init__()
        self.trunk, self.head = trunk, nn.Linear(trunk.width, n_programs)

    def loss(self, encodings, score_BP, _right_BP):
        return F.binary_cross_entropy_with_logits(self(encodings), score_BP)

    def forward(self, encodings):
        return self.head(self.trunk(encodings))

    def predict(self, encodings):
        return self(encodings).sigmoid()


class EditListHead(nn.Module):
    """Writes a program as its edits, one after the other, and a stop; trained on right programs."""

    def __init__(self, trunk, programs):
        super().__init__()
        edits = list(dict.fromkeys(edit for program in programs for edit in program.edits))
        number = {edit: index + 1 for index, edit in enumerate(edits)}  # 0 starts and stops
        rows = [[number[edit] for edit in program.edits] + [0] for program in programs]
        longest = max(map(len, rows))
        self.register_buffer(
            "after_PL", torch.tensor([r + [-1] * (longest - len(r)) for r in rows])
        )
        self.register_buffer("before_PL", torch.roll(self.after_PL.clamp_min(0), 1, 1))
        self.before_PL[:, 0] = 0
        self.trunk = trunk
        self.embed = nn.Embedding(len(edits) + 1, trunk.width)
        self.cell = nn.GRU(trunk.width, trunk.width, batch_first=True)
        self.head = nn.Linear(trunk.width, len(edits) + 1)

    def forward(self, encodings):
        """Return the log-probability of every program of the menu for every prompt."""
        prompt_BH = self.trunk(encodings)
        n_prompts, n_programs = len(prompt_BH), len(self.after_PL)
        start_XH = prompt_BH.repeat_interleave(n_programs, 0)[None]
        given_XLH = self.embed(self.before_PL.repeat(n_prompts, 1))
        states_XLH, _ = self.cell(given_XLH, start_XH.contiguous())
        targets_XL = self.after_PL.repeat(n_prompts, 1)
        losses_XL = F.cross_entropy(
            self.head(states_XLH).transpose(1, 2), targets_XL, ignore_index=-1, reduction="none"
        )
        return -losses_XL.sum(1).view(n_prompts, n_programs)

    def loss(self, encodings, _score_BP, right_BP):
        weight_BP = right_BP / right_BP.sum(1, keepdim=True).clamp_min(1)
        return -(weight_BP * self(encodings)).sum() / weight_BP.sum().clamp_min(1)

    def predict(self, encodings):
        return self(encodings)


def fit(model, encodings, score_QP, right_QP, epochs, seed):
    """Train a model by AdamW on some questions."""
    model.trunk.network.standardize_inputs(encodings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(encodings), generator=generator).split(BATCH):
            optimizer.zero_grad()
            some = [encodings[row] for row in rows]
            model.loss(some, score_QP[rows], right_QP[rows]).backward()
            optimizer.step()
    return model.eval()


@torch.inference_mode()
def predict(model, encodings):
    batches = range(0, len(encodings), BATCH)
    return torch.cat([model.predict(encodings[start : start + BATCH]) for start in batches])


def held_out(make, encodings, score_QP, right_QP, fold_Q, epochs):
    """Return what models say of questions that they have not seen, and their mean of the others."""
    predicted_QP, prior_QP = torch.empty_like(score_QP), torch.empty_like(score_QP)
    for fold in range(N_FOLDS):
        held, seen = (fold_Q == fold).nonzero()[:, 0], (fold_Q != fold).nonzero()[:, 0]
        torch.manual_seed(fold)
        learned = [encodings[i] for i in seen]
        model = fit(make(), learned, score_QP[seen], right_QP[seen], epochs, fold)
        predicted_QP[held] = predict(model, [encodings[i] for i in held])
        prior_QP[held] = predict(model, learned).mean(0)
    return predicted_QP, prior_QP


def cross_fitted(predicted_QP, data, slots_P):
    """Return the column that is chosen for each question by a gate that was tuned on others.

    The predictions were learned from these others, too, so this compares ways to predict and is no
    test of a gain; `predictor.validation` is one.
    """
    fold_Q, right_QP = deal(data.group_Q, N_FOLDS, seed=1), data.right_QP.nan_to_num()
    chosen_Q = torch.zeros(len(predicted_QP), dtype=torch.long)
    for fold in range(N_FOLDS):
        held, seen = fold_Q == fold, fold_Q != fold
        gate = tune(predicted_QP[seen], right_QP[seen], data.weight_Q[seen], slots_P)
        chosen_Q[held] = gate.choose(predicted_QP[held], slots_P)
    return chosen_Q


def judged(chosen_Q, right_QP, slots_P, group_Q):
    rows = torch.arange(len(chosen_Q))
    pairs = zip(right_QP[rows, chosen_Q] == 1, right_QP[:, 0] == 1, strict=True)
    found = Paired.of([(bool(one), bool(other)) for one, other in pairs], group_Q.tolist())
    return {
        "points": round(100 * found.difference, 2),
        "fixed": found.only_first,
        "broken": found.only_second,
        "p": found.p,
        "layers": round(float(slots_P[chosen_Q].mean()), 2),
        "identity_share": round(float((chosen_Q == 0).float().mean()), 3),
    }


def main():
    options = arguments(__doc__, run="", epochs=10, tokens=16)
    run = Run.open(Path(options.run))
    options.dtype = str(run.stack.dtype).removeprefix("torch.")
    policy, data = run.selector, run.selector.data
    programs = policy.menu.programs
    slots_P = torch.tensor([float(program.n_slots) for program in programs])
    score_QP, right_QP = data.score_QP, data.right_QP.nan_to_num()
    prompts = [run.task.prompt(example) for example in menu_examples(run)]
    encoder = policy.features.encoder
    encodings = [states_TE[-options.tokens :] for states_TE in encoder.encode(prompts)]
    group_Q = data.group_Q
    fold_Q = deal(group_Q, N_FOLDS, seed=0)

    def gated(predicted_QP):
        return cross_fitted(predicted_QP, data, slots_P)

    def nets(make):
        return held_out(make, encodings, score_QP, right_QP, fold_Q, options.epochs)

    def trunk():
        return Trunk(run.stack.n_layers, encoder.width)

    ridges = (data.ridge,)
    (kernel_QP,) = out_of_fold(data.features_QF, score_QP, data.weight_Q, ridges, fold_Q)
    ranked_QP, _ = nets(lambda: ScoreHead(trunk(), len(programs)))
    written_QP, prior_QP = nets(lambda: EditListHead(trunk(), programs))
    chosen = {
        "kernel ridge, gate": gated(kernel_QP),
        "network with a ranking head, gate": gated(ranked_QP),
        "mean of both, gate": gated((kernel_QP + ranked_QP) / 2),
        "network that writes edits, likeliest program": written_QP.argmax(1),
        "network that writes edits, against its prior": (written_QP - prior_QP).argmax(1),
    }
    figures = {n: judged(chosen_Q, right_QP, slots_P, group_Q) for n, chosen_Q in chosen.items()}
    n_right = int(right_QP[:, 0].sum())
    lines = [f"identity: {n_right} of {len(prompts)} right"]
    lines += [f"{name:>46}  {found}" for name, found in figures.items()]
    asked = {"n_questions": len(prompts), "identity_right": n_right, "epochs": options.epochs}
    report(options, lines, {"benchmark": "heads", **asked, **figures})


if __name__ == "__main__":
    main()
