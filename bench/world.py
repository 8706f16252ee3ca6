"""A network of the bench's own with many domains in its DNS, receivers for all of them, a client.

enter() moves this process into network and mount namespaces: addresses, ports 25 and 53 and
/etc/resolv.conf there are nobody else's. All hosts are addresses of its loopback, so one receiver
on 0.0.0.0:25 is every one of them.
"""
import ctypes
import itertools
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from rig import POSTERN
from postern_lab.client import Client, ConnectionEnded
from postern_lab.name_servers import Nsd
from postern_lab.peers import CANNOT_BE_HAD, SmtpSink
from postern_lab.process import Process

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
ZONE = 'mix.test'
SMTP_PORT, DNS_PORT = 25, 53
CLIENT_SECONDS_MAX = 300
DRAIN_SECONDS_MAX = 600
STALL_BACKLOG = 4096


def enter(folder):
    """Needs root; exits with 3 where it cannot be done. From now on every program that is started
    looks names up at 127.0.0.1."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        print('postern: bench: cannot make a network of its own (which needs root): '
              + os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(CANNOT_BE_HAD)
    resolver = folder / 'resolv.conf'
    resolver.write_text('nameserver 127.0.0.1\n')
    for command in (['ip', 'link', 'set', 'lo', 'up'], ['mount', '--make-rprivate', '/'],
                    ['mount', '--bind', resolver, '/etc/resolv.conf']):
        subprocess.run(command, check=True)


class Mix:
    """Domains d0000, d0001... of the zone, the biggest first; many behind one MX host. Those of
    another letter and network have hosts of their own."""

    def __init__(self, kind, domains, hosts, letter='d', network=1):
        self.names = [f'{letter}{number:04}.{ZONE}' for number in range(domains)]
        self.hosts = hosts
        self.letter, self.network = letter, network
        # Zipf with exponent 1: the domain of rank k gets a share in proportion to 1/k.
        self.weights = [1 if kind == 'uniform' else 1 / (rank + 1) for rank in range(domains)]

    def recipients(self, count, seed):
        """As many domains' numbers, always the same for a seed."""
        return random.Random(seed).choices(range(len(self.names)), self.weights, k=count)

    def host_of(self, domain):
        return domain % self.hosts

    def address(self, host):
        return f'127.{self.network}.{host // 250}.{host % 250 + 1}'

    def zone(self):
        lines = [f'{name}. MX 10 {self.letter}mx{self.host_of(number)}'
                 for number, name in enumerate(self.names)]
        lines += [f'{self.letter}mx{host} A {self.address(host)}' for host in range(self.hosts)]
        return '\n'.join(lines)


def name_server(folder, *mixes):
    return Nsd(folder, {ZONE: '\n'.join(mix.zone() for mix in mixes)}, port=DNS_PORT)


class PosternSink(Process):
    """postern sink for all hosts; log: a line for each message, see arrivals()."""

    def __init__(self, folder, certificate=None, log=False):
        words = [POSTERN, 'sink', '--json', '--listen', f'0.0.0.0:{SMTP_PORT}']
        if certificate:
            words += ['--certificate', certificate.chain, '--key', certificate.key]
        super().__init__('sink', words + (['--log'] if log else []), folder)

    def start(self):
        super().start()
        return self.wait_listening(SMTP_PORT)

    def lines(self):
        return [json.loads(line) for line in self.log().splitlines() if line.startswith('{')]

    def counts(self):
        """{'connections':, 'messages':, 'tls':...} since its start."""
        since = len(self.log())
        self.signal(signal.SIGUSR1)
        self.wait_log(r'^{"connections".*}$', since=since)
        return [line for line in self.lines() if 'connections' in line][-1]

    def arrivals(self):
        """The number of a message, as Client put it into the sender -> microseconds since 1970."""
        return {int(line['sender'].split('.')[0]): line['at_us'] for line in self.lines()
                if 'at_us' in line}


class PostfixSink(SmtpSink):
    """smtp-sink for all hosts. It knows no TLS, and counts connections when they end."""

    def __init__(self, folder):
        super().__init__(folder, '-c', '-m', '4096', backlog=1024, address='0.0.0.0',
                         port=SMTP_PORT)

    def counts(self):
        with open(self.log_path, 'rb') as log:
            log.seek(max(self.log_path.stat().st_size - 200, 0))
            found = re.findall(rb'sess=\s*(\d+) quit=\s*\d+ mesg=\s*(\d+)', log.read())
        connections, messages = map(int, found[-1]) if found else (0, 0)
        return {'connections': connections, 'messages': messages, 'tls': 0, 'resumed': 0}


def wait_messages(sink, count):
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while (arrived := sink.counts()['messages']) < count:
        if time.monotonic() > deadline:
            sys.exit(f'postern: bench: only {arrived} of {count} messages arrived')
        time.sleep(0.05)


class StalledHost:
    """Lets connections to the address be made, and never says a word. It shares the port with the
    sink (SO_REUSEPORT), and the kernel takes the socket that names the address."""

    def __init__(self, address):
        self.socket = socket.socket()
        for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
        self.socket.bind((address, SMTP_PORT))
        self.socket.listen(STALL_BACKLOG)
        self.socket.setblocking(False)

    def close(self):
        """Returns how many connections there were."""
        taken = []
        try:
            while True:
                taken.append(self.socket.accept()[0])
        except BlockingIOError:
            pass
        for one in taken:  # with a reset: nothing may stay in the way of the next sink
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        for one in [self.socket, *taken]:
            one.close()
        return len(taken)


class Clients:
    """Sessions that send a message for each of the domains in turn, with PIPELINING."""

    def __init__(self, port, names, options):
        self.port = port
        self.names = names
        self.options = options
        line = b'0123456789' * 7 + b'abcdefgh\r\n'
        self.body = b'Subject: bench\r\n\r\n' + line * (options.size // len(line)) + b'.\r\n'
        self.errors = []

    def run(self, recipients, rate=0, first=0):
        """Returns, for each message, when it had its 250, in microseconds since 1970.

        rate: messages a second, 0: as fast as it goes. first: the number of the first one."""
        accepted = [0] * len(recipients)
        numbers = itertools.count()
        begin = time.monotonic()

        def session(client):
            client.hello('client.lab.test')
            for _ in range(self.options.per_session):
                number = next(numbers)
                if number >= len(recipients):
                    return False
                if rate:
                    time.sleep(max(begin + number / rate - time.monotonic(), 0))
                self.message(client, first + number, self.names[recipients[number]])
                accepted[number] = time.time_ns() // 1000
            return True

        def work():
            try:
                goes_on = True
                while goes_on and not self.errors:
                    with Client(self.port, seconds=CLIENT_SECONDS_MAX) as client:
                        goes_on = session(client)
                        client.quit()
            except (AssertionError, ConnectionEnded, OSError) as error:
                self.errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(self.options.sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            sys.exit(f'postern: bench: a session failed: {self.errors[0]}')
        return accepted

    def message(self, client, number, domain):
        client.send(f'MAIL FROM:<{number}.sender@lab.test>\r\nRCPT TO:<someone@{domain}>\r\n'
                    'DATA\r\n'.encode())
        for code in (250, 250, 354):
            client.expect(code)
        client.send(self.body)
        client.expect(250)
