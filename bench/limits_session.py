"""How long a whole session with one message takes on a gateway that has nothing else to do.

The limit is what its client has to wait for anyhow: for each of its five round trips (220, EHLO,
the envelope, the body, QUIT) that of a ping-pong over loopback with a thread that is pinned as the
gateway's worker is, and one synced write, by io_uring, of as many bytes as the spool wrote. Medians
of many, in short windows that take turns: what else the disk has to do changes by the moment. The
next hop keeps silent, so that no delivery is in the way.
"""
import limits_parts as parts
from tools import SilentHop, Tool, write_sizes

GOAL = 1.5
ROUND_TRIPS = 5
SESSIONS = 10
PINGS = 100
WINDOWS = 20
WARM_SESSIONS = 200


def window(gateway, sizes, dial, ping, raw):
    before = gateway.facts()
    one = {'session_us': dial.run(SESSIONS)['p50_us']}
    seen = parts.growth(before, gateway.facts())
    write_sizes(sizes, {'bytes': seen['spool_bytes'], 'writes': seen['spool_commits']})
    one['write_us'] = raw.run(seen['spool_commits'])['p50_us']
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
    raw = Tool('disk/raw', 'ring', folder, 1, sizes)
    rounds = []
    try:
        for _ in range(options.rounds):
            one = parts.medians([window(gateway, sizes, dial, ping, raw)
                                 for _ in range(WINDOWS)])
            one['limit_us'] = ROUND_TRIPS * one['ping_us'] + one['write_us']
            one['ratio'] = one['session_us'] / one['limit_us']
            rounds.append(one)
    finally:
        for tool in (dial, ping, raw):
            tool.close()
        gateway.kill()
    m = parts.medians(rounds)
    return [parts.Figure('one-message session, idle gateway: time / limit',
                         [one['ratio'] for one in rounds], GOAL, more={'medians': m},
                         detail=f'session {m["session_us"]:.0f} us; limit {m["limit_us"]:.0f} = '
                         f'{ROUND_TRIPS} x ping-pong {m["ping_us"]:.0f} + synced write '
                         f'{m["write_us"]:.0f}')]
