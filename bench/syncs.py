"""Whether a server has a message on stable storage before its 250: single messages, under strace.

Each message is sent when the one before it has arrived and all is quiet, so a sync that begins
behind the final dot and ends before the 250 is one for this message. strace does not see what goes
through io_uring; for Postern, which does nothing else, its own counter of synced writes stands
instead (and tests/crash holds it to its word).
"""
import os
import re
import shutil
import statistics
import time

import rig
from postern_lab.certificates import Authority
from postern_lab.client import Client
from postern_lab.peers import SmtpSink
from servers import SERVERS

MESSAGES = 8
QUIET_SECONDS = 0.3
ARRIVAL_SECONDS = 10
BODY = b'Subject: bench\r\n\r\n' + b'0123456789' * 7 + b'\r\n.\r\n'
CALLS = 'fsync,fdatasync,sync_file_range,syncfs,sync,msync,pwritev2'
CALL = re.compile(r'^(?P<pid>\d+) +(?P<at>[\d.]+) (?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)$', re.M)
LASTED = re.compile(r'<([\d.]+)>$')


def send(port):
    """(when the final dot went out, when the 250 was there), in seconds since 1970."""
    with Client(port, seconds=30) as client:
        client.expect(220)
        for line in ('EHLO client.lab.test', 'MAIL FROM:<sender@lab.test>',
                     'RCPT TO:<someone@example.com>'):
            client.expect(250, line)
        client.expect(354, 'DATA')
        began = time.time()
        client.send(BODY)
        client.expect(250)
        ended = time.time()
        client.say('QUIT')
        return began, ended


def sync_times(path):
    """(begin, end) of each sync that succeeded."""
    begun, found = {}, []
    for match in CALL.finditer(path.read_text(errors='replace')):
        pid, at, call, rest = match['pid'], float(match['at']), match['call'], match['rest']
        if call == 'pwritev2' and not re.search('RWF_D?SYNC', rest):
            continue
        if rest.endswith('<unfinished ...>'):
            begun[pid] = at
        elif 'resumed>' in rest:
            found.append((begun.pop(pid, at), at))
        elif (lasted := LASTED.search(rest)) and ' = 0 ' in rest:
            found.append((at, at + float(lasted[1])))
    return found


def count_by_counter(server):
    """Synced writes of each message while it was the only one."""
    counts = []
    for _ in range(MESSAGES):
        before = server.status()['counters']['spool_commits']
        send(server.port)
        counts.append(server.status()['counters']['spool_commits'] - before)
        time.sleep(QUIET_SECONDS)
    return counts


def count_by_strace(server, sink, path):
    """(syncs between dot and 250 of each message, syncs of a message in all)."""
    def received():
        return len(re.findall('mesg=', sink.log()))

    windows = []
    for _ in range(MESSAGES):
        before = received()
        windows.append(send(server.port))
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while received() == before and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(QUIET_SECONDS)
    times = sync_times(path)
    within = [sum(1 for begin, end in times if begin >= dot and end <= reply)
              for dot, reply in windows]
    return within, sum(1 for begin, _ in times if begin >= windows[0][0]) / MESSAGES


def check(name):
    """{'before_250': median, or None where it cannot be seen, 'in_all': of a message, 'how':}."""
    how = 'own counter' if name == 'postern' else 'strace'
    if how == 'strace' and (not shutil.which('strace') or os.geteuid() != 0):
        return {'before_250': None, 'in_all': None, 'how': 'strace and root are needed'}
    folder = rig.results_folder(f'syncs-{name}')
    shutil.rmtree(folder)
    folder.mkdir()
    certificate = Authority(folder / 'authority').issue('mx.lab.test')
    sink = SmtpSink(folder, '-c').start()
    server = SERVERS[name](folder, sink.port, certificate)
    path = folder / 'strace'
    if how == 'strace':
        server.words = ['strace', '-f', '-ttt', '-T', '-e', f'trace={CALLS}', '-o', str(path),
                        *server.words]
    try:
        server.start()
        send(server.port)  # the first one opens files and makes folders
        time.sleep(2)
        if how == 'own counter':
            within = count_by_counter(server)
            in_all = statistics.mean(within)
        else:
            within, in_all = count_by_strace(server, sink, path)
        return {'before_250': min(within), 'in_all': in_all, 'how': how}
    finally:
        server.kill()
        sink.kill()
