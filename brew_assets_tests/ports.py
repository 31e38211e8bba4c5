"""Loopback ports for servers that are told theirs, instead of binding port 0 and telling it."""

import contextlib
import random
import socket

# Below 32,768: there neither Linux nor macOS hands out ports by itself. No port is another one's twin.
_PORTS = range(10_240, 20_240)
_TWIN = 10_000
_reserved: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, nor their gRPC twins (+10,000), and that nobody else is given meanwhile.

    Until somebody listens there, connections to them are refused.
    """
    ports: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if _reserve(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"expected {count} free ports from {_PORTS[0]} on, found {len(ports)}")


def _reserve(port: int) -> bool:
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        # A UDP socket of the number tells other test processes; the kernel takes it back with this process.
        mark = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        mark.bind(("127.0.0.1", port))
        for number in (port, port + _TWIN):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", number))
        stack.pop_all()
        _reserved.append(mark)
        return True
    return False
