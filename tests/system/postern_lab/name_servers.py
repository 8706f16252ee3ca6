"""Name servers: NSD with zones of the test's, and one of a few lines that counts and misbehaves."""
import collections
import socket
import struct
import threading

from postern_lab import PEERS, ports
from postern_lab.peers import need
from postern_lab.process import Process

TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15, 'TXT': 16, 'AAAA': 28,
         'TLSA': 52}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
TTL_SECONDS = 300

NSD_CONF = '''
server:
    ip-address: 127.0.0.1@{port}
    port: {port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    cookie-secret-file: ""
    rrl-ratelimit: 0
    verbosity: 1
remote-control:
    control-enable: no
'''

ZONE_HEAD = '''$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
'''


class Nsd(Process):
    """zones: a dict of zone name -> lines of the zone file, behind SOA and NS. whole: a dict
    of zone name -> complete zone file."""

    def __init__(self, folder, zones, whole=None, port=None):
        need('nsd')
        self.port = port or ports.free_port()
        home = folder / 'nsd'
        home.mkdir()
        config = NSD_CONF.format(port=self.port, folder=home)
        files = {zone: ZONE_HEAD.format(zone=zone) + lines + '\n' for zone, lines in zones.items()}
        for zone, text in {**files, **(whole or {})}.items():
            (home / f'{zone}.zone').write_text(text)
            config += f'zone:\n    name: "{zone}"\n    zonefile: "{zone}.zone"\n'
        (home / 'nsd.conf').write_text(config)
        super().__init__('nsd', [PEERS, 'nsd', '-d', '-c', home / 'nsd.conf'], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port)


def read_question(packet):
    """The name, without a final dot, and the type."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode('latin-1'))
        at += packet[at] + 1
    return '.'.join(labels).lower(), struct.unpack_from('>H', packet, at + 1)[0], at + 5


def wire_name(name):
    return b''.join(bytes([len(label)]) + label.encode('latin-1')
                    for label in name.split('.') if label) + b'\0'


def record(name, kind, data, ttl=TTL_SECONDS):
    return (wire_name(name) + struct.pack('>HHIH', TYPES.get(kind, kind), 1, ttl, len(data)) + data)


def response(packet, code=0, answers=(), authority=(), flags=0x8580):
    end = read_question(packet)[2]
    return (packet[:2] + struct.pack('>HHHHH', flags | code, 1, len(answers), len(authority), 0)
            + packet[12:end] + b''.join(answers) + b''.join(authority))


class NameServer:
    """Answers over UDP with what answer(packet, name, type) returns: a packet, or None for silence.

    Counts by (name, type) in asked."""

    def __init__(self, answer, port=0):
        self.answer = answer
        self.asked = collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', port))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            packet, sender = self.socket.recvfrom(4096)
            if not packet:
                return
            name, kind, _ = read_question(packet)
            self.asked[name, kind] += 1
            answer = self.answer(packet, name, kind)
            if answer:
                self.socket.sendto(answer, sender)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b'', ('127.0.0.1', self.port))
        self.thread.join()
        self.socket.close()
