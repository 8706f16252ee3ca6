"""Many outbound scenarios at once: each has its own domain, destination entry, and next hosts.

    matrix = Matrix(folder, rows)               # certificates, hops, zones
    gateway = make_gateway(**matrix.sections())
    matrix.run(gateway); matrix.results[row.id].check()

A Row says what is configured, what its hosts do, and what must come of it. All of them run in one
gateway; the log of a row is what names its message or one of the connections to its hosts.
"""
import contextlib
import dataclasses
import re
import threading
import time

from postern_lab import PATIENCE, ports
from postern_lab.bad_certificates import Issuer
from postern_lab.next_hop import NextHop
from postern_lab.process import STEP_SECONDS
from postern_lab.rogue_hop import RogueHop, Script

PLAIN_ZONE, SECURE_ZONE, BACK = 'mail.test', 'secure.test', 'back.test'
BODY = b'Subject: matrix\r\n\r\nhello\r\n'
SETTLE_SECONDS = 30
SENDERS = 4
# Of one row that stays in the queue: nothing of it is tried again while the others run.
RETRIES = {'never': '1h', 'soon': '1s'}

# How a row's hosts are found. 'mx' and all below it have MX records for the domain, 'zone' has only
# the records that the row names.
WAYS = {
    'address': 'a route to addresses', 'name': 'a route to names of hosts',
    'mx': 'no route', 'zone': 'no route', 'usedns': 'a route that says so',
    'mx-route': 'a route to a name with MX records', 'discard': 'a route to /dev/null',
}

DELIVERED = 'delivered'  # at the first try
LATER = 'later'          # not at the first, but then
DEFERRED = 'deferred'    # tried, and still in the queue
BOUNCED = 'bounced'
DISCARDED = 'discarded'

# What the log says; <domain> and <ip> (of the first host) are filled in.
TLS_OK = r'DCID \d+ TLS success protocol TLSv1\.\d cipher \S+'
TLS_FAILED = r'DCID \d+ TLS failed\b'
TLS_REFUSED = r'DCID \d+ TLS failed: STARTTLS unexpected response'
TLS_UNVERIFIED = r'DCID \d+ TLS failed: verify error: .'
TLS_DEFERRING = r'DCID \d+ TLS deferring: verify error: .'
TLS_REQUIRED = r'DCID \d+ IP <ip> TLS was required but could not be successfully negotiated'
EOF = (r'Connection Error: DCID \d+ domain: <domain> IP: <ip> port: \d+ details: EOF '
       r'interface: \S+ reason: network error')
UNEXPECTED = (r'Connection Error: DCID \d+ domain: <domain> IP: <ip> port: \d+ '
              r"details: {code}-'.*' interface: \S+ reason: unexpected SMTP response")
PROTOCOL = r'Connection Error: DCID \d+ domain: <domain> .* reason: protocol error'
TIMEOUT = r'Connection Error: DCID \d+ domain: <domain> .*details: timeout .*reason: network error'
REFUSED = (r'Connection Error: DCID \d+ domain: <domain> IP: <ip> port: \d+ details: .*refused.* '
           r'reason: network error')
NO_HOST = r'Delivery: no host of <domain> can be used: '
ALERT = r"A required TLS connection to domain '<domain>' failed"


def unexpected(code):
    return UNEXPECTED.replace('{code}', str(code))


def delayed(status, code):
    return rf"Delayed: DCID \d+ MID \d+ to RID \d+ - {status} - .*\('{code}'"


def bounced(status, code):
    return rf"Bounced: DCID \d+ MID \d+ to RID \d+ - {status} - .*\('{code}'"


@dataclasses.dataclass(frozen=True)
class Cert:
    """kind: good, expired, early, revoked (all of the trusted issuer), untrusted or self-signed.
    <domain>, <mx>, <route> and <ptr> in the names stand for those of the row."""
    kind: str = 'good'
    name: str = 'unrelated.test'
    names: tuple = ('*.' + PLAIN_ZONE, '*.' + SECURE_ZONE)
    with_root: bool = False


