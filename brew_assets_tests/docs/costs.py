"""The costs in infra/README.md, worked out from the prices there.

`python -m brew_assets_tests.docs.costs` renews them. The document holds everything: a table of prices, one of
sizes, one of costs. A row's arithmetic names prices, rows of the sizes, and rows above it.
"""

import ast
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping

from brew_assets_tests.docs.reading import ROOT

INFRA = ROOT / "infra" / "README.md"
PRICES = "| Name | Price of | USD |"
SIZES = "| Name | What | One platform | Three platforms | Eight, highly available |"
COSTS = "| Name | What | Arithmetic | One platform | Three platforms | Eight, highly available |"
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(arithmetic: str, names: Mapping[str, float]) -> float:
    """What the sums and products of numbers and names come to.

    Raises:
        ValueError: it is something else.
        KeyError: nothing has that name.
    """
    return _value(ast.parse(arithmetic, mode="eval").body, names)


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
    raise ValueError(ast.unparse(node))


def cells(line: str) -> list[str]:
    """The cells of a table's row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def sizes(text: str) -> list[dict[str, float]]:
    """Prices and sizes by name, for each of the three deployments."""
    prices = {_name(row[0]): float(row[2]) for row in map(cells, rows(text, PRICES))}
    found = [dict(prices), dict(prices), dict(prices)]
    for row in map(cells, rows(text, SIZES)):
        for names, cell in zip(found, row[2:], strict=True):
            names[_name(row[0])] = value(cell.strip("`"), names)
    return found


def rows(text: str, header: str) -> list[str]:
    """The lines of the table with that header.

    Raises:
        ValueError: there is none.
    """
    lines = text.splitlines()
    first = lines.index(header) + 2
    below = lines[first:]
    return below[: next(number for number, line in enumerate(below) if not line.startswith("|"))]


def dollars(amount: float) -> str:
    """An amount as the table shows it: cents only where they matter."""
    if amount == 0:
        return "–"
    return f"${amount:.2f}" if amount < 10 else f"${math.floor(amount + 0.5):,}"


def renewed(text: str) -> str:
    """The document with every amount worked out anew."""
    found = sizes(text)
    for line in rows(text, COSTS):
        name, what, arithmetic, *_ = cells(line)
        (formula,) = re.findall(r"`([^`]+)`", arithmetic)
        for names in found:
            names[_name(name)] = value(formula, names)
        amounts = [dollars(names[_name(name)]) for names in found]
        text = text.replace(f"\n{line}\n", f"\n| {' | '.join([name, what, arithmetic, *amounts])} |\n")
    return text


def _name(cell: str) -> str:
    return cell.strip("*`")


def main() -> None:
    """Writes infra/README.md if an amount is out of date."""
    text = INFRA.read_text(encoding="utf-8")
    INFRA.write_text(renewed(text), encoding="utf-8")
    sys.stdout.write("renewed\n" if renewed(text) != text else "up to date\n")


if __name__ == "__main__":
    main()
