"""Once it is warm the gateway relays without asking the allocator for anything."""
import json

import pytest

from postern_lab import POSTERN, ports
from postern_lab.gateway import run_postern
from postern_lab.process import Process, wait_until

ROUNDS = 6
PER_ROUND = 200
SMALLEST = 16  # bytes that an allocator gives


class Sink(Process):
    """postern sink, which keeps nothing."""

    def __init__(self, folder):
        self.port = ports.free_port()
        super().__init__('sink', [POSTERN, 'sink', '--listen', f'127.0.0.1:{self.port}'], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port)


def counters(gateway):
    return json.loads(gateway.command('status', '--json'))['counters']


def relay(gateway, *words):
    """Messages that are delivered, and written down, when it returns."""
    result = run_postern('load', '--to', f'127.0.0.1:{gateway.port}', '--messages', PER_ROUND,
                         '--sessions', 10, *words, seconds=60)
    assert result.returncode == 0, result.stdout + result.stderr

    def is_over():
        seen = counters(gateway)
        return seen['messages_now'] == 0 and seen['results_waiting_now'] == 0
    wait_until(is_over, 60, 'all mail is delivered')


# The sanitizers have an allocator of their own, that does not count.
@pytest.mark.full
@pytest.mark.parametrize('words', [('--per-connection', 10), ('--per-connection', 1),
                                   ('--per-connection', 10, '--recipients', 8),
                                   ('--per-connection', 10, '--recipients', 50),
                                   ('--per-connection', 10, '--size', '40K')],
                         ids=['ten a connection', 'one a connection', '8 recipients',
                              '50 recipients', '40 KiB'])
def test_relayed_mail_asks_for_no_memory(make_gateway, folder, background, words):
    sink = background(Sink(folder))
    gateway = make_gateway(next_hop_port=sink.port).start()
    relay(gateway, *words)
    warm = counters(gateway)
    assert warm['allocated_bytes'] > 0
    grown = []
    for _ in range(ROUNDS):
        before = counters(gateway)['allocated_bytes']
        relay(gateway, *words)
        grown.append(counters(gateway)['allocated_bytes'] - before)
    # A round may have more under way at once than any before it, when the machine is busy. What
    # each message asks for would be in every round, and be no less than this.
    assert min(grown) < PER_ROUND * SMALLEST, grown
