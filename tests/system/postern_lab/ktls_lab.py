"""What the tests of kernel TLS share: a gateway with all forms of it, and what it does from now on.

A session begins with lab.connect() or an SClient; its log lines stand behind the Part's beginning.
"""
import ssl

from postern_lab import ports
from postern_lab.client import Client
from postern_lab.cut_tls import CutTls
from postern_lab.process import wait_until

# The words of the option that differ where the kernel can do all, and what each session then logs.
RECORDS = {
    'both': 'send kernel, receive kernel',
    'tx': 'send kernel, receive OpenSSL (switched off)',
    'off': 'send OpenSSL (switched off), receive OpenSSL (switched off)',
}

LINE = b'%08d abcdefghijklmnopqrstuvwxyz 0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n'


def text_of(size):
    """No two lines are alike, so that what is missing, doubled or out of order is seen."""
    return b''.join(LINE % number for number in range(size // len(LINE % 0) + 1))


def only(version):
    """For Client.starttls()."""
    number = ssl.TLSVersion[version.replace('.', '_')]
    return {'minimum_version': number, 'maximum_version': number}


def listener_text(name, ktls, port):
    return (f', {{ name = "{name}"; type = "public"; address = "127.0.0.1"; port = {port}; '
            f'certificate = "mail"; hat = "inbound"; rat = "inbound"; ktls = "{ktls}"; }}')


def route_text(domain, hop):
    return f'{{ domain = "{domain}"; to = [ "127.0.0.1:{hop.port}" ]; }}'


class Lab:
    """ports: of a listener for each of RECORDS. clear: the next hop of b@example.com; secure and
    openssl have TLS, and get what is for WORD.example.com and for openssl.example.com. Each
    message to these has a connection of its own."""

    def __init__(self, make_gateway, clear, secure, openssl):
        self.clear, self.secure, self.openssl = clear, secure, openssl
        self.ports = {'tx': ports.free_port(), 'off': ports.free_port()}
        words = {'both': 'both', 'tx': 'tx', 'off': 'off', 'openssl': 'both'}
        domains = ', '.join(f'{{ domain = "{name}.example.com"; tls = "required"; '
                            f'ktls = "{word}"; max_messages_per_connection = 1; }}'
                            for name, word in words.items())
        self.gateway = make_gateway(
            clear, workers=1, tls='ktls = "both";',
            listeners_more=''.join(listener_text(word.title(), word, port)
                                   for word, port in self.ports.items()),
            destinations=f'default = {{ tls = "preferred"; }}; domains = ( {domains} );',
            routes=', '.join([*(route_text(f'{word}.example.com', secure) for word in RECORDS),
                              route_text('openssl.example.com', openssl),
                              route_text('ALL', clear)])).start()
        self.ports['both'] = self.gateway.port

    def connect(self, listener='both', cut=None, version='TLSv1.3', **options):
        """A client behind the handshake and EHLO. cut: its bytes leave in such pieces."""
        client = Client(self.ports[listener])
        client.hello()
        if cut:
            client.expect(220, 'STARTTLS')
            client.socket = CutTls(client.socket, cut, only(version)['minimum_version'])
        else:
            client.starttls(**only(version), **options)
            client.socket.suppress_ragged_eofs = False
        client.ehlo()
        return client


class Part:
    """What the gateway logs, and a hop gets, from now on."""

    def __init__(self, lab):
        self.lab = lab
        self.since = len(lab.gateway.log())
        self.seen = {hop: len(hop.messages) for hop in (lab.clear, lab.secure, lab.openssl)}

    def log(self):
        return self.lab.gateway.log()[self.since:]

    def wait_log(self, pattern, seconds=10):
        return self.lab.gateway.wait_log(pattern, seconds=seconds, since=self.since)

    def wait_records(self, kind, text):
        """Of the first session; kind is ICID or DCID."""
        line = self.wait_log(rf'{kind} \d+ TLS records: (.*)')
        assert line.group(1) == text, line.group()

    def message(self, hop=None):
        """The first one at the hop."""
        hop = hop or self.lab.clear
        wait_until(lambda: len(hop.messages) > self.seen[hop], 20, 'a message at the next hop')
        return hop.messages[self.seen[hop]]

    def nothing_came(self):
        return all(len(hop.messages) == seen for hop, seen in self.seen.items())

    def wait_close(self, kind='ICID'):
        """Until the session's end is logged; returns the log."""
        self.wait_log(rf'{kind} \d+ close$')
        return self.log()
