"""kill -9 under load: what had its 250 arrives."""
import os
import random
import subprocess
import time

import pytest

from postern_lab import LONG
from postern_lab.ledger import Ledger, id_of
from postern_lab.process import wait_until
from postern_lab.traffic import Traffic

ROUNDS = 50 if LONG else 6
# Results of deliveries are written lazily: a crash may forget those of its last moments.
FORGOTTEN_SECONDS = 3


@pytest.mark.full
def test_no_promised_message_is_lost_when_the_gateway_is_killed(make_gateway, next_hop):
    ledger, kills = Ledger('kill'), []
    gateway = make_gateway(next_hop)
    chance = random.Random(7)
    gateway.start()
    with Traffic(gateway, ledger, threads=6) as traffic:
        for number in range(ROUNDS):
            before = traffic.accepted
            wait_until(lambda b=before: traffic.accepted > b + 30, 20, f'mail in round {number}')
            time.sleep(chance.random() * 0.5)
            gateway.kill()
            kills.append(time.monotonic())
            gateway.start()
        before = traffic.accepted
        wait_until(lambda: traffic.accepted > before + 30, 20, 'mail after the last round')
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 60, 'all arrive')
    gateway.stop()
    account = ledger.compare(next_hop.bodies())
    print(f'{ROUNDS} rounds, {traffic.broken} broken sessions: {account}')
    assert account.lost == [] and traffic.refused == 0
    first = {}
    for message in next_hop.messages:
        first.setdefault(id_of(message.data), message.received)
    stray = [ident for ident in account.doubled if not any(
        0 <= kill - first[ident] <= FORGOTTEN_SECONDS for kill in kills)]
    assert not stray, f'doubled, and no crash near: {stray}'


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
