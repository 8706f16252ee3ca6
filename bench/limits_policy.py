"""What the Host Access Table costs a connection: 220, EHLO and QUIT with several tables in turns.

The limit is the table of one row that takes everybody. Against it: ten thousand networks and
addresses in front of that row, which none of them matches; a row by name, for which the host's PTR
record and the addresses of its name are looked up; a DNS list. The answers of the name server (NSD)
are in the resolver's cache after the first connection: what is measured is our part of it, on the
way to the resolver and back, not the waiting.
"""
import contextlib

import limits_parts as parts
import rig
from postern_lab.name_servers import Nsd
from postern_lab.sections import dns_section, hat_rows
from tools import Tool

ROWS = 10000
SESSIONS = 8
ZONES = {'lab.test': 'client A 127.0.0.1\n', '127.in-addr.arpa': '1.0.0 PTR client.lab.test.\n',
         'list.test': '1.0.0.127 A 127.0.0.2\n'}
EVERYBODY = (None, ['ALL'], 'ACCEPTED')


def networks():
    """None of them is loopback."""
    return [f'10.{number >> 8 & 255}.{number & 255}.{"0/24" if number % 2 else "7"}'
            for number in range(ROWS)]


TABLES = {
    'one row': (EVERYBODY,),
    f'{ROWS} networks': (('MANY', networks(), 'ACCEPTED'), EVERYBODY),
    'a row by name': (('NAMED', ['.lab.test'], 'ACCEPTED'), EVERYBODY),
    'a DNS list': (('LISTED', ['dnslist[list.test]'], 'ACCEPTED'), EVERYBODY),
}


def start(folder, name, rows, nsd):
    place = folder / name.replace(' ', '-')
    place.mkdir()
    return parts.Relay(place, 9, hat=hat_rows(*rows),
                       extra=dns_section(dict.fromkeys(ZONES, nsd.port))).start()


def connections_us(gateway, client, count):
    before = parts.cpu_seconds(gateway.pid)
    client.run(count)
    return parts.us(parts.cpu_seconds(gateway.pid) - before, count)


def run(options):
    rig.require_peer()
    folder = parts.fresh_folder('policy')
    rounds = []
    with contextlib.ExitStack() as ends:
        nsd = Nsd(folder, ZONES).start()
        ends.callback(nsd.kill)
        gateways, clients = {}, {}
        for name, rows in TABLES.items():
            gateways[name] = start(folder, name, rows, nsd)
            ends.callback(gateways[name].kill)
            clients[name] = Tool('limit/dial', 'plain', gateways[name].port, SESSIONS)
            ends.callback(clients[name].close)
            clients[name].run(options.sessions)  # to get warm
        for _ in range(options.rounds):
            rounds.append({name: connections_us(gateways[name], clients[name], options.sessions)
                           for name in TABLES})
    m = parts.medians(rounds)
    base, *others = TABLES
    return [parts.Figure(f'a connection, HAT of {name}: CPU / one row',
                         [one[name] / one[base] for one in rounds], more={'medians': m},
                         detail=f'{m[name]:.1f} us, with one row {m[base]:.1f}')
            for name in others]
