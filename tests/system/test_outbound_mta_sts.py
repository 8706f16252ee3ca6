"""MTA-STS on the way out (RFC 8461): real zones, a real policy host, hops with certificates."""
import contextlib
import dataclasses
import re
import socket

import pytest

from postern_lab import ports
from postern_lab.bad_certificates import Issuer
from postern_lab.name_servers import Nsd, wire_name
from postern_lab.process import wait_until
from postern_lab.rogue_hop import CLOSE, RST, RogueHop, Say, Script
from postern_lab.sections import dns_section
from postern_lab.signed_zone import SignedZone
from postern_lab.sts_server import Answer, StsServer, policy, record

BODY = b'Subject: sts\r\n\r\nhello\r\n'
TROUBLE = b'TLS-Required: No\r\n'
CLEAR, SECURE, WAITS = 'in the clear', 'encrypted', 'waits'
LISTED, OTHER = 'mx.{domain}', 'elsewhere.{domain}'
VERIFIED = r'TLS success .* verified by MTA-STS: matched mx\.{domain}'
UNVERIFIED = 'TLS failed: verify error: '
NOT_LISTED = r'no host of {domain} can be used: .*the MTA-STS policy does not list the host'
REQUIRED = 'TLS was required but could not be successfully negotiated'
# observe/tls_results.h
STARTTLS_NOT_SUPPORTED, CERTIFICATE_HOST_MISMATCH, CERTIFICATE_NOT_TRUSTED = 1, 2, 4
(VALIDATION_FAILURE, TLSA_INVALID, DNSSEC_INVALID, DANE_REQUIRED, STS_POLICY_FETCH_ERROR,
 STS_POLICY_INVALID, STS_WEBPKI_INVALID) = range(5, 12)
ALERT = "A required TLS connection to domain '{domain}' failed"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    expect: str
    mode: str = 'enforce'     # '': the policy host has none
    mx: str = LISTED
    certificate: str = 'good'  # untrusted, wrong-name; '': no STARTTLS
    tls: str = 'preferred'
    sts: bool = True           # mta_sts of the destination
    log: tuple = ()
    is_signed: bool = False    # in the signed zone
    dane: str = 'opportunistic'  # there
    tlsa: str = 'good'           # there: unusable, bogus; '': none
    is_trouble: bool = False     # its mail says TLS-Required: No
    step: str = ''               # of the host, at which it leaves as said
    said: Say = Say()
    is_routed: bool = False      # by the operator, to the same host

    @property
    def domain(self):
        return f'{self.name}.{"signed" if self.is_signed else "sts"}.test'


