"""TLS whose bytes leave in pieces of a chosen length, so that records begin and end anywhere."""
import os
import socket
import ssl


class CutTls:
    """Takes the place of a Client's socket behind the reply to STARTTLS. cut: bytes in a piece.
    The end of the handshake leaves together with the first data."""

    def __init__(self, connection, cut, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.cut = cut
        self.heard, self.said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.heard, self.said)
        self.until_done(self.tls.do_handshake)

    def until_done(self, action):
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.connection.recv(65536)
                self.heard.write(data) if data else self.heard.write_eof()

    def flush(self):
        data = self.said.read()
        for at in range(0, len(data), self.cut):
            self.connection.sendall(data[at:at + self.cut])
            os.sched_yield()  # the reader's turn

    def sendall(self, data):
        self.tls.write(data)
        self.flush()

    def recv(self, size):
        try:
            return self.until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b''

    def close(self):
        self.connection.close()
