"""Should programs get their places by what they are worth to the choice, not by the race?

    PYTHONPATH=benchmarks python experiments/menu_for_choosing.py --run RUN --size 8 --threads 1

RUN holds a menu with a trained selector. Its programs are the pool from which smaller menus are
made: the first ones of the race; those that add most to the choice, one after the other, counted in
right answers or in scores; and for comparison the whole pool. Regressions of inner folds say what
is expected of all programs at once, so that a further place costs no regression. Outer folds judge
the choice, made as the selector makes it. Held-out questions are not looked at.
"""

from pathlib import Path

import torch
from measure import arguments, report
from out_of_fold import over, picked

from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.selector.choice import slots_of
from skiploop.policies.selector.data import SelectorData
from skiploop.policies.selector.learning import SelectorConfig, expect
from skiploop.runs.session import Run

RIDGES = (0.1, 0.3, 1.0, 3.0)


def forward(known, value_QP, size, seed):
    """Return columns, each the one that adds most value to the choice among those before it."""
    expected_QP = expect(known, SelectorConfig(ridges=RIDGES, seed=1000 + seed)).predicted_QP
    taken = [0]
    expected_Q, value_Q = expected_QP[:, 0], value_QP[:, 0]
    while len(taken) < size:
        is_taken_QP = expected_QP > expected_Q[:, None]
        worth_P = known.weight_Q @ torch.where(is_taken_QP, value_QP, value_Q[:, None])
        worth_P[taken] = -1
        column = int(worth_P.argmax())
        taken.append(column)
        value_Q = torch.where(is_taken_QP[:, column], value_QP[:, column], value_Q)
        expected_Q = torch.maximum(expected_Q, expected_QP[:, column])
    return taken


def main():
    options = arguments(__doc__, run="", size=8, questions=1500, skipped=0)
    run = Run.open(Path(options.run))
    menu = Menu.load(run.folder)
    data = SelectorData.load(run.folder / "selector" / "model.safetensors")
    start = run.finished("menu", MenuConfig).race_questions + options.skipped
    judged = torch.zeros(len(data.group_Q), dtype=torch.bool)
    judged[start : start + options.questions] = True
    known, slots_P = data.of(judged), slots_of(menu.programs)
    right_QP = known.right_QP.nan_to_num(0)
    lines = [f"plain: {int(right_QP[:, 0].sum())} of {len(right_QP)} right"]
    ways = {
        "race": lambda _seed: lambda _seen: list(range(options.size)),
        "right answers": lambda seed: (
            lambda seen: forward(seen, seen.right_QP.nan_to_num(0), options.size, seed)
        ),
        "scores": lambda seed: lambda seen: forward(seen, seen.score_QP, options.size, seed),
        "whole pool": lambda _seed: lambda _seen: list(range(len(menu.programs))),
    }
    for seed in range(3):
        raced_Q = None
        for label, way in ways.items():
            picked_Q = picked(known, data.unseen_UF, slots_P, seed, way(seed))
            right_Q = right_QP.gather(1, picked_Q[:, None])[:, 0] == 1
            raced_Q = right_Q if raced_Q is None else raced_Q
            lines.append(
                f"seed {seed}, {label}: {int(right_Q.sum())} right, over the race "
                f"{over(known, right_Q, raced_Q)}, {slots_P[picked_Q].mean():.2f} layers"
            )
    report(options, lines, {"lines": lines})


if __name__ == "__main__":
    main()
