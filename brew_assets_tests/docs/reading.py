"""What the project's Markdown says: its code, its tables, its links."""

import itertools
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
HASH_FILES = ROOT / "docs" / "external-hash-file.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
# What tools and runs leave beside the sources.
_NOT_OURS = {"build", "dist", "mirror", "__pycache__"}
_HIDDEN_BUT_OURS = {".ci", ".github", ".gitignore"}


def project_files() -> list[Path]:
    """Every file of the sources; nothing that a tool or a run has left."""
    return sorted(_walk(ROOT))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.name.startswith(".") and entry.name not in _HIDDEN_BUT_OURS:
            continue
        if entry.name in _NOT_OURS or entry.name.startswith("tmp") or entry.name.endswith(".egg-info"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return [path for path in project_files() if path.suffix == ".md"]


def name_of(path: Path) -> str:
    """The path as messages show it."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks in that language."""
    return [code for tag, code in _FENCE.findall(path.read_text(encoding="utf-8")) if tag == language]


def spans(path: Path) -> list[str]:
    """Everything between single backticks, outside of fenced blocks."""
    return _SPAN.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))


def links(path: Path) -> list[str]:
    """The targets of links and images, outside of fenced blocks."""
    return _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))


def commands(path: Path) -> list[list[str]]:
    """The words of every command line in shell blocks and code spans, comments left out."""
    lines = [line for block in blocks(path, "bash") for line in block.splitlines()]
    found = []
    for line in (*lines, *spans(path)):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # prose with an apostrophe is no command
        found.append(words)
    return found


def table(path: Path, *header: str) -> list[list[str]]:
    """The cells of the rows of all tables that have this header.

    Raises:
        AssertionError: there is no such table.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    title = f"| {' | '.join(header)} |"
    assert title in lines, f"{name_of(path)}: expected a table {title}"
    rows = []
    for begin in (number for number, line in enumerate(lines) if line == title):
        for line in itertools.takewhile(lambda line: line.startswith("|"), lines[begin + 2 :]):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code_of(cell: str) -> list[str]:
    """What stands between backticks in a cell."""
    return _SPAN.findall(cell)
