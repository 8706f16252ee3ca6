"""A network namespace of its own, for tests that need addresses which the machine must not have.

    with Namespace() as net:
        net.add('208.90.57.1/32')
        with net.inside(): ...            # sockets made by this thread belong to it
        Gateway(..., namespace=net)       # and so do those of the programs started inside

Needs root. Where it cannot be made, the test is skipped by name; with CI=true that is a failure.
"""
import contextlib
import ctypes
import os
import subprocess
import uuid

import pytest

from postern_lab import CI

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns')


class Namespace:
    def __init__(self):
        self.name = f'postern-{uuid.uuid4().hex[:8]}'
        self.fd = None

    def __enter__(self):
        made = subprocess.run(['ip', 'netns', 'add', self.name], stderr=subprocess.PIPE, text=True,
                              check=False)
        if made.returncode != 0:
            text = f'network namespaces cannot be made here: {made.stderr.strip()}'
            pytest.fail(text) if CI else pytest.skip(text)
        self.fd = os.open(f'/run/netns/{self.name}', os.O_RDONLY)
        self.ip('link', 'set', 'lo', 'up')
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        subprocess.run(['ip', 'netns', 'delete', self.name], check=False)

    def ip(self, *arguments):
        subprocess.run(['ip', '-netns', self.name, *arguments], check=True)

    def add(self, address):
        self.ip('address', 'add', address, 'dev', 'lo')

    @contextlib.contextmanager
    def inside(self):
        """What this thread opens or starts meanwhile belongs to the namespace."""
        home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        enter(self.fd)
        try:
            yield
        finally:
            enter(home)
            os.close(home)
