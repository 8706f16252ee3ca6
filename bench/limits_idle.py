"""What sessions cost that do nothing: in memory, and for those that do something.

Memory: the growth of the server's own (anonymous memory), after EHLO and under TLS after the
second EHLO, for a thousand sessions, for ten thousand, and for as many as are asked for. Before
them come FIRST_SESSIONS that do not count, so that what is there once is there. A worker keeps for
five minutes what it has once used (gateway/heap_jemalloc.c), for handshakes above all: it is waited
for until that has gone, each time. Huge pages are off, which would round to 2 MiB what is to be
seen in bytes. The last sessions are held against the first: that shows a table that grows by
doubling.

Throughput: two gateways, one of them with the idle sessions, relay the same in turns; each is the
first of every second round.
"""
import ctypes
import os
import resource
import sys
import time

import limits_parts as parts
import rig
from postern_lab import POSTERN
from postern_lab.process import Process, wait_until
from tools import Tool

PLAIN_BYTES = 512
TLS_BYTES = 16 << 10
KERNEL_TLS_BYTES = 1 << 10
FIRST_SESSIONS = 2000
PR_SET_THP_DISABLE = 41
ACTIVE_GOAL = 0.9
ACTIVE_SESSIONS = 500
LINEAR_GOAL = 1.1
WARM_SESSIONS = 8
WARM_RUNS = 12000  # each needs a few buffers, of 1024, and 250 bytes of the log's 1 MiB, a worker
SETTLE_SECONDS = 2
SETTLE_STEPS, SETTLE_STEPS_MAX = 12, 60  # of a second
KEPT_SECONDS = 5 * 60  # GATEWAY_HEAP_KEEP_MS
OPEN_SECONDS = 600
ADDRESSES = 4
SESSIONS_PER_ADDRESS = 20000  # each has its own range of the client's ports
FILES_MORE = 2000
UNEVEN = 1.05


def allowed(sessions):
    """Raises the limit of open files, for children too; returns how many sessions it is enough for.

    The gateway gives five eighths of its descriptors to those who come in, in equal parts to its
    workers; the kernel does not divide connections quite so evenly."""
    want = int(sessions * 8 / 5 * UNEVEN) + FILES_MORE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (want, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, soft), max(limit, hard)))
            break
        except (ValueError, OSError):
            continue
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= want:
        return sessions
    fewer = int((soft - FILES_MORE) * 5 / 8 / UNEVEN)
    print(f'only {soft} open files are allowed (ulimit -Hn): {fewer} sessions, not {sessions}',
          file=sys.stderr)
    return fewer


class Host(parts.Relay):
    """A gateway that listens on some addresses of loopback, and waits an hour for a command."""

    def __init__(self, folder, hop_port, ktls='off'):
        super().__init__(folder, hop_port, tls=f'ktls = "{ktls}";',
                         extra='session = { command_timeout = "1h"; max_time = "2h"; };')
        common = ('max_connections = 65000; backlog = 4000; '
                  'certificate = "mail"; hat = "inbound"; rat = "inbound"; type = "public";')
        self.configure(
            listener='max_connections = 65000; backlog = 4000;',
            listeners_more=''.join(
                f', {{ name = "L{number}"; address = "127.0.0.{number}"; port = {self.port}; '
                f'{common} }}' for number in range(2, ADDRESSES + 1)))
        self.crowds = []

    def crowd(self, count, *words):
        """Opens so many sessions that do nothing, and waits until all have said EHLO."""
        there = self.ask('counters')['counters']
        number = len(self.crowds)
        to = [word for address in range(1, ADDRESSES + 1)
              for word in ('--to', f'127.0.0.{address}:{self.port}')]
        crowd = Process(f'crowd{number}', [POSTERN, 'load', '--idle', '--sessions', count, *to,
                                           '--timeout', '1h', *words], self.folder).start()
        self.crowds.append(crowd)
        name = 'tls_in_success' if words else 'connections_in'
        until = time.monotonic() + OPEN_SECONDS
        while crowd.running() and time.monotonic() < until:
            time.sleep(0.5)
            if self.ask('counters')['counters'][name] - there[name] >= count:
                break
        time.sleep(SETTLE_SECONDS)
        now = self.ask('counters')['counters']['connections_in_now'] - there['connections_in_now']
        if now != count:
            sys.exit(f'postern: bench: {now} of {count} idle sessions are open:\n{crowd.tail()}')

    def crowds_of(self, count, *words):
        """In parts: how many are busy at a time decides how much a worker keeps ready for them."""
        for begin in range(0, count, FIRST_SESSIONS):
            self.crowd(min(FIRST_SESSIONS, count - begin), *words)

    def memory(self, kept_seconds):
        """When it has given back what it will."""
        seen = []
        print(f'{kept_seconds:.0f} s, until the allocator keeps nothing', file=sys.stderr)
        time.sleep(kept_seconds)
        for _ in range(SETTLE_STEPS_MAX):
            seen.append(rig.anonymous_bytes(self.pid))
            if len(set(seen[-SETTLE_STEPS:])) == 1 and len(seen) >= SETTLE_STEPS:
                break
            time.sleep(1)
        return seen[-1]

    def kill(self):
        for crowd in self.crowds:
            crowd.kill()
        super().kill()


