"""Kinds of questions that nobody named, and a small network: next to the selector as built.

    PYTHONPATH=benchmarks python experiments/kinds.py --run RUN --threads 1

RUN holds a menu with a trained selector. Every way learns from four fifths of the questions of the
menu's table, says what it expects of each program on the rest, and chooses through a gate that was
tuned on other questions. Held-out questions are not looked at.

- kernel ridge on the states of a prompt, the selector as built;
- clusters of states: what a program did on the questions of the nearest cluster;
- clusters of outcomes: questions on which the same programs did well, told by kernel ridge;
- kernel ridge on what the mean of the cluster of states leaves: scores shrunk to their kind;
- a network of one hidden layer on the states.
"""

from pathlib import Path

import torch
from heads import N_FOLDS, cross_fitted, judged
from measure import arguments, report
from scipy.cluster.vq import kmeans2
from torch import nn
from torch.nn import functional as F

from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.runs.session import Run

SIZES = (8, 16, 32)
N_COMPONENTS = 32
HIDDEN, EPOCHS, BATCH = 64, 30, 64


def projected(features_QF, new_MF):
    """Return both in the main directions of the first, standardised."""
    center_F, scale_F = features_QF.mean(0), features_QF.std(0).clamp_min(1e-6)
    known_QF, new_MF = (features_QF - center_F) / scale_F, (new_MF - center_F) / scale_F
    _, _, basis_FC = torch.pca_lowrank(known_QF, N_COMPONENTS, center=False)
    return known_QF @ basis_FC, new_MF @ basis_FC


def means(labels_Q, score_QP, weight_Q, size):
    """Return the weighted mean score of each cluster, shrunk to that of all by one question."""
    own_QK = F.one_hot(labels_Q, size).float() * weight_Q[:, None]
    overall_P = weight_Q @ score_QP / weight_Q.sum()
    return (own_QK.T @ score_QP + overall_P) / (own_QK.sum(0)[:, None] + 1)


def clusters(points_QC, size):
    centers, labels = kmeans2(points_QC.double().numpy(), size, minit="++", rng=0)
    return torch.from_numpy(centers).float(), torch.from_numpy(labels).long()


def by_states(seen, new_MF, size):
    features_QF, score_QP, weight_Q, _ = seen
    points_QC, new_MC = projected(features_QF, new_MF)
    centers_KC, labels_Q = clusters(points_QC, size)
    nearest_M = torch.cdist(new_MC, centers_KC).argmin(1)
    return means(labels_Q, score_QP, weight_Q, size)[nearest_M], labels_Q


def by_outcomes(seen, new_MF, size):
    features_QF, score_QP, weight_Q, ridge = seen
    _, labels_Q = clusters(score_QP - score_QP.mean(0), size)
    own_QK = F.one_hot(labels_Q, size).float()
    (model,) = KernelRidge.fit(features_QF, own_QK, weight_Q, (ridge,))
    likely_MK = model.predict(new_MF).clamp_min(0)
    share_MK = likely_MK / likely_MK.sum(1, keepdim=True).clamp_min(1e-6)
    return share_MK @ means(labels_Q, score_QP, weight_Q, size)


def by_kernel(seen, new_MF):
    features_QF, score_QP, weight_Q, ridge = seen
    (model,) = KernelRidge.fit(features_QF, score_QP, weight_Q, (ridge,))
    return model.predict(new_MF)


def shrunk(seen, new_MF, size):
    features_QF, score_QP, weight_Q, ridge = seen
    of_kind_MP, labels_Q = by_states(seen, new_MF, size)
    left_QP = score_QP - means(labels_Q, score_QP, weight_Q, size)[labels_Q]
    return of_kind_MP + by_kernel((features_QF, left_QP, weight_Q, ridge), new_MF)


def by_network(seen, new_MF):
    features_QF, score_QP, weight_Q, _ = seen
    torch.manual_seed(0)
    center_F, scale_F = features_QF.mean(0), features_QF.std(0).clamp_min(1e-6)
    model = nn.Sequential(
        nn.Linear(features_QF.shape[1], HIDDEN),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.Linear(HIDDEN, score_QP.shape[1]),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    inputs_QF = (features_QF - center_F) / scale_F
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs_QF)).split(BATCH):
            optimizer.zero_grad()
            losses_BP = F.binary_cross_entropy_with_logits(
                model(inputs_QF[rows]), score_QP[rows], reduction="none"
            )
            (weight_Q[rows] @ losses_BP).mean().backward()
            optimizer.step()
    with torch.inference_mode():
        return model.eval()((new_MF - center_F) / scale_F).sigmoid()


def main():
    options = arguments(__doc__, run="")
    run = Run.open(Path(options.run))
    options.dtype = str(run.stack.dtype).removeprefix("torch.")
    policy, data = run.selector, run.selector.data
    slots_P = torch.tensor([float(program.n_slots) for program in policy.menu.programs])
    right_QP, n_questions = data.right_QP.nan_to_num(), len(data.score_QP)
    fold_Q = deal(data.group_Q, N_FOLDS, seed=0)
    ways = {"kernel ridge": by_kernel, "network of one hidden layer": by_network}
    for size in SIZES:
        ways[f"{size} clusters of states"] = lambda seen, new, k=size: by_states(seen, new, k)[0]
        ways[f"{size} clusters of outcomes"] = lambda seen, new, k=size: by_outcomes(seen, new, k)
        ways[f"kernel ridge, shrunk to {size} clusters of states"] = lambda seen, new, k=size: (
            shrunk(seen, new, k)
        )
    figures = {}
    for name, way in ways.items():
        predicted_QP = torch.empty_like(data.score_QP)
        for fold in range(N_FOLDS):
            held, seen = fold_Q == fold, fold_Q != fold
            known = data.features_QF[seen], data.score_QP[seen], data.weight_Q[seen]
            predicted_QP[held] = way((*known, data.ridge), data.features_QF[held])
        chosen_Q = cross_fitted(predicted_QP, data, slots_P)
        figures[name] = judged(chosen_Q, right_QP, slots_P, data.group_Q)
        error_Q = (predicted_QP - data.score_QP).square().mean(1)
        figures[name]["squared_error"] = float(data.weight_Q @ error_Q / n_questions)
    n_right = int(right_QP[:, 0].sum())
    lines = [f"identity: {n_right} of {n_questions} right"]
    lines += [f"{name:>46}  {found}" for name, found in figures.items()]
    asked = {"n_questions": n_questions, "identity_right": n_right}
    report(options, lines, {"benchmark": "kinds", **asked, **figures})


if __name__ == "__main__":
    main()
