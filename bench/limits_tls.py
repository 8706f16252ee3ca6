"""Handshakes against a minimal OpenSSL loop, and large bodies against what AES-GCM and a disk take.

Handshakes: bench/limit/dial makes sessions of 220, EHLO, STARTTLS, TLS 1.3 with an ECDSA P-256
certificate and no resumption, EHLO, QUIT; to the gateway and to bench/limit/handshake in turns. The
rate is that of sessions as they come from one client on the same processors, so the client's own
work is in both; the same of CPU time is the server's alone.

A message on a connection of its own: CPU with STARTTLS, less that without, is what TLS costs.

Bodies of 10 MiB: in, while the next hop refuses connections; out, when it has come up. What TCP
takes for such bytes is no part of that goal; a second line has it: the tight receiver and sender.
"""
import mmap
import os
import subprocess
import time

import limits_parts as parts
from postern_lab import ports
from tools import Tool, write_sizes

SESSIONS = 16
RATE_GOAL = 0.9
TLS_GOAL = 1.15
BODY_GOAL = 1.25
BODY_BYTES = 10 << 20
BODY_SESSIONS = 4
CHUNK_BYTES = 1 << 20  # of raw writes and reads; smaller ones cost more
RECORD_BYTES = 16384
GB = 1e9
ENCRYPTED_HOP = '''default = { tls = "required"; max_connections = 100;
                             max_messages_per_connection = 1000; };'''


def dialled(client, pid, count):
    """(CPU us of the server a session, sessions a second)"""
    before = parts.cpu_seconds(pid)
    said = client.run(count)
    return parts.us(parts.cpu_seconds(pid) - before, count), count / said['seconds']


def mailed(gateway, count, *words):
    """CPU us of a message that has a connection of its own."""
    before = gateway.facts()
    parts.load(gateway.port, 100, count, 1, *words)
    gateway.drain()
    seen = parts.growth(before, gateway.facts())
    assert seen['tls_resumed'] == 0 and seen['tls_in_success'] == (count if words else 0)
    return parts.us(seen['cpu_seconds'], count)


def run_handshakes(options):
    folder = parts.fresh_folder('handshakes')
    certificate = parts.issue(folder)
    sink = parts.start_sink(folder)
    gateway = parts.Relay(folder, sink.port, certificate).start()
    loop = parts.Program(folder, 'handshake', parts.CPUS, certificate.chain,
                         certificate.key).start()
    clients = {name: Tool('limit/dial', mode, port, SESSIONS) for name, mode, port in (
        ('gateway', 'handshake', gateway.port), ('loop', 'handshake', loop.port),
        ('gateway_plain', 'plain', gateway.port), ('loop_plain', 'plain', loop.port))}
    pids = {'gateway': gateway.pid, 'loop': loop.pid}
    count = options.sessions
    rounds = []
    try:
        for number in range(-1, options.rounds):  # the first is to get warm
            one = {}
            for name, client in clients.items():
                one[f'{name}_us'], one[f'{name}_rate'] = dialled(
                    client, pids[name.split('_')[0]], count)
            one['mail_us'] = mailed(gateway, count)
            one['mail_tls_us'] = mailed(gateway, count, '--starttls=required')
            one['rate_ratio'] = one['gateway_rate'] / one['loop_rate']
            one['cpu_ratio'] = one['loop_us'] / one['gateway_us']
            one['tls_ratio'] = (one['mail_tls_us'] - one['mail_us']) / one['loop_us']
            if number >= 0:
                rounds.append(one)
    finally:
        for one in clients.values():
            one.close()
        for one in (loop, gateway, sink):
            one.kill()
    return report_handshakes(rounds)


def report_handshakes(rounds):
    m = parts.medians(rounds)
    return [
        parts.Figure('handshakes: rate / that of the loop', [one['rate_ratio'] for one in rounds],
                     RATE_GOAL, at_least=True, more={'medians': m},
                     detail=f'gateway {m["gateway_rate"]:.0f}/s, loop {m["loop_rate"]:.0f}/s'),
        parts.Figure('handshakes: the same of CPU time', [one['cpu_ratio'] for one in rounds],
                     RATE_GOAL, at_least=True,
                     detail=f'gateway {m["gateway_us"]:.0f} us a session, loop {m["loop_us"]:.0f}; '
                     f'without STARTTLS {m["gateway_plain_us"]:.0f} and '
                     f'{m["loop_plain_us"]:.0f}'),
        parts.Figure('TLS of a message a connection: CPU / loop',
                     [one['tls_ratio'] for one in rounds], TLS_GOAL,
                     detail=f'with {m["mail_tls_us"]:.0f} us a message, without '
                     f'{m["mail_us"]:.0f}; loop {m["loop_us"]:.0f}')]


