"""Many messages: none lost, none doubled; large ones; what a next hop's trouble does to them."""
import hashlib
import os
import re
import subprocess

import pytest

from postern_lab import LONG, PATIENCE, POSTERN, ports
from postern_lab.gateway import run_postern
from postern_lab.ledger import Ledger
from postern_lab.next_hop import DROP, NextHop
from postern_lab.peers import SmtpSink, smtp_source
from postern_lab.process import Process, wait_until
from postern_lab.traffic import Traffic

MESSAGES = 20000
MIB = 1 << 20


def finished(gateway):
    return len(re.findall(r'Message finished MID \d+ done', gateway.log()))


class Sink(Process):
    """postern sink; keeps each message in a file of the folder `store`."""

    def __init__(self, folder, *arguments):
        self.port = ports.free_port()
        self.store = folder / 'store'
        self.store.mkdir()
        super().__init__('sink', [POSTERN, 'sink', '--listen', f'127.0.0.1:{self.port}',
                                  '--store', self.store, *arguments], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port)

    def texts(self):
        return [path.read_bytes() for path in self.store.iterdir()]


@pytest.mark.full
def test_20000_messages_from_smtp_source_reach_smtp_sink(make_gateway, folder, background):
    sink = background(SmtpSink(folder, '-c'))
    gateway = make_gateway(sink).start()
    result = smtp_source(gateway.port, '-d', '-s', 40, '-m', MESSAGES, '-l', 1024, '-f',
                         'a@lab.test', '-t', 'b@example.com')
    assert result.returncode == 0 and not result.stdout, result.stdout[-2000:]
    wait_until(lambda: finished(gateway) == MESSAGES, 60, 'all of them are delivered')
    log = gateway.log()
    delivered = re.findall(r'Message done DCID \d+ MID (\d+) to RID \[0\]', log)
    assert len(delivered) == len(set(delivered)) == MESSAGES
    assert 'Delayed' not in log and 'Bounced' not in log
    wait_until(lambda: f'mesg={MESSAGES}' in sink.log(), 10, 'the sink has counted all of them')
    assert max(int(count) for count in re.findall(r'mesg=(\d+)', sink.log())) == MESSAGES


@pytest.mark.parametrize('tls', [(), ('--starttls=required',)], ids=['clear', 'tls'])
def test_every_id_of_the_ledger_is_at_the_receiver_once(make_gateway, folder, background, tls):
    count = 20000 if LONG else 3000
    sink = background(Sink(folder))
    gateway = make_gateway(next_hop_port=sink.port).start()
    written = folder / 'ledger'
    result = run_postern('load', '--to', f'127.0.0.1:{gateway.port}', '--messages', count,
                         '--sessions', 20, '--per-connection', 25, '--size', '1K-8K', '--dots',
                         '--from', 'a@lab.test', '--ledger', written, *tls, seconds=120)
    assert result.returncode == 0, result.stdout + result.stderr
    wait_until(lambda: finished(gateway) == count, 60, 'all of them are delivered')
    promised = written.read_text().split()
    seen = [re.search(rb'^X-Postern-Load-Id: (\S+)', text, re.M).group(1).decode()
            for text in sink.texts()]
    assert len(promised) == len(set(promised)) == count
    assert sorted(promised) == sorted(seen)