@dataclasses.dataclass(frozen=True)
class Host:
    """One next host. options: further ones of RogueHop. tlsa: records as (usage, selector,
    matching type, data), data one of 'key', 'root', 'wrong'."""
    scripts: tuple = ()
    cert: Cert | None = None
    options: dict = dataclasses.field(default_factory=dict)
    is_closed: bool = False  # nobody listens
    preference: int = 10
    tlsa: tuple = ()


@dataclasses.dataclass(frozen=True)
class Expect:
    outcome: str = DELIVERED
    secure: bool | None = None      # of the transaction that was accepted
    verified: bool | None = None    # None: nobody looks
    log: tuple = ()                 # each has to be there
    absent: tuple = ()              # none may be there
    alert: bool | None = False      # None: nobody looks
    status: str = ''                # of the notification, a pattern
    visits: tuple | None = None     # connections that each host saw
    each: dict | None = None        # recipient -> outcome, where they differ
    check: object = None            # check(result) asserts the rest


@dataclasses.dataclass(frozen=True)
class Row:
    id: str
    hosts: tuple
    expect: Expect
    tls: str = 'off'
    more: str = ''                  # further keys of the destination
    by: str = 'address'             # see WAYS
    priorities: tuple = ()          # of a route's hosts
    needs: tuple = ()
    zone: str = PLAIN_ZONE
    records: tuple = ()             # (name within the zone, type, text) besides, or by 'zone' alone
    spoiled: tuple = ()             # (name, type) whose signature is wrong
    domain: str = ''                # default: ID.ZONE
    recipients: tuple = ('b',)
    parameters: str = ''
    data: bytes = BODY
    retry: str = ''                 # default: soon for LATER, else never

    @property
    def name(self):
        return self.domain or f'{self.id}.{self.zone}'

    @property
    def requires_tls(self):
        return 'REQUIRETLS' in self.parameters

    @property
    def profile(self):
        return self.retry or ('soon' if self.expect.outcome == LATER or self.expect.each
                              else 'never')


