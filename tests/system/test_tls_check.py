"""`postern tls-check`: real zones, a policy host, and mail servers that are wrong in every way.

Each case is a domain with hosts of its own; the JSON is what is checked, and the text for a few.
"""
import contextlib
import dataclasses
import json
import os
import re
import socket
import subprocess
import time

import pytest

from postern_lab import PATIENCE, POSTERN, ports
from postern_lab.bad_certificates import Issuer
from postern_lab.gateway import run_postern
from postern_lab.name_servers import TYPES, NameServer, Nsd, response, wire_name
from postern_lab.name_servers import record as dns_record
from postern_lab.rogue_hop import CLOSE, HANG, RST, RogueHop, Say, Script, alert
from postern_lab.sections import dns_section
from postern_lab.signed_zone import SignedZone
from postern_lab.sts_server import Answer, StsServer, policy, record

PLAIN, SIGNED, REVERSE = 'plain.test', 'signed.test', '127.in-addr.arpa'
LAZY, LAZY_SECONDS = 'lazy.test', 0.3
OURS = 'mx.lab.test'  # hostname of the configuration
SETTINGS = ('off', 'preferred', 'required', 'preferred-verify', 'required-verify',
            'required-verify-hosted')
LETTERS = {'unreached': 'U', 'not-sent': 'N', 'clear': 'C', 'encrypted': 'E', 'verified': 'V'}
FRAME = '''
hostname = "mx.lab.test"; spool = {{ path = "spool"; }};
tls = {{ ca_file = "{ca}"; crl_files = [ "{crl}" ]; }};
certificates = {{ mail = {{ chain = "{chain}"; key = "{key}"; }}; }};
listeners = ( {{ name = "In"; type = "private"; address = "127.0.0.1"; hat = "in"; }} );
mail_flow_policies = {{ REFUSED = {{ access = "refuse"; }}; }};
hat = {{ in = ( {{ senders = [ "ALL" ]; policy = "REFUSED"; }} ); }};
destinations = {{ default = {{ tls = "preferred"; }}; domains = ( {domains} ); }};
routes = ( {routes} );
mta_sts = {{ port = {sts_port}; timeout = "10s"; }};
delivery = {{ port = {port}; }};
'''


@dataclasses.dataclass(frozen=True)
class Host:
    cert: str = 'good'    # see World.certificate(); '': no STARTTLS
    script: Script = Script()
    then: tuple = ()      # scripts of the connections behind the first
    is_closed: bool = False
    ptr: str = ''         # the name of its address
    tlsa: tuple = ()      # (usage, selector, matching, 'key' | 'root' | 'wrong')


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    hosts: tuple
    verdict: str
    settings: str           # the six, a letter each
    says: str = ''          # in the verdict
    proofs: tuple = ()
    sts: str = ''           # mode of the policy
    sts_mx: str = '*.{domain}'
    is_signed: bool = False
    spoiled: str = ''       # 'TLSA': its signature is wrong
    trouble: str = ''       # of the first address, a pattern
    failed: str = ''        # the first stage of it that fails
    entry: tuple = ()       # what the entry says: (tls, more, fate)
    safe: bool | None = None  # default: the verdict is "verified"

    @property
    def domain(self):
        return f'{self.name}.{SIGNED if self.is_signed else PLAIN}'


def script(**steps):
    return Script({name.replace('_', ':'): said for name, said in steps.items()})


