"""There is one way to each place that would interpret a foreign text, and nobody goes round it."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import brew_assets

ROOT = Path(brew_assets.__file__).parent
PRINTING = "runtimes/printing.py"
PROGRESS = "runtimes/progress.py"
PRINTS = {"print", "click.echo", "click.secho", "click.echo_via_pager", "click.prompt", "click.confirm"}


def named(node: ast.AST) -> str:
    """`click.echo` of that attribute or call; empty for anything else."""
    match node:
        case ast.Call():
            return named(node.func)
        case ast.Attribute():
            return f"{named(node.value)}.{node.attr}"
        case ast.Name():
            return node.id
    return ""


def imports_rich(node: ast.AST) -> bool:
    match node:
        case ast.Import():
            return any(alias.name.split(".")[0] == "rich" for alias in node.names)
        case ast.ImportFrom():
            return (node.module or "").split(".")[0] == "rich" and node.level == 0
    return False


def prints(node: ast.AST) -> bool:
    """Writes to a terminal, whatever the text."""
    if not isinstance(node, ast.Call):
        return False
    name = named(node)
    return (
        name in PRINTS
        or name.startswith(("traceback.print_", "sys.stdout.write", "sys.stderr.write"))
        or (name.endswith(".show") and not node.args and not node.keywords)
    )


def imports_click_by_halves(node: ast.AST) -> bool:
    """`from click import echo` would hide an `echo`."""
    return isinstance(node, ast.ImportFrom) and node.module == "click"


def makes_markdown(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and named(node).endswith(
        ("MetadataValue.md", "MarkdownMetadataValue", "TextMetadataValue.md")
    )


def makes_mrkdwn(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "mrkdwn"


def escapes_by_itself(node: ast.AST) -> bool:
    """A second way to make a text printable."""
    return isinstance(node, ast.Constant) and node.value in ("unicode_escape", "backslashreplace")


@pytest.mark.parametrize(
    ("does", "allowed"),
    [
        (imports_rich, {PRINTING, PROGRESS}),
        (prints, {PRINTING}),
        (imports_click_by_halves, set()),
        (makes_markdown, {"defs/pages/markdown.py"}),
        (makes_mrkdwn, {"domain/notifications/blocks.py"}),
        (escapes_by_itself, {"domain/foreign_text.py", PRINTING}),
    ],
)
def test_only_these_modules_do(does: Callable[[ast.AST], bool], allowed: set[str]) -> None:
    found = {path for path, tree in modules() if any(does(node) for node in ast.walk(tree))}
    assert found == allowed


def test_no_column_of_a_progress_bar_reads_markup() -> None:
    (tree,) = [tree for path, tree in modules() if path == PROGRESS]
    columns = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and named(node) == "TextColumn"]
    assert columns
    for column in columns:
        markup = {keyword.arg: keyword.value for keyword in column.keywords}.get("markup")
        assert isinstance(markup, ast.Constant)
        assert markup.value is False


@pytest.mark.parametrize(
    "line",
    [
        "print(error)",
        'click.echo(f"Left out {key}")',
        "traceback.print_exc()",
        "sys.stderr.write(text)",
        "exc.show()",
    ],
)
def test_the_rule_sees_what_it_is_about(line: str) -> None:
    assert any(prints(node) for node in ast.walk(ast.parse(line)))


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT).as_posix()
        if not inside.startswith("simulator/"):
            yield inside, ast.parse(path.read_text())