class Result:
    """What came of a row."""

    def __init__(self, row, addresses):
        self.row = row
        self.addresses = addresses  # one for each host
        self.hops = []              # None for a closed one
        self.reply = None           # to our own message
        self.lines = []
        self.all_lines = []
        self.bounces = []

    def log(self):
        return '\n'.join(self.lines)

    def fill(self, pattern):
        return pattern.replace('<domain>', re.escape(self.row.name)).replace(
            '<ip>', re.escape(self.addresses[0] if self.addresses else ''))

    def logged(self, pattern):
        return re.search(self.fill(pattern), self.log(), re.M)

    def visits(self):
        return [visit for hop in self.hops if hop for visit in hop.visits]

    def mails(self):
        return [mail for hop in self.hops if hop for mail in hop.mails()]

    def arrived(self, name):
        return [mail for mail in self.mails() if f'{name}@{self.row.name}' in mail.recipients]

    def outcome_of(self, name):
        """What the hosts and the sender know of one recipient."""
        rid = self.row.recipients.index(name)
        if self.arrived(name):
            return DELIVERED
        if re.search(rf'Bounced: DCID \d+ MID \d+ to RID {rid} ', self.log()):
            return BOUNCED
        return DISCARDED if self.is_finished() else DEFERRED

    def is_finished(self):
        return self.logged(r'Message finished MID \d+ done')

    def is_settled(self):
        expect = self.row.expect
        if self.reply != 250 or not all(self.logged(pattern) for pattern in expect.log):
            return self.reply not in (None, 250)
        if expect.outcome == DEFERRED:
            return self.logged(r'DCID \d+ close|^Connection Error: |^Delayed: |^DNS ')
        return self.is_finished() and (expect.outcome != BOUNCED or self.bounces
                                       or expect.status is None)

    def check(self, present):
        try:
            self.check_outcome()
            self.check_log(present)
            if self.row.expect.check:
                self.row.expect.check(self)
        except AssertionError as error:
            raise AssertionError(f'{error}\n--- {self.row.id}\n{self.log()}\n{self.story()}'
                                 ) from None

    def story(self):
        return '\n'.join(f'host {visit.peer} #{visit.number} tls={visit.tls!r}: {visit.commands} '
                         f'-> {[(mail.recipients, mail.accepted) for mail in visit.mails]}'
                         for visit in self.visits())

    def check_outcome(self):
        row, expect = self.row, self.row.expect
        assert self.reply == 250, f'the gateway answered {self.reply}'
        wanted = expect.each or {name: expect.outcome for name in row.recipients}
        got = {name: self.outcome_of(name) for name in row.recipients}
        assert got == {name: DELIVERED if outcome == LATER else outcome
                       for name, outcome in wanted.items()}, f'outcomes {got}'
        for name, outcome in wanted.items():
            assert len(self.arrived(name)) == (outcome in (DELIVERED, LATER)), f'{name} twice'
        # LATER: some try before it came to nothing.
        failures = self.logged(r'^(?:Delayed|Connection Error): |'
                               r'DCID \d+ (?:IP \S+ )?TLS (?:failed|was)')
        assert expect.outcome != LATER or failures, 'no try failed'
        assert (DEFERRED in wanted.values()) == (not self.is_finished()), 'finished or not'
        assert bool(self.bounces) == (BOUNCED in wanted.values() and expect.status is not None)
        for bounce in self.bounces:
            assert re.search(rb'^Status: ' + (expect.status or r'5\.').encode(), bounce.data,
                             re.M), bounce.data.decode()
            # RFC 8689 section 5: it is protected as the message was, and without the body.
            assert bounce.session.tls
            assert ('REQUIRETLS' in bounce.parameters) == row.requires_tls
            assert not row.requires_tls or row.data.split(b'\r\n\r\n', 1)[1] not in bounce.data

    def check_log(self, present):
        expect = self.row.expect
        for pattern in expect.log:
            assert self.logged(pattern), f'not in the log: {self.fill(pattern)}'
        for pattern in expect.absent:
            assert not self.logged(pattern), f'in the log: {self.fill(pattern)}'
        if expect.visits is not None:
            got = tuple(len(hop.visits) if hop else 0 for hop in self.hops)
            assert got == expect.visits, f'connections {got}'
        if expect.secure is not None:
            assert all(mail.secure == expect.secure for mail in self.mails())
        if expect.secure or self.row.tls.startswith('required'):
            for visit in self.visits():
                for verb in ('MAIL', 'RCPT', 'DATA', 'BDAT'):
                    assert not visit.said(verb, secure=False), f'{verb} in the clear'
        if expect.verified is not None and 'verified' in present:
            assert bool(self.logged(r'DCID \d+ TLS success .*verified')) == expect.verified
        if 'tls-reason' in present:
            assert not self.logged(r'DCID \d+ TLS failed$'), 'a failure without a reason'
        if 'alerts' in present and expect.alert is not None:
            pattern = re.compile(self.fill(ALERT))
            assert any(map(pattern.search, self.all_lines)) == expect.alert, 'alert or not'


