"""Names in the HAT: the double lookup with real name servers, and what client and log see of it."""
import dataclasses
import re
import socket

import pytest

from postern_lab.name_servers import SERVFAIL, NameServer, Nsd, record, response, wire_name
from postern_lab.namespace import Namespace
from postern_lab.next_hop import NextHop
from postern_lab.ports import free_port
from postern_lab.sections import dns_section, hat_rows
from postern_lab.signed_zone import SignedZone
from postern_lab.tools import swaks

FORWARD_ZONE = '''
mx1 A 127.0.1.1
mx1 A 127.0.1.4
a.b.part A 127.0.1.2
part A 127.0.1.3
notpart A 127.0.1.10
liar A 192.0.2.1
second A 127.0.1.8
only6 AAAA ::1
alias CNAME second
other A 127.0.1.12
'''
REVERSE_ZONE = '''
1.1.0 PTR mx1.lab.test.
2.1.0 PTR a.b.part.lab.test.
3.1.0 PTR part.lab.test.
4.1.0 PTR MX1.Lab.Test.
5.1.0 PTR liar.lab.test.
6.1.0 PTR nowhere.lab.test.
7.1.0 TXT "no pointer"
8.1.0 PTR alias.lab.test.
9.1.0 PTR only6.lab.test.
10.1.0 PTR notpart.lab.test.
11.1.0 PTR host.silent.test.
12.1.0 PTR liar.lab.test.
12.1.0 PTR other.lab.test.
13.1.0 PTR a\\032b.lab.test.
'''
HAT = hat_rows(('EXACT', ['mx1.lab.test'], 'NAMED'),
               ('PARTIAL', ['.part.lab.test'], 'NAMED'),
               ('NOBODY', ['nx.domain'], 'NAMED'),
               ('SICK', ['serv.fail'], 'NAMED'),
               ('LIES', ['not.double.verified'], 'NAMED'),
               (None, ['ALL'], 'NAMED'))
BANNER = '"$Group/$Hostname/$RemoteIP/$HATEntry/$Nothing"'
POLICIES = f'NAMED = {{ access = "accept"; tls = "preferred"; banner_text = {BANNER}; }};'


@dataclasses.dataclass
class Case:
    """A host, and what has to become of it; name: as the log has it."""
    address: str
    group: str
    entry: str
    name: str = ''
    is_verified: bool = False
    hostname: str = ''  # $Hostname

    def __str__(self):
        return f'{self.address}-{self.group}'


def verified(address, group, entry, name):
    return Case(address, group, entry, name, True, name)


def lies(address, name):
    return Case(address, 'LIES', 'not.double.verified', name, False, 'Unknown')


def sick(address):
    return Case(address, 'SICK', 'serv.fail', '', False, 'Unknown')


def nobody(address):
    return Case(address, 'NOBODY', 'nx.domain', '', False, 'None')


CASES = [
    verified('127.0.1.1', 'EXACT', 'mx1.lab.test', 'mx1.lab.test'),
    verified('127.0.1.4', 'EXACT', 'mx1.lab.test', 'mx1.lab.test'),
    verified('127.0.1.2', 'PARTIAL', '.part.lab.test', 'a.b.part.lab.test'),
    verified('127.0.1.3', 'None', 'ALL', 'part.lab.test'),  # the domain is not below itself
    verified('127.0.1.10', 'None', 'ALL', 'notpart.lab.test'),
    verified('127.0.1.8', 'None', 'ALL', 'alias.lab.test'),
    verified('127.0.1.12', 'None', 'ALL', 'other.lab.test'),  # its second name
    lies('127.0.1.5', 'liar.lab.test'),
    lies('127.0.1.6', 'nowhere.lab.test'),
    lies('127.0.1.9', 'only6.lab.test'),
    lies('127.0.1.11', 'host.silent.test'),  # its address never comes
    nobody('127.0.1.7'),
    nobody('127.0.1.99'),
    nobody('127.0.1.13'),
    sick('127.0.2.1'),  # SERVFAIL
    sick('127.0.3.1'),  # its name server is down
    sick('127.0.4.1'),  # ... and never answers
    sick('127.0.5.1'),  # ... and answers what was not asked
]


