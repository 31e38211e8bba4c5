"""`brew-mirror serve`: the gateway from which an unmodified brew installs."""

import shlex
from typing import TYPE_CHECKING
from urllib.parse import unquote

import click

from brew_assets.errors import SettingsInvalid
from brew_assets.runtimes.context import CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_line, print_lines
from brew_assets.setting_values import shown_value

if TYPE_CHECKING:
    from brew_assets.settings import Settings


@click.command(cls=Command, short_help="Serve the current publication to brew.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to listen at.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port; 0 takes a free one.",
)
@click.option("--tls-cert", default="", metavar="FILE", help="Certificate and its chain (PEM), for https.")
@click.option("--tls-key", default="", metavar="FILE", help="Its private key (PEM).")
@click.option("--print-client-settings", is_flag=True, help="Print what clients set, and serve nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print those settings as one JSON object.")
@click.pass_obj
def serve(
    context: CommandContext,
    *,
    host: str,
    port: int,
    tls_cert: str,
    tls_key: str,
    print_client_settings: bool,
    as_json: bool,
) -> None:
    """Serve bottles, their indexes and Homebrew's signed API to brew, until SIGTERM or Ctrl-C.

    What is served is the publication that published/current.json names, and the bottles and indexes of the
    RECORDS_SERVED newest; a sync that is under way changes nothing. From a directory the files are sent, from
    a bucket clients are redirected to addresses that are valid for PRESIGN_SECONDS. /healthz says that the
    process is alive, /readyz that it serves what is current.

    \b
    Examples:
      brew-mirror serve --host 0.0.0.0
      brew-mirror --mirror s3://my-bottles/brew serve --tls-cert mirror.pem --tls-key mirror.key --port 8443
      eval "$(PUBLIC_URL=https://mirror.example brew-mirror serve --print-client-settings)"
    """
    from brew_assets.runtimes.gateway.listening import Listening, open_socket, tls_context

    listening = Listening(host=host, port=port, tls_cert=tls_cert, tls_key=tls_key)
    if print_client_settings or as_json:
        show_client_settings(_public_url(context.settings) or listening.url(), as_json=as_json)
        return
    # Half of the start of the other commands: imported for this one alone.
    from brew_assets.compose.gateway import build_served_objects, build_served_records
    from brew_assets.compose.store import CLOCK
    from brew_assets.runtimes.gateway import server
    from brew_assets.runtimes.gateway.app import Gateway

    settings = context.settings
    public_url = _public_url(settings)
    records, objects = build_served_records(settings), build_served_objects(settings)
    tls = tls_context(listening)
    made = open_socket(listening)
    app = Gateway(records, objects, CLOCK, prefix=_path_of(public_url))
    with server.following(records):
        if not context.quiet:
            url = public_url or listening.url(made.getsockname()[1])
            print_line(f"Serving {shown_value(settings.mirror_url)} at {url}; Ctrl-C ends it.", err=True)
        server.serve(app, made, tls)


def client_settings(base: str) -> dict[str, str]:
    """What a client of the gateway at this address sets in its environment."""
    return {
        "HOMEBREW_API_DOMAIN": f"{base}/api",
        "HOMEBREW_ARTIFACT_DOMAIN": base,
        "HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK": "1",
    }


def show_client_settings(base: str, *, as_json: bool = False) -> None:
    """They stand on standard output, one in a line as a shell reads it, or as one JSON object."""
    found = client_settings(base)
    if as_json:
        print_json(found)
    else:
        print_lines("\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items()))


def _public_url(settings: "Settings") -> str:
    """PUBLIC_URL without a slash at its end, "" where it is not set.

    Raises:
        SettingsInvalid: it is no http(s) address, or has more than host and path in it.
    """
    from brew_assets.adapters.http.url import split_url

    text = settings.public_url.strip().rstrip("/")
    if not text:
        return ""
    try:
        split_url(text)
        is_plain = not set("?#@") & set(text)
    except ValueError:
        is_plain = False
    if not is_plain:
        raise SettingsInvalid(
            name="PUBLIC_URL",
            expected="an http(s) address such as https://mirror.example, without user, query or fragment",
            found=shown_value(settings.public_url),
        )
    return text


def _path_of(url: str) -> str:
    """The path of the address as requests bring it, decoded; "" where it has none."""
    _, found, path = url.partition("://")[2].partition("/")
    return unquote(f"{found}{path}")