class Matrix:
    def __init__(self, folder, rows):
        self.folder = folder
        self.rows = rows
        self.issuer = Issuer(folder / 'issuer')
        self.stranger = Issuer(folder / 'stranger', 'Nobody Knows This CA')
        self.port = ports.free_port()  # of all hosts: MX records have none
        self.back = NextHop(certificate=self.issuer.certify(BACK, [BACK]),
                            extensions=['REQUIRETLS'])
        self.certificates = {}
        self.results = {}
        for number, row in enumerate(rows):
            addresses = [f'127.{20 + i}.{number // 250}.{number % 250 + 1}'
                         for i in range(len(row.hosts))]
            self.results[row.id] = Result(row, addresses)

    # --- what there is ---

    def host_name(self, row, index):
        return f'mx{index + 1}.{row.name}'

    def names(self, row, index):
        return {'<domain>': row.name, '<mx>': self.host_name(row, index),
                '<route>': f'route{index + 1}.{row.name}', '<ptr>': f'ptr{index + 1}.{row.name}'}

    def certificate(self, row, index):
        cert = row.hosts[index].cert
        names = [cert.name, *cert.names]
        for word, value in self.names(row, index).items():
            names = [name.replace(word, value) for name in names]
        key = cert.kind, tuple(names), cert.with_root
        if key not in self.certificates:
            self.certificates[key] = self.issue(cert, names[0], names[1:])
        return self.certificates[key]

    def issue(self, cert, name, names):
        if cert.kind == 'self-signed':
            return self.issuer.self_signed(name, names)
        issuer = self.stranger if cert.kind == 'untrusted' else self.issuer
        days = {'expired': (-30, -1), 'early': (1, 30)}.get(cert.kind, (-1, 30))
        return issuer.certify(name, names, days, revoked=cert.kind == 'revoked',
                              with_root=cert.with_root)

    def hop(self, row, index, address):
        host = row.hosts[index]
        if host.is_closed:
            return None
        options = dict(host.options)
        if options.get('client_ca') == 'issuer':
            options['client_ca'] = self.issuer.chain
        return RogueHop(host.scripts or (Script(),), address=address, port=self.port,
                        certificate=self.certificate(row, index) if host.cert else None, **options)

    # --- the configuration ---

    def gateway_certificate(self):
        """One that hosts which demand a client's take, too."""
        return self.issuer.certify('mx.lab.test', ['mx.lab.test'])

    def route(self, row):
        if row.by in ('mx', 'zone'):
            return None
        words = {'usedns': ['"USEDNS"'], 'discard': ['"/dev/null"'],
                 'mx-route': [f'"relay.{row.name}"']}.get(row.by)
        if words:
            return f'{{ domain = "{row.name}"; to = [ {words[0]} ]; }}'
        words = []
        for index, address in enumerate(self.results[row.id].addresses):
            host = address if row.by == 'address' else f'[route{index + 1}.{row.name}]'
            priority = f'/pri={row.priorities[index] if row.priorities else index}'
            words.append(f'"{host}:{self.port}{priority}"')
        return f'{{ domain = "{row.name}"; to = [ {", ".join(words)} ]; }}'

    def sections(self, present, world=None):
        """For Gateway(...), with the keys that it knows."""
        entries = [f'{{ domain = "{row.name}"; tls = "{row.tls}"; '
                   f'bounce_profile = "{row.profile}"; {row.more} }}' for row in self.rows]
        entries.append(f'{{ domain = "{BACK}"; tls = "preferred"; }}')
        routes = [self.route(row) for row in self.rows]
        routes.append(f'{{ domain = "{BACK}"; to = [ "127.0.0.1:{self.back.port}" ]; }}')
        profiles = [f'{name} = {{ initial_retry = "{retry}"; max_retry = "{retry}"; '
                    f'max_age = "72h"; }};' for name, retry in RETRIES.items()]
        return {
            'ca': self.issuer.chain,
            'rat': f'{{ recipients = [ "{BACK}" ]; action = "accept"; }}',
            'destinations': 'default = { tls = "off"; };\n domains = (\n  '
                            + ',\n  '.join(entries) + ' );',
            'routes': ',\n  '.join(filter(None, routes)),
            'tls': f'crl_files = [ "{self.issuer.crl()}" ];' if 'crl' in present else '',
            'extra': (world.section() if world else '') + self.delivery(present),
            'bounce': 'default = { initial_retry = "1s"; }; ' + '\n  '.join(profiles),
        }

    def delivery(self, present):
        keys = [f'port = {self.port};' if 'mx' in present else '',
                f'timeout = "{2 * PATIENCE:.0f}s";' if 'timeouts' in present else '']
        return f'delivery = {{ {" ".join(keys)} }};\n' if any(keys) else ''

    # --- the zones ---

    def records(self, row):
        """(name, type, text) with whole names, as a zone file has them but for the final dots."""
        found, result = [], self.results[row.id]
        alias = f'relay.{row.name}' if row.by == 'mx-route' else row.name
        for index, (host, address) in enumerate(zip(row.hosts, result.addresses)):
            mx, ptr = self.host_name(row, index), f'ptr{index + 1}.{row.name}'
            if row.by not in ('address', 'zone'):
                found += [(alias, 'MX', f'{host.preference} {mx}'), (mx, 'A', address),
                          (f'route{index + 1}.{row.name}', 'A', address)]
            if 'ptr' in row.needs:
                reverse = '.'.join(reversed(address.split('.'))) + '.in-addr.arpa'
                found += [(ptr, 'A', address), (reverse, 'PTR', ptr)]
            name = f'route{index + 1}.{row.name}' if row.by == 'name' else mx
            found += [(f'_{self.port}._tcp.{name}', 'TLSA', self.tlsa(*fields))
                      for fields in host.tlsa]
        for name, kind, text in row.records:
            for index, address in enumerate(result.addresses):
                text = text.replace(f'<ip{index + 1}>', address)
            found.append((self.whole(row, name), kind, text.replace('<domain>', row.name)))
        return found

    def whole(self, row, name):
        """A name within a row's domain."""
        return f'{name}.{row.name}'.lstrip('.').replace('<port>', str(self.port))

    def tlsa(self, usage, selector, matching, what):
        digest = {'key': self.issuer.key_digest, 'root': self.issuer.root_digest,
                  'wrong': lambda: bytes(range(32))}[what]()
        return f'{usage} {selector} {matching} {digest.hex()}'

    # --- the run ---

    @contextlib.contextmanager
    def hosts(self):
        """All next hosts listen; before that nothing has been revoked."""
        for result in self.results.values():
            result.hops = [self.hop(result.row, i, address)
                           for i, address in enumerate(result.addresses)]
        hops = [self.back, *(hop for result in self.results.values() for hop in result.hops if hop)]
        with contextlib.ExitStack() as stack:
            for hop in hops:
                stack.enter_context(hop)
            yield

    def send(self, gateway, rows):
        """REQUIRETLS is offered under TLS only."""
        for secure in (False, True):
            self.send_some(gateway, [row for row in rows if row.requires_tls == secure], secure)

    def send_some(self, gateway, rows, secure):
        with gateway.connect(source='127.0.0.3') as client:
            client.hello()
            if secure:
                client.starttls()
                client.ehlo()
            for row in rows:
                result = self.results[row.id]
                result.reply = self.transaction(client, row)
                if result.reply >= 400:
                    client.say('RSET')
            client.quit()

    def transaction(self, client, row):
        steps = [f'MAIL FROM:<{row.id}@{BACK}> {row.parameters}'.rstrip(),
                 *(f'RCPT TO:<{name}@{row.name}>' for name in row.recipients), 'DATA',
                 row.data + b'.\r\n']
        for step in steps:
            code = client.say(step).code
            if code >= 400:
                break
        return code

    def run(self, gateway):
        """One message for each row; returns when each has come to what is expected of it, or in
        time. What is missing then is for check() to say."""
        threads = [threading.Thread(target=self.send, args=(gateway, self.rows[i::SENDERS]))
                   for i in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + SETTLE_SECONDS * PATIENCE
        while True:
            is_late = time.monotonic() > deadline
            self.read(gateway.log())
            if is_late or all(result.is_settled() for result in self.results.values()):
                return
            time.sleep(10 * STEP_SECONDS)

    def read(self, text):
        """Gives each row its lines, by the message and the connections they name."""
        lines = [line.split(': ', 1)[-1] for line in text.splitlines()]
        domains = {row.name: self.results[row.id] for row in self.rows}
        hosts = {address: result for result in self.results.values()
                 for address in result.addresses}
        mids, dcids = {}, {}
        for line in lines:
            if match := re.match(r'MID (\d+) ICID \d+ RID \d+ To: <.*@(.*)>', line):
                mids[match[1]] = domains.get(match[2].lower())
            elif match := re.match(r'New SMTP DCID (\d+) interface \S+ address (\S+) ', line):
                dcids[match[1]] = hosts.get(match[2])
            elif match := re.match(r'Connection Error: DCID (\d+) domain: (\S+) ', line):
                dcids[match[1]] = domains.get(match[2])
        for result in self.results.values():
            result.lines, result.all_lines = [], lines
        for line in lines:
            owner = self.owner(line, mids, dcids, domains)
            if owner:
                owner.lines.append(line)
        bounces = {}
        for message in list(self.back.messages):
            bounces.setdefault(message.recipients[0].split('@')[0], []).append(message)
        for result in self.results.values():
            result.bounces = bounces.get(result.row.id, [])

    @staticmethod
    def owner(line, mids, dcids, domains):
        match = re.search(r'\bDCID (\d+)', line)
        owner = match and dcids.get(match[1])
        if not owner:
            match = re.search(r'\b(?:MID|Message) (\d+)', line)
            owner = match and mids.get(match[1])
        if not owner:
            match = re.match(r'(?:DNS Temporary Failure|Delivery: no host of) (\S+) ', line)
            owner = match and domains.get(match[1])
        return owner
