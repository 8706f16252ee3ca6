"""A mail server of our own that keeps what it gets and answers as the test says.

    with NextHop(replies={'RCPT': ['450 4.2.1 later', None]}) as hop: ...

replies: for a verb (or GREETING, BODY for the reply after the data) a list, used up in order over
all sessions; None, and the end of the list, mean the ordinary reply; a function (verb line,
session) -> reply or None is asked each time; DROP closes the connection instead.
"""
import dataclasses
import re
import socket
import ssl
import threading
import time

from postern_lab import ports
from postern_lab.kernel_tls import OP_ENABLE_KTLS
from postern_lab.process import wait_until

class Drop:
    def __repr__(self):
        return 'DROP'  # also in the names of tests, which have to be the same in each process


DROP = Drop()


@dataclasses.dataclass
class Message:
    sender: str
    recipients: list
    data: bytes
    session: 'Session'
    parameters: str = ''
    received: float = dataclasses.field(default_factory=time.monotonic)

    def without_received(self):
        """As the client sent it: without the Received: field that the gateway has put in front."""
        assert self.data.startswith(b'Received: from '), self.data[:80]
        return re.sub(rb'\AReceived: [^\n]*\n(?:[ \t][^\n]*\n)*', b'', self.data)


@dataclasses.dataclass
class Session:
    number: int
    peer: tuple
    helo: str = ''
    tls: str = ''          # 'TLSv1.3', or '' in the clear
    server_name: str = ''  # what the client asked for in the handshake
    commands: list = dataclasses.field(default_factory=list)
    is_open: bool = True


class Dropped(Exception):
    pass


class NextHop:
    def __init__(self, replies=None, certificate=None, client_ca=None, port=None, extensions=(),
                 body_delay=0.0, quit_delay=0.0, tls_version_max=None, ktls=False):
        self.port = port or ports.free_port()
        self.replies = {verb: list(value) if isinstance(value, (list, tuple)) else value
                        for verb, value in (replies or {}).items()}
        self.certificate = certificate
        self.client_ca = client_ca
        self.tls_version_max = tls_version_max
        self.ktls = ktls  # let the kernel make its records, where OpenSSL can
        self.extensions = list(extensions)
        self.body_delay = body_delay
        self.quit_delay = quit_delay
        self.messages = []
        self.sessions = []
        self.open_sessions = 0  # up to their QUIT: behind its reply the client may open others
        self.most_sessions = 0
        self.lock = threading.Lock()
        self.listener = None
        self.connections = set()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.listener = socket.create_server(('127.0.0.1', self.port), backlog=512)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Closes the port and all sessions; start() opens it again."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def keep(self, message):
        """With the lock held."""
        self.messages.append(message)

    def bodies(self):
        with self.lock:
            return [message.data for message in self.messages]

    def wait_messages(self, count, seconds=20):
        wait_until(lambda: len(self.messages) >= count, seconds,
                   f'{count} messages at the next hop (there are {len(self.messages)})')
        return list(self.messages)

    def accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            # Replies to pipelined commands leave one by one: they must not wait for each other.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()

    def serve(self, connection, peer):
        with self.lock:
            session = Session(len(self.sessions) + 1, peer)
            self.sessions.append(session)
            self.connections.add(connection)
            self.open_sessions += 1
            self.most_sessions = max(self.most_sessions, self.open_sessions)
        conversation = Conversation(self, session, connection)
        try:
            conversation.run()
        except (OSError, Dropped, ValueError):
            pass
        finally:
            self.leave(session)
            with self.lock:
                self.connections.discard(connection)
            conversation.close()
            connection.close()

    def leave(self, session):
        """The session no longer counts as open; saying it again changes nothing."""
        with self.lock:
            self.open_sessions -= session.is_open
            session.is_open = False

    def scripted(self, verb, line, session):
        with self.lock:
            rule = self.replies.get(verb)
            if callable(rule):
                reply = rule(line, session)
            else:
                reply = rule.pop(0) if rule else None
        if reply is DROP:
            raise Dropped
        return reply

    def context(self, session):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.chain, self.certificate.key)
        if self.ktls:
            context.options |= OP_ENABLE_KTLS
        if self.tls_version_max:
            context.maximum_version = self.tls_version_max
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL

        def note_name(_, name, __):
            session.server_name = name or ''
        context.sni_callback = note_name
        return context

    def secure(self, connection, session):
        """The handshake behind STARTTLS; returns what takes the connection's place."""
        return self.context(session).wrap_socket(connection, server_side=True)


