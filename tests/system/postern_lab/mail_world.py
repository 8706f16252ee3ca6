"""The DNS of a matrix: the zones of its rows on an NSD, and servers that are sick.

    mail.test             not signed
    secure.test           signed, and its key is the trust anchor; what a row calls spoiled is bogus
    insecure.secure.test  delegated from there without DS: not signed, and proved to be so
    sick.test             SERVFAIL for every name
    silent.test           no answer
    127.in-addr.arpa      the names of the hosts' addresses

    with MailWorld(folder, matrix) as world: make_gateway(extra=world.section(), ...)
"""
import socket
import struct

from postern_lab.matrix import PLAIN_ZONE, SECURE_ZONE
from postern_lab.name_servers import SERVFAIL, TYPES, NameServer, Nsd, response, wire_name
from postern_lab.sections import dns_section
from postern_lab.signed_zone import SignedZone

INSECURE_ZONE = f'insecure.{SECURE_ZONE}'
REVERSE_ZONE = '127.in-addr.arpa'
ZONES = (INSECURE_ZONE, SECURE_ZONE, PLAIN_ZONE, REVERSE_ZONE)  # a zone before its parent


def zone_of(name):
    """The one of ours that it is in, or None."""
    return next((zone for zone in ZONES if name == zone or name.endswith('.' + zone)), None)


def wire(kind, text):
    """A record's data as it travels."""
    words = text.split()
    if kind == 'A':
        return socket.inet_aton(text)
    if kind == 'AAAA':
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == 'MX':
        return struct.pack('>H', int(words[0])) + wire_name(words[1])
    if kind == 'TLSA':
        return bytes(map(int, words[:3])) + bytes.fromhex(words[3])
    if kind == 'TXT':
        return bytes([len(text)]) + text.encode()
    return wire_name(text)


def line(name, kind, text):
    """The same for a zone file."""
    data = wire(kind, text)
    return f'{name}. TYPE{TYPES[kind]} \\# {len(data)} {data.hex()}'


class MailWorld:
    def __init__(self, folder, matrix):
        records = [record for row in matrix.rows for record in matrix.records(row)]
        records.append((INSECURE_ZONE, 'NS', f'ns.{INSECURE_ZONE}'))
        of_zone = {zone: [] for zone in ZONES}
        for record in dict.fromkeys(records):
            # A delegation belongs to the parent, what is below it to the child.
            zone = SECURE_ZONE if record[0] == INSECURE_ZONE else zone_of(record[0])
            if zone:
                of_zone[zone].append(record)

        def within(name):
            return name.removesuffix(SECURE_ZONE).removesuffix('.')
        self.signed = SignedZone(
            SECURE_ZONE,
            [(within(name), kind, wire(kind, text)) for name, kind, text in of_zone[SECURE_ZONE]],
            spoiled=[(within(matrix.whole(row, name)), kind) for row in matrix.rows
                     for name, kind in row.spoiled])
        self.anchor = folder / 'anchor'
        self.anchor.write_text(self.signed.anchor())
        self.nsd = Nsd(folder, {zone: '\n'.join(line(*record) for record in of_zone[zone])
                                for zone in ZONES if zone != SECURE_ZONE},
                       {SECURE_ZONE: self.signed.text()})
        self.sick = NameServer(lambda packet, *_: response(packet, SERVFAIL))
        self.silent = NameServer(lambda *_: None)

    def __enter__(self):
        self.nsd.start()
        self.sick.__enter__()
        self.silent.__enter__()
        return self

    def __exit__(self, *_):
        self.silent.__exit__()
        self.sick.__exit__()
        self.nsd.stop()

    def ask(self, packet):
        """NSD's answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(5)
            asking.sendto(packet, ('127.0.0.1', self.nsd.port))
            return asking.recv(65535)

    def section(self):
        """Stub zones are never validated: all that is not sick is behind a server."""
        return dns_section({'sick.test': self.sick.port, 'silent.test': self.silent.port},
                           servers=[self.nsd.port], timeout='5s',
                           more=f'trust_anchor = "{self.anchor}";')
