"""Write the table of docs/reference/exchange.md from the registry.

python docs/make_formats_table.py
"""

from pathlib import Path

from skiploop.exchange.formats import FORMATS, Format

TARGET = Path(__file__).parent / "reference" / "exchange.md"
HEAD = "| name | what it is | holds | import | export |\n|---|---|---|---|---|\n"


def row(form: Format) -> str:
    """Return the line of one format."""
    ways = ("yes" if way in form.ways else "" for way in ("import", "export"))
    return f"| `{form.name}` | {form.does} | {form.holds} | {' | '.join(ways)} |\n"


def reference() -> str:
    """Return the whole page, with its table as the registry has it now."""
    before, head, rest = TARGET.read_text().partition(HEAD)
    _, blank, after = rest.partition("\n\n")
    return f"{before}{head}{''.join(map(row, FORMATS))}{blank[1:]}{after}"


if __name__ == "__main__":
    TARGET.write_text(reference())
