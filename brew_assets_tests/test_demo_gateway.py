"""The end of `make demo`: what it asks of the gateway is what is published, and it says so when it is not."""

import socket
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.demo_gateway import show_gateway
from brew_assets.demo_processes import CannotStart
from brew_assets.errors import PublicationInvalid
from brew_assets_tests.integration.mirrors import DirectoryMirror
from brew_assets_tests.ports import free_ports
from brew_assets_tests.runtimes.gateway.conftest import fill


def shows(mirror: DirectoryMirror, home: Path, port: int, **extra: str) -> bool:
    environment = {"PATH": "/usr/bin:/bin", **mirror.settings, **extra}
    return show_gateway(DirectoryStore(mirror.root), home, environment, place="the mirror", port=port)


def test_a_bottle_that_is_not_the_published_one_is_shown_as_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror, (port,) = DirectoryMirror(tmp_path / "mirror"), free_ports(1)
    filled = fill(mirror, tmp_path)
    assert shows(mirror, tmp_path, port)
    assert "other" not in capsys.readouterr().out
    for bottle in filled.record.bottles:
        # Of the same size: nobody but who reads it all notices.
        mirror.write(bottle.key, bytes(bottle.size))
    with socket.create_server(("127.0.0.1", port)):
        assert not shows(mirror, tmp_path, port)
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if " GET " in line]
    assert [row[2] for row in rows] == ["-", "-", "equal", "equal", "other", "equal", "other"]
    # The port was taken.
    assert f":{port}" not in printed
    assert "--mirror 'the mirror' serve" in printed


def test_a_gateway_that_cannot_run_is_shown_with_its_last_words(tmp_path: Path) -> None:
    mirror, (port,) = DirectoryMirror(tmp_path / "mirror"), free_ports(1)
    fill(mirror, tmp_path)
    with pytest.raises(CannotStart, match="PUBLIC_URL: expected an http"):
        shows(mirror, tmp_path, port, PUBLIC_URL="nowhere")


def test_without_a_publication_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    mirror, (port,) = DirectoryMirror(tmp_path / "mirror"), free_ports(1)
    mirror.root.mkdir()
    with pytest.raises(PublicationInvalid, match="expected a publication of the demo's bottles, found none"):
        shows(mirror, tmp_path, port)