def answer_of_another(packet, name, _):
    other = packet[:12] + wire_name('x.' + name) + b'\0\x0c\0\1'
    return response(other, 0, [record('x.' + name, 'PTR', wire_name('mx1.lab.test'))])


@pytest.fixture(name='lab', scope='module')
def fixture_lab(make_shared_gateway, tmp_path_factory):
    """A gateway whose resolver finds an NSD, and for some networks servers that are none."""
    nsd = Nsd(tmp_path_factory.mktemp('nsd'),
              {'lab.test': FORWARD_ZONE, '127.in-addr.arpa': REVERSE_ZONE})
    with (NextHop() as hop, NameServer(lambda packet, *_: response(packet, SERVFAIL)) as failing,
          NameServer(lambda *_: None) as silent, NameServer(answer_of_another) as wrong):
        stubs = {'lab.test': nsd.port, '127.in-addr.arpa': nsd.port, 'silent.test': silent.port,
                 '2.0.127.in-addr.arpa': failing.port, '3.0.127.in-addr.arpa': free_port(),
                 '4.0.127.in-addr.arpa': silent.port, '5.0.127.in-addr.arpa': wrong.port}
        nsd.start()
        gateway = make_shared_gateway(hop, hat=HAT, policies=POLICIES,
                                      extra=dns_section(stubs, timeout='2s')).start()
        yield gateway, hop
        gateway.stop()
        nsd.stop()


def check_log(gateway, since, case, ours='127.0.0.1'):
    """The two lines in which a connection appears, verbatim."""
    new = gateway.wait_log(rf'Info: New SMTP ICID (\d+) interface \w+ \({re.escape(ours)}\) '
                           rf'address {re.escape(case.address)} reverse dns host (\S+) '
                           r'verified (yes|no)$', since=since)
    assert new.group(2) == (case.name or 'unknown')
    assert new.group(3) == ('yes' if case.is_verified else 'no')
    gateway.wait_log(rf'Info: ICID {new.group(1)} ACCEPT SG {case.group} match '
                     rf'{re.escape(case.entry)} SBRS not enabled country not enabled$', since=since)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_the_double_lookup_picks_the_row(lab, case):
    gateway, _ = lab
    since = len(gateway.log())
    with gateway.connect(source=case.address) as client:
        greeting = client.expect(220)
    group = case.group
    assert greeting.text == (f'mx.lab.test {group}/{case.hostname}/{case.address}/{case.entry}'
                             '/$Nothing')
    check_log(gateway, since, case)


@pytest.mark.parametrize('address, peer', [
    ('127.0.1.2', b'(a.b.part.lab.test [127.0.1.2])'),
    ('127.0.1.5', b'([127.0.1.5])'),
    ('127.0.1.7', b'([127.0.1.7])'),
])
def test_received_names_only_a_host_that_is_verified(lab, address, peer):
    gateway, hop = lab
    before = len(hop.messages)
    result = swaks(gateway.port, '--local-interface', address, '--ehlo', 'says.lab.test')
    assert result.returncode == 0, result.stdout
    message = hop.wait_messages(before + 1)[before]
    wanted = b'Received: from says.lab.test ' + peer + b' by mx.lab.test'
    assert b' '.join(message.data.split()).startswith(wanted)


