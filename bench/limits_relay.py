"""The durable relay against a tight receiver, a tight sender, and the raw writes that it needs.

Each round: the gateway relays; the same generator gives the same messages to bench/limit/receive;
bench/limit/send gives as many of the same size to the same sink; bench/disk/raw writes in as many
writes what the gateway's spool has written, batches and all. All are CPU of one process, from
clocks of nanoseconds. As many threads everywhere as the gateway has workers.

Then, of one gateway, what a message and a connection ask of the allocator. With TLS that is what
OpenSSL asks for: it is not ours to count apart.
"""
import limits_parts as parts
import rig
from tools import Tool, write_sizes

SESSIONS = 100
PER_CONNECTION = 10
DIALLERS = 16  # at once, of connections without mail
GOAL = 1.6
ENTERS_GOAL = 3
ALLOCATIONS_GOAL = 0.01  # none; but more may be under way at once than ever before
MAIL = (('1 a connection', 1, (), ALLOCATIONS_GOAL),
        ('8 recipients', PER_CONNECTION, ('--recipients', 8), ALLOCATIONS_GOAL),
        ('50 recipients', PER_CONNECTION, ('--recipients', 50), ALLOCATIONS_GOAL),
        ('STARTTLS', PER_CONNECTION, ('--starttls=required',), None))
CONNECTIONS = (('EHLO, QUIT', 'plain', ALLOCATIONS_GOAL),
               ('STARTTLS, EHLO, QUIT', 'handshake', None))


class Bench:
    """A gateway and its limits, that stay for all rounds."""

    def __init__(self, folder, generate, messages, warm):
        self.generate = generate
        self.messages = messages
        self.sizes = folder / 'sizes'
        self.sink = parts.start_sink(folder)
        self.gateway = parts.Relay(folder, self.sink.port).start()
        self.receiver = parts.Program(folder, 'receive', parts.CPUS).start()
        # Until the spool's segments are used again: the first ones are written twice.
        parts.load(self.gateway.port, SESSIONS, warm, PER_CONNECTION)
        self.gateway.drain()
        self.run_receiver(self.messages)
        seen = self.relay(self.messages)
        self.sender = Tool('limit/send', self.sink.port, parts.CPUS, SESSIONS,
                           seen['bytes_delivered'] // self.messages)
        self.sender.run(self.messages)
        self.sizes.write_text('')
        self.raw = Tool('disk/raw', 'stream', folder, 1, self.sizes)

    def close(self):
        for one in (self.sender, self.raw):
            one.close()
        for one in (self.receiver, self.gateway, self.sink):
            one.kill()

    def relay(self, messages):
        before = self.gateway.facts()
        self.generate(self.gateway.port, SESSIONS, messages, PER_CONNECTION)
        self.gateway.drain()
        return parts.growth(before, self.gateway.facts())

    def run_receiver(self, messages):
        before = parts.cpu_seconds(self.receiver.pid)
        self.generate(self.receiver.port, SESSIONS, messages, PER_CONNECTION)
        return parts.cpu_seconds(self.receiver.pid) - before

    def round(self):
        n = self.messages
        seen = self.relay(n)
        receive = self.run_receiver(n)
        send = self.sender.run(n)['cpu_seconds']
        write_sizes(self.sizes, {'bytes': seen['spool_bytes'], 'writes': seen['spool_commits']})
        raw = self.raw.run(seen['spool_commits'])['cpu_seconds']
        one = {'gateway_us': parts.us(seen['cpu_seconds'], n), 'receive_us': parts.us(receive, n),
               'send_us': parts.us(send, n), 'write_us': parts.us(raw, n),
               'messages_per_write': n / seen['spool_commits']}
        one['limit_us'] = one['receive_us'] + one['send_us'] + one['write_us']
        one['ratio'] = one['gateway_us'] / one['limit_us']
        for name in ('ring_enters', 'ring_completions', 'socket_receives', 'socket_sends',
                     'allocations', 'allocated_bytes', 'connections_out'):
            one[name] = seen[name] / n
        return one


def measure(name, title, generate, messages, options):
    folder = parts.fresh_folder(f'relay-{name}')
    bench = Bench(folder, generate, messages, options.warm)
    try:
        rounds = [bench.round() for _ in range(options.rounds)]
    finally:
        bench.close()
    m = parts.medians(rounds)
    detail = (f'gateway {m["gateway_us"]:.1f} us; limit {m["limit_us"]:.1f} = receive '
              f'{m["receive_us"]:.1f} + send {m["send_us"]:.1f} + write {m["write_us"]:.1f}; '
              f'{m["messages_per_write"]:.0f} messages/write')

    def of(member):
        return [one[member] for one in rounds]

    figures = [parts.Figure(f'{title}: CPU / limit', of('ratio'), GOAL, detail=detail, more={
        'medians': m})]
    if name == 'load':
        figures += [
            parts.Figure(f'{title}: ring enters a message', of('ring_enters'), ENTERS_GOAL,
                         detail=f'{m["ring_completions"]:.1f} completions, '
                         f'{m["socket_receives"]:.1f} receives, {m["socket_sends"]:.1f} sends'),
            parts.Figure(f'{title}: allocations a message', of('allocations'), ALLOCATIONS_GOAL,
                         detail=f'{m["allocated_bytes"]:.0f} bytes; after '
                         f'{options.warm} messages')]
    return figures


def allocations(title, goal, gateway, options, count, work):
    """What each of `count` asks the allocator for while work() goes on, once it is warm."""
    rounds = []
    work()
    for _ in range(options.rounds):
        gateway.drain()
        before = gateway.facts()
        work()
        gateway.drain()
        rounds.append({name: grown / count for name, grown in parts.growth(
            before, gateway.facts()).items()})
    m = parts.medians(rounds)
    return parts.Figure(f'{title}: allocations', [one['allocations'] for one in rounds], goal,
                        detail=f'{m["allocated_bytes"]:.0f} bytes, '
                        f'{m["cpu_seconds"] * 1e6:.0f} us')


def measure_allocations(options):
    folder = parts.fresh_folder('relay-allocations')
    sink = parts.start_sink(folder)
    gateway = parts.Relay(folder, sink.port).start()
    figures = []
    try:
        for title, per_connection, words, goal in MAIL:
            figures.append(allocations(
                f'a message, {title}', goal, gateway, options, options.messages,
                lambda per=per_connection, words=words: parts.load(
                    gateway.port, SESSIONS, options.messages, per, *words)))
        for title, mode, goal in CONNECTIONS:
            dial = Tool('limit/dial', mode, gateway.port, DIALLERS)
            figures.append(allocations(
                f'a connection, {title}', goal, gateway, options, options.sessions,
                lambda dial=dial: dial.run(options.sessions)))
            dial.close()
    finally:
        gateway.kill()
        sink.kill()
    return figures


def run(options):
    def ours(*load):
        parts.load(*load, '--workers', max(1, parts.CPUS // 2))

    figures = measure('load', 'relay 4 KiB, 10 a connection', ours, options.messages, options)
    figures += measure_allocations(options)
    rig.require_peer()
    # It waits for each reply, and is slow.
    return figures + measure('source', 'the same from smtp-source', parts.smtp_source,
                             max(1000, options.messages // 2000 * 1000), options)
