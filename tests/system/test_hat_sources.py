"""What else the HAT asks about a host: DNS lists, reputations, countries."""
import re
import socket

import pytest

from postern_lab.country_database import write_country_database
from postern_lab.name_servers import SERVFAIL, NameServer, Nsd, response
from postern_lab.namespace import Namespace
from postern_lab.next_hop import NextHop
from postern_lab.ports import free_port
from postern_lab.sections import dns_section, hat_rows

POLICIES = '''
    NAMED = { access = "accept"; tls = "preferred"; banner_text = "$Group by $HATEntry"; };
    BLOCKED = { access = "reject"; reject_code = 550;
                reject_text = "#5.7.1 $RemoteIP is in $HATEntry"; };
    REFUSED = { access = "refuse"; };'''


def greeting_of(gateway, source):
    """What the host is greeted with."""
    with gateway.connect(source=source) as client:
        reply = client.read()
        return f'{reply.code} {reply.text}'


def group_of(gateway, source):
    found = re.fullmatch(r'220 mx\.lab\.test (\S+) by (\S+)', greeting_of(gateway, source))
    return found.groups()


def logged(gateway, source, since=0):
    """What is in the log of a host, from SG to the end of the line."""
    icid = gateway.wait_log(rf'New SMTP ICID (\d+) .* address {re.escape(source)} ',
                            since=since).group(1)
    return gateway.wait_log(rf'ICID {icid} \w+ SG (.*)$', since=since).group(1)


# --- DNS lists ------------------------------------------------------------------------------------

LISTS = {
    'bl.test': '''
1.1.0.127 A 127.0.0.2
2.1.0.127 A 127.0.0.4
3.1.0.127 A 127.0.0.10
4.1.0.127 A 127.0.0.9
4.1.0.127 A 127.0.0.4
5.1.0.127 TXT "a reason, and no address"
7.1.0.127 CNAME listed
listed A 127.0.0.2
*.8.1.0.127 A 127.0.0.2
''',
    'wl.test': '9.1.0.127 A 127.0.0.1\n1.2.0.127 A 127.0.0.1',
}
LISTS_HAT = hat_rows(
    ('GOOD', ['dnslist[wl.test]'], 'NAMED'),
    ('EXACT', ['dnslist[bl.test=127.0.0.2]'], 'BLOCKED'),
    ('RANGE', ['dnslist[bl.test=127.0.0.3-7]'], 'NAMED'),
    ('FAILING', ['dnslist[sick.test]', 'dnslist[down.test]', 'dnslist[wrong.test]'], 'BLOCKED'),
    ('ANY', ['dnslist[BL.Test]'], 'REFUSED'),
    ('ALL', ['ALL'], 'NAMED'))


@pytest.fixture(name='listed', scope='module')
def fixture_listed(make_shared_gateway, tmp_path_factory):
    nsd = Nsd(tmp_path_factory.mktemp('lists'), LISTS)
    with NextHop() as hop, NameServer(lambda packet, *_: response(packet, SERVFAIL)) as failing:
        stubs = {**{zone: nsd.port for zone in LISTS}, 'sick.test': failing.port,
                 'down.test': free_port(), 'wrong.test': nsd.port}
        nsd.start()
        gateway = make_shared_gateway(hop, hat=LISTS_HAT, policies=POLICIES,
                                      extra=dns_section(stubs, timeout='1s')).start()
        yield gateway
        gateway.stop()
        nsd.stop()


@pytest.mark.parametrize('source, greeting', [
    ('127.0.1.1', '550 #5.7.1 127.0.1.1 is in dnslist[bl.test=127.0.0.2]'),
    ('127.0.1.7', '550 #5.7.1 127.0.1.7 is in dnslist[bl.test=127.0.0.2]'),  # behind a CNAME
    ('127.0.1.2', '220 mx.lab.test RANGE by dnslist[bl.test=127.0.0.3-7]'),
    ('127.0.1.4', '220 mx.lab.test RANGE by dnslist[bl.test=127.0.0.3-7]'),  # one of its answers
    ('127.0.1.9', '220 mx.lab.test GOOD by dnslist[wl.test]'),
    ('127.0.2.1', '220 mx.lab.test GOOD by dnslist[wl.test]'),
    ('127.0.1.5', '220 mx.lab.test ALL by ALL'),
    ('127.0.1.6', '220 mx.lab.test ALL by ALL'),  # a list that fails matches nobody
])
def test_a_dns_list_picks_the_row(listed, source, greeting):
    since = len(listed.log())
    assert greeting_of(listed, source) == greeting
    entry = re.split(r' (?:by|is in) ', greeting)[1]
    assert f' match {entry} SBRS not enabled country not enabled' in logged(listed, source, since)
    new = listed.wait_log(r'New SMTP ICID .*$', since=since).group()
    assert new.endswith('reverse dns host unknown verified no')


