"""The README's table of metrics is what is published."""

import re

from brew_assets.domain.metrics import gauges, sync_metrics
from brew_assets_tests.docs.reading import ROOT

_ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_the_table_names_every_metric_with_its_unit_and_dimensions() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| Metric | Unit | Dimensions |") :].split("\n\n")[0]
    documented = {}
    for names, units, dimensions in _ROW.findall(table):
        found = re.findall(r"`(\w+)`", names)
        given = [unit.strip() for unit in units.split(",") if "five minutes" not in unit]
        for number, name in enumerate(found):
            unit = given[number] if len(given) > 1 else given[0]
            documented[name] = (unit, re.sub(r" \(.*\)", "", dimensions).strip())
    published = [
        *sync_metrics(
            environment="prod",
            sync_date="2025-07-21",
            route="lambda",
            downloaded=1,
            bytes_downloaded=1,
            duration_s=1,
            failed=0,
            outcome="success",
        ),
        *gauges(environment="prod", pending=1, last_good_age_s=1),
    ]
    assert documented == {
        metric.name: (metric.unit, ", ".join(name for name, _ in metric.dimensions)) for metric in published
    }