GOOD = Host()
KEY, WRONG, ROOT = (3, 1, 1, 'key'), (3, 1, 1, 'wrong'), (2, 0, 1, 'root')
LATE_ALERT = dataclasses.replace(alert(40), delay=0.3)  # not in one packet with the 220
MASKED_GREETING = '220 ' + '*' * 40 + '2' + '*' * 10 + '0' + '*' * 8
CASES = [
    Case('good', (GOOD,), 'verified', 'CEEENV', 'required-verify-hosted', proofs=('mx',)),
    Case('own-name', (Host('domain'),), 'verified', 'CEEVVV', 'the name that was asked for',
         proofs=('domain',)),
    Case('ptr', (Host('ptr', ptr='ptr.{domain}'),), 'verified', 'CEEVVN', 'weak', proofs=('ptr',)),
    Case('ptr-elsewhere', (Host('ptr', ptr='lies.{domain}'),), 'encrypted', 'CEEENN'),
    Case('self-signed', (Host('self-signed'),), 'encrypted', 'CEEENN', 'self.signed',
         failed='certificate'),
    Case('untrusted', (Host('untrusted'),), 'encrypted', 'CEEENN', failed='certificate'),
    Case('expired', (Host('expired'),), 'encrypted', 'CEEENN', 'expired', failed='certificate'),
    Case('ends-soon', (Host('ends-soon'),), 'verified', 'CEEENV',
         r'A certificate of mx1\.ends-soon\.plain\.test expires in [45] days, on 2',
         proofs=('mx',)),
    Case('not-yet', (Host('not-yet'),), 'encrypted', 'CEEENN',
         r'A certificate of mx1\.not-yet\.plain\.test is not valid before 2', failed='certificate'),
    Case('revoked', (Host('revoked'),), 'encrypted', 'CEEENN', 'revoked', failed='certificate'),
    Case('wrong-name', (Host('wrong-name'),), 'encrypted', 'CEEENN',
         r'tried wrong-name.plain.test, mx1.wrong-name.plain.test; certificate has',
         failed='certificate'),
    Case('no-starttls', (Host(''),), 'clear', 'CCNCNN', 'anybody on the path can read it',
         trouble='STARTTLS is not offered', failed='starttls'),
    Case('masked', (Host(script=Script(starttls='XXXXXXXA')),), 'stripped', 'CCNCNN',
         'very likely takes STARTTLS away.*anybody on the path',
         trouble='masked', failed='starttls'),
    Case('asterisks', (Host(script=Script({'GREETING': MASKED_GREETING}, starttls=None)),),
         'stripped', 'CCNCNN', trouble='masked', failed='starttls'),
    Case('refused', (Host(script=script(STARTTLS='454 4.7.0 no TLS today')),), 'clear', 'CCNCNN',
         trouble=r'STARTTLS is refused: 454 4\.7\.0 no TLS today', failed='starttls'),
    Case('helo-only', (Host(script=script(EHLO='500 what')),), 'clear', 'CCNCNN',
         trouble='EHLO is refused', failed='starttls'),
    Case('handshake-fails', (Host(script=script(TLS=LATE_ALERT)),), 'not-sent', 'CNNNNN',
         'handshake', trouble='the TLS handshake failed', failed='handshake'),
    Case('handshake-cut', (Host(script=script(TLS=Say(cut=500, then=RST))),), 'not-sent', 'CNNNNN',
         failed='handshake'),
    Case('gone-after-starttls', (Host(script=script(STARTTLS=Say(then=CLOSE))),), 'not-sent',
         'CNNNNN', failed='starttls'),
    Case('plaintext-behind-220', (Host(script=script(STARTTLS='220 go\n250 evil')),), 'not-sent',
         'CNNNNN', trouble='plaintext behind', failed='starttls'),
    Case('no-ehlo-under-tls', (Host(script=script(EHLO_2='421 4.3.0 not now')),), 'not-sent',
         'CNNNNN', trouble='EHLO under TLS: closing: 421', failed='ehlo_again'),
    Case('greets-554', (Host(script=script(GREETING='554 5.7.1 go away')),), 'unreached', 'UUUUUU',
         trouble=r'greeting: refused by the greeting: 554 5\.7\.1 go away', failed='greeting'),
    Case('sender-refused', (Host(script=script(MAIL='550 5.7.1 no such luck')),), 'verified',
         'CEEENV', r'But our sender is refused: 550 5\.7\.1 no such luck', proofs=('mx',),
         failed='sender', safe=False),
    Case('terminal', (Host(script=script(MAIL='550 \x1b[2Jboo')),), 'verified', 'CEEENV',
         r'550 \?\[2Jboo', proofs=('mx',), failed='sender', safe=False),
    # Several hosts.
    Case('one-is-down', (GOOD, Host(is_closed=True)), 'verified', 'CEEENV',
         r'Nothing is known of mx2\.one-is-down\.plain\.test \(connect: ', proofs=('mx',)),
    Case('first-is-down', (Host(is_closed=True), GOOD), 'verified', 'CEEENV', proofs=('mx',),
         trouble='connect: ', failed='connect'),
    Case('all-are-down', (Host(is_closed=True),), 'unreached', 'UUUUUU', 'waits'),
    Case('one-is-plain', (GOOD, Host('')), 'clear', 'CCECNV', r'because of mx2\.one-is-plain'),
    # DANE.
    Case('dane', (Host('untrusted', tlsa=(KEY,)),), 'verified', 'CEEENN', 'verified by DANE',
         proofs=('dane',), is_signed=True, entry=('preferred', 'dane = "opportunistic";',
                                                  'verified')),
    Case('dane-root', (Host('with-root', tlsa=(ROOT,)),), 'verified', 'CEEENV', proofs=('dane',),
         is_signed=True),
    Case('dane-wrong', (Host('domain', tlsa=(WRONG,)),), 'not-sent', 'CEEVVV',
         is_signed=True, failed='certificate',
         entry=('required-verify', 'dane = "opportunistic";', 'not-sent')),
    Case('dane-of-two', (Host('untrusted', tlsa=(WRONG, KEY)),), 'verified', 'CEEENN',
         proofs=('dane',), is_signed=True),
    Case('dane-clear', (Host('', tlsa=(KEY,)),), 'not-sent', 'CCNCNN', 'not offered',
         is_signed=True),
    Case('dane-once', (Host('domain', tlsa=(KEY,), then=(Script(starttls=None),)),), 'not-sent',
         'CEEVVV', 'to be judged by DANE, failed: STARTTLS is not offered', is_signed=True,
         failed='certificate'),
    Case('dane-bogus', (Host('domain', tlsa=(KEY,)),), 'not-sent', 'CEEVVV', 'TLSA',
         is_signed=True, spoiled='TLSA', entry=('preferred', 'dane = "opportunistic";',
                                                'not-sent')),
    Case('dane-unusable', (Host('untrusted', tlsa=((1, 1, 1, 'key'),)),), 'encrypted', 'CEEENN',
         is_signed=True),
    Case('dane-none', (GOOD,), 'verified', 'CEEENV', proofs=('mx',), is_signed=True,
         entry=('preferred', 'dane = "mandatory";', 'not-sent'), safe=False),
    # MTA-STS.
    Case('sts', (GOOD,), 'verified', 'CEEENV', 'verified by MTA-STS', proofs=('mta-sts',),
         sts='enforce', entry=('preferred', 'mta_sts = true;', 'verified')),
    Case('sts-not-listed', (GOOD,), 'not-sent', 'CEEENV', 'does not list', sts='enforce',
         sts_mx='elsewhere.test', entry=('preferred', 'mta_sts = true;', 'not-sent')),
    Case('sts-untrusted', (Host('untrusted'),), 'not-sent', 'CEEENN', sts='enforce'),
    Case('sts-common-name', (Host('no-san'),), 'not-sent', 'CEEENV', sts='enforce'),
    Case('sts-testing', (GOOD,), 'verified', 'CEEENV', proofs=('mx',), sts='testing'),
    Case('sts-gone', (GOOD,), 'verified', 'CEEENV', proofs=('mx',), sts='gone'),
    # The entry demands more, or less, than can be had.
    Case('entry-off', (Host('domain'),), 'verified', 'CEEVVV', proofs=('domain',),
         entry=('off', '', 'clear'), safe=False),
    Case('entry-verify', (GOOD,), 'verified', 'CEEENV', proofs=('mx',),
         entry=('required-verify', '', 'not-sent'), safe=False),
    Case('entry-strict', (GOOD, Host('')), 'clear', 'CCECNV',
         entry=('required-verify-hosted', '', 'verified'), safe=True),
]


