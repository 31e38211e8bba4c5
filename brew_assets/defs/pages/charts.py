"""Bar charts of sizes, as images that Dagster's Markdown shows: SVG in a `data:` address.

A chart brings its own light ground, so that it can be read in the UI's dark mode too.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import leather  # type: ignore[import-untyped]

from brew_assets.defs.pages.markdown import escaped
from brew_assets.domain.quantities import human_bytes

MAX_BARS = 24
_WIDTH = 680
_BAR_HEIGHT = 26
# The axis below the bars, and the margins.
_FRAME_HEIGHT = 86
_LABEL_CHARACTERS = 44
_COLOUR = "#4f43dd"

leather.theme.margin = 0.045
leather.theme.background_color = "#ffffff"
leather.theme.label_color = leather.theme.legend_color = "#444444"
# Leather's own font is a Mac's; elsewhere a browser would take one with serifs.
leather.theme.tick_font_family = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
leather.theme.tick_font_size = leather.theme.tick_font_char_height = 12
leather.theme.tick_font_char_width = 7.4


def bar_chart(title: str, bars: Sequence[tuple[str, int]]) -> str:
    """A Markdown image with a bar for each of the first MAX_BARS (label, bytes), the first on top.

    "none" without any bar.
    """
    if not bars:
        return "none"
    image = base64.b64encode(draw_bars(bars[:MAX_BARS]).encode()).decode()
    return f"![{escaped(title)}](data:image/svg+xml;base64,{image})"


def draw_bars(bars: Sequence[tuple[str, int]]) -> str:
    """The bars as SVG, over a scale in B, KB, MB and so on."""
    chart: Any = leather.Chart()
    chart.add_x_scale(0, max(4, *(size for _, size in bars)))
    chart.add_x_axis(tick_formatter=lambda size, number, count: human_bytes(float(size)))
    labels = _labels(label for label, _ in bars)
    chart.add_bars([(size, label) for label, (_, size) in zip(labels, bars, strict=True)], fill_color=_COLOUR)
    drawn: str = chart.to_svg(width=_WIDTH, height=_FRAME_HEIGHT + _BAR_HEIGHT * len(bars))
    return drawn


def _labels(labels: Iterable[str]) -> list[str]:
    """The labels in a readable length, each another one: bars of the same label would hide one another."""
    found: list[str] = []
    for label in labels:
        # Control characters are not XML's; what else is special there leather escapes.
        short = "".join(character for character in label if character.isprintable())
        if len(short) > _LABEL_CHARACTERS:
            short = f"{short[:_LABEL_CHARACTERS]}…"
        # XML would make one of several spaces.
        short = short.replace(" ", "\u00a0")
        while short in found:
            short += "'"
        found.append(short)
    return found
