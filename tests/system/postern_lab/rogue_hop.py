"""A next hop that does, at each step of each connection, exactly what the test wrote down.

    RogueHop([Script({'RCPT:2': '450 4.2.1 later'}), Script()], certificate=certificate)

The first connection gets the first script, and so on; the last one serves all that follow. A script
maps steps to what is done there instead of the ordinary reply:

    GREETING EHLO HELO STARTTLS MAIL RCPT DATA BDAT RSET NOOP QUIT  the reply to that command
    BODY      while the body comes in: `cut` is the number of its bytes that are read before
    END       the reply to the body, behind the final dot or the last chunk
    VERB      the reply to BDAT of a host that does not know it: the chunk is taken for commands
    TLS       in place of our part of the handshake, when the peer's has begun: raw bytes, or with
              `cut` a real one that is broken off
    SECURE    when the handshake is done

"RCPT:2" is the second RCPT of a connection and goes before "RCPT". What is done is a text (the
reply, lines parted by LF), bytes (as they are), or a Say.
"""
import dataclasses
import re
import socket
import ssl
import struct
import threading
import time

CLOSE, RST, HANG = 'close', 'rst', 'hang'
EXTENSIONS = ('PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES', 'SMTPUTF8')
LINE_BYTES_MAX = 1 << 20
DRAIN_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class Say:
    """text, or only the first `cut` bytes of it, after `delay` seconds; then the connection is
    closed, reset, or left open in silence (for `hang` seconds, 0: until the peer leaves)."""
    text: str | bytes = ''
    cut: int | None = None
    then: str = ''
    delay: float = 0.0
    hang: float = 0.0


def alert(number, level=2):
    """A TLS record with an alert (RFC 8446 section 6), in the clear, and the end."""
    return Say(bytes([21, 3, 3, 0, 2, level, number]), then=CLOSE)


def giant(code, count=30000):
    return '\n'.join([f'{code}-more of it'] * count + [f'{code} at last'])


@dataclasses.dataclass(frozen=True)
class Script:
    steps: dict = dataclasses.field(default_factory=dict)
    extensions: tuple | None = None    # instead of the hop's
    starttls: str | None = 'STARTTLS'  # as it stands in the reply to EHLO; None: not at all


@dataclasses.dataclass
class Mail:
    sender: str
    parameters: str
    secure: bool
    visit: 'Visit'
    recipients: list = dataclasses.field(default_factory=list)  # accepted ones
    rcpt_parameters: list = dataclasses.field(default_factory=list)
    data: bytes = b''
    chunks: int = 0      # BDAT commands; 0: it came by DATA
    accepted: bool = False
    time: float = 0.0    # when its end was seen


@dataclasses.dataclass
class Visit:
    """One connection."""
    number: int
    peer: tuple
    started: float
    ended: float = 0.0       # or had its QUIT: behind that reply the peer may open another
    helo: str = ''
    tls: str = ''            # 'TLSv1.3', or '' in the clear
    server_name: str = ''    # SNI
    client_subject: str = ''  # common name in the client's certificate
    commands: list = dataclasses.field(default_factory=list)  # (line, whether under TLS)
    mails: list = dataclasses.field(default_factory=list)

    def said(self, verb, secure=None):
        return [line for line, tls in self.commands
                if line.upper().startswith(verb) and secure in (None, tls)]


class Ended(Exception):
    """The connection is to end so: CLOSE, RST or HANG."""

    def __init__(self, how, seconds=0.0):
        super().__init__(how)
        self.how = how
        self.seconds = seconds


