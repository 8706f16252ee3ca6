"""Which messages were promised, and what became of them.

A client puts ledger.new() into each message as the header HEADER and calls accepted() when the 250
has arrived. What a next hop received is then held against that: nothing accepted may be lost.
"""
import collections
import re
import threading
import zlib

HEADER = 'X-Lab-Id'
# Results of deliveries are written lazily: a crash may forget those of its last moments.
FORGOTTEN_SECONDS = 3
# What lies in a socket when the gateway dies is received a little later.
LATE_SECONDS = 1
_ID = re.compile(rb'^X-Lab-Id: (\S+)\r?$', re.M | re.I)


def id_of(data):
    """The id in a message's bytes; None when it has none."""
    match = _ID.search(data)
    return match and match.group(1).decode()


class Ledger:
    def __init__(self, name='m'):
        self.name = name
        self.count = 0
        self.lock = threading.Lock()
        self.promised = collections.Counter()
        self.refused = set()
        self.sums = {}  # of what message() has made

    def new(self):
        with self.lock:
            self.count += 1
            return f'{self.name}-{self.count}'

    def message(self, body='hello', subject='lab'):
        """(id, bytes of a small message that carries it), lines ending in CRLF."""
        ident = self.new()
        text = f'{HEADER}: {ident}\nSubject: {subject}\n\n{body}\n'
        data = text.replace('\n', '\r\n').encode()
        self.sums[ident] = zlib.crc32(data)
        return ident, data

    def accepted(self, ident, copies=1):
        """A 250 came for it; copies: how many deliveries that promises (destinations)."""
        with self.lock:
            self.promised[ident] += copies

    def rejected(self, ident):
        with self.lock:
            self.refused.add(ident)

    def altered(self, messages):
        """Ids of messages that a next hop received otherwise than message() has made them."""
        return sorted({ident for ident, sum_ in ((id_of(m.data), zlib.crc32(m.without_received()))
                                                 for m in messages)
                       if self.sums.get(ident) != sum_})

    def compare(self, bodies):
        """Counts over the bytes of what was received."""
        seen = collections.Counter(id_of(body) for body in bodies)
        return Account(
            promised=sum(self.promised.values()),
            lost=sorted(ident for ident, copies in self.promised.items() if seen[ident] < copies),
            doubled=sorted(ident for ident, copies in self.promised.items()
                           if seen[ident] > copies),
            unknown=sorted(str(ident) for ident in seen if ident not in self.promised))


Stray = collections.namedtuple('Stray', 'id recipient before again')


def repeated_without_cause(messages, kills):
    """A Stray for each recipient to whom a message came again though no kill, of these times, can
    have made the gateway forget that it had arrived."""
    strays, last = [], {}
    for message in sorted(messages, key=lambda message: message.received):
        now = message.received
        for recipient in message.recipients:
            key = (id_of(message.data), recipient)
            before = last.get(key)
            if before is not None and not any(
                    before - LATE_SECONDS <= kill <= min(before + FORGOTTEN_SECONDS, now)
                    for kill in kills):
                strays.append(Stray(*key, before, now))
            last[key] = now
    return strays


class Account(collections.namedtuple('Account', 'promised lost doubled unknown')):
    """unknown: received though no 250 was seen. That is allowed when the connection broke
    between the commit and the reply; after a 4xx or 5xx it is not."""

    def __str__(self):
        return (f'{self.promised} promised, {len(self.lost)} lost, {len(self.doubled)} doubled, '
                f'{len(self.unknown)} without a promise')
