"""The first screen of the README: how large a mirror is, how long it takes, what a newcomer sets."""

import re

import pytest

from brew_assets.settings import read_settings
from brew_assets_tests.docs.costs import INFRA, SIZES, cells, rows
from brew_assets_tests.docs.reading import README, code_of, table

# Bytes per second.
_FAST, _SLOW = 1e9 / 8, 1e8 / 8


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _gb_of_a_bottle() -> float:
    (held,) = [cells(row) for row in rows(INFRA.read_text(encoding="utf-8"), SIZES) if "`held`" in row]
    (found,) = {re.fullmatch(r"`bottles \* ([0-9.]+)`", cell) for cell in held[2:3]}
    assert found is not None
    return float(found[1])


def test_sizes_and_times_are_reckoned_as_the_costs_are() -> None:
    each = _gb_of_a_bottle()
    assert f"with {each * 1000:g} MB a bottle" in " ".join(README.read_text(encoding="utf-8").split())
    found = table(README, "Mirrored", "Bottles", "GB", "At 100 Mbit/s", "At 1 Gbit/s")
    assert len(found) == 3
    for _, bottles, gb, slow, fast in found:
        size = int(bottles.replace(",", "")) * each
        assert gb == f"{size:.0f}"
        assert (slow, fast) == (_duration(size * 1e9 / _SLOW), _duration(size * 1e9 / _FAST))


def test_the_first_settings_are_six_and_their_examples_are_accepted() -> None:
    found = table(README, "First settings", "Example", "For")
    given = {code_of(name)[0]: code_of(example)[0].replace("…", "T0/B0/x") for name, example, _ in found}
    assert len(given) == 6
    settings = read_settings(given)
    for name in given:
        assert getattr(settings, name.lower()), name


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_first_commands_say_how_long_they_take(command: str) -> None:
    (line,) = re.findall(rf"^{command} +# (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.match(r"about (a minute|half an hour)", line)