class Wire:
    """A socket, in the clear and later with TLS whose bytes can be cut anywhere."""

    def __init__(self, connection):
        self.socket = connection
        self.tls = self.incoming = self.outgoing = None
        self.pending = b''

    def send(self, data):
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        self.socket.sendall(data)

    def receive(self):
        if self.tls is None:
            data = self.socket.recv(65536)
        else:
            data = self.receive_secure()
        if not data:
            raise Ended(CLOSE)
        return data

    def receive_secure(self):
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLZeroReturnError:
                return b''
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                raw = self.socket.recv(65536)
                if not raw:
                    return b''
                self.incoming.write(raw)

    def read_line(self):
        while b'\n' not in self.pending:
            if len(self.pending) > LINE_BYTES_MAX:
                raise Ended(RST)
            self.pending += self.receive()
        line, self.pending = self.pending.split(b'\n', 1)
        return line + b'\n'

    def read_bytes(self, count):
        while len(self.pending) < count:
            self.pending += self.receive()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def shake_hands(self, context, say):
        """say.cut: how many of our bytes leave before the connection ends as say.then has it."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        left = say.cut if say else None
        while True:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                self.socket.sendall(self.outgoing.read())  # the alert
                raise Ended(CLOSE) from None
            data = self.outgoing.read()
            if left is not None and len(data) >= left:
                self.socket.sendall(data[:left])
                raise Ended(say.then or CLOSE, say.hang)
            left = left - len(data) if left is not None else None
            self.socket.sendall(data)
            if done:
                self.tls = tls
                return
            raw = self.socket.recv(65536)
            if not raw:
                raise Ended(CLOSE)
            self.incoming.write(raw)

    def end(self, how, seconds, stopping):
        """A close is a FIN even when there is something unread; a hang takes what comes."""
        try:
            if how == RST:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                return
            if how == HANG:
                self.drain(seconds or None, stopping)
            self.socket.shutdown(socket.SHUT_WR)
            self.drain(DRAIN_SECONDS, stopping)
        except OSError:
            pass
        finally:
            self.socket.close()

    def drain(self, seconds, stopping):
        deadline = None if seconds is None else time.monotonic() + seconds
        self.socket.settimeout(0.2)
        while not stopping.is_set() and (deadline is None or time.monotonic() < deadline):
            try:
                if not self.socket.recv(65536):
                    return
            except TimeoutError:
                pass


class RogueHop:
    """versions: (lowest, highest) of TLS; client_ca: who may vouch for clients, and with
    demands_certificate those without one fail in the handshake; body_delay, quit_delay: seconds
    before the reply. gate: while it is not set, no message has its reply."""

    def __init__(self, scripts=(), certificate=None, extensions=EXTENSIONS, address='127.0.0.1',
                 port=0, client_ca=None, demands_certificate=False, versions=(None, None),
                 name='rogue.test', body_delay=0.0, quit_delay=0.0, gate=None):
        self.scripts = list(scripts) or [Script()]
        self.certificate = certificate
        self.extensions = tuple(extensions)
        self.address, self.port = address, port
        self.client_ca, self.demands_certificate = client_ca, demands_certificate
        self.versions = versions
        self.name = name
        self.body_delay, self.quit_delay = body_delay, quit_delay
        self.gate = gate
        self.visits = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.listener = None
        self.connections = set()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.stopping.clear()
        self.listener = socket.create_server((self.address, self.port), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Closes the port and all connections; start() opens it again."""
        self.stopping.set()
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

    def mails(self, accepted=True):
        """What came in whole: accepted, or all of it."""
        with self.lock:
            return [mail for visit in self.visits for mail in visit.mails
                    if mail.accepted or not accepted]

    def accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()

    def serve(self, connection, peer):
        with self.lock:
            visit = Visit(len(self.visits) + 1, peer, time.monotonic())
            self.visits.append(visit)
            self.connections.add(connection)
        script = self.scripts[min(visit.number, len(self.scripts)) - 1]
        wire = Wire(connection)
        how = Ended(CLOSE)
        try:
            Conversation(self, visit, script, wire).run()
        except Ended as ended:
            how = ended
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            visit.ended = visit.ended or time.monotonic()
            wire.end(how.how, how.seconds, self.stopping)
            with self.lock:
                self.connections.discard(connection)

    def context(self, visit):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.chain, self.certificate.key)
        lowest, highest = self.versions
        if highest and highest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers('ALL:@SECLEVEL=0')
            context.minimum_version = ssl.TLSVersion.TLSv1
        if lowest:
            context.minimum_version = lowest
        if highest:
            context.maximum_version = highest
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = (ssl.CERT_REQUIRED if self.demands_certificate
                                   else ssl.CERT_OPTIONAL)

        def note_name(_, name, __):
            visit.server_name = name or ''
        context.sni_callback = note_name
        return context


def address_of(line):
    """What stands in the brackets of MAIL or RCPT, and what behind them."""
    match = re.match(r'[A-Z]+ [A-Z]+:\s*<([^>]*)>\s*(.*)', line, re.I)
    return match.groups() if match else ('', '')