CASES = [
    Case('good', SECURE, log=(VERIFIED,)),
    Case('wildcard', SECURE, mx='*.{domain}', log=(VERIFIED,)),
    Case('untrusted', WAITS, certificate='untrusted', log=(UNVERIFIED, REQUIRED, ALERT)),
    Case('wrong-name', WAITS, certificate='wrong-name', log=(UNVERIFIED, REQUIRED, ALERT)),
    Case('not-offered', WAITS, certificate='', log=(REQUIRED, ALERT)),
    Case('not-listed', WAITS, mx=OTHER, log=(NOT_LISTED, ALERT)),
    Case('testing', SECURE, mode='testing', certificate='untrusted', log=('TLS success',)),
    # Verify Hosted Domains would take the name of the domain, 4.2 takes that of the host alone.
    Case('testing-wrong-name', SECURE, mode='testing', certificate='wrong-name',
         log=('TLS success',)),
    Case('testing-good', SECURE, mode='testing', log=('TLS success',)),
    Case('testing-hosted', SECURE, mode='testing', certificate='wrong-name',
         tls='required-verify-hosted', log=('TLS success',)),
    Case('testing-not-listed', CLEAR, mode='testing', mx=OTHER, certificate=''),
    Case('mode-none', CLEAR, mode='none', mx=OTHER, certificate=''),
    Case('no-policy', CLEAR, mode='', certificate=''),
    Case('not-asked-for', CLEAR, sts=False, mx=OTHER, certificate=''),
    Case('table-is-stronger', WAITS, mode='testing', certificate='untrusted',
         tls='required-verify-hosted', log=(UNVERIFIED, REQUIRED)),
    # DANE that can be used is alone in charge: neither list nor trust of MTA-STS counts.
    Case('dane-first', SECURE, mx=OTHER, certificate='untrusted', is_signed=True,
         log=(r'verified by DANE: matched 3 1 1',)),
    Case('no-policy-file', CLEAR, mode='invalid', certificate=''),
    Case('policy-host-unknown', CLEAR, mode='untrusted', certificate=''),
    Case('no-tlsa', WAITS, is_signed=True, dane='mandatory', tlsa='', sts=False,
         log=('DANE is mandatory and the host has no usable TLSA records', ALERT)),
    Case('unusable-tlsa', WAITS, is_signed=True, dane='mandatory', tlsa='unusable', sts=False,
         log=('DANE is mandatory and the host has no usable TLSA records', ALERT)),
    Case('unusable-tlsa-encrypted', SECURE, is_signed=True, tlsa='unusable', sts=False),
    Case('bogus-tlsa', WAITS, is_signed=True, tlsa='bogus', sts=False,
         log=(r'no host of {domain} can be used: ', ALERT)),
    # The host leaves in place of the 220, or behind it; who needs no TLS waits for another time.
    *(Case(f'{name}-{mode}', WAITS, mode=mode, sts=mode != 'none', step=step, said=said,
           log=((ALERT,) if mode == 'enforce' else ()))
      for mode in ('enforce', 'testing', 'none')
      for name, step, said in (('leaves', 'STARTTLS', Say(then=CLOSE)),
                               ('resets', 'STARTTLS', Say(then=RST)),
                               ('says-bye', 'STARTTLS', Say('421 4.3.2 not now')),
                               ('leaves-later', 'TLS', Say(then=CLOSE)),
                               ('resets-later', 'TLS', Say(then=RST)))),
    # Sessions for reports, and other mail about trouble, are none that is told of.
    Case('trouble', WAITS, certificate='', tls='required', sts=False, is_trouble=True,
         log=(REQUIRED,)),
    Case('trouble-leaves', WAITS, tls='required', sts=False, is_trouble=True,
         step='STARTTLS', said=Say(then=CLOSE)),
    Case('trouble-no-tlsa', WAITS, is_signed=True, dane='mandatory', tlsa='', sts=False,
         is_trouble=True, log=('DANE is mandatory and the host has no usable TLSA records', ALERT)),
    # Whatever the hosts of a route are like: it says nothing of what the domain has published.
    Case('routed', CLEAR, mx=OTHER, certificate='', is_routed=True),
    Case('routed-required', WAITS, certificate='untrusted', tls='required-verify', is_routed=True,
         log=(UNVERIFIED, REQUIRED, ALERT)),
    Case('routed-no-tlsa', WAITS, is_signed=True, dane='mandatory', tlsa='', is_routed=True,
         log=('DANE is mandatory and the host has no usable TLSA records', ALERT)),
    Case('routed-dane', SECURE, is_signed=True, certificate='untrusted', is_routed=True,
         log=(r'verified by DANE: matched 3 1 1',)),
]


