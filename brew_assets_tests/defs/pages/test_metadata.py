"""What the tables and figures show."""

from brew_assets.defs.pages.figures import describe_shortfall
from brew_assets.defs.pages.markdown import MAX_ROWS
from brew_assets.defs.pages.metadata import failure_table, report_metadata, table
from brew_assets.defs.pages.store_links import Places
from brew_assets.domain.report import Failure, Report
from brew_assets.settings import Settings


def failure(number: int, reason: str = "network") -> Failure:
    return Failure(name=f"b{number}.tar.gz", digest="0" * 64, reason=reason, message=f"b{number}: broke off")


def report(**changes: object) -> Report:
    fields: dict[str, object] = {
        "sync_id": "20261122T030000Z-00000000",
        "sync_date": "2026-11-22",
        "platforms": ("arm64_sonoma",),
        "route": "local",
        "started_at": "2026-11-22T03:00:00Z",
        "ended_at": "2026-11-22T03:00:10Z",
        "duration_s": 10.0,
        "planned": 5,
        **changes,
    }
    return Report(**fields)  # type: ignore[arg-type]


def test_a_table_escapes_what_would_end_a_cell_or_become_markup() -> None:
    shown = table(("a", "b"), [("x|y\nz", "<script> [link](http://e) `c` \\")]).value
    assert shown == "| a | b |\n|---|---|\n| x\\|y z | \\<script\\> \\[link\\](`http://e)` \\`c\\` \\\\ |"


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    shown = failure_table([failure(number) for number in range(MAX_ROWS + 1234)]).value
    assert shown.count("broke off") == MAX_ROWS
    assert shown.endswith("… and 1,234 more")


def test_no_rows_no_table() -> None:
    assert failure_table([]).value == "none"


def test_a_report_becomes_numbers_that_plot() -> None:
    done = report(stored=3, failed=(failure(1), failure(2)), bytes_downloaded=2_000)
    shown = report_metadata(done, Places("/srv/mirror/", Settings()))
    plotted = {name: value for name, value in shown.items() if type(value) in (int, float)}
    assert (
        plotted.items()
        >= {
            "planned": 5,
            "stored": 3,
            "failed": 2,
            "bytes_downloaded": 2_000,
            "bytes_per_second": 200.0,
            "duration_s": 10.0,
        }.items()
    )
    assert shown["failures_by_reason"].value == {"network": 2}
    assert "aborted" not in shown


def test_the_shortfall_names_counts_reasons_and_the_first_failure() -> None:
    text = describe_shortfall(
        report(stored=1, kept=1, failed=(failure(1), failure(2, "not found")), left=1, aborted="no space")
    )
    assert text == (
        "arm64_sonoma: 2 of 5 bottles are in the store, 3 are not (1 network; 1 not found; "
        "1 not begun or not finished; given up: no space). First: b1: broke off"
    )
