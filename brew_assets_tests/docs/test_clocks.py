"""Time is an argument: who reads the machine's clock, who sleeps, and what tests put in their place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLOCK = "engine/clock.py"
# Where a process begins: each has one clock, which it hands on.
MAKE_A_CLOCK = {"compose/store.py", "demo_processes.py"}
_READS = {"time.monotonic", "time.time", "time.perf_counter", "datetime.now", "datetime.utcnow"}
# Limits of what is received, too large for a test to reach. Never add to them: hand in an option instead.
PATCHED_LIMITS = {
    "BOTTLE_BYTES",
    "MAX_CATALOGUE_BYTES",
    "MAX_FILE_BYTES",
    "MAX_HASH_FILE_BYTES",
    "MAX_HASH_FILE_VALUES",
    "MOST_BOTTLE_BYTES",
    "MOST_FOLLOWED",
    "MOST_OBJECTS",
    "MOST_PAGES",
    "SYSTEM_FILES",
}
# Neither private nor a time: the store whose reads are counted, the tag that an older version did not write.
PATCHED_OTHERWISE = {"DirectoryStore", "PLANNED_TAG"}


def calls_of(source: str) -> set[str]:
    """What a module calls, as it is written: `time.sleep`, `SystemClock`."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}


def patches_of(source: str) -> Iterator[str]:
    """The last part of each name of ours that a test replaces with `monkeypatch.setattr`."""
    if "monkeypatch.setattr" not in source:
        return
    tree = ast.parse(source)
    ours = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "brew_assets"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr":
            target, *rest = node.args
            if isinstance(target, ast.Constant) and str(target.value).startswith("brew_assets."):
                yield str(target.value).rpartition(".")[2]
            elif ast.unparse(target).split(".")[0] in ours and isinstance(rest[0], ast.Constant):
                yield str(rest[0].value)


def sources(folder: str) -> dict[str, str]:
    root = ROOT / folder
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(root.rglob("*.py"))}


@pytest.fixture(scope="module")
def called() -> dict[str, set[str]]:
    return {name: calls_of(source) for name, source in sources("brew_assets").items()}


def test_one_module_sleeps(called: dict[str, set[str]]) -> None:
    assert [name for name, calls in called.items() if calls & {"time.sleep", "sleep"}] == [CLOCK]


def test_one_module_reads_the_machines_clock(called: dict[str, set[str]]) -> None:
    assert [name for name, calls in called.items() if calls & _READS] == [CLOCK]


def test_a_clock_is_made_where_a_process_begins_and_handed_on(called: dict[str, set[str]]) -> None:
    assert {name for name, calls in called.items() if "SystemClock" in calls} == MAKE_A_CLOCK


def test_one_module_says_how_waits_grow(called: dict[str, set[str]]) -> None:
    assert [name for name, calls in called.items() if "random.uniform" in calls] == ["engine/retry.py"]


def test_no_test_replaces_what_is_private_or_a_time() -> None:
    found = {
        f"{path}: {name}"
        for path, source in sources("brew_assets_tests").items()
        for name in patches_of(source)
        if name not in PATCHED_LIMITS | PATCHED_OTHERWISE
    }
    assert found == set()


def test_what_tests_replace_only_becomes_less() -> None:
    names = {name for source in sources("brew_assets_tests").values() for name in patches_of(source)}
    assert names == PATCHED_LIMITS | PATCHED_OTHERWISE


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('monkeypatch.setattr("brew_assets.engine.notifier._BACKOFF", 0)', ["_BACKOFF"]),
        ("from brew_assets.adapters import slack\nmonkeypatch.setattr(slack, '_x', 0)", ["_x"]),
        ("from brew_assets.a import PLAIN\nmonkeypatch.setattr(PLAIN.dialer, '_resolve', f)", ["_resolve"]),
        ("import sys\nmonkeypatch.setattr(sys, 'stderr', stream)", []),
        ('monkeypatch.setattr("sys.stdin", nobody)', []),
    ],
)
def test_the_count_sees_what_is_replaced(source: str, found: list[str]) -> None:
    assert list(patches_of(source)) == found