def lazily(packet, name, kind):
    """A name server that takes its time; the host of its zone is that of the first case."""
    if name == OURS:
        return response(packet, answers=[dns_record(name, 'A', bytes([127, 0, 0, 1]))]
                        if kind == TYPES['A'] else [])
    if name.startswith('silent'):
        return None
    time.sleep(LAZY_SECONDS)
    found = [dns_record(name, 'A', socket.inet_aton('127.40.0.1'))] if kind == TYPES['A'] else []
    return response(packet, answers=found)


class World:
    def __init__(self, folder, stack):
        self.folder = folder
        self.port = ports.free_port()
        self.issuer, self.stranger = Issuer(folder / 'issuer'), Issuer(folder / 'stranger')
        self.policies = stack.enter_context(StsServer(self.issuer))
        self.hops = {}
        for case in CASES:
            if case.sts not in ('', 'gone'):
                self.policies.answers[f'mta-sts.{case.domain}'] = Answer(
                    policy(case.sts, [case.sts_mx.format(domain=case.domain)]))
            for index, host in enumerate(case.hosts):
                if not host.is_closed:
                    self.hops[case.name, index] = stack.enter_context(self.hop(case, index, host))
        plain, signed, reverse, spoiled = self.zones()
        self.signed = SignedZone(SIGNED, signed, spoiled=spoiled)
        (folder / 'anchor').write_text(self.signed.anchor())
        self.names = Nsd(folder, {PLAIN: '\n'.join(plain), REVERSE: '\n'.join(reverse)},
                         {SIGNED: self.signed.text()}).start()
        stack.callback(self.names.stop)
        self.lazy = stack.enter_context(NameServer(lazily))
        self.config = folder / 'postern.conf'
        self.config.write_text(self.text())

    @staticmethod
    def address(case, index):
        return f'127.{40 + index}.0.{CASES.index(case) + 1}'

    def certificate(self, case, index, kind):
        mx = f'mx{index + 1}.{case.domain}'
        days = {'expired': (-30, -1), 'ends-soon': (-1, 5), 'not-yet': (3, 30)}.get(kind, (-1, 30))
        if kind == 'self-signed':
            return self.issuer.self_signed(mx, [mx])
        if kind in ('wrong-name', 'ptr'):
            name = f'{"ptr" if kind == "ptr" else "other"}.{case.domain}'
            return self.issuer.certify(name, ['unrelated.test'])
        issuer = self.stranger if kind == 'untrusted' else self.issuer
        names = {'domain': [mx, case.domain], 'no-san': []}.get(kind, [mx])
        return issuer.certify(mx, names, days, revoked=kind == 'revoked',
                              with_root=kind == 'with-root')

    def hop(self, case, index, host):
        certificate = self.certificate(case, index, host.cert) if host.cert else None
        return RogueHop([host.script, *host.then], certificate=certificate,
                        address=self.address(case, index), port=self.port)

    def tlsa(self, usage, selector, matching, what, host):
        issuer = self.stranger if host.cert == 'untrusted' else self.issuer
        digest = {'key': issuer.key_digest, 'root': issuer.root_digest,
                  'wrong': lambda: bytes(range(32))}[what]()
        return bytes([usage, selector, matching]) + digest

    def zones(self):
        plain, signed, reverse, spoiled = [], [], [], []
        for case in CASES:
            for index, host in enumerate(case.hosts):
                mx, address = f'mx{index + 1}.{case.name}', self.address(case, index)
                if host.ptr:
                    *_, b, c, d = address.split('.')
                    reverse.append(f'{d}.{c}.{b} PTR {host.ptr.format(domain=case.domain)}.')
                    plain.append(f'ptr.{case.name} A {address}')
                    plain.append(f'lies.{case.name} A 127.0.0.9')
                tlsa = f'_{self.port}._tcp.{mx}'
                if not case.is_signed:
                    plain += [f'{case.name} MX {10 * index + 10} {mx}', f'{mx} A {address}']
                    continue
                signed += [(case.name, 'MX', bytes([0, 10 * index + 10])
                            + wire_name(f'{mx}.{SIGNED}')),
                           (mx, 'A', socket.inet_aton(address)),
                           *((tlsa, 'TLSA', self.tlsa(*fields, host)) for fields in host.tlsa)]
                if case.spoiled:
                    spoiled.append((tlsa, case.spoiled))
            if case.sts:
                plain += [f'_mta-sts.{case.name} TXT "{record(7)}"',
                          f'mta-sts.{case.name} A 127.0.0.1']
        plain += ['null MX 0 .', 'implicit A 127.40.0.1', 'mxless MX 10 nowhere.mxless',
                  'alias CNAME good', 'moved MX 10 mx1.good',
                  'hosted-twice MX 10 mx1.good', 'hosted-twice MX 20 again.hosted-twice',
                  'again.hosted-twice A 127.40.0.1',
                  'half MX 10 mx1.good', 'half MX 20 mx2.half', 'mx2.half A 127.44.0.2',
                  'backup.loop MX 10 mx1.good', 'backup.loop MX 20 mx.lab.test.',
                  'backup.loop MX 30 mx1.no-starttls', 'first.loop MX 20 mx.lab.test.',
                  'gone.loop MX 10 none.loop', 'gone.loop MX 20 mx.lab.test.',
                  'sick.loop MX 10 sick.example.', 'sick.loop MX 20 mx.lab.test.']
        return plain, signed, reverse, spoiled

    def text(self):
        entries = [f'{{ domain = "{case.domain}"; tls = "{case.entry[0]}"; {case.entry[1]} }}'
                   for case in CASES if case.entry]
        routes = [f'{{ domain = "routed.{PLAIN}"; to = [ "127.40.0.1:{self.port}/pri=5", '
                  f'"[mx1.own-name.{PLAIN}]/pri=7" ]; }}',
                  f'{{ domain = "thrown.{PLAIN}"; to = [ "/dev/null" ]; }}',
                  f'{{ domain = "moved.{PLAIN}"; to = [ "[mx1.no-starttls.{PLAIN}]" ]; }}',
                  f'{{ domain = "silent-second.{PLAIN}"; to = [ "[mx1.good.{PLAIN}]/pri=5", '
                  f'"[silent.{LAZY}]/pri=7" ]; }}',
                  f'{{ domain = "lazy-second.{PLAIN}"; to = [ "[mx1.dane.{SIGNED}]/pri=5", '
                  f'"[{LAZY}]/pri=7" ]; }}']
        client = self.issuer.certify('client.lab.test', ['client.lab.test'])
        frame = FRAME.format(ca=self.issuer.chain, crl=self.issuer.crl(), chain=client.chain,
                             key=client.key, domains=', '.join(entries),
                             routes=', '.join(routes), sts_port=self.policies.port,
                             port=self.port)
        stubs = {LAZY: self.lazy.port, OURS: self.lazy.port,
                 **{zone: self.names.port for zone in (PLAIN, SIGNED, REVERSE)}}
        return frame + dns_section(stubs, validated=(SIGNED,), timeout='5s',
                                   more=f'trust_anchor = "{self.folder}/anchor";')

    def check(self, *arguments, code=None):
        """The answer as JSON."""
        done = run_postern('tls-check', '-c', self.config, '--json', *arguments)
        assert done.returncode in (0, 1) and not done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, done.stdout
        return json.loads(done.stdout), done.returncode


