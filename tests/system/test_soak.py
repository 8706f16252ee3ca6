"""bench/soak in a short form: kills, reloads, full disks and a flapping next hop at once."""
import os
import re

import pytest

from postern_lab import BUILD, LONG, ROOT
from postern_lab.process import Process, wait_until

SECONDS = 600 if LONG else 25
NONE = ['lost', 'altered', 'delivered though refused', '- without a cause']


def row(log, name):
    """The figures of the one that is killed, and of the one that lives."""
    match = re.search(rf'^{re.escape(name)} +(\d+) +(\d+)$', log, re.M)
    assert match, log
    return tuple(map(int, match.groups()))


@pytest.mark.full
@pytest.mark.parametrize('full', [[], pytest.param(['--limit'], marks=pytest.mark.skipif(
    os.geteuid() != 0, reason='that is the other one'))], ids=['disk', 'limit'])
def test_all_that_can_go_wrong_at_once_loses_nothing(background, folder, chance, full):
    soak = background(Process('soak', [ROOT / 'bench' / 'soak', '--seconds', SECONDS, '--seed',
                                       chance.randrange(1 << 31), *full], folder,
                              {'POSTERN_BUILD': str(BUILD)}))
    wait_until(lambda: not soak.running(), SECONDS + 90, 'the soak is over')
    assert soak.ended() == 0, soak.log()
    log = soak.log()
    assert [row(log, name) for name in NONE] == [(0, 0)] * len(NONE)
    assert min(row(log, 'accepted')) > 0 and min(row(log, 'bounced')) > 0
    assert min(row(log, 'refused')) > 0  # while the disk was full
    assert row(log, 'times kill')[0] > 0
    for what in ('reload', 'flap', 'full'):
        assert min(row(log, f'times {what}')) > 0, log
