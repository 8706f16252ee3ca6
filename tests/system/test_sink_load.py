"""postern load against postern sink: what is accepted is there, once, in the clear and in TLS."""
import collections
import json
import re
import signal
import subprocess
import time

import pytest

from postern_lab import PATIENCE, POSTERN, ports
from postern_lab.client import Client
from postern_lab.process import Process, is_asleep, wait_until
from postern_lab.tools import s_client

ID = re.compile(rb'^X-Postern-Load-Id: (\S+)\r$', re.M)


class Sink(Process):
    """postern sink; totals are the JSON objects that it prints when asked, and at its end."""

    def __init__(self, folder, *arguments):
        self.port = ports.free_port()
        self.store = folder / 'store'
        self.store.mkdir()
        super().__init__('sink', [POSTERN, 'sink', '--json', '--listen', f'127.0.0.1:{self.port}',
                                  '--store', self.store, *arguments], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port)

    def totals(self):
        return json.loads(self.log().splitlines()[-1])

    def ids(self):
        found = collections.Counter()
        for path in self.store.glob('*.eml'):
            found.update(match.decode() for match in ID.findall(path.read_bytes()))
        return found


def load(*arguments, wanted=0, seconds=120):
    """Runs postern load to its end; returns its report."""
    result = subprocess.run([POSTERN, 'load', '--json', *map(str, arguments)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=seconds * PATIENCE, check=False)
    assert result.returncode == wanted, (result.stdout, result.stderr)
    return json.loads(result.stdout)


@pytest.mark.parametrize('tls', [False, True])
def test_what_is_accepted_is_stored_once(folder, background, hop_certificate, tls):
    certificate = ['--certificate', hop_certificate.chain, '--key', hop_certificate.key]
    required = ['--require-tls'] if tls else []
    sink = background(Sink(folder, '--workers', 2, *certificate, *required))
    report = load('--to', f'127.0.0.1:{sink.port}', '--sessions', 20, '--messages', 500, '--dots',
                  '--per-connection', 7, '--recipients', 3, '--size', '0-90K', '--workers', 2,
                  '--ledger', folder / 'ledger',
                  '--starttls=required' if tls else '--starttls=never')
    assert (report['accepted'], report['failed'], report['errors']) == (500, 0, [])
    assert report['tls'].startswith('TLSv1.3 ') == tls
    assert report['message_latency']['count'] == 500
    assert report['dot_latency']['count'] == 500
    assert report['dot_latency']['p50_ms'] <= report['message_latency']['p50_ms']
    promised = (folder / 'ledger').read_text().split()
    assert len(promised) == 500
    assert sink.ids() == collections.Counter(promised)
    assert sink.stop() == 0
    totals = sink.totals()
    assert (totals['messages'], totals['recipients']) == (500, 1500)
    assert totals['bytes'] == report['bytes']


def test_every_refusal_is_counted(folder, background):
    sink = background(Sink(folder, '--fail-rate', '0.2', '--reject', '*7@example.com'))
    report = load('--to', f'127.0.0.1:{sink.port}', '--sessions', 4, '--messages', 300,
                  '--per-connection', 0, '--ledger', folder / 'ledger', wanted=1)
    assert sink.stop() == 0
    totals = sink.totals()
    counts = {error['code']: error['count'] for error in report['errors']}
    assert counts == {550: 30, 451: totals['failed']}
    assert 20 < totals['failed'] < 100
    assert report['accepted'] == totals['messages'] == 300 - report['failed']
    assert sink.ids() == collections.Counter((folder / 'ledger').read_text().split())
    assert not list(sink.store.glob('*.part'))


def test_the_log_tells_when_each_message_was_accepted(folder, background):
    sink = background(Sink(folder, '--log'))
    started = time.time()
    load('--to', f'127.0.0.1:{sink.port}', '--messages', 20, '--per-connection', 0,
         '--from', 'number%n@lab.test', '--starttls=never')
    ended = time.time()
    lines = [json.loads(line) for line in sink.log().splitlines() if line.startswith('{')]
    times = [line['at_us'] / 1e6 for line in lines]
    assert started <= times[0] and times == sorted(times) and times[-1] <= ended
    assert len({line['sender'] for line in lines}) == 20


def test_a_session_is_resumed_and_counted(folder, background, hop_certificate):
    sink = background(Sink(folder, '--workers', 2, '--certificate', hop_certificate.chain, '--key',
                           hop_certificate.key))
    ticket = folder / 'session.pem'
    s_client(sink.port, '-sess_out', ticket, commands='EHLO x\nQUIT\n')
    for _ in range(2):
        s_client(sink.port, '-sess_in', ticket)
    assert sink.stop() == 0
    totals = sink.totals()
    assert (totals['tls'], totals['resumed']) == (3, 2)


def test_the_rate_and_the_duration_are_kept(folder, background):
    sink = background(Sink(folder))
    report = load('--to', f'127.0.0.1:{sink.port}', '--sessions', 5, '--duration', '2s',
                  '--rate', 50, '--per-connection', 0)
    assert 1 <= report['accepted'] <= 100
    assert report['failed'] == 0


def test_idle_sessions_stay_until_the_signal(folder, background):
    sink = background(Sink(folder))
    idle = background(Process('load', [POSTERN, 'load', '--json', '--idle', '--sessions', 300,
                                       '--to', f'127.0.0.1:{sink.port}'], folder))

    def open_now():
        sink.signal(signal.SIGUSR1)
        lines = sink.log().splitlines()
        return lines[-1].startswith('{') and json.loads(lines[-1])['open'] == 300
    wait_until(open_now, 20, '300 open sessions')
    quiet = collections.deque(maxlen=10)  # the last of them may be in the middle of its EHLO

    def is_quiet():
        quiet.append(is_asleep(sink.pid) and is_asleep(idle.pid))
        return len(quiet) == quiet.maxlen and all(quiet)
    wait_until(is_quiet, 20, 'all have said EHLO')
    assert idle.running()
    assert idle.stop() == 0
    report = json.loads(idle.log())
    assert (report['sessions_opened'], report['sessions_given_up']) == (300, 0)


def test_the_sink_ends_after_its_last_message(folder, background):
    sink = background(Sink(folder, '--max-messages', 30))
    report = load('--to', f'127.0.0.1:{sink.port}', '--sessions', 3, '--messages', 40,
                  '--retries', 1, wanted=1)
    assert report['accepted'] == 30
    wait_until(lambda: not sink.running(), 20, 'the end of the sink')
    assert sink.totals()['messages'] == 30


def test_nobody_there_is_told_and_ends(folder):
    report = load('--to', f'127.0.0.1:{ports.free_port()}', '--sessions', 2, '--messages', 10,
                  '--retries', 1, wanted=1)
    assert (report['accepted'], report['failed'], report['not_tried']) == (0, 2, 8)
    assert [(error['kind'], error['count']) for error in report['errors']] == [('connect', 4)]
    assert not list(folder.iterdir())


def test_the_store_keeps_the_message_as_it_was_meant(folder, background):
    sink = background(Sink(folder))
    with Client(sink.port) as client:
        client.hello()
        reply = client.transaction('a@lab.test', ['b@example.com', 'c@example.com'],
                                   b'Subject: x\r\n\r\n.\r\n..two\r\nend\r\n')
        assert reply.code == 250
        client.quit()
    path, = sink.store.glob('*.eml')
    assert path.read_bytes() == (b'X-Sink-Helo: client.lab.test\r\nX-Sink-From: <a@lab.test>\r\n'
                                 b'X-Sink-To: b@example.com,\r\n c@example.com\r\n'
                                 b'X-Sink-Tls: clear\r\nSubject: x\r\n\r\n.\r\n..two\r\nend\r\n')


def test_plaintext_behind_starttls_ends_the_session(folder, background, hop_certificate):
    sink = background(Sink(folder, '--certificate', hop_certificate.chain, '--key',
                           hop_certificate.key))
    with Client(sink.port) as client:
        client.hello()
        client.send(b'STARTTLS\r\nNOOP\r\n')
        with pytest.raises(Exception, match='end of file|reset'):
            while True:
                client.read()
