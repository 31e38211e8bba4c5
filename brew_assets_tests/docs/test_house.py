"""How the project is built, counted: no circle among modules, none too long, little of Dagster's insides."""

import ast
import re
from pathlib import Path

from tools.measure_house import LONGEST_MODULE, measured, table
from tools.profile_path import bottle_path

ROOT = Path(__file__).parents[2]


def test_no_module_is_too_long_or_part_of_a_circle() -> None:
    house = measured(ROOT)
    assert house.circles == []
    assert {name: count for name, count in house.lines.items() if count > LONGEST_MODULE} == {}


def test_circles_imports_and_lengths_are_seen(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "a": "from own.b import f\n",
        "b": "def f():\n    from own import c\n    return c\n",
        "c": "import own.a\n",
        "d": "import own.a\nimport json\nfrom own.b import f\n",
    }
    (tmp_path / "own").mkdir()
    for name, text in files.items():
        (tmp_path / "own" / f"{name}.py").write_text(text)
    house = measured(tmp_path, "own")
    assert house.circles == [["own.a", "own.b", "own.c"]]
    assert house.edges == 5
    assert house.functions == (3,)
    assert house.lines["own.d"] == 3


def test_the_table_has_a_figure_for_each() -> None:
    shown = table(measured(ROOT))
    assert "circles:                          none" in shown
    assert "modules over 400 lines:           none" in shown


def test_no_module_imports_more_than_fifteen_others() -> None:
    imports = measured(ROOT).imports
    assert {name: len(found) for name, found in imports.items() if len(found) > 15} == {}


def test_a_bottle_passes_at_most_six_frames_before_its_first_byte_is_asked_for() -> None:
    before = bottle_path().before
    assert before[0].endswith(" Mirror.sync")
    assert before[-1].endswith(" BottleDownload.run")
    assert len(before) <= 6


def test_modules_that_texts_name_are_there() -> None:
    """With their folder, or without where one has that name; those of others stand with their package."""
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "brew_assets").rglob("*.py")]
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "brew_assets").rglob("*.py")
        for name in re.findall(r"(?<![\w./'’-])([a-z_]+(?:/[a-z_0-9]+)*\.py)\b", path.read_text("utf-8"))
    }
    # Of botocore and dagster, and named as theirs.
    others = re.compile(r"dagster(_aws|)/|(credentials|tokens|utils)\.py")
    lost = sorted(
        (path, name)
        for path, name in named
        if not others.match(name) and not any(f"/{module}".endswith(f"/{name}") for module in modules)
    )
    assert lost == []


def test_private_modules_of_dagster_are_three_in_one_module_each_with_what_would_make_it_needless() -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), node.lineno)
        for path in sorted((ROOT / "brew_assets").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(name.startswith("dagster._") for name in imported(node))
    ]
    (module,) = {path for path, _ in found}
    assert module == "brew_assets/defs/dagster_internals.py"
    assert len(found) <= 3
    lines = (ROOT / module).read_text().splitlines()
    assert [line for _, line in found if not lines[line - 2].startswith("# ")] == []


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""]