class Conversation:
    """One session, from the greeting to the end of the connection."""

    def __init__(self, hop, session, connection):
        self.hop = hop
        self.session = session
        self.connection = connection
        self.file = connection.makefile('rb')
        self.reset()

    def close(self):
        self.file.close()
        self.connection.close()

    def reset(self):
        self.sender = None
        self.parameters = ''
        self.recipients = []

    def reply(self, text):
        self.connection.sendall(text.replace('\n', '\r\n').encode() + b'\r\n')

    def run(self):
        self.reply(self.hop.scripted('GREETING', '', self.session) or '220 nexthop.test ESMTP')
        while True:
            raw = self.file.readline(65536)
            if not raw:
                return
            line = raw.decode('utf-8', 'replace').rstrip('\r\n')
            self.session.commands.append(line)
            verb = line.split(' ', 1)[0].split(':', 1)[0].upper()
            scripted = self.hop.scripted(verb, line, self.session)
            if scripted is not None:
                self.reply(scripted)
                # A scripted 2xx stands in for the ordinary reply, with the same effect.
                if scripted[0] != '2' or verb not in ('MAIL', 'RCPT'):
                    continue
            handler = getattr(self, 'on_' + verb.lower(), None)
            text = handler(line) if handler else '500 5.5.1 unknown'
            if scripted is None and text:
                self.reply(text)
            if verb == 'QUIT':
                return

    def on_ehlo(self, line):
        self.session.helo = line[5:]
        lines = ['nexthop.test', 'PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES',
                 *self.hop.extensions]
        if self.hop.certificate and not self.session.tls:
            lines.append('STARTTLS')
        return '\n'.join(f'250{"-" if i < len(lines) - 1 else " "}{text}'
                         for i, text in enumerate(lines))

    def on_helo(self, line):
        self.session.helo = line[5:]
        return '250 nexthop.test'

    def on_starttls(self, _):
        if not self.hop.certificate:
            return '502 5.5.1 no TLS here'
        self.reply('220 2.0.0 go ahead')
        self.connection = self.hop.secure(self.connection, self.session)
        self.file = self.connection.makefile('rb')
        self.session.tls = self.connection.version()
        self.reset()
        return None

    def on_mail(self, line):
        address, _, self.parameters = line[5:].partition(':')[2].partition('>')
        self.sender = address.strip().lstrip('<')
        return '250 2.1.0 ok'

    def on_rcpt(self, line):
        if self.sender is None:
            return '503 5.5.1 no sender'
        self.recipients.append(line.partition(':')[2].strip().lstrip('<').partition('>')[0])
        return '250 2.1.5 ok'

    def on_data(self, _):
        if not self.recipients:
            return '503 5.5.1 no recipients'
        self.reply('354 go ahead')
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise Dropped
            if line == b'.\r\n':
                break
            lines.append(line[1:] if line.startswith(b'.') else line)
        time.sleep(self.hop.body_delay)
        scripted = self.hop.scripted('BODY', '', self.session)
        if scripted is None or scripted[0] == '2':
            message = Message(self.sender, self.recipients, b''.join(lines), self.session,
                              self.parameters.strip())
            with self.hop.lock:
                self.hop.keep(message)
        self.reset()
        return scripted or '250 2.0.0 kept'

    def on_rset(self, _):
        self.reset()
        return '250 2.0.0 ok'

    def on_noop(self, _):
        return '250 2.0.0 ok'

    def on_quit(self, _):
        time.sleep(self.hop.quit_delay)  # a client that does not wait for the reply is seen
        self.hop.leave(self.session)
        return '221 2.0.0 bye'
