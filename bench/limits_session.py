"""How long a whole session with one message takes on a gateway that has nothing else to do.

The limit is what its client has to wait for anyhow: for each of its five round trips (220, EHLO,
the envelope, the body, QUIT) that of a ping-pong over loopback, and one synced write, by io_uring,
of as many bytes as the spool wrote. All wait at the same places: the clients on the last processor,
who answers them and who writes on the first, where the gateway's worker is. And all find the disk
alike: before each raw write it has rested as long as between the writes of two sessions. Without
that the limit is a disk which is kept busy by a thread that the kernel has moved to where the
disk's interrupts are; that ratio is told, and not judged. Medians of many, in short windows that
take turns: what else the disk has to do changes by the moment. The next hop keeps silent, so that
no delivery is in the way.
"""
import limits_parts as parts
from tools import REST_US_MAX, SilentHop, Tool, write_sizes

GOAL = 1.5
ROUND_TRIPS = 5
SESSIONS = 10
PINGS = 100
WINDOWS = 20
WARM_SESSIONS = 200


def window(gateway, sizes, write_us, dial, ping, raw, free):
    before = gateway.facts()
    one = {'session_us': dial.run(SESSIONS)['p50_us']}
    seen = parts.growth(before, gateway.facts())
    write_sizes(sizes, {'bytes': seen['spool_bytes'], 'writes': seen['spool_commits']})
    one['busy_write_us'] = free.run(seen['spool_commits'])['p50_us']
    # The write of a session is as long as one after such a rest; the window before knows it.
    rest_us = min(max(one['session_us'] - write_us, 0), REST_US_MAX)
    one['write_us'] = raw.run(seen['spool_commits'], rest_us)['p50_us']
    one['ping_us'] = ping.run(PINGS)['p50_us']
    return one


def run(options):
    folder = parts.fresh_folder('session')
    hop = SilentHop()
    gateway = parts.Relay(folder, hop.port, workers=1,
                          destinations='default = { tls = "off"; max_connections = 1; };').start()
    dial = Tool('limit/dial', 'mail', gateway.port, 1)
    ping = Tool('limit/dial', 'ping')
    dial.run(WARM_SESSIONS)
    sizes = folder / 'sizes'
    sizes.write_text('')
    raw = Tool('disk/raw', 'ring', folder, 1, sizes, is_pinned=True)
    free = Tool('disk/raw', 'ring', folder, 1, sizes)
    rounds = []
    try:
        write_us = 0
        for _ in range(options.rounds):
            windows = []
            for _ in range(WINDOWS):
                windows.append(window(gateway, sizes, write_us, dial, ping, raw, free))
                write_us = windows[-1]['write_us']
            one = parts.medians(windows)
            one['limit_us'] = ROUND_TRIPS * one['ping_us'] + one['write_us']
            one['ratio'] = one['session_us'] / one['limit_us']
            one['busy_ratio'] = one['session_us'] / (one['limit_us'] - one['write_us']
                                                     + one['busy_write_us'])
            rounds.append(one)
    finally:
        for tool in (dial, ping, raw, free):
            tool.close()
        gateway.kill()
    m = parts.medians(rounds)
    title = 'one-message session, idle gateway: time / limit'
    return [parts.Figure(title, [one['ratio'] for one in rounds], GOAL, more={'medians': m},
                         detail=f'session {m["session_us"]:.0f} us; limit {m["limit_us"]:.0f} = '
                         f'{ROUND_TRIPS} x ping-pong {m["ping_us"]:.0f} + synced write '
                         f'{m["write_us"]:.0f}'),
            parts.Figure(f'{title} with a busy disk, not pinned',
                         [one['busy_ratio'] for one in rounds],
                         detail=f'synced write {m["busy_write_us"]:.0f} us')]