def test_a_list_may_refuse_the_connection(listed):
    since = len(listed.log())
    with pytest.raises(OSError, match='reset'):
        with socket.create_connection(('127.0.0.1', listed.port), timeout=20,
                                      source_address=('127.0.1.3', 0)) as client:
            client.recv(1)
    listed.wait_log(r'ICID 0 TCPREFUSE SG ANY match dnslist\[BL\.Test\] '
                    r'SBRS not enabled country not enabled$', since=since)
    assert 'New SMTP' not in listed.log()[since:]


# --- reputations ----------------------------------------------------------------------------------

SCORES_HAT = hat_rows(
    ('BLACKLIST', ['SBRS[-10.0:-3.0]'], 'BLOCKED'),
    ('SUSPECTLIST', ['sbrs[-2.9:-1.0]'], 'NAMED'),
    ('UNKNOWNLIST', ['SBRS[none]'], 'NAMED'),
    ('ALL', ['ALL'], 'NAMED'))
TEXT_ZONE = '''
1.1.0.127 TXT "-9.9"
2.1.0.127 TXT "-1.1"
3.1.0.127 TXT "3.4"
4.1.0.127 TXT " 10 "
5.1.0.127 TXT "excellent"
6.1.0.127 TXT "excellent"
6.1.0.127 TXT "-1.5"
7.1.0.127 TXT "-3.0"
8.1.0.127 TXT "-11"
10.1.0.127 A 127.0.4.0
'''
# 127.0.4.N is a score of N / 5 - 10
ADDRESS_ZONE = '''
1.1.0.127 A 127.0.4.0
2.1.0.127 A 127.0.4.45
3.1.0.127 A 127.0.4.67
4.1.0.127 A 127.0.4.100
5.1.0.127 A 127.0.4.101
6.1.0.127 A 127.0.5.7
7.1.0.127 TXT "-9.9"
'''
KNOWN = [('127.0.1.1', 'BLACKLIST', 'SBRS[-10.0:-3.0]'), ('127.0.1.2', 'SUSPECTLIST',
                                                          'sbrs[-2.9:-1.0]'),
         ('127.0.1.3', 'ALL', 'ALL'), ('127.0.1.4', 'ALL', 'ALL'),
         ('127.0.1.5', 'UNKNOWNLIST', 'SBRS[none]'), ('127.0.1.99', 'UNKNOWNLIST', 'SBRS[none]')]


def check_score(gateway, source, group, entry, score):
    since = len(gateway.log())
    greeting = greeting_of(gateway, source)
    if group == 'BLACKLIST':
        assert greeting == f'550 #5.7.1 {source} is in {entry}'
    else:
        assert greeting == f'220 mx.lab.test {group} by {entry}'
    assert logged(gateway, source, since) == (
        f'{group} match {entry} SBRS {score} country not enabled')


@pytest.fixture(name='scored')
def fixture_scored(make_gateway, next_hop, folder, background):
    """scored(reputation, zone, timeout): a gateway that asks the zone rep.test."""
    def make(reputation, zone='', port=None):
        if port is None:
            port = background(Nsd(folder, {'rep.test': zone})).port
        return make_gateway(next_hop, hat=SCORES_HAT, policies=POLICIES,
                            extra=dns_section({'rep.test': port}, timeout='1s')
                            + f'reputation = {{ {reputation} }};').start()
    return make


def test_a_reputation_is_a_text_of_a_zone(scored):
    gateway = scored('zone = "rep.test";', TEXT_ZONE)
    scores = ['-9.9', '-1.1', '3.4', '10.0', 'None', 'None']
    for (source, group, entry), score in zip(KNOWN, scores):
        check_score(gateway, source, group, entry, score)
    check_score(gateway, '127.0.1.6', 'SUSPECTLIST', 'sbrs[-2.9:-1.0]', '-1.5')
    check_score(gateway, '127.0.1.7', 'BLACKLIST', 'SBRS[-10.0:-3.0]', '-3.0')
    for source in ('127.0.1.8', '127.0.1.10'):
        check_score(gateway, source, 'UNKNOWNLIST', 'SBRS[none]', 'None')


def test_a_reputation_is_an_address_of_a_zone(scored):
    gateway = scored('zone = "rep.test"; answer = "a";', ADDRESS_ZONE)
    scores = ['-10.0', '-1.0', '3.4', '10.0', 'None', 'None']
    for (source, group, entry), score in zip(KNOWN, scores):
        check_score(gateway, source, group, entry, score)
    for source in ('127.0.1.6', '127.0.1.7'):
        check_score(gateway, source, 'UNKNOWNLIST', 'SBRS[none]', 'None')


