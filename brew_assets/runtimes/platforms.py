"""`brew-mirror platforms`: the tags that a mirror can be made for."""

import click
import msgspec

from brew_assets.domain.platforms import KNOWN_PLATFORMS, system_of
from brew_assets.errors import SettingsInvalid
from brew_assets.runtimes.context import CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_table
from brew_assets.setting_values import DEFAULT_PLATFORMS


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """A platform, and whether this mirror is one for it. `version` is macOS's, "" for Linux."""

    tag: str
    system: str
    version: str
    architecture: str
    configured: bool
    default: bool


@click.command(cls=Command, short_help="List the platforms that there are, and which are set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def platforms(context: CommandContext, as_json: bool) -> None:
    """List the platforms that bottles can be mirrored for, the newest macOS first.

    Their tags are what TARGET_PLATFORMS, --platform and events name. An older macOS serves a newer one where
    Homebrew has no newer bottle; the tag `all` serves every platform and is mirrored with each.

    \b
    Examples:
      brew-mirror platforms
      brew-mirror platforms --json | jq -r '.platforms[] | select(.configured).tag'
    """
    from brew_assets.runtimes.terminal import warn

    configured, warnings = _configured(context)
    found = [_platform(tag, configured) for tag in KNOWN_PLATFORMS]
    warn(warnings)
    if as_json:
        print_json({"platforms": found, "warnings": warnings})
        return
    print_table(
        "",
        ("Tag", "System", "Architecture", "Configured", "Default"),
        (
            (
                platform.tag,
                f"{platform.system} {platform.version}".rstrip(),
                platform.architecture,
                "yes" if platform.configured else "no",
                "yes" if platform.default else "no",
            )
            for platform in found
        ),
    )


def _platform(tag: str, configured: tuple[str, ...]) -> Platform:
    system, version, architecture = system_of(tag)
    return Platform(
        tag=tag,
        system=system,
        version=version,
        architecture=architecture,
        configured=tag in configured,
        default=tag in DEFAULT_PLATFORMS,
    )


def _configured(context: CommandContext) -> tuple[tuple[str, ...], list[str]]:
    """The platforms of this mirror. Where the settings are wrong none, and what is wrong with them."""
    from brew_assets.configured import configured_platforms

    try:
        return configured_platforms(context.settings), []
    except SettingsInvalid as error:  # it may be what somebody is about to mend with this list
        return (), [str(error)]
