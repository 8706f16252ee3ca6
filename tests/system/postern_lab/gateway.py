"""The program under test, in a folder of its own: configuration, spool, log, admin socket.

    gateway = make_gateway(next_hop=hop)          # fixture of conftest.py
    gateway.start(); ...; gateway.kill(); gateway.start(); ...; gateway.stop()

The configuration is rendered from templates/gateway.conf. Each of its sections can be replaced by
keyword: make_gateway(hat='...', policies='...', destinations='...', extra='...').
"""
import json
import re
import signal
import string
import subprocess

from postern_lab import PATIENCE, POSTERN, ROOT, ports
from postern_lab.client import Client
from postern_lab.process import Process, wait_until

TEMPLATE = ROOT / 'tests' / 'system' / 'templates' / 'gateway.conf'
TROUBLE = re.compile(r'ERROR: (?:Address|Leak|Undefined)\w*Sanitizer|runtime error: |^assertion ',
                     re.M | re.I)

SECTIONS = {
    'policies': '''
    ACCEPTED = { access = "accept"; tls = "preferred"; };
    TLS_REQUIRED = { access = "accept"; tls = "required"; };
    RELAYED = { access = "relay"; tls = "preferred"; };''',
    'hat': '''
    { group = "TLS"; senders = [ "127.0.0.2/32" ]; policy = "TLS_REQUIRED"; },
    { group = "OURS"; senders = [ "127.0.0.3/32" ]; policy = "RELAYED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }''',
    'rat': '{ recipients = [ "example.com", ".example.com" ]; action = "accept"; }',
    'destinations': 'default = { tls = "preferred"; };',
    'bounce': '''default = { initial_retry = "1s"; max_retry = "5s"; max_age = "1h";
                max_retries = 100; };''',
    'listener': '',
    'listeners_more': '',  # begins with a comma
    'hats_more': '',
    'spool_more': '',
    'tls': '',
    'extra': '',
}


def pairs_of(certificates):
    return ', '.join(f'{{ chain = "{one.chain}"; key = "{one.key}"; }}' for one in certificates)


class Gateway(Process):
    """certificate: one, or a list (of different key types)."""

    def __init__(self, folder, certificate, next_hop_port=None, routes=None, workers=2, env=None,
                 ca=None, **sections):
        certificates = certificate if isinstance(certificate, list) else [certificate]
        unknown = set(sections) - set(SECTIONS)
        assert not unknown, f'no such section: {unknown}'
        self.port = ports.free_port()
        self.config_path = folder / 'postern.conf'
        self.spool_path = folder / 'spool'
        self.spool_path.mkdir(parents=True, exist_ok=True)
        if routes is None and next_hop_port:
            routes = f'{{ domain = "ALL"; to = [ "127.0.0.1:{next_hop_port}" ]; }}'
        self.values = {**SECTIONS, **sections, 'routes': routes or '', 'workers': workers,
                       'port': self.port, 'spool': self.spool_path,
                       'pairs': pairs_of(certificates), 'ca': ca or certificates[0].chain}
        # Named from its own folder: the admin socket's path has to be short.
        super().__init__('postern', [POSTERN, 'run', '-c', self.config_path.name], folder, env)
        self.configure()

    def configure(self, **sections):
        """Writes the configuration anew, with these sections; reload() makes it count."""
        self.values.update(sections)
        text = string.Template(TEMPLATE.read_text()).substitute(self.values)
        # Replaced in one step: a reload may read it at any time.
        fresh = self.config_path.with_suffix('.new')
        fresh.write_text(text)
        fresh.rename(self.config_path)

    def start(self, wait=True):
        """Returns, unless wait is False, when it accepts mail and has what it held before in its
        queue. A probe of the port would not tell: the kernel may keep the sockets of a gateway
        that was killed for a moment."""
        since = len(self.log())
        super().start()
        if not wait:
            return self
        self.wait_log(r'Postern \S+ is ready', seconds=30, since=since)
        self.wait_log(r'Spool: recovered \d+ messages', seconds=30, since=since)
        return self

    def begin_log(self):
        """Between two runs: what was logged is looked at for trouble, and goes. A log is read from
        its begin each time, which hundreds of runs under load would spend their time with."""
        assert self.process is None
        self.check_trouble()
        self.log_path.unlink()

    def reload(self):
        """SIGHUP. Returns the offset in the log from which the answer is to be looked for."""
        since = len(self.log())
        self.signal(signal.SIGHUP)
        return since

    def stop(self, seconds=20):
        """SIGTERM; asserts that it ended cleanly and that no sanitizer complained."""
        if self.process is None:
            return 0
        code = super().stop(seconds)
        assert code == 0, f'exit {code} at SIGTERM:\n{self.tail()}'
        self.check_trouble()
        return code

    def check_trouble(self):
        match = TROUBLE.search(self.log())
        assert not match, f'trouble in {self.log_path}:\n{self.log()[match.start():][:4000]}'

    def connect(self, source=None, **options):
        return Client(self.port, source=source, **options)

    def command(self, *arguments, code=0):
        """Runs `postern ARGUMENTS -c CONFIG`; returns its standard output. code: None for any."""
        result = run_postern(*arguments, '-c', self.config_path.name, cwd=self.folder)
        assert code in (result.returncode, None), (
            f'postern {arguments}: exit {result.returncode}\n{result.stdout}{result.stderr}')
        return result.stdout

    def status(self):
        return json.loads(self.command('status', '--json'))

    def settle(self, messages=0, seconds=20):
        """Waits until so many messages are left, and that the others are over is on the disk.

        What became of a message is written lazily: after a kill without this the last of those
        that a next hop has may come again, and should."""
        def is_settled():
            seen = self.status()['counters']
            return seen['messages_now'] == messages and seen['results_waiting_now'] == 0
        wait_until(is_settled, seconds, f'{messages} messages are left, and all results written')


def run_postern(*arguments, seconds=60, **options):
    """Runs the program to its end; returns the CompletedProcess, output as text."""
    return subprocess.run([str(POSTERN), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=seconds * PATIENCE, check=False, **options)
