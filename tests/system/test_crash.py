"""kill -9 under load: what had its 250 arrives."""
import collections
import json
import os
import subprocess
import time

import pytest

from postern_lab import LONG
from postern_lab.ledger import Ledger, id_of, repeated_without_cause
from postern_lab.process import wait_until
from postern_lab.small_disk import SmallDisk
from postern_lab.traffic import Traffic, mixed_bodies

ROUNDS = 500 if LONG else 20
# With the next hop dead, and again with mail.
STARTS_KILLED = 300 if LONG else 10
SEGMENTS_MAX = 40  # whatever number of starts has prepared more of them and was killed
WORKERS = [2, 3, 1, 3, 2, 1] * (20 if LONG else 1)
KEPT = ['reason', 'attempts', 'to', 'arrived']
LATER = '450 4.2.1 later'
RETRY_BY_HAND = '''default = { initial_retry = "6h"; max_retry = "6h"; max_age = "4d";
                max_retries = 100; };'''


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
    with Traffic(gateway, ledger, threads=6, body=mixed_bodies(chance)) as traffic:
        for _ in range(ROUNDS):
            wait_accepted(traffic, chance.randrange(40))
            time.sleep(chance.random() * 0.3)
            gateway.kill()
            kills.append(time.monotonic())
            gateway.begin_log()
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
        gateway.begin_log()
        gateway.start(wait=False)
        time.sleep(chance.random() * seconds)
        gateway.kill()
        kills.append(time.monotonic())
        cut += 'Spool: recovered' not in gateway.log()
        assert len(list((gateway.spool_path / 'segments').iterdir())) <= SEGMENTS_MAX
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
    with Traffic(gateway, ledger, threads=4, body=mixed_bodies(chance)) as traffic:
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


def entries(gateway):
    """What waits, by MID."""
    lines = map(json.loads, gateway.command('queue', 'list', '--json').splitlines())
    return {one['mid']: one for one in lines if one['kind'] == 'entry'}


@pytest.mark.full
def test_with_any_number_of_workers_the_last_word_counts(make_gateway, next_hop, chance):
    """Each start has another number of workers: logs are read by others than those that wrote
    them, and what was said later of a message is in the log of somebody else. Whatever was on the
    disk at the kill is as it was: who is held, how often each was tried, what was delivered."""
    is_well = []
    next_hop.replies['RCPT'] = lambda line, _: LATER if 'slow' in line and not is_well else None
    ledger, closed, kills = Ledger('workers'), {}, []
    gateway = make_gateway(next_hop, workers=1, bounce=RETRY_BY_HAND).start()
    with gateway.connect() as client:
        client.hello()
        for _ in range(12):
            ident, data = ledger.message()
            both = ['a@slow.example.com', 'b@example.com']
            assert client.transaction('a@lab.test', both, data).code == 250
            ledger.accepted(ident, 2)
    wait_until(lambda: [e['attempts'] for e in entries(gateway).values()] == [1] * 12, 20, 'tried')
    for workers in WORKERS:
        with Traffic(gateway, ledger) as traffic:
            wait_accepted(traffic, 20)
        mids = sorted(entries(gateway))
        for word in chance.choices(['hold', 'release', 'retry'], k=4):
            gateway.command('queue', word, *map(str, chance.sample(mids, 3)), code=None)
        wait_until(lambda: all(e['reason'] in ('held', 'retry') for e in entries(gateway).values()),
                   20, 'all have been tried')
        gateway.settle(messages=12)
        known = entries(gateway)
        closed.update(collections.Counter(id_of(body) for body in next_hop.bodies()))
        with Traffic(gateway, ledger) as traffic:
            wait_accepted(traffic, chance.randrange(1, 20))
            time.sleep(chance.random() * 0.2)
            gateway.kill()
            kills.append(time.monotonic())
        gateway.configure(workers=workers)
        gateway.start()
        found = entries(gateway)
        for mid, before in known.items():
            assert {key: found[mid][key] for key in KEPT} == {key: before[key] for key in KEPT}
    is_well.append(True)
    gateway.command('queue', 'release', '--all', code=None)
    gateway.command('queue', 'retry', '--all', code=None)
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 60, 'all arrive')
    gateway.stop()
    assert_all_are_well(ledger, next_hop, kills, traffic)
    seen = collections.Counter(id_of(body) for body in next_hop.bodies())
    waited = [ident for ident, copies in ledger.promised.items() if copies == 2]
    assert [seen[ident] for ident in waited] == [2] * 12
    assert [ident for ident, count in closed.items()
            if seen[ident] > count and ident not in waited] == []


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
@pytest.mark.parametrize('place', ['.', 'segments'])
def test_a_disk_without_direct_writes_keeps_its_word_too(make_gateway, next_hop, ledger, place):
    """ramfs refuses O_DIRECT: the committer thread writes and syncs in its place. That of the
    segments alone may be such a mount."""
    next_hop.stop()
    gateway = make_gateway(next_hop)
    mounted = gateway.spool_path / place
    mounted.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(['mount', '-t', 'ramfs', 'none', str(mounted)], check=True)
    try:
        gateway.start()
        with gateway.connect() as client:
            client.hello()
            for _ in range(20):
                ident, data = ledger.message()
                assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
                ledger.accepted(ident)
        gateway.wait_log('a thread writes and syncs')
        assert len(list((gateway.spool_path / 'segments').iterdir())) <= 8
        gateway.kill()
        next_hop.start()
        gateway.start()
        next_hop.wait_messages(20)
        gateway.stop()
    finally:
        gateway.kill()
        subprocess.run(['umount', '-l', str(mounted)], check=True)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


def test_on_a_full_disk_a_gateway_starts_and_delivers(make_gateway, next_hop, ledger, folder):
    """Not a byte is left. Mail that waits goes; new mail is put off until there is room."""
    next_hop.stop()
    disk = SmallDisk(folder / 'gateway1', 1 << 30)
    if not disk.is_mounted:
        pytest.skip('mounts a file system on a loop device')
    gateway = make_gateway(next_hop, workers=1)
    try:
        gateway.start()
        with gateway.connect() as client:
            client.hello()
            for _ in range(20):
                ident, data = ledger.message()
                assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
                ledger.accepted(ident)
        gateway.kill()
        disk.fill(left=0)
        since = len(gateway.log())
        gateway.start()
        assert 'written with O_DIRECT and RWF_DSYNC' in gateway.log()[since:]
        with gateway.connect() as client:
            client.hello()
            client.expect(452, 'MAIL FROM:<a@lab.test>')
        next_hop.start()
        next_hop.wait_messages(20)
        gateway.settle()
        disk.empty()
        gateway.wait_log('there is room again')
        with gateway.connect() as client:
            client.hello()
            wait_until(lambda: client.say('MAIL FROM:<a@lab.test>').code == 250, 10,
                       'a segment is prepared')
            client.expect(250, 'RSET')
            ident, data = ledger.message()
            assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
            ledger.accepted(ident)
        next_hop.wait_messages(21)
        gateway.settle()
        gateway.kill()
        gateway.start()
        gateway.stop()
    finally:
        gateway.kill()
        disk.remove()
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])
