"""Ends process groups whose owner is gone. Run by path, without the package: it has to start at once.

Standard input brings lines "+<group>" and "-<group>". Its end means that the owner ended, whichever way:
what is still listed is killed.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Returns when the owner has ended and no listed group is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
