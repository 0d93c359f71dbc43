"""Write the golden files: what must not change when only the code moves.

    python tests/golden/make.py [NAME ...]

Without names all of them. A change of a golden file is a change of numbers: CHANGELOG.md tells it.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "model"))  # as in pyproject.toml, for the script

import answers  # noqa: E402
import choices  # noqa: E402
import planted  # noqa: E402
import torch  # noqa: E402
import trees  # noqa: E402

torch.set_num_threads(1)  # two next to another busy process are many times slower than one

GOLDENS = {
    "questions": planted.questions,
    "tree": trees.without_a_model,
    "tree_on_a_model": trees.on_a_model,
    "verdicts": answers.verdicts,
    "texts": answers.texts,
    "selector": choices.selector,
    "search": choices.search,
    "policies": choices.policies,
    "report": choices.report,
}
"""What makes each file, from what is fixed by seeds alone."""

WIDTH = 100


def rounded(value):
    """Return plain data with all numbers that are not whole to five digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def pretty(value, depth=0):
    """Return JSON in which what fits into a line stands in one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + depth < WIDTH or not isinstance(value, dict | list):
        return line
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {pretty(item, depth + 1)}" for key, item in value.items()]
    else:
        items = [pretty(item, depth + 1) for item in value]
    inside = ",\n".join(" " * (depth + 1) + item for item in items)
    return f"{line[0]}\n{inside}\n{' ' * depth}{line[-1]}"


def main(names):
    for name in names or GOLDENS:
        path = FOLDER / f"{name}.json"
        path.write_text(pretty(rounded(GOLDENS[name]())) + "\n")
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
