"""How the project is built, in figures: lines, imports among modules, circles, long functions.

python -m tools.measure_house [FOLDER]    of another checkout, for "before"
"""

import ast
import statistics
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "brew_assets"
LONGEST_MODULE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The modules of a package: name -> lines, name -> the modules that it imports, lengths of functions."""

    lines: Mapping[str, int]
    imports: Mapping[str, frozenset[str]]
    functions: tuple[int, ...]

    @property
    def edges(self) -> int:
        """Imports among modules, each pair once."""
        return sum(map(len, self.imports.values()))

    @property
    def circles(self) -> list[list[str]]:
        """Groups of modules of which each leads to each."""
        reached = {name: self._reached(name) for name in self.imports}
        groups = {
            frozenset(other for other in found if name in reached[other]) | {name}
            for name, found in reached.items()
            if name in found
        }
        return sorted(sorted(group) for group in groups)

    def _reached(self, name: str) -> set[str]:
        found: set[str] = set()
        todo = list(self.imports[name])
        while todo:
            other = todo.pop()
            if other not in found:
                found.add(other)
                todo.extend(self.imports[other])
        return found


def measured(root: Path, package: str = PACKAGE) -> House:
    """The figures of a package below a checkout's root. Imports inside functions count too."""
    trees = {_name(path, root): ast.parse(path.read_text("utf-8")) for path in (root / package).rglob("*.py")}
    texts = {_name(path, root): path.read_text("utf-8") for path in (root / package).rglob("*.py")}
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return House(
        lines={name: len(text.splitlines()) for name, text in texts.items()},
        imports={name: frozenset(_imported(tree, trees)) - {name} for name, tree in trees.items()},
        functions=tuple(sorted(functions)),
    )


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.AST, known: Mapping[str, object]) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module


def table(house: House) -> str:
    """The figures, one per line."""
    modules = {name: count for name, count in house.lines.items() if count}
    fan_out = sorted(((len(found), name) for name, found in house.imports.items()), reverse=True)
    of_defs = sum(count for name, count in modules.items() if name.startswith(f"{PACKAGE}.defs"))
    over = [f"{name} ({count})" for name, count in modules.items() if count > LONGEST_MODULE]
    p90 = statistics.quantiles(house.functions, n=10)[-1]
    rows = [
        ("modules", f"{len(modules)}"),
        ("lines", f"{sum(modules.values()):,}"),
        ("lines of defs/", f"{of_defs:,}"),
        ("imports among modules", f"{house.edges}, {house.edges / len(modules):.1f} a module"),
        ("most imports out of one module", ", ".join(f"{name} {count}" for count, name in fan_out[:3])),
        (f"modules over {LONGEST_MODULE} lines", ", ".join(over) or "none"),
        ("lines of a function", f"median {statistics.median(house.functions):.0f}, p90 {p90:.0f}, most "
                                f"{house.functions[-1]}"),
        ("circles", "; ".join(" <-> ".join(circle) for circle in house.circles) or "none"),
    ]  # fmt: skip
    return "\n".join(f"{name + ':':34}{value}" for name, value in rows)


if __name__ == "__main__":
    print(table(measured(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())))
