"""`python -m brew_assets_tests.local_aws --port 0 --state DIR`: Local AWS until it is told to end.

Prints one line of JSON with its address once it answers. It ends at SIGTERM or SIGINT, and with
`--until-stdin-closes` when whoever holds its standard input is gone.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

# Read by moto when it is imported: an image function needs no image in ECR.
os.environ["MOTO_LAMBDA_STUB_ECR"] = "true"

import msgspec

from brew_assets_tests.local_aws.endpoint import LocalAwsServer
from brew_assets_tests.local_aws.records import Ready


def main() -> None:
    """Returns when every process that it started has ended."""
    parser = argparse.ArgumentParser(prog="local_aws", description="AWS on this machine, for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for code, outputs and tasks")
    parser.add_argument("--account-concurrency", type=int, default=1000)
    parser.add_argument("--async-retry-delay-s", type=float, default=0.2)
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    given.state.mkdir(parents=True, exist_ok=True)
    server = LocalAwsServer(
        given.state.resolve(),
        port=given.port,
        account_concurrency=given.account_concurrency,
        async_retry_delay_s=given.async_retry_delay_s,
    )
    # Handlers, never SIG_IGN: an ignored signal would be ignored by every task too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.close())
    if given.until_stdin_closes:
        threading.Thread(target=_close_at_end_of_input, args=[server], daemon=True).start()
    sys.stdout.write(msgspec.json.encode(Ready(url=server.url, pid=os.getpid())).decode() + "\n")
    sys.stdout.flush()
    server.serve()
    # Connections that are kept alive have threads of their own; nothing is to be waited for.
    os._exit(0)


def _close_at_end_of_input(server: LocalAwsServer) -> None:
    sys.stdin.buffer.read()
    server.close()


if __name__ == "__main__":
    main()