def openssl_speed(*words):
    """CPU seconds for a byte of AES-256-GCM, in records as long as they can be."""
    text = subprocess.run(['openssl', 'speed', '-mr', '-seconds', '1', '-bytes', str(RECORD_BYTES),
                           *words, '-evp', 'aes-256-gcm'], stdin=subprocess.DEVNULL, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return 1 / float([line for line in text.splitlines() if line.startswith('+F')][-1]
                     .rpartition(':')[2])


def raw_read(path):
    """CPU seconds to read a file from the disk, past the page cache."""
    room = mmap.mmap(-1, CHUNK_BYTES)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        began = time.thread_time()
        while os.readv(fd, [room]):
            pass
        return time.thread_time() - began
    finally:
        os.close(fd)


class Bodies:
    """A gateway whose next hop is there only when it is to deliver."""

    def __init__(self, folder, options):
        self.folder, self.count = folder, options.bodies
        self.bytes = self.count * BODY_BYTES
        self.certificate = parts.issue(folder)
        self.hop_port = ports.free_port()
        self.gateway = parts.Relay(folder, self.hop_port, self.certificate,
                                   destinations=ENCRYPTED_HOP).start()
        self.receiver = parts.Program(folder, 'receive', parts.CPUS).start()
        self.plain_sink = parts.start_sink(folder)
        self.sender = Tool('limit/send', self.plain_sink.port, parts.CPUS, BODY_SESSIONS,
                           BODY_BYTES)
        self.sizes = folder / 'sizes'
        write_sizes(self.sizes, {'bytes': self.bytes, 'writes': self.bytes // CHUNK_BYTES})
        self.raw = Tool('disk/raw', 'stream', folder, 1, self.sizes)
        self.file = folder / 'bodies'
        with open(self.file, 'wb') as file:
            for _ in range(self.count):
                file.write(os.urandom(BODY_BYTES))
            os.fsync(file.fileno())

    def close(self):
        for one in (self.sender, self.raw):
            one.close()
        for one in (self.receiver, self.gateway, self.plain_sink):
            one.kill()
        self.file.unlink()

    def load(self, port, *words):
        parts.load(port, BODY_SESSIONS, self.count, 0, *words, size=str(BODY_BYTES))

    def grown(self, pid, action):
        before = parts.cpu_seconds(pid)
        action()
        return parts.cpu_seconds(pid) - before

    def deliver(self):
        sink = parts.start_sink(self.folder, '--certificate', self.certificate.chain, '--key',
                                self.certificate.key, port=self.hop_port)
        self.gateway.drain()
        sink.kill()

    def round(self):
        pid, gb = self.gateway.pid, self.bytes / GB
        one = {
            'in': self.grown(pid, lambda: self.load(self.gateway.port, '--starttls=required')),
            'out': self.grown(pid, self.deliver),
            'decrypt': openssl_speed('-decrypt') * self.bytes,
            'encrypt': openssl_speed() * self.bytes,
            'write': self.raw.run(self.bytes // CHUNK_BYTES)['cpu_seconds'],
            'read': raw_read(self.file),
            'receive': self.grown(self.receiver.pid, lambda: self.load(self.receiver.port)),
            'send': self.sender.run(self.count)['cpu_seconds']}
        one = {name: seconds / gb for name, seconds in one.items()}
        one['in_ratio'] = one['in'] / (one['decrypt'] + one['write'])
        one['out_ratio'] = one['out'] / (one['encrypt'] + one['read'])
        one['in_tcp_ratio'] = one['in'] / (one['decrypt'] + one['write'] + one['receive'])
        one['out_tcp_ratio'] = one['out'] / (one['encrypt'] + one['read'] + one['send'])
        return one


def run_bodies(options):
    bodies = Bodies(parts.fresh_folder('bodies'), options)
    try:
        bodies.round()
        rounds = [bodies.round() for _ in range(options.rounds)]
    finally:
        bodies.close()
    m = parts.medians(rounds)
    figures = []
    for way, crypt, disk, tcp in (('in', 'decrypt', 'write', 'receive'),
                                  ('out', 'encrypt', 'read', 'send')):
        figures += [
            parts.Figure(f'10 MiB bodies over TLS, {way}: CPU / limit',
                         [one[f'{way}_ratio'] for one in rounds], BODY_GOAL, more={'medians': m},
                         detail=f'gateway {m[way]:.2f} s/GB; {crypt} {m[crypt]:.2f} + {disk} '
                         f'{m[disk]:.2f}'),
            parts.Figure(f'10 MiB bodies over TLS, {way}: with TCP in the limit',
                         [one[f'{way}_tcp_ratio'] for one in rounds],
                         detail=f'{tcp} {m[tcp]:.2f} s/GB more')]
    return figures
