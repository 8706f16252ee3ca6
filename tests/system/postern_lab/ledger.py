"""Which messages were promised, and what became of them.

A client puts ledger.new() into each message as the header HEADER and calls accepted() when the 250
has arrived. What a next hop received is then held against that: nothing accepted may be lost.
"""
import collections
import email.utils
import re
import threading
import time
import zlib

HEADER = 'X-Lab-Id'
# Results of deliveries are written lazily: a crash may forget those of its last moments.
FORGOTTEN_SECONDS = 3
# What lies in a socket when the gateway dies is received later, on a busy machine by so much.
LATE_SECONDS = 3
DATE_SECONDS = 1  # what the Date of a message leaves out
_DATE = re.compile(rb'^Date: (.+?)\r?$', re.M)
_ID = re.compile(rb'^X-Lab-Id: (\S+)\r?$', re.M | re.I)


def id_of(data):
    """The id in a message's bytes; None when it has none."""
    match = _ID.search(data)
    return match and match.group(1).decode()


def marks_of(data):
    """All that this module looks at in a message's bytes, for who keeps many of them."""
    found = [match.group(0).strip() for match in (_ID.search(data), _DATE.search(data)) if match]
    return b'\n'.join(found) + b'\n'


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


def made_at(message):
    """When a bounce was written, by its Date and on the clock of `received`; None of other mail."""
    match = None if message.sender else _DATE.search(message.data)
    if match is None:
        return None
    date = email.utils.parsedate_to_datetime(match.group(1).decode())
    return date.timestamp() - time.time() + time.monotonic()


def may_be_forgotten(since, until, kills):
    """Whether one of the kills can have made the gateway forget what it did at `since`; until then
    it had done it again."""
    return any(since - LATE_SECONDS <= kill <= min(since + FORGOTTEN_SECONDS, until)
               for kill in kills)


def repeated_without_cause(messages, kills):
    """A Stray for each recipient to whom a message came again though no kill, of these times, can
    have made the gateway forget that it had arrived, or that it had written the bounce. Those two
    bounces may well arrive together, long after the kill."""
    strays, last = [], {}
    for message in sorted(messages, key=lambda message: message.received):
        now, made = message.received, made_at(message)
        for recipient in message.recipients:
            key = (id_of(message.data), recipient)
            before, made_before = last.get(key, (None, None))
            is_explained = before is None or may_be_forgotten(before, now, kills)
            if not is_explained and None not in (made, made_before):
                first, second = sorted((made_before, made))
                is_explained = may_be_forgotten(first, second + DATE_SECONDS, kills)
            if not is_explained:
                strays.append(Stray(*key, before, now))
            last[key] = now, made
    return strays


class Account(collections.namedtuple('Account', 'promised lost doubled unknown')):
    """unknown: received though no 250 was seen. That is allowed when the connection broke
    between the commit and the reply; after a 4xx or 5xx it is not."""

    def __str__(self):
        return (f'{self.promised} promised, {len(self.lost)} lost, {len(self.doubled)} doubled, '
                f'{len(self.unknown)} without a promise')
