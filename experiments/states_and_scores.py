"""What should a choice see of a question, and what should it learn from?

    PYTHONPATH=benchmarks python experiments/states_and_scores.py --run RUN --depths 8,12,16,20,24

RUN holds a menu. A prompt is described by states of the plain model after some of its layers. The
choice learns from *scores* (the probability of the right answer), from *verdicts*, or from the
*mean* of both; the ridge is the one that errs least out of fold, and no gate holds it back. It is
judged out of fold on the table of the menu, and on validation questions, which take further
verdicts. Held-out questions are not looked at.
"""

from pathlib import Path

import torch
from measure import arguments, report

from skiploop.menus.menu import Menu
from skiploop.policies.encoders import make_encoder
from skiploop.policies.selector.choice import PromptFeatures, slots_of
from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.folds import numbered
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.policies.selector.learning import SelectorConfig, expect
from skiploop.runs.questions import menu_examples
from skiploop.runs.session import Run
from skiploop.stats import Paired
from skiploop.trials.score_table import collect

CONFIG = SelectorConfig()
LEARNED_FROM = {
    "scores": lambda table: table.score_QP,
    "verdicts": lambda table: table.right_QP,
    "mean": lambda table: table.worth_QP,
}


def judged(expected_QP, right_QP, slots_P):
    """Return what the program of the highest expectation does for each question."""
    chosen_Q = expected_QP.argmax(1)
    right_Q = right_QP.gather(1, chosen_Q[:, None])[:, 0]
    pairs = zip((right_Q == 1).tolist(), (right_QP[:, 0] == 1).tolist(), strict=True)
    found = Paired.of(pairs)
    return {
        "points": round(100 * (found.only_first - found.only_second) / len(right_Q), 2),
        "fixed": found.only_first,
        "broken": found.only_second,
        "layer_passes": round(float(slots_P[chosen_Q].mean()), 2),
    }


def main():
    options = arguments(__doc__, run="", depths="8,12,16,20,24", validation=1120)
    folder = Path(options.run)
    run, programs = Run.open(folder), Menu.load(folder).programs
    known = menu_examples(run)
    new = run.task.examples("validation", options.validation)
    table = collect(run.runner(), known, programs)
    trials = run.runner().grade_pairs([(one, program) for one in new for program in programs])
    right_QP = torch.from_numpy(table.right_QP).float()
    new_MP = torch.tensor([trial.correct is True for trial in trials]).view(len(new), -1).float()
    group_Q, slots_P = numbered([one.group for one in known]), slots_of(programs)
    same_Q = torch.zeros_like(group_Q)  # categories and favourites play no part here
    prompts, new_prompts = ([run.task.prompt(one) for one in some] for some in (known, new))
    rows = []
    for depth in map(int, options.depths.split(",")):
        features = PromptFeatures(
            make_encoder(run.stack, text_encoder=None, layer=depth, prompts=prompts)
        )
        known_QF, new_MF = features.of(prompts), features.of(new_prompts)
        weight_Q = torch.from_numpy(table.balanced_among(known_QF.numpy())[0]).float()
        for name, of in LEARNED_FROM.items():
            score_QP = torch.from_numpy(of(table)).float()
            answers = Answers(known_QF, score_QP, right_QP, weight_Q, group_Q, same_Q, same_Q)
            found = expect(answers, CONFIG)
            (model,) = KernelRidge.fit(known_QF, score_QP, weight_Q, (found.ridge,))
            rows.append(
                {
                    "depth": depth,
                    "learned_from": name,
                    "ridge": found.ridge,
                    "out_of_fold": judged(found.predicted_QP, right_QP, slots_P),
                    "validation": judged(model.predict(new_MF), new_MP, slots_P),
                }
            )
    sizes = {"n_questions": len(known), "n_validation": len(new), "n_programs": len(programs)}
    report(options, map(str, rows), {**sizes, "rows": rows})


if __name__ == "__main__":
    main()