def test_hosts_of_ipv6_have_names_too(make_gateway, folder):
    address = '2001:db8::25'
    label = '.'.join(reversed(socket.inet_pton(socket.AF_INET6, address).hex()))
    zones = {'lab.test': f'six AAAA {address}\nother AAAA 2001:db8::99',
             '8.b.d.0.1.0.0.2.ip6.arpa': f'{label}.ip6.arpa. PTR six.lab.test.'}
    with Namespace() as net:
        for own in (address, '2001:db8::26'):
            net.ip('-6', 'address', 'add', f'{own}/128', 'dev', 'lo', 'nodad')
        with net.inside(), NextHop() as hop:
            nsd = Nsd(folder, zones).start()
            port = free_port()
            more = (f', {{ name = "Six"; type = "public"; address = "{address}"; port = {port};'
                    ' certificate = "mail"; hat = "inbound"; rat = "inbound"; }')
            gateway = make_gateway(
                hop, hat=hat_rows(('SIX', ['six.lab.test'], 'NAMED'),
                                  ('RANGE', ['2001:db8::20-2001:db8::2f'], 'NAMED'),
                                  ('ALL', ['ALL'], 'NAMED')),
                policies=POLICIES, listeners_more=more,
                extra=dns_section({zone: nsd.port for zone in zones})).start()
            try:
                for case in (verified(address, 'SIX', 'six.lab.test', 'six.lab.test'),
                             Case('2001:db8::26', 'RANGE', '2001:db8::20-2001:db8::2f')):
                    with socket.create_connection((address, port), timeout=20,
                                                  source_address=(case.address, 0)) as client:
                        assert client.recv(1000).startswith(
                            f'220 mx.lab.test {case.group}/'.encode())
                    check_log(gateway, 0, case, ours=address)
            finally:
                gateway.stop()
                nsd.stop()


# --- the recipe for Cisco's encryption service ----------------------------------------------------

CRES = hat_rows(
    ('CRES', ['.res.cisco.com', '.cres.iphmx.com', '208.90.57.0/26', '204.15.81.0/26'],
     'TLS_REQUIRED'),
    ('ALL', ['ALL'], 'ACCEPTED'))
CRES_ZONES = {
    'res.cisco.com': 'mx1 A 198.51.100.1\nmx2 A 192.0.2.77',
    'cres.iphmx.com': 'esa1 A 198.51.100.3',
    '100.51.198.in-addr.arpa': '''1 PTR mx1.res.cisco.com.
2 PTR mx2.res.cisco.com.
3 PTR esa1.cres.iphmx.com.
4 PTR res.cisco.com.
''',
    '57.90.208.in-addr.arpa': '63 PTR mx1.res.cisco.com.',
    '81.15.204.in-addr.arpa': '',
}
CRES_INSIDE = [('198.51.100.1', '.res.cisco.com'), ('198.51.100.3', '.cres.iphmx.com'),
               ('208.90.57.1', '208.90.57.0/26'), ('208.90.57.63', '208.90.57.0/26'),
               ('204.15.81.0', '204.15.81.0/26')]
CRES_OUTSIDE = ['198.51.100.2', '198.51.100.4', '198.51.100.5', '208.90.57.64', '204.15.81.64']


@pytest.fixture(name='cres', scope='module')
def fixture_cres(make_shared_gateway, tmp_path_factory):
    """(gateway, next hop, namespace) where the addresses of both lists are loopback's."""
    with Namespace() as net:
        for address in [*(address for address, _ in CRES_INSIDE), *CRES_OUTSIDE]:
            net.add(f'{address}/32')
        with net.inside():
            nsd = Nsd(tmp_path_factory.mktemp('cres'), CRES_ZONES).start()
            hop = NextHop().start()
            gateway = make_shared_gateway(
                hop, hat=CRES,
                extra=dns_section({zone: nsd.port for zone in CRES_ZONES}, timeout='5s')).start()
        yield gateway, hop, net
        gateway.stop()
        hop.stop()
        nsd.stop()