def steps(most):
    return [*(count for count in (1000, 10000) if count < most / 2), most]


def without_huge_pages():
    """For this process and those that it starts from here on."""
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)


def measure_memory(name, words, goal, options, ktls='off'):
    """Of one gateway, which gets ever more sessions."""
    folder = parts.fresh_folder(f'idle-{name.replace(" ", "-")}')
    without_huge_pages()
    host = Host(folder, 9, ktls).start()
    try:
        # What is there once belongs to no session, least of all the buffers of the rings and the
        # log's memory, which are touched one after the other. Few at a time: what they leave free
        # would be used again.
        warm = Tool('limit/dial', 'handshake' if words else 'plain', host.port, WARM_SESSIONS)
        warm.run(WARM_RUNS)
        warm.close()
        wait_until(lambda: host.ask('counters')['counters']['connections_in_now'] == 0, 30,
                   'the first sessions have ended')
        host.crowd(FIRST_SESSIONS, *words)
        sizes = [(0, host.memory(options.kept))]
        for count in steps(most_of(options)):
            host.crowds_of(count - sizes[-1][0], *words)
            sizes.append((count, host.memory(options.kept)))
            each = (sizes[-1][1] - sizes[0][1]) / count
            print(f'{count} idle sessions, {name}: {each:.0f} bytes each', file=sys.stderr)
    finally:
        host.kill()
    base = sizes[0][1]
    figures = [parts.Figure(f'{count} idle sessions, {name}: bytes each',
                            [(size - base) / count], goal) for count, size in sizes[1:]]
    if len(sizes) > 2:
        (few, before), (many, after) = sizes[-2:]
        last = (after - before) / (many - few)
        first = (before - base) / few
        title = f'idle sessions, {name}: the last {many - few} / the first {few}'
        figures.append(parts.Figure(title, [last / first], LINEAR_GOAL,
                                    detail=f'{last:.0f} and {first:.0f} bytes each'))
    return figures


def most_of(options):
    return allowed(options.idle + FIRST_SESSIONS) - FIRST_SESSIONS


def run_plain(options):
    return measure_memory('plain', (), PLAIN_BYTES, options)


def run_tls(options):
    return measure_memory('TLS', ('--starttls=required',), TLS_BYTES, options)


def run_kernel_tls(options):
    """Where the kernel has it: nothing to tell elsewhere."""
    if not os.path.exists('/proc/net/tls_stat'):
        print('idle-ktls: this kernel has no module tls', file=sys.stderr)
        return []
    return measure_memory('kernel TLS', ('--starttls=required',), KERNEL_TLS_BYTES, options,
                          ktls='both')


def relayed(host, count):
    """(messages a second, CPU us a message)"""
    before = host.facts()
    began = time.monotonic()
    parts.load(host.port, ACTIVE_SESSIONS, count, 10)
    host.drain()
    seconds = time.monotonic() - began
    return count / seconds, parts.us(host.facts()['cpu_seconds'] - before['cpu_seconds'], count)


def run_active(options):
    idle = allowed(options.idle + ACTIVE_SESSIONS) - ACTIVE_SESSIONS
    folder = parts.fresh_folder('active')
    sink = parts.start_sink(folder)
    hosts = {}
    rounds = []
    try:
        for name in ('alone', 'crowded'):
            place = folder / name
            place.mkdir()
            hosts[name] = Host(place, sink.port).start()
            relayed(hosts[name], options.messages)
        hosts['crowded'].crowd(idle)
        for number in range(options.rounds):
            one = {}
            turns = list(hosts.items())
            for name, host in turns if number % 2 == 0 else reversed(turns):
                one[f'{name}_rate'], one[f'{name}_us'] = relayed(host, options.messages)
            one['rate_ratio'] = one['crowded_rate'] / one['alone_rate']
            one['cpu_ratio'] = one['alone_us'] / one['crowded_us']
            rounds.append(one)
    finally:
        for one in (*hosts.values(), sink):
            one.kill()
    m = parts.medians(rounds)
    title = f'{ACTIVE_SESSIONS} active beside {idle} idle sessions'
    return [
        parts.Figure(f'{title}: rate / without', [one['rate_ratio'] for one in rounds],
                     ACTIVE_GOAL, at_least=True, more={'medians': m},
                     detail=f'{m["crowded_rate"]:.0f} and {m["alone_rate"]:.0f} messages/s'),
        parts.Figure(f'{title}: the same of CPU time', [one['cpu_ratio'] for one in rounds],
                     ACTIVE_GOAL, at_least=True,
                     detail=f'{m["crowded_us"]:.1f} and {m["alone_us"]:.1f} us a message')]