@pytest.mark.parametrize('megabytes', [3, 15])
def test_a_large_body_arrives_byte_for_byte(gateway, next_hop, folder, megabytes):
    line = b'.' + os.urandom(600).hex().encode()[:800] + b'\r\n..\r\n.\r\n'
    body = line * (megabytes * MIB // len(line))
    with gateway.connect(seconds=30) as client:
        client.hello()
        client.starttls()
        client.ehlo()
        assert client.transaction('a@lab.test', ['b@example.com'], body).code == 250
    message, = next_hop.wait_messages(1, seconds=30)
    received = message.data[message.data.index(line):]
    assert hashlib.sha256(received).digest() == hashlib.sha256(body).digest()
    gateway.wait_log(r'Message finished MID \d+ done')
    wait_until(lambda: not bodies_of(gateway), 5, 'its body file is removed')


def bodies_of(gateway):
    return list((gateway.spool_path / 'bodies').iterdir())


def test_large_bodies_are_retried_survive_a_restart_and_share_a_gateway(make_gateway, folder):
    """Five large ones at once, a next hop that breaks off in the middle, kill -9, another try."""
    body = b'x' * 998 + b'\r\n'
    with NextHop(replies={'DATA': [DROP] * 3, 'BODY': ['451 4.3.0 later', DROP]}) as hop:
        gateway = make_gateway(hop).start()
        for number in range(5):
            with gateway.connect() as client:
                client.hello()
                assert client.transaction('a@lab.test', ['b@example.com'],
                                          b'Subject: %d\r\n\r\n' % number + body * 3000).code == 250
        wait_until(lambda: len(hop.sessions) >= 2, 10, 'deliveries have begun')
        gateway.kill()
        gateway.start()
        wait_until(lambda: len({number_of(m) for m in hop.messages}) == 5, 30, 'all five')
        for message in hop.messages:
            assert message.data.endswith(body * 3000) and message.data.count(body) == 3000
        wait_until(lambda: not bodies_of(gateway), 10, 'the body files are removed')


def number_of(message):
    return re.search(rb'^Subject: (\d+)', message.data, re.M).group(1)


@pytest.mark.parametrize('megabytes', [1, 3, 15])
def test_an_interrupted_body_leaves_nothing(gateway, next_hop, megabytes):
    for _ in range(3):
        with gateway.connect(seconds=30) as client:
            client.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test>')
            client.expect(250, 'RCPT TO:<b@example.com>')
            client.expect(354, 'DATA')
            client.send(b'y' * 998 + b'\r\n')
            client.send((b'z' * 998 + b'\r\n') * (megabytes * 1049 - 1))
    wait_until(lambda: gateway.log().count('Message aborted MID') == 3, 10, 'they are given up')
    wait_until(lambda: not bodies_of(gateway), 10, 'no body file is left')
    assert not next_hop.messages


def test_a_message_over_the_limit_leaves_no_body_file(make_gateway, next_hop):
    gateway = make_gateway(next_hop, policies='''
        ONE = { access = "accept"; tls = "preferred"; max_message_size = "4M"; };''',
                           hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "ONE"; }').start()
    with gateway.connect(seconds=30) as client:
        client.hello()
        reply = client.transaction('a@lab.test', ['b@example.com'], (b'z' * 998 + b'\r\n') * 5000)
        assert reply.code == 552
    wait_until(lambda: not bodies_of(gateway), 10, 'no body file is left')


def test_a_slow_next_hop_holds_up_its_own_mail_only(make_gateway, ledger):
    with NextHop(body_delay=300) as slow, NextHop() as quick:
        gateway = make_gateway(routes=(
            f'{{ domain = "slow.example.com"; to = [ "127.0.0.1:{slow.port}" ]; }},'
            f'{{ domain = "ALL"; to = [ "127.0.0.1:{quick.port}" ]; }}')).start()
        with gateway.connect() as client:
            client.hello()
            for number in range(40):
                client.transaction('a@lab.test', [f'b@{("slow.", "")[number % 2]}example.com'],
                                   b'x\r\n')
        quick.wait_messages(20)
        assert not slow.messages


def test_a_busy_gateway_stops_at_sigterm_and_loses_nothing(make_gateway, next_hop):
    ledger = Ledger('stop')
    gateway = make_gateway(next_hop)
    for _ in range(4 if LONG else 2):
        gateway.start()
        with Traffic(gateway, ledger, threads=6) as traffic:
            wait_until(lambda: traffic.accepted > 200, 20, '200 messages')
            gateway.stop(seconds=15)
    gateway.start()
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'all arrive')
    account = ledger.compare(next_hop.bodies())
    print(account)
    assert (account.lost, account.doubled, account.unknown) == ([], [], [])


def test_a_second_sigterm_leaves_at_once(make_gateway):
    with NextHop(body_delay=300) as hop:
        gateway = make_gateway(hop).start()
        with gateway.connect() as client:
            client.hello()
            client.transaction('a@lab.test', ['b@example.com'], b'x\r\n')
            gateway.wait_log('Delivery start')
            process = gateway.process
            process.terminate()
            gateway.wait_log('stopping')
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            process.terminate()
            assert process.wait(timeout=20 * PATIENCE) == 0
        gateway.process = None
