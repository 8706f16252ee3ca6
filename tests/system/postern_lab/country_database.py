"""Writes a database of countries in the format of MaxMind, version 2.0, with records of 24 bits.

    write_country_database(path, [('127.0.1.0/24', 'DE', 'Germany'), ...])
"""
import ipaddress
import time

STRING, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11
MARKER = b'\xab\xcd\xefMaxMind.com'
SEPARATOR = bytes(16)
IPV4_BITS = 96  # IPv4 addresses stand below ::/96


def head(kind, size):
    """The control bytes; types above 7 have a byte of their own."""
    more = b''
    if size >= 29:
        assert size < 29 + 256
        size, more = 29, bytes([size - 29])
    if kind > MAP:
        return bytes([size, kind - MAP]) + more
    return bytes([kind << 5 | size]) + more


def encode(value, kind=UINT32):
    """kind: of a number."""
    if isinstance(value, str):
        return head(STRING, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return head(MAP, len(value)) + b''.join(
            encode(key) + (part if isinstance(part, bytes) else encode(part))
            for key, part in value.items())
    if isinstance(value, list):
        return head(ARRAY, len(value)) + b''.join(map(encode, value))
    data = value.to_bytes(8, 'big').lstrip(b'\0')
    return head(kind, len(data)) + data


class Tree:
    def __init__(self):
        self.nodes = [[None, None]]  # a number: a node; bytes: what is known; None: nothing

    def add(self, bits, data):
        at = 0
        for bit in bits[:-1]:
            if self.nodes[at][bit] is None:
                self.nodes[at][bit] = len(self.nodes)
                self.nodes.append([None, None])
            at = self.nodes[at][bit]
            assert isinstance(at, int), 'a network in another one'
        self.nodes[at][bits[-1]] = data

    def encode(self):
        """The tree and the data behind it."""
        data, offsets, records = b'', {}, b''
        for value in (value for node in self.nodes for value in node):
            number = value
            if value is None:
                number = len(self.nodes)
            elif isinstance(value, bytes):
                if value not in offsets:
                    offsets[value] = len(data)
                    data += value
                number = len(self.nodes) + len(SEPARATOR) + offsets[value]
            records += number.to_bytes(3, 'big')
        return records + SEPARATOR + data


def bits_of(network):
    network = ipaddress.ip_network(network)
    lead = IPV4_BITS if network.version == 4 else 0
    whole = int(network.network_address)
    count = network.max_prefixlen
    return [0] * lead + [whole >> (count - 1 - i) & 1 for i in range(network.prefixlen)]


def write_country_database(path, countries):
    """countries: (network, code, English name or None); no network within another."""
    tree = Tree()
    for network, code, name in countries:
        names = {'names': {'en': name}} if name else {}
        tree.add(bits_of(network), encode({'country': {'iso_code': code, **names}}))
    numbers = {'binary_format_major_version': 2, 'binary_format_minor_version': 0,
               'ip_version': 6, 'record_size': 24}
    metadata = encode({
        'node_count': len(tree.nodes), 'database_type': 'Lab-Country', 'languages': ['en'],
        'description': {'en': 'countries of the lab'},
        'build_epoch': encode(int(time.time()), UINT64),
        **{key: encode(value, UINT16) for key, value in numbers.items()}})
    path.write_bytes(tree.encode() + MARKER + metadata)
