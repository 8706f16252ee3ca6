"""What benches share that hold a gateway against the machine: programs that measure for themselves
(bench/disk, bench/limit), a hop that keeps silent, and how busy the machine is with other work."""
import contextlib
import json
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import time

import rig
from postern_lab import BUILD

BLOCK = 4096
REST_US_MAX = 500000  # of a pause in bench/disk/raw
CALM_SECONDS = 0.2
CALM_PROCESSORS = 0.3


def busy_seconds():
    """Of all processors, since the machine was started."""
    fields = pathlib.Path('/proc/stat').read_text().split('\n', maxsplit=1)[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / rig.TICKS_PER_SECOND


def wait_for_calm(patience):
    """Returns how many processors are busy with other work; nothing of ours may run."""
    until = time.monotonic() + patience
    while True:
        began, busy = time.monotonic(), busy_seconds()
        time.sleep(CALM_SECONDS)
        others = (busy_seconds() - busy) / (time.monotonic() - began)
        if others <= CALM_PROCESSORS or time.monotonic() >= until:
            return others


def queued_seconds(pid):
    """How long the process's workers were ready to run and no processor was free for them."""
    total = 0
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        if (task / 'comm').read_text().startswith('worker'):
            total += int((task / 'schedstat').read_text().split()[1])
    return total / 1e9


def pinned(words):
    """To the first processor that this process may use, as a gateway's first worker is."""
    return ['taskset', '-c', str(min(os.sched_getaffinity(0))), *words]


class Tool:
    """A program that measures a run for each line it is given (bench/disk, bench/limit)."""

    def __init__(self, program, *words, is_pinned=False):
        self.words = [str(BUILD / 'bench' / program), *map(str, words)]
        if is_pinned:
            self.words = pinned(self.words)
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)

    @property
    def pid(self):
        return self.process.pid

    def run(self, count, pause_us=None):
        pause = '' if pause_us is None else f' {pause_us:.0f}'  # bench/disk/raw knows that
        self.process.stdin.write(f'{count}{pause}\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f'postern: bench: {shlex.join(self.words)} has ended')
        return json.loads(line)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class SilentHop:
    """Lets connections be made, and never says a word."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen(1024)
        self.port = self.socket.getsockname()[1]


def write_sizes(path, one):
    """As many writes and as many bytes as these, all as alike as whole blocks can be."""
    blocks, writes = one['bytes'] // BLOCK, one['writes']
    marks = [blocks * number // writes for number in range(writes + 1)]
    path.write_text(''.join(f'{(after - before) * BLOCK}\n'
                            for before, after in zip(marks, marks[1:])))
