"""Help and version: there whatever the settings are, and no sentence in them is cut."""

import subprocess
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from brew_assets.runtimes.cli import cli
from brew_assets_tests.integration.mirrors import PROGRAM


def _commands(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *above, name)
        else:
            yield (*above, name)


_WRONG = {"LOG_LEVEL": "LOUD", "MIRROR_URL": "", "TARGET_PLATFORMS": "x"}


def _help(*names: str, **variables: str) -> str:
    cleared = dict.fromkeys(_WRONG)
    # As wide as where there is no terminal.
    width = {"terminal_width": 78}
    runner = CliRunner(env=cleared | variables)
    shown = runner.invoke(cli, [*names, "--help"], prog_name="brew-mirror", **width)  # type: ignore[arg-type]
    assert (shown.exit_code, shown.stderr) == (0, "")
    return shown.stdout


@pytest.mark.parametrize("names", list(_commands(cli)), ids=lambda names: " ".join(names) or "brew-mirror")
def test_help_is_the_same_where_settings_are_wrong_and_no_sentence_in_it_is_cut(
    names: tuple[str, ...],
) -> None:
    shown = _help(*names)
    assert _help(*names, **_WRONG) == shown
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("options", [("sync", "--help"), ("--version",)], ids=" ".join)
def test_what_needs_no_setting_is_printed_by_a_process_whose_settings_are_wrong(
    options: tuple[str, ...],
) -> None:
    done = subprocess.run([PROGRAM, *options], env=_WRONG, capture_output=True, text=True, check=True)
    assert done.stdout in (_help("sync"), f"brew-mirror, version {version('brew-assets')}\n")
    assert done.stderr == ""


@pytest.mark.parametrize("names", [(), ("manifest",)], ids=lambda names: " ".join(names) or "brew-mirror")
def test_a_command_without_the_one_below_it_is_answered_by_its_help_once(names: tuple[str, ...]) -> None:
    done = subprocess.run([PROGRAM, *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", _help(*names))
