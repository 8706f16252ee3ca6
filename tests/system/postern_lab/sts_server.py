"""Policy hosts of MTA-STS: an HTTPS server on 127.0.0.1 for any number of names.

    with StsServer(authority) as server:
        server.answers['mta-sts.a.test'] = Answer(policy('enforce', ['mx.a.test']))
        ...
        server.requests[0].path

It takes posts as well, at the paths of server.posts: the status to answer with, or a function of
the request.

A name gets a certificate of the authority when it is first asked for (by SNI); another one can be
put into server.certificates. A name without an answer gets a 404. An answer may be changed at any
time; it may be late, come in drops, or not be HTTP at all.
"""
import dataclasses
import http.server
import socket
import ssl
import threading
import time

from postern_lab import ports

PATH = '/.well-known/mta-sts.txt'


def policy(mode='enforce', mx=(), max_age=86400):
    """The text of a policy file."""
    lines = ['version: STSv1', f'mode: {mode}', f'max_age: {max_age}', *(f'mx: {m}' for m in mx)]
    return ''.join(line + '\r\n' for line in lines).encode()


def record(identifier):
    """What the TXT record of _mta-sts.DOMAIN says."""
    return f'v=STSv1; id={identifier};'


@dataclasses.dataclass
class Answer:
    body: bytes = b''
    status: int = 200
    content_type: str = 'text/plain'  # None: no such header
    headers: dict = dataclasses.field(default_factory=dict)
    length: int = None       # what Content-Length says, if not the truth
    has_length: bool = True  # False: the end of the connection is the end of the body
    delay: float = 0.0       # before the answer
    drop_delay: float = 0.0  # seconds between two bytes of the body
    raw: bytes = None        # instead of all of the above


@dataclasses.dataclass
class Request:
    host: str
    path: str
    headers: dict
    body: bytes = b''
    received: float = dataclasses.field(default_factory=time.monotonic)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def setup(self):
        # In the thread of this connection: a client that says nothing keeps nobody waiting.
        self.request.settimeout(30)
        self.request = self.server.lab.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        try:
            super().finish()
            self.request.close()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def do_GET(self):
        lab = self.server.lab
        host = self.headers.get('Host', '').rsplit(':', 1)[0]
        lab.requests.append(Request(host, self.path, dict(self.headers)))
        answer = lab.answers.get(host) if self.path == PATH else lab.elsewhere.get(self.path)
        answer = answer or Answer(b'no such policy', 404)
        lab.stopping.wait(answer.delay)
        self.close_connection = True
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        self.send_response(answer.status)
        if answer.content_type is not None:
            self.send_header('Content-Type', answer.content_type)
        if answer.has_length:
            self.send_header('Content-Length',
                             str(len(answer.body) if answer.length is None else answer.length))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.send_body(answer)

    def do_POST(self):
        lab = self.server.lab
        host = self.headers.get('Host', '').rsplit(':', 1)[0]
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        request = Request(host, self.path, dict(self.headers), body)
        lab.requests.append(request)
        answer = lab.posts.get(self.path, 404)
        self.close_connection = True
        self.send_response(answer(request) if callable(answer) else answer)
        self.send_header('Location', '/elsewhere')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def send_body(self, answer):
        if not answer.drop_delay:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            if self.server.lab.stopping.wait(answer.drop_delay):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that does not like the certificate, or the answer


class StsServer:
    def __init__(self, authority, port=None):
        self.authority = authority
        self.port = port or ports.free_port()
        self.answers = {}       # by host name
        self.elsewhere = {}     # by path: what a redirect may lead to
        self.posts = {}         # by path: the status of the answer
        self.certificates = {}  # by host name
        self.requests = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load(self.context, self.certificate_of('mta-sts.nobody.test'))
        self.context.sni_callback = self.on_name
        self.server = None

    @staticmethod
    def load(context, certificate):
        context.load_cert_chain(certificate.chain, certificate.key)

    def certificate_of(self, name):
        with self.lock:
            if name not in self.certificates:
                self.certificates[name] = self.authority.issue(name)
            return self.certificates[name]

    def on_name(self, connection, name, _):
        if name is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load(context, self.certificate_of(name))
        connection.context = context

    def paths(self):
        return [request.path for request in self.requests]

    def __enter__(self):
        self.server = Server(('127.0.0.1', self.port), Handler)
        self.server.lab = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


class Silent:
    """Takes connections on 127.0.0.1 and says nothing, not even in TLS."""

    def __init__(self):
        self.socket = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
