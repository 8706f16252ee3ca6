"""What the system tests stand on: a gateway in a folder of its own, next hops, clients, a ledger.

Nothing here installs anything, needs the Internet or touches a service of the machine; all
sockets are on loopback. See docs/HACKING.md.
"""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get('POSTERN_BUILD', 'build')  # or an absolute path
POSTERN = BUILD / 'cli' / 'postern'
PEERS = ROOT / 'tools' / 'peers'
CI = os.environ.get('CI') == 'true'

# Which of several processes that test at the same time this is (pytest -n, at most SIDES_MAX).
SIDES_MAX = 5
SIDE = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
assert SIDE < SIDES_MAX, 'there are not so many ports'

# Sanitizers and the machines of CI are slow, and others who test take time away: every wait of a
# test is multiplied by this.
PATIENCE = float(os.environ.get('POSTERN_PATIENCE', '4' if CI or 'asan' in BUILD.name else
                                '2' if 'PYTEST_XDIST_WORKER' in os.environ else '1'))

# The heavier forms of the tests that repeat something.
LONG = os.environ.get('POSTERN_LONG') == '1'
