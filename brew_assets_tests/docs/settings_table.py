"""Renews the settings table of the README: `python -m brew_assets_tests.docs.settings_table`."""

import sys
from pathlib import Path

import msgspec

from brew_assets.setting_values import Group
from brew_assets.settings import REPLACED, Secret, Settings

README = Path(__file__).resolve().parents[2] / "README.md"
_BEGIN, _END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def settings_table() -> str:
    """The settings, and what was replaced, as Markdown tables, one for each group."""
    lines: list[str] = []
    group = ""
    described = [
        (next(m for m in field.type.__metadata__ if isinstance(m, msgspec.Meta)), field)
        for field in msgspec.structs.fields(Settings)
    ]
    groups = list(Group)
    for meta, field in sorted(described, key=lambda one: groups.index((one[0].extra or {})["group"])):
        if group != (meta.extra or {})["group"]:
            group = (meta.extra or {})["group"]
            lines += [""] if lines else []
            lines += [f"### {group}", "", "| Variable | Default | Meaning |", "|---|---|---|"]
        default = field.default
        if isinstance(default, tuple):
            shown = ",".join(default)
        elif isinstance(default, bool):
            shown = str(default).lower()
        elif isinstance(default, float):
            shown = f"{default:g}"
        elif isinstance(default, Secret):
            shown = default.reveal()
        else:
            shown = str(default)
        lines.append(
            f"| `{field.encode_name}` | {f'`{shown}`' if shown else '(empty)'} | {meta.description} |"
        )
    lines += ["", "### Not used", "", "| Variable | Default | Meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | (not used) | {instead} |" for name, instead in REPLACED.items()]
    return "\n".join(lines) + "\n"


def shown_table(text: str) -> str:
    """The table between the markers of the README's text.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(_BEGIN)
    table, end, _ = rest.partition(_END)
    if not (before and begin and end):
        raise ValueError(f"expected {_BEGIN.strip()} and {_END.strip()} in {README.name}")
    return table


def renewed(text: str) -> str:
    """The README's text with the table that settings.py gives."""
    return text.replace(f"{_BEGIN}{shown_table(text)}{_END}", f"{_BEGIN}{settings_table()}{_END}")


def main() -> None:
    """Writes the README if its table is out of date."""
    text = README.read_text(encoding="utf-8")
    README.write_text(renewed(text), encoding="utf-8")
    sys.stdout.write("renewed\n" if renewed(text) != text else "up to date\n")


if __name__ == "__main__":
    main()