class Conversation:
    """One connection, from the greeting to its end."""

    def __init__(self, hop, visit, script, wire):
        self.hop, self.visit, self.script, self.wire = hop, visit, script, wire
        self.counts = {}
        self.mail = None

    def step(self, name):
        """What the script has for this step, as a Say; None: the ordinary reply."""
        self.counts[name] = self.counts.get(name, 0) + 1
        steps = self.script.steps
        said = steps.get(f'{name}:{self.counts[name]}', steps.get(name))
        return said if said is None or isinstance(said, Say) else Say(said)

    def say(self, said):
        time.sleep(said.delay)
        data = said.text
        if isinstance(data, str):
            data = data.replace('\n', '\r\n').encode() + b'\r\n' if data else b''
        if data:
            self.wire.send(data[:said.cut])
        if said.then:
            raise Ended(said.then, said.hang)

    def answer(self, name, ordinary):
        """Says what the script has, or the ordinary reply; returns whether that is a success."""
        said = self.step(name) or Say(ordinary)
        self.say(said)
        return said.text[:1] in ('2', '3', b'2', b'3')

    def run(self):
        self.answer('GREETING', f'220 {self.hop.name} ESMTP')
        while True:
            line = self.wire.read_line().decode('utf-8', 'replace').rstrip('\r\n')
            self.visit.commands.append((line, bool(self.visit.tls)))
            verb = re.split(r'[ :]', line, maxsplit=1)[0].upper()
            handler = getattr(self, 'on_' + verb.lower(), None)
            if handler:
                handler(line)
            else:
                self.answer(verb, '500 5.5.1 unknown')
            if verb == 'QUIT':
                return

    def on_ehlo(self, line):
        self.visit.helo = line[5:]
        extensions = self.hop.extensions
        lines = [self.hop.name, *(self.script.extensions if self.script.extensions is not None
                                  else extensions)]
        if self.hop.certificate and not self.visit.tls and self.script.starttls:
            lines.append(self.script.starttls)
        self.answer('EHLO', '\n'.join(f'250{"-" if i < len(lines) - 1 else " "}{text}'
                                      for i, text in enumerate(lines)))

    def on_helo(self, line):
        self.visit.helo = line[5:]
        self.answer('HELO', f'250 {self.hop.name}')

    def on_starttls(self, _):
        if not self.answer('STARTTLS', '220 2.0.0 go ahead' if self.hop.certificate
                           else '502 5.5.1 no TLS here'):
            return
        said = self.step('TLS')
        if said and said.cut is None:
            # Not behind the 220: that is another test, and has other ends.
            self.wire.pending = self.wire.pending or self.wire.receive()
            self.say(dataclasses.replace(said, then=said.then or CLOSE))
        self.wire.shake_hands(self.hop.context(self.visit), said)
        self.wire.pending = b''
        self.visit.tls = self.wire.tls.version()
        subject = dict(pair for rdn in (self.wire.tls.getpeercert() or {}).get('subject', ())
                       for pair in rdn)
        self.visit.client_subject = subject.get('commonName', '')
        self.mail = None
        said = self.step('SECURE')
        if said:
            self.say(said)

    def on_mail(self, line):
        address, parameters = address_of(line)
        if self.answer('MAIL', '250 2.1.0 ok'):
            self.mail = Mail(address, parameters, bool(self.visit.tls), self.visit)

    def on_rcpt(self, line):
        address, parameters = address_of(line)
        if self.mail is None:
            self.answer('RCPT', '503 5.5.1 no sender')
        elif self.answer('RCPT', '250 2.1.5 ok'):
            self.mail.recipients.append(address)
            self.mail.rcpt_parameters.append(parameters)

    def on_data(self, _):
        if self.mail is None or not self.mail.recipients:
            self.answer('DATA', '503 5.5.1 no recipients')
            return
        said = self.step('DATA') or Say('354 go ahead')
        self.say(said)
        if said.text[:1] not in ('3', b'3'):
            return
        lines, count, early = [], 0, self.step('BODY')
        while True:
            line = self.wire.read_line()
            if line == b'.\r\n':
                break
            lines.append(line[1:] if line.startswith(b'.') else line)
            count += len(line)
            if early and count >= (early.cut or 0):
                self.say(dataclasses.replace(early, cut=None))
                early = None
        self.mail.data = b''.join(lines)
        self.end_of_mail()

    def on_bdat(self, line):
        words, early = line.split(), self.step('BODY')
        unknown = self.step('VERB')
        if unknown:
            self.say(unknown)
            return
        size = int(words[1])
        data = self.wire.read_bytes(min(size, early.cut or 0)) if early else b''
        if early:
            self.say(dataclasses.replace(early, cut=None))
        data += self.wire.read_bytes(size - len(data))
        if self.mail is None or not self.mail.recipients:
            self.answer('BDAT', '503 5.5.1 no recipients')
            return
        self.mail.data += data
        self.mail.chunks += 1
        if words[2:3] == ['LAST'] or words[2:3] == ['last']:
            self.end_of_mail()
        else:
            self.answer('BDAT', '250 2.0.0 more')

    def end_of_mail(self):
        mail, self.mail = self.mail, None
        mail.time = time.monotonic()
        if self.hop.gate:
            self.hop.gate.wait()
        said = self.step('END') or Say('250 2.0.0 kept', delay=self.hop.body_delay)
        mail.accepted = said.text[:1] in ('2', b'2') and said.cut is None
        with self.hop.lock:
            self.visit.mails.append(mail)
        self.say(said)

    def on_rset(self, _):
        self.mail = None
        self.answer('RSET', '250 2.0.0 ok')

    def on_noop(self, _):
        self.answer('NOOP', '250 2.0.0 ok')

    def on_quit(self, _):
        time.sleep(self.hop.quit_delay)
        self.visit.ended = time.monotonic()
        self.answer('QUIT', '221 2.0.0 bye')
