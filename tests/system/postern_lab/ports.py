"""Free ports, below the range from which the kernel takes the ports of outgoing connections."""
import random
import socket

from postern_lab import SIDE

FIRST, COUNT = 20000, 2500  # for each of those who test at the same time
_given = set()


def free_port():
    """A port of 127.0.0.1 that nobody listens on, and that was not given out before."""
    for _ in range(1000):
        port = FIRST + SIDE * COUNT + random.randrange(COUNT)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError('no free port')
