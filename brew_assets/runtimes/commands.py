"""Commands whose help and version are printed as all else is (printing.py)."""

import click

from brew_assets.runtimes.printing import print_line, print_lines


class Command(click.Command):
    """A command: no reader of its help who is gone changes an exit code, no full disk gets a traceback."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option of click, printing by our way."""
        return _printing(super().get_help_option(ctx))


class Group(click.Group):
    """The same for a command with others below it, which are `Command`s."""

    command_class = Command

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option of click, printing by our way."""
        return _printing(super().get_help_option(ctx))


def show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """The callback of `--version`: it is printed, and the program ends."""
    if value and not ctx.resilient_parsing:
        # Slow to import, and for this alone.
        from importlib.metadata import version

        print_line(f"brew-mirror, version {version('brew-assets')}")
        ctx.exit()


def _printing(option: click.Option | None) -> click.Option | None:
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        print_lines(ctx.get_help())
        ctx.exit()
