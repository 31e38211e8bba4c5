"""AWS profiles of a machine, as an operator has them, and an STS on loopback that answers as it is told."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROLE = "role_arn = arn:aws:iam::123456789012:role/mirror\n"
KEYS = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = PLANTEDSECRET\n"
NOBODY = "http://127.0.0.1:1"


class Sts:
    """A server that gives every request one answer; None as the status hangs up."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.body = b""
        self.calls = 0
        sts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sts.calls += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if sts.status is None:
                    self.close_connection = True
                    return
                self.send_response(sts.status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(sts.body)))
                self.end_headers()
                self.wfile.write(sts.body)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Sts":
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answers(self, status: int | None, body: bytes = b"") -> None:
        self.status, self.body = status, body

    def refuses(self, status: int, code: str) -> None:
        """An error as STS writes it."""
        text = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>said so</Message></Error>"
        self.answers(
            status,
            f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{text}</ErrorResponse>'.encode(),
        )


class Profiles:
    """The AWS configuration of this process: one profile, and whatever it needs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        self.set(
            AWS_CONFIG_FILE=str(folder / "config"),
            AWS_SHARED_CREDENTIALS_FILE=str(folder / "none"),
            AWS_EC2_METADATA_DISABLED="true",
            AWS_PROFILE="mirror",
            AWS_REGION="us-east-1",
            # botocore's own tries, with their waits, are not what is looked at.
            AWS_MAX_ATTEMPTS="1",
        )
        self.write("")

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def write(self, profile: str, *, also: str = "") -> None:
        """The profile has these lines; `also` are other sections."""
        (self.folder / "config").write_text(f"[profile mirror]\n{profile}\n{also}")

    def process(self, script: str) -> None:
        """The profile asks a program for credentials."""
        program = self.folder / "credentials.sh"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        self.write(f"credential_process = {program}")

    def role(self, sts_url: str, more: str = "") -> None:
        """The profile assumes a role at that STS, with the keys of another profile."""
        self.set(AWS_ENDPOINT_URL_STS=sts_url)
        self.write(f"{ROLE}source_profile = source\n{more}", also=f"[profile source]\n{KEYS}")

    def web_identity(self, sts_url: str, token: str | None = "a token") -> None:
        """The profile assumes a role with what a file has."""
        self.set(AWS_ENDPOINT_URL_STS=sts_url)
        if token is not None:
            (self.folder / "token").write_text(token)
        self.write(f"{ROLE}web_identity_token_file = {self.folder / 'token'}")
