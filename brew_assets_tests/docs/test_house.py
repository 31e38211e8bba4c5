"""How the project is built, counted: no circle among modules, none too long, little of Dagster's insides."""

import ast
import re
from pathlib import Path

from tools.measure_house import LONGEST_MODULE, measured, table
from tools.profile_path import bottle_path, tick_path

ROOT = Path(__file__).parents[2]
# How many of our files a bottle and a tick visit. Never raise it.
FILES_OF_A_BOTTLE = 47
FILES_OF_A_TICK = 50


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
    trace = bottle_path()
    assert trace.before[0].endswith(" Mirror.sync")
    assert trace.before[-1].endswith(" BottleDownload.run")
    assert len(trace.before) <= 6
    # The manifest is written, and no index was asked for yet.
    assert {"engine/record/fold.py", "domain/manifest.py"} <= trace.calls.keys()
    assert "engine/index_completion.py" not in trace.calls
    assert len(trace.calls) <= FILES_OF_A_BOTTLE


def test_a_tick_that_sends_one_message_visits_no_more_files_than_before() -> None:
    calls = tick_path().calls
    assert {"defs/notifications/sensor.py", "adapters/slack.py"} <= calls.keys()
    assert len(calls) <= FILES_OF_A_TICK


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
