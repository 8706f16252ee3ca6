"""Peers: programs of others, fetched by tools/peers and run from the build tree."""
import subprocess

import pytest

from postern_lab import CI, PATIENCE, PEERS, ports
from postern_lab.process import Process

CANNOT_BE_HAD = 3


def need(name):
    """Fetches the peer; where it cannot be had: a skip by name, under CI a failure."""
    result = subprocess.run([PEERS, 'fetch', name], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0:
        missing(name, result.stderr.strip())


def missing(name, why):
    text = f'peer {name} cannot be had: {why}'
    if CI:
        pytest.fail(text)
    pytest.skip(text)


class Postfix(Process):
    """A complete Postfix of its own. main_cf: lines added to its main.cf."""

    def __init__(self, folder, main_cf='', master_cf=''):
        need('postfix')
        self.port = ports.free_port()
        self.home = folder / 'postfix'
        super().__init__('postfix-master', [PEERS, 'run-postfix', self.home, '--port', self.port,
                                            '--main-cf', main_cf, '--master-cf', master_cf],
                         folder)

    def start(self):
        super().start()
        try:
            self.wait_log(r'^ready$', seconds=30)
        except AssertionError:
            if self.process.poll() == CANNOT_BE_HAD:
                missing('postfix', self.tail(1))
            raise
        return self

    def mail_log(self):
        path = self.home / 'mail.log'
        return path.read_text(errors='replace') if path.exists() else ''


class SmtpSink(Process):
    """Postfix's smtp-sink. arguments as in smtp-sink(1); dump: keep each message in that folder."""

    def __init__(self, folder, *arguments, backlog=1000, address='127.0.0.1', port=None):
        need('postfix')
        self.port = port or ports.free_port()
        super().__init__('smtp-sink', [PEERS, 'smtp-sink', *arguments, f'{address}:{self.port}',
                                       backlog], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port)


def smtp_source(port, *arguments, seconds=120):
    """Runs Postfix's smtp-source to its end."""
    need('postfix')
    return subprocess.run([PEERS, 'smtp-source', *map(str, arguments), f'127.0.0.1:{port}'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds * PATIENCE,
                          check=False)


def posttls_finger(port, *arguments, match=(), seconds=30):
    """Runs posttls-finger against 127.0.0.1:port; match: names that the certificate may have."""
    need('postfix')
    return subprocess.run([PEERS, 'posttls-finger', *map(str, arguments), f'[127.0.0.1]:{port}',
                           *match], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds * PATIENCE,
                          check=False)
