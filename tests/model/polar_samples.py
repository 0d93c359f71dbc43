"""Samples as PoLar writes them, a model that reads its prompts, and the command that imports."""

import json
import shlex

import families

from skiploop.cli.main import main

PATHS = {
    "identity": [0, 1, 2, 3, 4, 5],
    "2:4x2": [0, 1, 2, 3, 2, 3, 4, 5],
    "1:2x0": [0, 2, 3, 4, 5],
    "0:6x3": [0, 1, 2, 3, 4, 5] * 3,
}
N_QUESTIONS = 120


def saved_model(folder):
    """Write a tiny random model that reads prompts as long as the paper's; return its path."""
    model = families.build("llama")
    model.config.max_position_embeddings = 512
    model.save_pretrained(folder)
    families.tokenizer().save_pretrained(folder)
    return str(folder)


def samples():
    """Return PoLar's samples of sums; other programs are right on other sums."""
    found = []
    for i in range(N_QUESTIONS):
        first, second = 10 + i, 7 * i % 89
        right = [path for n, path in enumerate(PATHS.values()) if (first + second) % 4 >= n]
        right = right if i % 3 else right[1:]
        wrong = [path for path in PATHS.values() if path not in right]
        found.append(
            {
                "question": f"What is {first} plus {second}?",
                "gt_ans": str(first + second),
                "final_valid_transitions": right,
                "final_invalid_transitions": wrong,
            }
        )
    return found


def imported(tmp_path, model, data, *more, form="polar", out="RUN"):
    path = tmp_path / "file.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    command = ["import", path, "--from", form, "--model", model, "--out", tmp_path / out, *more]
    return main([str(word) for word in command])


def commands_of(out):
    """Return the commands that an import says to go on with."""
    return [shlex.split(line)[1:] for line in out.splitlines() if line.startswith("  skiploop")]
