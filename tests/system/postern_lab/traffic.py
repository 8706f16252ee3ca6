"""Mail that keeps coming while a gateway is killed, stopped or reloaded.

    with Traffic(gateway, ledger) as traffic: ...

A few threads send small messages, a few on each connection, and write into the ledger what had its
250. A connection that ends is counted in `broken` and made anew; where connections are refused, the
thread waits a little. check(client, extensions) is called after EHLO of each session. body may be a
function that makes one for each message.
"""
import threading
import time

from postern_lab.client import ConnectionEnded


def mixed_bodies(chance):
    """Small ones, some that take a batch of their own, a few that go to a file."""
    line = 'x' * 76 + '\n'
    return lambda: line * chance.choices([1, 260, 14500], [970, 28, 2])[0]


class Traffic:
    def __init__(self, gateway, ledger, threads=4, per_connection=5, check=None, body='hello'):
        self.gateway = gateway
        self.ledger = ledger
        self.per_connection = per_connection
        self.check = check
        self.body = body
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.sessions = self.broken = self.refused = self.accepted = 0
        self.errors = []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors[:3]

    def count(self, name):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)

    def run(self):
        while not self.stopping.is_set():
            try:
                self.session()
                self.count('sessions')
            except ConnectionRefusedError:
                time.sleep(0.01)
            except (ConnectionEnded, OSError):
                self.count('broken')
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)
                return

    def session(self):
        with self.gateway.connect() as client:
            if client.read().code != 220:
                raise ConnectionEnded('no greeting')
            reply = client.say('EHLO client.lab.test')
            if reply.code == 421:
                raise ConnectionEnded('421')
            assert reply.code == 250, reply
            extensions = reply.lines[1:]
            if self.check:
                self.check(client, extensions)
            for _ in range(self.per_connection):
                if self.stopping.is_set():
                    break
                self.message(client)
            client.say('QUIT')

    def message(self, client):
        ident, data = self.ledger.message(self.body() if callable(self.body) else self.body)
        for command in ('MAIL FROM:<>', 'RCPT TO:<b@example.com>', 'DATA', data + b'.\r\n'):
            reply = client.say(command)
            if reply.code == 421:
                raise ConnectionEnded('421')
            if reply.code >= 400:
                self.ledger.rejected(ident)
                self.count('refused')
                client.say('RSET')
                return
        self.ledger.accepted(ident)
        self.count('accepted')