@pytest.fixture(name='world', scope='module')
def fixture_world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield World(tmp_path_factory.mktemp('tls-check'), stack)


def addresses(answer):
    return [address for host in answer['hosts'] for address in host['addresses']]


def fates(plans):
    return ''.join(LETTERS[plans['settings'][name]['fate']] for name in SETTINGS)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_case(world, case):
    answer, code = world.check(case.domain)
    verdict, found = answer['verdict'], addresses(answer)
    story = json.dumps(answer, indent=1)
    assert verdict['class'] == case.verdict, story
    assert re.search(case.says, verdict['text']), verdict['text']
    assert verdict['proofs'] == list(case.proofs), story
    assert fates(answer) == case.settings, story
    assert len(found) == len(case.hosts)
    if case.entry:
        assert answer['entry']['fate'] == case.entry[2], story
        assert answer['entry_name'] == case.domain
    safe = case.verdict == 'verified' if case.safe is None else case.safe
    assert (code == 0) == verdict['is_safe'] == safe
    if case.failed:
        stages = {name: stage['result'] for name, stage in found[0]['stages'].items()}
        assert next(name for name in stages if stages[name] == 'failed') == case.failed, story
    assert re.search(case.trouble, found[0]['trouble']), found[0]['trouble']
    for index in range(len(case.hosts)):
        hop = world.hops.get((case.name, index))
        for visit in hop.visits if hop else []:
            assert not visit.said('RCPT') and not visit.said('DATA') and not visit.said('BDAT')
            assert visit.helo in ('', 'mx.lab.test')


