"""An SMTP client that says exactly what it is told, and nothing on its own."""
import socket
import ssl

from postern_lab import PATIENCE
from postern_lab.kernel_tls import OP_ENABLE_KTLS


class Reply:
    def __init__(self, code, lines):
        self.code = code
        self.lines = lines

    @property
    def text(self):
        return '\n'.join(self.lines)

    def __repr__(self):
        return f'{self.code} {self.lines!r}'


class ConnectionEnded(Exception):
    """The peer closed or reset the connection while a reply was awaited."""


class Client:
    def __init__(self, port, address='127.0.0.1', source=None, seconds=10):
        self.socket = socket.create_connection(
            (address, port), timeout=seconds * PATIENCE,
            source_address=(source, 0) if source else None)
        self.pending = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Raw bytes, or text without a line end."""
        self.socket.sendall(data if isinstance(data, bytes) else data.encode() + b'\r\n')

    def read_raw_line(self):
        while b'\n' not in self.pending:
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as error:
                raise ConnectionEnded(str(error)) from None
            if not data:
                raise ConnectionEnded('end of file')
            self.pending += data
        line, self.pending = self.pending.split(b'\n', 1)
        return line

    def read_line(self):
        line = self.read_raw_line()
        assert line.endswith(b'\r'), f'a reply line that ends in a bare LF: {line!r}'
        return line[:-1].decode()

    def read(self):
        """The next reply, all of its lines."""
        lines = []
        while True:
            line = self.read_line()
            assert len(line) >= 3 and line[:3].isdigit(), f'not a reply: {line!r}'
            lines.append(line[4:])
            if line[3:4] != '-':
                return Reply(int(line[:3]), lines)

    def say(self, data):
        self.send(data)
        return self.read()

    def expect(self, code, data=None):
        """Sends data when given, reads a reply, asserts its code."""
        reply = self.read() if data is None else self.say(data)
        assert reply.code == code, f'{data!r}: wanted {code}, got {reply}'
        return reply

    def starttls(self, ca=None, name='mx.lab.test', certificate=None, ktls=False, **versions):
        """STARTTLS and the handshake. ca: verify against it; ktls: let the kernel make the records,
        where OpenSSL can; versions: minimum_version etc."""
        self.expect(220, 'STARTTLS')
        context = ssl.create_default_context(cafile=ca) if ca else ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT)
        if not ca:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if ktls:
            context.options |= OP_ENABLE_KTLS
        for key, value in versions.items():
            setattr(context, key, value)
        if certificate:
            context.load_cert_chain(certificate.chain, certificate.key)
        assert self.pending == b'', 'bytes behind the reply to STARTTLS'
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        return self.socket.version()

    def hello(self, name='client.lab.test'):
        """The greeting, then EHLO; returns the extensions."""
        self.expect(220)
        return self.ehlo(name)

    def ehlo(self, name='client.lab.test'):
        return self.expect(250, f'EHLO {name}').lines[1:]

    def transaction(self, sender, recipients, data):
        """MAIL to the reply after the data; data is dot-stuffed here. Returns the last reply."""
        self.expect(250, f'MAIL FROM:<{sender}>')
        for recipient in recipients:
            self.expect(250, f'RCPT TO:<{recipient}>')
        self.expect(354, 'DATA')
        stuffed = data.replace(b'\r\n.', b'\r\n..')
        stuffed = b'.' + stuffed if stuffed.startswith(b'.') else stuffed
        self.send(stuffed + b'.\r\n')
        return self.read()

    def quit(self):
        self.expect(221, 'QUIT')
        self.close()
