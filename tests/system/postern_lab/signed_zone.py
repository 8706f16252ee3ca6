"""Signs a zone (RFC 4034, ECDSA P-256), so that each signature can be spoiled on its own."""
import base64
import socket
import struct
import time

from postern_lab.ecdsa import Key
from postern_lab.name_servers import TTL_SECONDS, TYPES, wire_name

ALGORITHM = 13  # ECDSAP256SHA256, RFC 6605
RRSIG, NSEC, DNSKEY = 46, 47, 48
DAY_SECONDS = 86400
NAMES = {RRSIG: 'RRSIG', NSEC: 'NSEC', DNSKEY: 'DNSKEY', **{n: name for name, n in TYPES.items()}}


def type_bitmap(types):
    """RFC 4034 4.1.2; all types of ours are in the first window."""
    bits = bytearray(max(types) // 8 + 1)
    for kind in types:
        bits[kind // 8] |= 0x80 >> kind % 8
    return bytes([0, len(bits)]) + bytes(bits)


class SignedZone:
    """records: (name within the zone or '', type, data in wire form). spoiled: (name, type) of
    sets whose signature is wrong; bare: of those that have none. An NS record below the apex is
    an insecure delegation: it has no signature (RFC 4035 2.2), and its NSEC says that it has no
    DS."""

    def __init__(self, zone, records, spoiled=(), bare=()):
        self.zone = zone
        self.key = Key(zone)
        self.dnskey = struct.pack('>HBB', 257, 3, ALGORITHM) + self.key.public
        total = sum(byte << 8 if i % 2 == 0 else byte for i, byte in enumerate(self.dnskey))
        self.tag = (total + (total >> 16)) & 0xffff
        soa = wire_name(f'ns.{zone}') + wire_name(f'h.{zone}') + struct.pack('>5I', 1, 3600, 600,
                                                                            86400, 60)
        self.sets = {}
        for name, kind, data in [('', 'SOA', soa), ('', 'NS', wire_name(f'ns.{zone}')),
                                 ('ns', 'A', socket.inet_aton('127.0.0.1')),
                                 ('', DNSKEY, self.dnskey), *records]:
            self.sets.setdefault((name, TYPES.get(kind, kind)), []).append(data)
        self.add_chain()
        self.spoiled = {(name, TYPES[kind]) for name, kind in spoiled}
        self.bare = {(name, TYPES[kind]) for name, kind in bare}
        self.bare |= {(name, kind) for name, kind in self.sets if name and kind == TYPES['NS']}

    def full(self, name):
        return f'{name}.{self.zone}' if name else self.zone

    def add_chain(self):
        """What there is, and so what there is not: NSEC."""
        # RFC 4034 6.1: by labels, from the right.
        names = sorted({name for name, _ in self.sets}, key=lambda name: name.split('.')[::-1])
        for name, after in zip(names, names[1:] + names[:1]):
            types = [kind for owner, kind in self.sets if owner == name]
            self.sets[name, NSEC] = [wire_name(self.full(after))
                                     + type_bitmap([*types, RRSIG, NSEC])]

    def signature(self, name, kind, now):
        """The RRSIG's fields as a zone file has them."""
        labels = len(self.full(name).split('.'))
        head = struct.pack('>HBBIIIH', kind, ALGORITHM, labels, TTL_SECONDS, now + DAY_SECONDS,
                           now - DAY_SECONDS, self.tag) + wire_name(self.zone)
        owner = wire_name(self.full(name))
        body = b''.join(owner + struct.pack('>HHIH', kind, 1, TTL_SECONDS, len(data)) + data
                        for data in sorted(self.sets[name, kind]))
        signed = self.key.sign(head + body)
        if (name, kind) in self.spoiled:
            signed = signed[:-1] + bytes([signed[-1] ^ 1])
        times = [time.strftime('%Y%m%d%H%M%S', time.gmtime(now + shift))
                 for shift in (DAY_SECONDS, -DAY_SECONDS)]
        return (f'{NAMES[kind]} {ALGORITHM} {labels} {TTL_SECONDS} {times[0]} {times[1]} '
                f'{self.tag} {self.zone}. {base64.b64encode(signed).decode()}')

    def text(self):
        """A whole zone file."""
        now = int(time.time())
        lines = []
        for (name, kind), datas in sorted(self.sets.items(), key=lambda item: item[0][1] != 6):
            owner = f'{self.full(name)}. {TTL_SECONDS} IN'
            lines += [f'{owner} TYPE{kind} \\# {len(data)} {data.hex()}' for data in datas]
            if (name, kind) not in self.bare:
                lines.append(f'{owner} RRSIG {self.signature(name, kind, now)}')
        return '\n'.join(lines) + '\n'

    def anchor(self):
        return (f'{self.zone}. 3600 IN DNSKEY 257 3 {ALGORITHM} '
                f'{base64.b64encode(self.dnskey[4:]).decode()}\n')