def test_all_that_was_found_is_told(world):
    answer, _ = world.check(f'good.{PLAIN}')
    (host,), (address,) = answer['hosts'], addresses(answer)
    assert (answer['target'], answer['dns'], answer['mx_security']) == (f'good.{PLAIN}', 'found',
                                                                        'insecure')
    assert (host['name'], host['preference']) == (f'mx1.good.{PLAIN}', 10)
    assert host['tlsa'] == {'outcome': 'not-asked',
                            'reason': 'the MX records are not signed (DNSSEC)'}
    assert (address['ip'], address['port']) == (world.address(CASES[0], 0), world.port)
    assert all(stage['result'] == 'ok' for stage in address['stages'].values())
    assert [name for name, stage in address['stages'].items() if 'ms' not in stage] == [
        'starttls', 'certificate']
    tls = address['tls']
    assert tls['protocol'] == 'TLSv1.3' and tls['cipher'].startswith('TLS_') and tls['group']
    assert tls['is_trusted'] and tls['problem'] == ''
    (certificate,) = tls['chain']
    assert certificate['subject'] == f'CN=mx1.good.{PLAIN}' == f'CN={certificate["names"]}'
    assert certificate['issuer'] == 'CN=Postern Lab Issuer'
    assert 28 <= certificate['days_left'] <= 30 and not certificate['is_expired']
    assert tls['hosted']['wanted_as'] == 'MX host' and not tls['verify']['is_matched']
    assert tls['verify']['text'].startswith(f'tried good.{PLAIN}; certificate has ')
    assert address['sender'] == '250 2.1.0 ok'
    assert answer['verdict']['confidence'] == 100


