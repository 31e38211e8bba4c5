"""What all commands share: the settings, the engine that stops in good order, results, exit codes."""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import msgspec

from brew_assets.settings import Settings

if TYPE_CHECKING:
    from brew_assets.engine.sync import Mirror

EXIT_FAILED = 1
EXIT_CANNOT_RUN = 2


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


class CommandContext(msgspec.Struct):
    settings: Settings
    quiet: bool

    def mirror(self) -> "Mirror":
        """The engine; SIGTERM and Ctrl-C end its work in good order."""
        from brew_assets.compose import build_mirror
        from brew_assets.engine.clock import GracefulStop

        stop = GracefulStop()

        def ask_to_stop(number: int, _: FrameType | None) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            click.echo("Stopping: bottles under way are finished, receipts written …", err=True)
            stop.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        return build_mirror(self.settings, stop=stop)

    @property
    def bars(self) -> bool:
        """Whether somebody looks at standard error."""
        return not self.quiet and sys.stderr.isatty()