class World:
    """The zones, the policy host and the hops of all cases."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.port = ports.free_port()
        (folder / 'issuer').mkdir()
        (folder / 'stranger').mkdir()
        self.issuer, self.stranger = Issuer(folder / 'issuer'), Issuer(folder / 'stranger')
        self.policies = stack.enter_context(StsServer(self.issuer))
        self.hops = {}
        for number, case in enumerate(CASES, 1):
            script = Script({case.step: case.said} if case.step else {})
            self.policies.answers[f'mta-sts.{case.domain}'] = self.answer(case)
            if case.mode == 'untrusted':
                self.policies.certificates[f'mta-sts.{case.domain}'] = self.stranger.certify(
                    case.domain, [f'mta-sts.{case.domain}'])
            hop = RogueHop([script], certificate=self.certificate(case),
                           address=self.address(number), port=self.port,
                           extensions=('8BITMIME', 'STARTTLS')[:2 if case.certificate else 1])
            self.hops[case] = stack.enter_context(hop)
        plain, signed = self.zones()
        self.signed = SignedZone(
            'signed.test', signed, spoiled=[(f'_{self.port}._tcp.mx.{case.name}', 'TLSA')
                                            for case in CASES if case.tlsa == 'bogus'])
        (folder / 'anchor').write_text(self.signed.anchor())
        self.names = Nsd(folder, {'sts.test': plain}, {'signed.test': self.signed.text()}).start()
        stack.callback(self.names.stop)

    @staticmethod
    def address(number):
        return f'127.23.0.{number}'

    @staticmethod
    def answer(case):
        if not case.mode:
            return Answer(status=404)
        if case.mode == 'invalid':
            return Answer(b'hello\r\n')
        return Answer(policy(case.mode, [case.mx.format(domain=case.domain)]))

    def certificate(self, case):
        name = f'mx.{case.domain}'
        if case.certificate == 'good':
            return self.issuer.certify(name, [name])
        if case.certificate == 'wrong-name':
            return self.issuer.certify('wrong.test', ['wrong.test', case.domain])
        if case.certificate == 'untrusted':
            return self.stranger.certify(name, [name])
        return None

    def zones(self):
        plain, signed = [], []
        for number, case in enumerate(CASES, 1):
            name, address = case.name, self.address(number)
            if not case.is_signed:
                plain += [f'{name} MX 10 mx.{name}', f'mx.{name} A {address}',
                          f'_smtp._tls.{name} TXT "v=TLSRPTv1; rua=mailto:tls@{case.domain}"',
                          f'_mta-sts.{name} TXT "{record(1)}"', f'mta-sts.{name} A 127.0.0.1']
                continue
            text = record(1).encode()
            signed += [(name, 'MX', b'\0\x0a' + wire_name(f'mx.{case.domain}')),
                       (f'mx.{name}', 'A', socket.inet_aton(address)),
                       (f'_mta-sts.{name}', 'TXT', bytes([len(text)]) + text),
                       (f'mta-sts.{name}', 'A', socket.inet_aton('127.0.0.1'))]
            if case.tlsa:
                matching = 9 if case.tlsa == 'unusable' else 1
                signed.append((f'_{self.port}._tcp.mx.{name}', 'TLSA',
                               bytes([3, 1, matching]) + self.stranger.key_digest()))
        return '\n'.join(plain), signed

    def sections(self):
        entries = [f'{{ domain = "{case.domain}"; tls = "{case.tls}"; '
                   f'mta_sts = {str(case.sts).lower()}; '
                   + (f'dane = "{case.dane}"; ' if case.is_signed else '') + '}' for case in CASES]
        routes = [f'{{ domain = "{case.domain}"; to = [ "mx.{case.domain}" ]; }}'
                  for case in CASES if case.is_routed]
        return {
            'ca': self.issuer.chain,
            'routes': ', '.join(routes),
            'rat': '{ recipients = [ ".sts.test", ".signed.test" ]; action = "accept"; }',
            'destinations': 'default = { tls = "off"; }; domains = ( ' + ', '.join(entries) + ' );',
            'bounce': 'default = { initial_retry = "1h"; max_retry = "1h"; };',
            'extra': dns_section({'sts.test': self.names.port, 'signed.test': self.names.port},
                                 validated=('signed.test',),
                                 more=f'trust_anchor = "{self.folder}/anchor";')
                     + f'mta_sts = {{ port = {self.policies.port}; timeout = "20s"; }};\n'
                     + 'tls_reports = { send = true; };\n'
                     + f'delivery = {{ port = {self.port}; timeout = "20s"; }};\n',
        }


@pytest.fixture(name='world', scope='module')
def fixture_world(make_shared_gateway, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        world = World(tmp_path_factory.mktemp('sts'), stack)
        world.gateway = make_shared_gateway(**world.sections()).start()
        with world.gateway.connect() as client:
            client.hello()
            for case in CASES:
                reply = client.transaction('a@lab.test', [f'b@{case.domain}'],
                                           TROUBLE * case.is_trouble + BODY)
                assert reply.code == 250
        yield world
        world.gateway.stop()


def wait_for(world, case):
    hop = world.hops[case]
    for pattern in case.log:
        world.gateway.wait_log(pattern.format(domain=re.escape(case.domain)))
    if case.expect != WAITS:
        wait_until(hop.mails, 20, f'mail at {case.domain}')
    elif case.step:
        number = world.gateway.wait_log(
            rf'New SMTP DCID (\d+) .* address {re.escape(hop.address)} port')[1]
        world.gateway.wait_log(rf'DCID {number} close\n')


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_outbound(world, case):
    wait_for(world, case)
    mails = world.hops[case].mails()
    if case.expect == WAITS:
        assert not mails
        return
    (mail,) = mails
    assert mail.secure == (case.expect == SECURE)


@pytest.mark.parametrize('name, secure', [
    ('untrusted', True), ('wrong-name', True), ('not-offered', False), ('not-listed', True),
    ('table-is-stronger', None)])
def test_mail_with_tls_required_no_goes_all_the_same(world, name, secure):
    """RFC 8689 4.2.2; and it is no session that is told of in a report."""
    case = next(case for case in CASES if case.name == name)
    since = len(world.gateway.log())
    with world.gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', [f'trouble@{case.domain}'],
                                  TROUBLE + BODY).code == 250
    if secure is None:
        world.gateway.wait_log(rf'DCID \d+ IP {re.escape(world.hops[case].address)} {REQUIRED}',
                               since=since)
        assert not world.hops[case].mails()
        return
    wait_until(world.hops[case].mails, 20, f'mail at {case.domain}')
    (mail,) = world.hops[case].mails()
    assert mail.secure == secure and mail.recipients == [f'trouble@{case.domain}']


def gathered(world):
    """What was kept for the reports: domain that is told -> (type, successes, failures), and
    domain -> (domain of the policy, types of its failures, a host and a reason)."""
    found, details = {}, {}
    for path in world.gateway.spool_path.glob('tls-reports/*'):
        for text in re.split(r'^(?=P )', path.read_text(), flags=re.M)[1:]:
            match = re.match(r'P (\d+) (\d+) (\d+) (\S+)\n(?:B (\S+)\n)?', text)
            found[match[4]] = tuple(int(match[n]) for n in (1, 2, 3))
            failures = re.findall(r'^D (\d+) \d+ \S*\t\S*\t(.*)\t(.*)$', text, re.M)
            details[match[4]] = (match[5] or match[4], {int(one[0]) for one in failures},
                                 *(failures[0][1:] if failures else ('', '')))
    return found, details


def test_what_happened_is_gathered_for_reports(world):
    """RFC 8460: per policy, also of one that is only tested, and for domains without any."""
    no_policy, sts, tlsa = 0, 1, 2
    for case in CASES:
        wait_for(world, case)
    world.gateway.stop()
    found, details = gathered(world)
    world.gateway.start()
    assert found['good.sts.test'] == (sts, 1, 0)
    assert found['untrusted.sts.test'][::2] == (sts, 1)
    assert found['wrong-name.sts.test'][::2] == (sts, 1)
    assert found['not-offered.sts.test'][::2] == (sts, 1)
    assert found['testing.sts.test'] == (sts, 0, 1)
    assert found['testing-wrong-name.sts.test'] == (sts, 0, 1)
    assert found['testing-hosted.sts.test'] == (sts, 0, 1)
    assert found['testing-good.sts.test'] == (sts, 1, 0)
    assert found['testing-not-listed.sts.test'] == (sts, 0, 1)
    assert found['not-asked-for.sts.test'] == (no_policy, 0, 1)
    assert found['mode-none.sts.test'] == (no_policy, 0, 1)
    assert found['dane-first.signed.test'] == (tlsa, 1, 0)
    assert details['dane-first.signed.test'][0] == 'mx.dane-first.signed.test'
    assert not [domain for domain in found if domain.startswith(('routed', 'trouble'))]
    for case in CASES:
        if not case.step or case.is_trouble:
            continue
        assert found[case.domain] == (no_policy if case.mode == 'none' else sts, 0, 1), case.name
        assert details[case.domain][1] == {
            VALIDATION_FAILURE if 'later' in case.name else STARTTLS_NOT_SUPPORTED}, case.name
    # Before anybody connected, or about the policy itself; at last what is tested as if enforced.
    for name, kind, result, reason in (
            ('not-listed.sts', sts, VALIDATION_FAILURE, 'does not list the host'),
            ('testing-not-listed.sts', sts, VALIDATION_FAILURE, 'does not list the host'),
            ('no-policy.sts', sts, STS_POLICY_FETCH_ERROR, '404'),
            ('no-policy-file.sts', sts, STS_POLICY_INVALID, 'not a policy'),
            ('policy-host-unknown.sts', sts, STS_WEBPKI_INVALID, 'SSL'),
            ('no-tlsa.signed', tlsa, DANE_REQUIRED, 'DANE is mandatory'),
            ('unusable-tlsa.signed', tlsa, TLSA_INVALID, 'no usable TLSA'),
            ('unusable-tlsa-encrypted.signed', tlsa, TLSA_INVALID, 'no usable TLSA'),
            ('bogus-tlsa.signed', tlsa, DNSSEC_INVALID, 'TLSA'),
            ('testing.sts', sts, CERTIFICATE_NOT_TRUSTED, 'certificate'),
            ('testing-wrong-name.sts', sts, CERTIFICATE_HOST_MISMATCH,
             'tried mx.testing-wrong-name.sts.test; certificate has'),
            ('testing-hosted.sts', sts, CERTIFICATE_HOST_MISMATCH,
             'tried mx.testing-hosted.sts.test; certificate has')):
        domain = f'{name}.test'
        assert found[domain] == (kind, 0, 1), (name, found[domain])
        assert details[domain][1] == {result}, (name, details[domain])
        assert details[domain][2] == f'mx.{domain}'
        assert reason in details[domain][3], (name, details[domain])
        assert details[domain][0] == (domain if kind == sts else f'mx.{domain}')


def test_a_policy_in_force_outlives_its_host_and_its_record(world):
    """Fail closed (5.1): neither a policy host that is gone nor a restart turns enforce off."""
    case = CASES[0]
    hop = world.hops[case]
    wait_until(hop.mails, 20, f'mail at {case.domain}')
    wait_until(lambda: list(world.gateway.spool_path.glob('mta-sts/*')), 20, 'the policy on disk')
    world.policies.answers[f'mta-sts.{case.domain}'] = Answer(status=404)
    world.gateway.stop()
    hop.stop()
    hop.certificate = None
    hop.extensions = ('8BITMIME',)
    hop.start()
    world.gateway.start()
    with world.gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', [f'c@{case.domain}'], BODY).code == 250
    world.gateway.wait_log(ALERT.format(domain=re.escape(case.domain)))
    assert len(hop.mails()) == 1


def test_reports_go_although_tls_fails_and_are_not_reported_themselves(world):
    """RFC 8460 3, 5.3: neither MTA-STS nor DANE is honoured, and there is no report of reports."""
    cases = {case.name: case for case in CASES}
    told = {'untrusted': True, 'wrong-name': True, 'not-offered': False, 'not-listed': True}
    world.gateway.command('tls-reports', 'send')
    for name, secure in told.items():
        domain = cases[name].domain
        world.gateway.wait_log(rf'TLS report: {re.escape(domain)}, \S+: is queued for tls@')

        def reports(hop=world.hops[cases[name]], to=f'tls@{domain}'):
            return [mail for mail in hop.mails() if mail.recipients == [to]]
        wait_until(reports, 20, f'the report at {domain}')
        mail, = reports()
        assert mail.secure == secure and b'\r\nTLS-Required: No\r\n' in mail.data
    world.gateway.wait_log(r'TLS reports of \S+: \d+ sent, ')
    world.gateway.stop()
    assert not [name for name in told if cases[name].domain in gathered(world)[0]]
    world.gateway.start()
