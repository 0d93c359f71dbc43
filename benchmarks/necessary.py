"""Work that no way of running some rows can do without."""

from collections.abc import Sequence


def n_necessary(rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Return the layer-token products that no way of running some rows can do without.

    One for each different pair of a beginning of the tokens and a beginning of the path.

    Args:
        rows: The tokens that run, and the path, of each row.
    """
    nodes: dict[tuple[int, int], int] = {}

    def beginnings(sequence: Sequence[int]) -> list[int]:
        """Number every beginning of a sequence, equal ones alike."""
        numbers = []
        node = -1
        for entry in sequence:
            node = nodes.setdefault((node, entry), len(nodes))
            numbers.append(node)
        return numbers

    by_path = {tuple(path): beginnings(path) for _, path in rows}
    products: dict[int, set[int]] = {}
    for tokens, path in rows:
        for node in beginnings(tokens):
            products.setdefault(node, set()).update(by_path[tuple(path)])
    return sum(map(len, products.values()))