def test_chains_and_records_are_told(world):
    answer, _ = world.check(f'dane-root.{SIGNED}')
    (host,), (address,) = answer['hosts'], addresses(answer)
    assert answer['mx_security'] == 'secure'
    assert host['tlsa']['outcome'] == 'usable' and host['tlsa']['is_secure']
    (tlsa,) = host['tlsa']['records']
    assert [tlsa[key] for key in ('usage', 'selector', 'matching')] == [2, 0, 1]
    assert tlsa['data'] == world.issuer.root_digest().hex()
    assert address['dane']['is_matched'] and 'DANE-TA' in address['dane']['text']
    leaf, root = address['tls']['chain']
    assert root['is_self_issued'] and leaf['issuer'] == root['subject']


def test_the_policy_is_told(world):
    answer, _ = world.check(f'sts.{PLAIN}')
    sts = answer['mta_sts']
    assert (sts['outcome'], sts['id'], sts['mode'], sts['max_age_s'], sts['mx']) == (
        'found', '7', 'enforce', 86400, [f'*.sts.{PLAIN}'])
    answer, _ = world.check(f'sts-gone.{PLAIN}')
    assert answer['mta_sts']['outcome'] == 'failed'
    assert '404' in answer['mta_sts']['reason']
    assert answer['mta_sts']['id'] == '7'


@pytest.mark.parametrize('name, verdict, says', [
    ('null', 'no-mail', 'null MX'), ('nothing', 'no-domain', 'does not exist'),
    ('mxless', 'no-host', 'cannot be delivered')])
def test_a_domain_without_hosts_is_told_to_be_so(world, name, verdict, says):
    answer, _ = world.check(f'{name}.{PLAIN}', code=1)
    assert answer['verdict']['class'] == verdict
    assert says in answer['verdict']['text']
    assert not addresses(answer) and 'settings' not in answer


def test_a_server_failure_is_no_answer(world):
    """Port 1 is the resolver of all other zones."""
    answer, _ = world.check('example.org', '--timeout', '30', code=1)
    assert answer['verdict']['class'] == 'dns-failed'


def test_a_domain_without_mx_is_its_own_host(world):
    answer, _ = world.check(f'implicit.{PLAIN}', code=1)
    assert answer['hosts'][0]['name'] == f'implicit.{PLAIN}'
    assert 'mx_security' not in answer


@pytest.mark.parametrize('arguments, proofs, text', [
    (['mx1.good.{zone}:{port}'], ['domain'], 'Mail through mx1.good'),
    (['[mx1.good.{zone}]'], ['domain'], 'Mail through mx1.good'),
    (['mx1.good.{zone}:{port}', '--domain', 'good.{zone}'], ['mx'], 'Mail through mx1.good'),
    (['127.40.0.2:{port}', '--domain', 'own-name.{zone}'], ['domain'], 'Mail through 127.40.0.2')])
def test_one_host_is_looked_at_for_itself(world, arguments, proofs, text):
    answer, _ = world.check(*(word.format(zone=PLAIN, port=world.port) for word in arguments),
                            code=0)
    assert len(addresses(answer)) == 1
    assert answer['verdict']['proofs'] == proofs
    assert answer['verdict']['text'].startswith(text)


@pytest.mark.parametrize('word', [(), ('--route',)])
def test_the_hosts_of_a_route_are_looked_at(world, word):
    answer, _ = world.check(*word, f'routed.{PLAIN}', code=1)
    assert [host['priority'] for host in answer['hosts']] == [5, 7]
    assert answer['is_route'] and answer['mta_sts']['outcome'] == 'not-asked'
    assert answer['hosts'][1]['addresses'][0]['tls']['hosted']['wanted_as'] == 'SMTP route host'
    answer, _ = world.check(*word, f'thrown.{PLAIN}', code=1)
    assert answer['verdict']['class'] == 'discarded'
    assert answer['verdict']['text'].endswith('is thrown away: its route is /dev/null.')
    done = run_postern('tls-check', '-c', world.config, '--route', f'good.{PLAIN}')
    assert done.returncode == 1 and 'has no route' in done.stderr