@pytest.mark.parametrize('address, entry', CRES_INSIDE)
def test_cres_by_verified_name_and_by_network_needs_tls(cres, address, entry):
    gateway, hop, net = cres
    since, before = len(gateway.log()), len(hop.messages)
    with net.inside():
        clear = swaks(gateway.port, '--local-interface', address)
        assert re.search(r'MAIL FROM.*\n.*530 5\.7\.0', clear.stdout), clear.stdout
        assert 'RCPT TO' not in clear.stdout
        encrypted = swaks(gateway.port, '--local-interface', address, '--tls')
    assert encrypted.returncode == 0, encrypted.stdout
    message = hop.wait_messages(before + 1)[before]
    assert b'with ESMTPS ' in b' '.join(message.data.split())
    gateway.wait_log(rf'ICID \d+ ACCEPT SG CRES match {re.escape(entry)} SBRS', since=since)
    gateway.wait_log(r'ICID \d+ TLS was required but remote host did not initiate it', since=since)
    assert 'SG ALL' not in gateway.log()[since:]


@pytest.mark.parametrize('address', CRES_OUTSIDE)
def test_cres_by_a_name_that_is_not_verified_is_all(cres, address):
    gateway, hop, net = cres
    since, before = len(gateway.log()), len(hop.messages)
    with net.inside():
        clear = swaks(gateway.port, '--local-interface', address)
    assert clear.returncode == 0, clear.stdout
    hop.wait_messages(before + 1)
    gateway.wait_log(r'ICID \d+ ACCEPT SG ALL match ALL SBRS', since=since)
    if address == '198.51.100.2':
        gateway.wait_log(r'reverse dns host mx2\.res\.cisco\.com verified no$', since=since)


# --- signed zones ---------------------------------------------------------------------------------

FORGED_ZONE = '3.1.0.127.in-addr.arpa'  # a part of a signed zone; the anchor does not name it


@pytest.mark.parametrize('stubs, validated, forged', [
    ([], [], sick('127.0.1.3')),
    (['signed.test', '1.0.127.in-addr.arpa', FORGED_ZONE], [FORGED_ZONE], sick('127.0.1.3')),
    (['signed.test', '1.0.127.in-addr.arpa', FORGED_ZONE], [],
     verified('127.0.1.3', 'PARTIAL', '.signed.test', 'forged.signed.test')),
], ids=['servers', 'validated stub', 'stub taken for unsigned'])
def test_signed_names_count_and_spoiled_ones_are_a_failure(make_gateway, next_hop, folder, stubs,
                                                           validated, forged):
    names = SignedZone('signed.test', [
        ('good', 'A', socket.inet_aton('127.0.1.1')),
        ('forged', 'A', socket.inet_aton('127.0.1.3')),
        ('bogus', 'A', socket.inet_aton('127.0.1.2'))], spoiled=[('bogus', 'A')])
    reverse = SignedZone('1.0.127.in-addr.arpa', [
        ('1', 'PTR', wire_name('good.signed.test')), ('2', 'PTR', wire_name('bogus.signed.test')),
        ('3', 'PTR', wire_name('forged.signed.test'))], spoiled=[('3', 'PTR')])
    anchor = folder / 'anchor'
    anchor.write_text(names.anchor() + reverse.anchor())
    nsd = Nsd(folder, {}, {zone.zone: zone.text() for zone in (names, reverse)}).start()
    gateway = make_gateway(
        next_hop, policies=POLICIES,
        hat=HAT.replace('mx1.lab.test', 'good.signed.test').replace('.part.lab', '.signed'),
        extra=dns_section(dict.fromkeys(stubs, nsd.port), servers=() if stubs else [nsd.port],
                          validated=validated, timeout='10s',
                          more=f'trust_anchor = "{anchor}";')).start()
    try:
        for case in (verified('127.0.1.1', 'EXACT', 'good.signed.test', 'good.signed.test'),
                     lies('127.0.1.2', 'bogus.signed.test'), forged, nobody('127.0.1.4')):
            with gateway.connect(source=case.address) as client:
                assert client.expect(220).text.startswith(f'mx.lab.test {case.group}/')
            check_log(gateway, 0, case)
    finally:
        nsd.stop()