def test_a_reputation_stands_in_a_file_and_else_in_the_zone(scored, folder):
    path = folder / 'scores'
    path.write_text('# by hand\n127.0.1.0/24  -5.0\n127.0.1.2 -1.1  # better than its net\n'
                    '127.0.9.0/24 7\n')
    gateway = scored(f'file = "{path}";', port=1)
    for source, group, entry, score in [
            ('127.0.1.1', 'BLACKLIST', 'SBRS[-10.0:-3.0]', '-5.0'),
            ('127.0.1.2', 'SUSPECTLIST', 'sbrs[-2.9:-1.0]', '-1.1'),
            ('127.0.9.1', 'ALL', 'ALL', '7.0'), ('127.0.8.1', 'UNKNOWNLIST', 'SBRS[none]', 'None')]:
        check_score(gateway, source, group, entry, score)
    with NameServer(lambda packet, *_: response(packet, 3)) as server:
        gateway.configure(extra=dns_section({'rep.test': server.port})
                          + f'reputation = {{ file = "{path}"; zone = "rep.test"; }};')
        path.write_text('127.0.1.1 7\n')  # is read again, too
        gateway.wait_log('generation 2 is in force', since=gateway.reload())
        check_score(gateway, '127.0.1.1', 'ALL', 'ALL', '7.0')
        assert not server.asked
        check_score(gateway, '127.0.1.2', 'UNKNOWNLIST', 'SBRS[none]', 'None')
        assert set(server.asked) == {('2.1.0.127.rep.test', 16)}


@pytest.mark.parametrize('way', ['fails', 'is silent'])
def test_a_reputation_that_cannot_be_had(scored, way):
    def answer(packet, *_):
        return response(packet, SERVFAIL) if way == 'fails' else None
    with NameServer(answer) as server:
        gateway = scored('zone = "rep.test";', port=server.port)
        check_score(gateway, '127.0.1.1', 'UNKNOWNLIST', 'SBRS[none]', 'unable to retrieve')


def test_a_private_address_has_no_reputation_and_is_not_asked_for(make_gateway):
    with Namespace() as net:
        net.add('10.20.30.40/32')
        with net.inside(), NextHop() as hop, NameServer(lambda *_: None) as server:
            gateway = make_gateway(hop, hat=SCORES_HAT, policies=POLICIES,
                                   extra=dns_section({'rep.test': server.port}, timeout='60s')
                                   + 'reputation = { zone = "rep.test"; };').start()
            check_score(gateway, '10.20.30.40', 'UNKNOWNLIST', 'SBRS[none]', 'rfc1918')
            assert not server.asked
            gateway.stop()


# --- countries ------------------------------------------------------------------------------------

def test_a_country_picks_the_row_and_is_logged_by_name(make_gateway, next_hop, folder):
    path = folder / 'countries.mmdb'
    write_country_database(path, [
        ('127.0.1.0/24', 'DE', 'Germany'), ('127.0.2.0/25', 'US', 'United States'),
        ('127.0.3.7/32', 'XK', None), ('127.0.4.0/24', 'nonsense', 'Nowhere')])
    gateway = make_gateway(
        next_hop, policies=POLICIES, extra=f'country = {{ database = "{path}"; }};',
        hat=hat_rows(('EUROPE', ['geo[FR]', 'geo[de]'], 'NAMED'), ('BAD', ['geo[US]'], 'BLOCKED'),
                     ('ALL', ['ALL'], 'NAMED'))).start()
    for source, greeting, line in [
            ('127.0.1.1', '220 mx.lab.test EUROPE by geo[de]',
             'EUROPE match geo[de] SBRS not enabled country Germany'),
            ('127.0.2.127', '550 #5.7.1 127.0.2.127 is in geo[US]',
             'BAD match geo[US] SBRS not enabled country United States'),
            ('127.0.2.128', '220 mx.lab.test ALL by ALL',
             'ALL match ALL SBRS not enabled country None'),
            ('127.0.3.7', '220 mx.lab.test ALL by ALL',
             'ALL match ALL SBRS not enabled country XK'),
            ('127.0.4.1', '220 mx.lab.test ALL by ALL',
             'ALL match ALL SBRS not enabled country None')]:
        since = len(gateway.log())
        assert greeting_of(gateway, source) == greeting
        assert logged(gateway, source, since) == line
    write_country_database(path.with_suffix('.new'), [('127.0.2.0/24', 'FR', 'France')])
    path.with_suffix('.new').rename(path)  # it is mapped: never written over
    gateway.wait_log('generation 2 is in force', since=gateway.reload())
    assert group_of(gateway, '127.0.2.127') == ('EUROPE', 'geo[FR]')
    assert group_of(gateway, '127.0.1.1') == ('ALL', 'ALL')