def test_the_mx_are_looked_at_on_demand_and_the_route_is_told(world):
    """A domain with a good MX, whose mail goes to a host without TLS."""
    answer, _ = world.check(f'moved.{PLAIN}', code=1)
    assert (answer['is_route'], answer['verdict']['class']) == (True, 'clear')
    answer, _ = world.check('--mx', f'moved.{PLAIN}', code=0)
    assert (answer['is_route'], answer['verdict']['class']) == (False, 'verified')
    assert answer['is_routed_elsewhere'] and 'by a route instead.' in answer['verdict']['text']
    assert 'it would be sent encrypted' in answer['verdict']['text']
    answer, _ = world.check('--mx', f'good.{PLAIN}', code=0)
    assert not answer['is_routed_elsewhere'] and 'route' not in answer['verdict']['text']


def test_a_host_of_a_route_is_waited_for_behind_the_records_of_another(world):
    answer, _ = world.check(f'lazy-second.{PLAIN}')
    assert [host['tlsa']['outcome'] for host in answer['hosts']] == ['usable', 'not-asked']
    assert [address['ip'] for address in addresses(answer)] == [
        world.address(next(case for case in CASES if case.name == 'dane'), 0), '127.40.0.1']
    assert all(address['stages']['greeting']['result'] == 'ok' for address in addresses(answer))


def test_a_person_gets_a_table_and_a_last_word(world):
    done = run_postern('tls-check', '-c', world.config, f'one-is-plain.{PLAIN}')
    assert done.returncode == 1 and not done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == 'Confidence factor: 50'
    cell = r'OK \(\d+ms\) +'
    assert re.match(rf'mx1\.one-is-plain\.{PLAIN} \[127\.40\.0\.\d+:{world.port}\]$', lines[5])
    assert re.match(rf'10 +({cell}){{3}}OK +{cell}OK +({cell}?){{2}}$', lines[6] + ' '), lines[6]
    assert re.search(rf'({cell}){{3}}FAIL +- +- +- +OK', lines[8]), lines[8]
    assert lines[9] == 'Average'
    assert re.match(r' +(100% \d+ms +){3}50% +50% \d+ms +50% +50% \d+ms +100% \d+ms$',
                    lines[10])
    assert re.search(r'^    Hosted   yes: matched mx1\.one-is-plain', done.stdout, re.M)
    assert re.search(r'^    trouble  STARTTLS is not offered$', done.stdout, re.M)
    assert re.search(r'^    mail     off: clear, preferred: clear, required: not-sent,',
                     done.stdout, re.M)
    assert re.search(r'^    required-verify-hosted  sent encrypted and verified, to some of the',
                     done.stdout, re.M)
    assert 'anybody on the path can read it. By the entry default' in done.stdout.replace('\n', ' ')
    assert '\x1b' not in done.stdout
    assert not [line for line in lines if line.endswith(' ')]


@pytest.mark.parametrize('name', ['one-is-plain', 'wrong-name', 'sts', 'hosted-twice'])
def test_lines_are_short_and_a_chain_is_told_once(world, name):
    done = run_postern('tls-check', '-c', world.config, f'{name}.{PLAIN}')
    long = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert not long, done.stdout
    told_again = re.findall(r'^    chain    trusted; the chain of 127\.40\.0\.1:\d+ above$',
                            done.stdout, re.M)
    assert len(told_again) == (name == 'hosted-twice'), done.stdout
    assert done.stdout.count('    0        subject') == 1


def test_the_entry_is_told_with_who_decides(world):
    for domain, caption in ((f'sts.{PLAIN}', 'preferred + mta_sts'),
                            (f'dane.{SIGNED}', 'preferred + dane'), (f'good.{PLAIN}', 'preferred')):
        done = run_postern('tls-check', '-c', world.config, domain)
        *_, last = re.findall(r'^    (preferred[ a-z_+]*?) {2,}sent', done.stdout, re.M)
        assert last == caption, done.stdout


