"""What a search found, next to chance."""

from __future__ import annotations

from skiploop.evaluation.search_table import SearchTable
from skiploop.report.table import Table
from skiploop.report.words import p_words, paired_words, share_words


def search_words(table: SearchTable) -> Table:
    """Return the search's table in words, one row a share."""
    shares = [
        ("Base (the plain model)", table.base),
        ("Skip, oracle", table.skip_oracle),
        ("Loop, oracle", table.loop_oracle),
        ("Any program (Skip & Loop), oracle", table.skip_and_loop_oracle),
    ]
    if table.chance:
        shares += [
            ("Chance: any random program of as many edits, oracle", table.chance.random_oracle),
            (
                "Chance: Base or any random program of as many edits, oracle",
                table.chance.base_or_random_oracle,
            ),
        ]
    shares += [
        ("Base right: a shorter program too, oracle", table.base_right_shorter_oracle),
        ("Base wrong: fixed, oracle", table.base_wrong_fixed_oracle),
        ("Base wrong: fixed by a shorter one, oracle", table.base_wrong_fixed_shorter_oracle),
    ]
    cells = tuple(
        (name, f"{share.count} of {share.total}", share_words(share)) for name, share in shares
    )
    header = ("right answers", "questions", "% (95 % interval)")
    return Table("Search (every oracle looks at the answer)", header, cells, _search_note(table))


def _search_note(table: SearchTable) -> str:
    note = (
        f"{table.n_evaluations} evaluations, {table.n_ungraded_evaluations} of them ungraded and "
        f"taken as not tried; {table.n_ungraded_examples} questions left out because their base "
        "answer could not be graded."
    )
    if not table.chance:
        return (
            f"{note} No chance control was run: the oracle rows have nothing to be compared with."
        )
    paired = table.chance.search_against_random
    return (
        f"{note} Search over chance (any program against Base or random, equal evaluations): "
        f"{paired_words(paired)} points, McNemar p {p_words(paired.p)}."
    )
