"""The bar charts of the reports, and what outside names do in them."""

import base64
import re
from xml.etree import ElementTree

from brew_assets.defs.pages.charts import MAX_BARS, bar_chart, draw_bars

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*bars: tuple[str, int]) -> ElementTree.Element:
    return ElementTree.fromstring(draw_bars(bars))


def texts(chart: ElementTree.Element) -> list[str]:
    return [(text.text or "").replace("\u00a0", " ") for text in chart.iter(f"{SVG}text")]


def widths(chart: ElementTree.Element) -> list[float]:
    """Of the bars, the top one first; the ground is no bar."""
    rects = [rect for rect in chart.iter(f"{SVG}rect") if rect.get("fill") != "#ffffff"]
    return [float(rect.get("width", "")) for rect in sorted(rects, key=lambda r: float(r.get("y", "")))]


def test_a_chart_is_an_image_that_markdown_carries_with_it() -> None:
    shown = bar_chart("Held by date", [("2026-11-22", 3_000_000)])
    found = re.fullmatch(r"!\[Held by date\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", shown)
    assert found is not None
    assert ElementTree.fromstring(base64.b64decode(found[1])).tag == f"{SVG}svg"


def test_bars_are_as_long_as_their_sizes_and_the_scale_reads_in_megabytes() -> None:
    chart = drawn(("arm64_tahoe", 8_000_000), ("arm64_sonoma", 4_000_000), ("all", 0))
    first, second, third = widths(chart)
    assert abs(first - 2 * second) < 0.01
    assert third == 0
    assert {"arm64_tahoe", "arm64_sonoma", "all", "0 B", "8.0 MB"} <= set(texts(chart))


def test_names_from_outside_stay_text() -> None:
    chart = drawn(('</text><script>alert("&")</script>', 2), ("bell\x07\x00line\nfeed", 1))
    assert list(chart.iter(f"{SVG}script")) == []
    assert '</text><script>alert("&")</script>' in texts(chart)
    assert "belllinefeed" in texts(chart)
    assert bar_chart("a](b)[c", [("x", 1)]).startswith(r"![a\](b)\[c](data:")


def test_long_names_are_cut_and_never_hide_one_another() -> None:
    long = "arm64_" + "x" * 100
    chart = drawn((f"{long}1", 1), (f"{long}2", 2))
    assert len(widths(chart)) == 2
    labels = [text for text in texts(chart) if text.startswith("arm64")]
    assert len(set(labels)) == 2
    assert max(len(label) for label in labels) < 50


def test_a_chart_has_so_many_bars_at_most_and_none_without_data() -> None:
    shown = bar_chart("many", [(f"p{number}", number) for number in range(1, 500)])
    assert len(shown) < 20_000
    assert len(widths(drawn(*[(f"p{number}", 1) for number in range(MAX_BARS)]))) == MAX_BARS
    assert bar_chart("none", []) == "none"
