"""openssl s_client and s_server as the TLS of a dialogue: they do the records, the lab says the
words. With ktls=True theirs are made by the kernel too.

    with SClient(port, folder, '-tls1_3', ktls=True) as client:    # a Client behind STARTTLS
        client.ehlo(); ...; client.quit()
    assert 'Using Kernel TLS' in client.diagnostics()

    with OpensslHop(folder, certificate, '-tls1_2') as hop: ...    # a NextHop
"""
import contextlib
import itertools
import os
import re
import select
import socket
import subprocess
import threading

from postern_lab import PATIENCE, ports
from postern_lab.client import Client
from postern_lab.kernel_tls import for_openssl
from postern_lab.next_hop import NextHop
from postern_lab.process import Process, unread, wait_until

REPLY = re.compile(rb'\d{3}[ -]')
OWN_WORDS = re.compile(rb'(?:Read BLOCK|SSL_do_handshake -> 1)\n')
_numbers = itertools.count(1)


class Piped(Process):
    """A program of OpenSSL, used like a socket: its input and output are plain bytes."""

    def __init__(self, folder, command, *arguments, ktls=False, seconds=10):
        words, environment = for_openssl(folder) if ktls else ([], {})
        self.seconds = seconds * PATIENCE
        self.exit_code = None  # when it ended by itself
        self.is_over = threading.Event()
        super().__init__(f'{command}-{next(_numbers)}', ['openssl', command, *words, *arguments],
                         folder, environment)

    def start(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.words, cwd=self.folder, env=self.env, bufsize=0,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=log, start_new_session=True,
                                            preexec_fn=self.in_child)
        return self

    def sendall(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[self.process.stdin.write(rest):]

    def recv(self, size):
        ready, _, _ = select.select([self.process.stdout], [], [], self.seconds)
        if not ready:
            raise TimeoutError(f'{self.name} says nothing for {self.seconds:g} s')
        return os.read(self.process.stdout.fileno(), size)

    def wait_taken(self):
        """Until the program has read what it was given, or has ended."""
        wait_until(lambda: unread(self.process.stdin) == 0 or not self.running(), 10,
                   f'{self.name} reads its input')

    def key_update(self, wants_answer):
        """Sends a KeyUpdate (RFC 8446 4.6.3) between what was said and what is said next."""
        self.wait_taken()
        self.sendall(b'K\n' if wants_answer else b'k\n')
        self.wait_taken()

    def makefile(self, _):
        return os.fdopen(os.dup(self.process.stdout.fileno()), 'rb')

    def version(self):
        return 'OpenSSL'

    def shutdown(self, _):
        self.close()

    def close(self):
        """Waits for its end, which a closed input brings about where the peer did not."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.exit_code = self.process.wait(timeout=self.seconds)
        process = self.process
        self.kill()
        process.stdout.close()
        self.is_over.set()


class SClient(Client):
    """Begins behind the handshake, with nothing said yet. keys: for socket.key_update(); then the
    verbs have to be said in small letters, because s_client has commands of one letter."""

    def __init__(self, port, folder, *arguments, ktls=False, keys=False):
        self.keys = keys
        self.noise = ''  # with keys: what s_client said itself
        self.pending = b''
        self.socket = Piped(folder, 's_client', '-starttls', 'smtp', '-connect',
                            f'127.0.0.1:{port}', *([] if keys else ['-quiet']), *arguments,
                            ktls=ktls).start()

    def read_line(self):
        """A reply line; passes over what s_client itself says."""
        line = self.read_raw_line()
        while self.keys and not REPLY.match(line):
            self.noise += line.decode('utf-8', 'replace') + '\n'
            line = self.read_raw_line()
        assert line.endswith(b'\r'), f'a reply line that ends in a bare LF: {line!r}'
        return line[:-1].decode()

    def send(self, data):
        if not isinstance(data, bytes):
            data = data.encode() + b'\r\n'
        assert not self.keys or data[:1] not in b'QRBKkcC{', 's_client would take it for a command'
        self.socket.sendall(data)

    def end(self):
        """Reads to the end of the stream; returns the bytes."""
        rest = [self.pending]
        while data := self.socket.recv(65536):
            rest.append(data)
        return b''.join(rest)

    def diagnostics(self):
        self.socket.close()
        return self.socket.log()


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Heard:
    """What the peer said, out of an output in which s_server speaks as well: in front of the first
    EHLO, and later in lines that have no CR and may stand inside of one of the peer's."""

    def __init__(self, file):
        self.file = file
        self.has_begun = False

    def readline(self, *_):
        line = b''
        while not line.endswith(b'\r\n'):
            more = self.file.readline()
            if not more:
                return b''
            self.has_begun = self.has_begun or more.startswith(b'EHLO ')
            if self.has_begun:
                line += OWN_WORDS.sub(b'', more)
        return line

    def close(self):
        self.file.close()


class SServer(Piped):
    """One s_server, for one session; between its port and connection bytes are passed on."""

    def __init__(self, folder, connection, *arguments, ktls, keys):
        self.port = ports.free_port()
        self.keys = keys
        super().__init__(folder, 's_server', '-accept', f'127.0.0.1:{self.port}', '-naccept', '1',
                         *([] if keys else ['-quiet']), *arguments, ktls=ktls)
        self.start()
        inner = wait_until(self.reach, 10, 's_server listens')
        self.pumps = [threading.Thread(target=pump, args=ends, daemon=True)
                      for ends in ((inner, connection), (connection, inner))]
        for thread in self.pumps:
            thread.start()

    def reach(self):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(('127.0.0.1', self.port))
        return None

    def makefile(self, _):
        file = super().makefile(_)
        return Heard(file) if self.keys else file

    def close(self):
        """Its last words reach the peer."""
        super().close()
        self.pumps[0].join()


class OpensslHop(NextHop):
    """Behind STARTTLS each session has an s_server of its own."""

    def __init__(self, folder, certificate, *arguments, **options):
        super().__init__(certificate=certificate, **options)
        self.folder = folder
        self.arguments = arguments
        self.keys = False  # for servers[-1].key_update()
        self.servers = []

    def secure(self, connection, session):
        server = SServer(self.folder, connection, '-cert', self.certificate.chain, '-key',
                         self.certificate.key, *self.arguments, ktls=self.ktls,
                         keys=self.keys)
        self.servers.append(server)
        return server

    def stop(self):
        super().stop()
        for server in self.servers:
            server.is_over.wait()  # its session's thread closes it

    def diagnostics(self):
        return ''.join(server.log() for server in self.servers)
