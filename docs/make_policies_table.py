"""Write the table of docs/reference/policies.md from the registry.

python docs/make_policies_table.py
"""

from pathlib import Path

from skiploop.runs.policies import Entry, entries

TARGET = Path(__file__).parent / "reference" / "policies.md"
HEAD = "| name | gives | the run needs |\n|---|---|---|\n"

_COMMANDS = {
    "search": "search",
    "menu": "menu build",
    "train": "train",
    "selector": "train --method selector",
}


def row(entry: Entry) -> str:
    """Return the line of one entry."""
    needs = " or ".join(f"`{_COMMANDS[stage]}`" for stage in entry.needs) or "nothing"
    return f"| `{entry.pattern}` | {entry.does} | {needs} |\n"


def reference() -> str:
    """Return the whole page, with its table as the registry has it now."""
    before, head, rest = TARGET.read_text().partition(HEAD)
    _, blank, after = rest.partition("\n\n")
    return f"{before}{head}{''.join(map(row, entries()))}{blank[1:]}{after}"


if __name__ == "__main__":
    TARGET.write_text(reference())