def test_without_a_configuration_the_system_counts(world):
    done = run_postern('tls-check', '--json', f'127.40.0.2:{world.port}',
                       env={'SSL_CERT_FILE': str(world.issuer.chain), 'PATH': '/usr/bin:/bin'})
    assert done.returncode == 1, done.stderr  # an address proves nothing
    answer = json.loads(done.stdout)
    (address,) = addresses(answer)
    assert address['tls']['is_trusted']
    assert answer['config'] == '' and 'entry' not in answer
    assert answer['verdict']['class'] == 'encrypted'


def test_the_whole_takes_no_longer_than_it_may(world):
    """With its progress on a terminal, and what was cut told to be so."""
    with RogueHop([Script({'GREETING': Say(then=HANG)})], address='127.44.0.1') as hop:
        reader, terminal = os.openpty()
        begin = time.monotonic()
        done = subprocess.run(
            [str(POSTERN), 'tls-check', '-c', str(world.config), '--json', '--timeout', '3',
             f'127.44.0.1:{hop.port}'], stdout=subprocess.PIPE, stderr=terminal, check=False,
            timeout=60 * PATIENCE)
        assert time.monotonic() - begin < 15 * PATIENCE
    answer = json.loads(done.stdout)
    (address,) = addresses(answer)
    assert done.returncode == 1 and answer['is_out_of_time'] and address['is_cut_off']
    assert address['trouble'] == 'greeting: no time was left'
    assert answer['verdict']['class'] == 'unreached'
    assert b'0 of 1 addresses looked at' in os.read(reader, 65536)
    os.close(reader)
    os.close(terminal)


@pytest.mark.parametrize('name, verdict, unused', [
    ('backup', 'verified', [OURS, f'mx1.no-starttls.{PLAIN}']),
    ('first', 'loop', [OURS]), ('gone', 'loop', [OURS]),
    ('sick', 'dns-failed', [OURS])])
def test_hosts_no_better_than_ourselves_are_not_used(world, name, verdict, unused):
    """As a delivery has it: test_mail_loop.py."""
    domain = f'{name}.loop.{PLAIN}'
    answer, _ = world.check(domain, code=0 if verdict == 'verified' else 1)
    assert answer['verdict']['class'] == verdict, answer
    assert [host['name'] for host in answer['hosts'] if host['is_unused']] == unused
    assert not any(host['addresses'] for host in answer['hosts'] if host['is_unused'])
    assert answer['hosts'][-len(unused)]['is_ourselves']
    assert len(addresses(answer)) == (verdict == 'verified')
    done = run_postern('tls-check', '-c', world.config, domain)
    assert re.search(r'^mx\.lab\.test\n20 +ourselves, not used$', done.stdout, re.M), done.stdout
    # A host that is named is looked at for itself, and a route is the operator's own word.
    answer, _ = world.check(f'{OURS}:{world.port}')
    assert not answer['hosts'][0]['is_unused']


def test_what_was_cut_off_is_not_safe_and_named(world):
    """A domain whose first host is good, and the second does not greet."""
    with RogueHop([Script({'GREETING': Say(then=HANG)})], address='127.44.0.2', port=world.port):
        answer, _ = world.check('--timeout', '3', f'half.{PLAIN}', code=1)
    verdict = answer['verdict']
    assert (verdict['class'], verdict['is_complete']) == ('verified', False)
    assert (f'Nothing is known of mx2.half.{PLAIN} (no time was left for it). The time was over'
            in verdict['text'])
    # Of a route, while the DNS is asked.
    answer, _ = world.check('--timeout', '2', f'silent-second.{PLAIN}', code=1)
    assert [host['name'] for host in answer['hosts']] == [f'mx1.good.{PLAIN}', f'silent.{LAZY}']
    assert answer['hosts'][1]['reason'] == 'no answer in time'


@pytest.mark.parametrize('arguments', [
    [], ['a', 'b'], ['user@example.com'], ['example.com:0'], ['--port', '0', 'example.com'],
    ['--timeout', '1', 'example.com'], ['--domain', 'a.test', 'example.com'],
    ['--domain', 'a..b', '[example.com]'], ['--route', '[example.com]'], ['--mx', '[example.com]'],
    ['--route', '--mx', 'example.com'], ['--no-such', 'a.test']])
def test_a_misuse_is_told_in_a_line(arguments):
    done = run_postern('tls-check', *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith('postern: tls-check: ')


def test_a_configuration_that_was_named_has_to_be_there(tmp_path):
    done = run_postern('tls-check', '-c', tmp_path / 'none.conf', 'example.com')
    assert done.returncode == 1 and 'none.conf' in done.stderr
