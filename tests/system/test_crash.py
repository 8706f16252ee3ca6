"""kill -9 under load: what had its 250 arrives."""
import os
import subprocess
import time

import pytest

from postern_lab import LONG
from postern_lab.ledger import Ledger, repeated_without_cause
from postern_lab.process import wait_until
from postern_lab.traffic import Traffic

ROUNDS = 500 if LONG else 20
STARTS_KILLED = 300 if LONG else 10  # with the next hop dead, and again with mail
LATER = '450 4.2.1 later'


def bodies_from(chance):
    """Small ones, some that take a batch of their own, a few that go to a file."""
    line = 'x' * 76 + '\n'
    return lambda: line * chance.choices([1, 260, 14500], [970, 28, 2])[0]


def wait_accepted(traffic, count, seconds=20):
    before = traffic.accepted
    wait_until(lambda: traffic.accepted >= before + count, seconds, f'{count} messages accepted')


def assert_all_are_well(ledger, next_hop, kills, traffic):
    """Behind the stop of a gateway whose queue is empty."""
    account = ledger.compare(next_hop.bodies())
    print(f'{len(kills)} kills, {traffic.broken} broken sessions: {account}')
    assert account.lost == [] and traffic.refused == 0
    assert ledger.altered(next_hop.messages) == []
    assert repeated_without_cause(next_hop.messages, kills) == []


@pytest.mark.full
def test_no_promised_message_is_lost_when_the_gateway_is_killed(make_gateway, next_hop, chance):
    """Some hosts put mail off meanwhile, so that there is more to be remembered."""
    next_hop.replies['RCPT'] = lambda *_: LATER if time.monotonic_ns() % 20 == 0 else None
    ledger, kills = Ledger('kill'), []
    gateway = make_gateway(next_hop).start()
    with Traffic(gateway, ledger, threads=6, body=bodies_from(chance)) as traffic:
        for _ in range(ROUNDS):
            wait_accepted(traffic, chance.randrange(40))
            time.sleep(chance.random() * 0.3)
            gateway.kill()
            kills.append(time.monotonic())
            gateway.start()
        wait_accepted(traffic, 30)
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 60, 'all arrive')
    gateway.stop()
    assert_all_are_well(ledger, next_hop, kills, traffic)


def kill_starts(gateway, chance, seconds):
    """Starts it and kills it within so many seconds, again and again. Returns the times, and how
    often the spool was not read to its end."""
    kills, cut = [], 0
    for _ in range(STARTS_KILLED):
        since = len(gateway.log())
        gateway.start(wait=False)
        time.sleep(chance.random() * seconds)
        gateway.kill()
        kills.append(time.monotonic())
        cut += 'Spool: recovered' not in gateway.log()[since:]
    return kills, cut


@pytest.mark.full
def test_a_recovery_that_is_killed_again_and_again_loses_nothing(make_gateway, next_hop, chance):
    """First with nobody to deliver to, so that nothing may come twice; then with mail that comes
    whenever a start got so far that it is accepted, and goes."""
    ledger = Ledger('recovery')
    next_hop.stop()
    gateway = make_gateway(next_hop).start()
    with Traffic(gateway, ledger, threads=4, body=('x' * 76 + '\n') * 2000) as traffic:
        wait_accepted(traffic, 400, 60)
    gateway.kill()
    begun = time.monotonic()
    gateway.start()
    seconds = time.monotonic() - begun
    gateway.kill()
    _, cut = kill_starts(gateway, chance, seconds)
    next_hop.start()
    gateway.start()
    next_hop.wait_messages(traffic.accepted, 60)
    gateway.settle()
    account = ledger.compare(next_hop.bodies())
    assert (account.lost, account.doubled) == ([], [])

    next_hop.stop()
    with Traffic(gateway, ledger, threads=4, body=bodies_from(chance)) as traffic:
        wait_accepted(traffic, 100)
        next_hop.start()
        gateway.kill()
        kills = [time.monotonic()]
        more, more_cut = kill_starts(gateway, chance, seconds * 1.5)
        gateway.start()
        wait_accepted(traffic, 30)
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 60, 'all arrive')
    gateway.stop()
    print(f'a start takes {seconds:.2f} s; {cut + more_cut} recoveries were cut short')
    assert cut + more_cut >= STARTS_KILLED / 5
    assert_all_are_well(ledger, next_hop, kills + more, traffic)


def test_what_waits_for_a_dead_next_hop_survives_three_crashes(make_gateway, next_hop, ledger):
    next_hop.stop()
    gateway = make_gateway(next_hop).start()
    with gateway.connect() as client:
        client.hello()
        for _ in range(100):
            ident, data = ledger.message()
            assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
            ledger.accepted(ident)
    for _ in range(3):
        gateway.kill()
        gateway.start()
    gateway.wait_log('recovered 100 messages')
    next_hop.start()
    next_hop.wait_messages(100)
    gateway.stop()
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a file system')
def test_a_disk_without_direct_writes_keeps_its_word_too(make_gateway, next_hop, ledger):
    """ramfs refuses O_DIRECT: the committer thread writes and syncs in its place."""
    next_hop.stop()
    gateway = make_gateway(next_hop)
    subprocess.run(['mount', '-t', 'ramfs', 'none', str(gateway.spool_path)], check=True)
    try:
        gateway.start()
        with gateway.connect() as client:
            client.hello()
            for _ in range(20):
                ident, data = ledger.message()
                assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
                ledger.accepted(ident)
        gateway.wait_log('a thread writes and syncs')
        gateway.kill()
        next_hop.start()
        gateway.start()
        next_hop.wait_messages(20)
        gateway.stop()
    finally:
        gateway.kill()
        subprocess.run(['umount', '-l', str(gateway.spool_path)], check=True)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])
