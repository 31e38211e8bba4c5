"""What runs where only a proxy leads out: `python -m … <descriptor>` syncs, verifies and posts to Slack.

The proxy's listening socket is made here, where it can be reached, and handed outside, where it is served.
"""

import array
import fcntl
import socket
import struct
import subprocess
import sys

from brew_assets.compose import channels
from brew_assets.engine.notifier import Notification
from brew_assets.settings import read_settings
from brew_assets_tests.messages import MISSING

PROXY_PORT = 3128
# https://man7.org/linux/man-pages/man7/netdevice.7.html
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_COMMANDS = (["sync"], ["verify", "--deep"])
_PROGRAM = "from brew_assets.runtimes.cli import main; main()"


def main() -> int:
    """The exit code: 0 when all of it was done."""
    _bring_loopback_up()
    with (
        socket.socket(fileno=int(sys.argv[1])) as outside,
        socket.create_server(("127.0.0.1", PROXY_PORT)) as listener,
    ):
        rights = array.array("i", [listener.fileno()])
        outside.sendmsg([b"listening"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        for command in _COMMANDS:
            done = subprocess.run([sys.executable, "-c", _PROGRAM, *command], check=False)
            if done.returncode:
                return done.returncode
    for channel in channels.build_channels(read_settings()):
        channel.send(Notification(name="absence", subject="x", message=MISSING))
    return 0


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo".ljust(16, b"\0")
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, name + bytes(24))
        (flags,) = struct.unpack_from("H", answer, 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, name + struct.pack("H", flags | _IFF_UP) + bytes(22))


if __name__ == "__main__":
    sys.exit(main())
