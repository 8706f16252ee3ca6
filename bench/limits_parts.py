"""What the modules of bench/limits share: a figure, a gateway of theirs, and who loads it."""
import dataclasses
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time

import rig
from postern_lab import BUILD, PEERS, POSTERN, ports
from postern_lab.certificates import Authority
from postern_lab.gateway import Gateway
from postern_lab.process import Process, wait_until

CPUS = len(os.sched_getaffinity(0))
DRAIN_SECONDS = 120
HAT = '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'
POLICY = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; max_connections_per_ip = 65000;
                 max_messages_per_connection = 1000000; max_recipients_per_message = 1000;
                 max_message_size = "100M"; };'''
DESTINATIONS = '''default = { tls = "off"; max_connections = 100;
                             max_messages_per_connection = 1000; };'''


@dataclasses.dataclass
class Figure:
    """One line of the table. rounds: the ratio that is judged, of each round; their median counts.
    detail: what it was made of, for people; more: medians, for programs."""
    work: str
    rounds: list
    goal: float = None  # None: told, not judged
    at_least: bool = False
    unit: str = ''
    detail: str = ''
    more: dict = dataclasses.field(default_factory=dict)

    @property
    def figure(self):
        return rig.median(self.rounds)

    @property
    def is_reached(self):
        if self.goal is None:
            return None
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    def as_json(self):
        return {'work': self.work, 'figure': self.figure, 'goal': self.goal,
                'at_least': self.at_least, 'reached': self.is_reached, 'unit': self.unit,
                'rounds': self.rounds, 'detail': self.detail, **self.more}


def medians(rounds):
    """Of each member of a list of objects that are alike."""
    return {name: rig.median([one[name] for one in rounds]) for name in rounds[0]}


def cpu_seconds(pid):
    """Of all threads that a process has or had, in nanoseconds' steps; children are not in it."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's name of another process's clock


def fresh_folder(name):
    folder = rig.results_folder(f'limits-{name}')
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def issue(folder):
    return Authority(folder / 'authority').issue('mx.lab.test')


class Relay(Gateway):
    """A gateway that takes all and hands it on; asked for its counters without a program."""

    def __init__(self, folder, hop_port, certificate=None, **sections):
        options = {'workers': 0, 'policies': POLICY, 'hat': HAT, 'destinations': DESTINATIONS,
                   'rat': '{ recipients = [ "ALL" ]; action = "accept"; }',
                   'listener': 'max_connections = 65000; backlog = 1024;', **sections}
        super().__init__(folder, certificate or issue(folder), next_hop_port=hop_port, **options)

    def ask(self, request):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(os.path.relpath(self.folder / 'admin.sock'))
            one.sendall(request.encode() + b'\n')
            return json.loads(b''.join(iter(lambda: one.recv(65536), b'')))

    def facts(self):
        """The counters, and what else grows."""
        seen = self.ask('status')
        return {**seen['counters'], 'allocations': seen['allocations'],
                'cpu_seconds': cpu_seconds(self.pid)}

    def drain(self, seconds=DRAIN_SECONDS):
        """Waits until all is delivered and written down."""
        def is_over():
            seen = self.ask('counters')['counters']
            return seen['messages_now'] == 0 and seen['results_waiting_now'] == 0
        time.sleep(0.1)
        wait_until(is_over, seconds, 'all mail is delivered')


def growth(before, after):
    return {name: after[name] - before[name] for name in after}


class Program(Process):
    """One of bench/limit that serves on a port until it is killed."""

    def __init__(self, folder, name, *words):
        self.port = ports.free_port()
        super().__init__(name, [BUILD / 'bench' / 'limit' / name, self.port, *words], folder)

    def start(self):
        return super().start().wait_listening(self.port)


def start_sink(folder, *words, port=None):
    port = port or ports.free_port()
    sink = Process('sink', [POSTERN, 'sink', '--listen', f'127.0.0.1:{port}', *words], folder)
    sink.port = port
    return sink.start().wait_listening(port)


def load(port, sessions, messages, per_connection, *words, size='4K'):
    """postern load, to its end; what it says."""
    command = [POSTERN, 'load', '--json', '--to', f'127.0.0.1:{port}', '--sessions', sessions,
               '--messages', messages, '--per-connection', per_connection, '--size', size, *words]
    result = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, check=False)
    said = json.loads(result.stdout) if result.stdout else {}
    if said.get('accepted') != messages:
        sys.exit(f'postern: bench: {shlex.join(map(str, command))}: {result.stdout}')
    return said


def smtp_source(port, sessions, messages, per_connection):
    """Postfix's generator, in runs in which each session sends its share."""
    per_run = sessions * per_connection
    for _ in range(messages // per_run):
        result = subprocess.run(
            [PEERS, 'smtp-source', '-d', '-s', str(sessions), '-m', str(per_run), '-l', '4096',
             '-f', 'sender@lab.test', '-t', 'someone@example.com', f'127.0.0.1:{port}'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if result.returncode or result.stdout:
            sys.exit(f'postern: bench: smtp-source: {result.stdout or result.returncode}')


def us(seconds, count):
    return seconds / count * 1e6
