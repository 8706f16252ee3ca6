"""What is asked about a host, and how long it is waited for; also when it leaves meanwhile."""
import contextlib
import pathlib
import time

import pytest

from postern_lab import PATIENCE
from postern_lab.client import ConnectionEnded
from postern_lab.name_servers import NXDOMAIN, TYPES, NameServer, record, response, wire_name
from postern_lab.process import unread, wait_until
from postern_lab.sections import dns_section, hat_rows

POLICIES = '''
    NAMED = { access = "accept"; tls = "preferred"; banner_text = "$Group"; };
    SKIPPED = { access = "continue"; };
    BLOCKED = { access = "reject"; };'''
ZONES = ['127.in-addr.arpa', 'lab.test', 'one.test', 'two.test', 'three.test', 'rep.test']
REPUTATION = 'reputation = { zone = "rep.test"; };'


def answer_of_lab(packet, name, kind):
    """127.0.1.N is hN.lab.test, and in no list; the others have no name."""
    if kind == TYPES['PTR'] and name.endswith('.1.0.127.in-addr.arpa'):
        host = wire_name(f'h{name.split(".")[0]}.lab.test')
        return response(packet, 0, [record(name, 'PTR', host)])
    if kind == TYPES['A'] and name.endswith('.lab.test'):
        return response(packet, 0, [record(name, 'A', bytes([127, 0, 1, int(name[1:-9])]))])
    return response(packet, NXDOMAIN)


@pytest.fixture(name='server')
def fixture_server():
    with NameServer(answer_of_lab) as server:
        yield server


@pytest.fixture(name='silent')
def fixture_silent():
    with NameServer(lambda *_: None) as server:
        yield server


def section(server, timeout, **others):
    """others: zones of other servers, by the first label."""
    stubs = {zone: server.port for zone in ZONES}
    for label, other in others.items():
        stubs[next(zone for zone in ZONES if zone.startswith(label))] = other.port
    return dns_section(stubs, timeout)


def greeting_of(gateway, source):
    with gateway.connect(source=source, seconds=30) as client:
        return client.read().text


def wait_asked(server, name):
    wait_until(lambda: any(asked == name for asked, _ in list(server.asked)), 10,
               f'a question: {name}')


# --- asked only when it can matter ----------------------------------------------------------------

def questions(*names):
    kinds = {'in-addr.arpa': 'PTR', 'rep.test': 'TXT'}
    return {(name, TYPES[next((kind for end, kind in kinds.items() if name.endswith(end)), 'A')])
            for name in names}


NOBODY_ASKS = hat_rows(
    ('FIRST', ['127.0.1.0/28'], 'NAMED'),
    ('BYNAME', ['h20.lab.test', '.elsewhere.test'], 'NAMED'),
    ('SECOND', ['127.0.1.16-63', 'nx.domain'], 'NAMED'),
    ('LIST', ['dnslist[one.test]', '127.0.1.100', 'dnslist[two.test]'], 'BLOCKED'),
    ('PASSED', ['dnslist[three.test]'], 'SKIPPED'),
    ('SCORED', ['SBRS[-10.0:-9.0]'], 'NAMED'),
    ('REST', ['127.0.0.0/8'], 'NAMED'),
    ('NEVER', ['dnslist[three.test]', 'serv.fail'], 'BLOCKED'),
    ('ALL', ['ALL'], 'NAMED'))


@pytest.mark.parametrize('source, greeting, asked', [
    # An address in front of all names decides at once.
    ('127.0.1.1', 'FIRST', []),
    # A name may still be in front of the row of the address.
    ('127.0.1.20', 'BYNAME', ['20.1.0.127.in-addr.arpa', 'h20.lab.test']),
    ('127.0.1.21', 'SECOND', ['21.1.0.127.in-addr.arpa', 'h21.lab.test']),
    # Its own row does not need its lists, those behind it neither, and "continue" decides nothing.
    ('127.0.1.100', 'Your access to this mail system has been rejected',
     ['100.1.0.127.in-addr.arpa', 'h100.lab.test']),
    ('127.0.1.200', 'REST', ['200.1.0.127.in-addr.arpa', 'h200.lab.test', '200.1.0.127.one.test',
                             '200.1.0.127.two.test', '200.1.0.127.rep.test']),
    # No pointer: no address, and the row that wants just that ends it (all go out at once).
    ('127.0.2.1', 'SECOND', ['1.2.0.127.in-addr.arpa', '1.2.0.127.one.test', '1.2.0.127.two.test',
                             '1.2.0.127.rep.test']),
])
def test_only_what_can_matter_is_asked(make_gateway, next_hop, server, source, greeting, asked):
    gateway = make_gateway(next_hop, workers=1, hat=NOBODY_ASKS, policies=POLICIES,
                           extra=section(server, '20s') + REPUTATION).start()
    assert greeting_of(gateway, source).removeprefix('mx.lab.test ') == greeting
    # What no longer matters is not waited for, and may be counted after the greeting.
    wait_until(lambda: set(list(server.asked)) >= questions(*asked), 10, f'questions: {asked}')
    assert greeting_of(gateway, source).removeprefix('mx.lab.test ') == greeting
    assert set(server.asked) == questions(*asked)
    if not asked:
        gateway.wait_log('reverse dns host unknown verified no')


ALL_ASK = hat_rows(('LISTED', ['dnslist[one.test]', 'dnslist[two.test]'], 'BLOCKED'),
                   ('BYNAME', ['.lab.test'], 'NAMED'),
                   ('SCORED', ['SBRS[5.0:10.0]'], 'NAMED'),
                   ('SICK', ['serv.fail'], 'NAMED'),
                   ('ALL', ['ALL'], 'NAMED'))


def test_one_deadline_is_for_all_that_is_asked_at_once(make_gateway, next_hop, silent):
    """Nobody answers, yet all were asked: so none waited for another."""
    gateway = make_gateway(next_hop, workers=1, hat=ALL_ASK, policies=POLICIES,
                           extra=section(silent, '2s') + REPUTATION).start()
    began = time.monotonic()
    assert greeting_of(gateway, '127.0.1.1') == 'mx.lab.test SICK'
    assert 1.9 < time.monotonic() - began < 3.5 * PATIENCE  # one after the other: 8 s
    assert set(silent.asked) == questions('1.1.0.127.in-addr.arpa', '1.1.0.127.one.test',
                                          '1.1.0.127.two.test', '1.1.0.127.rep.test')
    gateway.wait_log(r'SG SICK match serv\.fail SBRS unable to retrieve country')


def test_an_answer_that_settles_the_row_ends_the_wait(make_gateway, next_hop, server, silent):
    def listed(packet, name, _):
        return response(packet, 0, [record(name, 'A', bytes([127, 0, 0, 2]))])
    with NameServer(listed) as lists:
        gateway = make_gateway(
            next_hop, workers=1, hat=ALL_ASK, policies=POLICIES,
            extra=section(server, '60s', one=silent, two=lists, rep=silent) + REPUTATION).start()
        began = time.monotonic()
        with gateway.connect(source='127.0.1.1', seconds=50) as client:
            client.expect(554)
        assert time.monotonic() - began < 15 * PATIENCE
        wait_asked(silent, '1.1.0.127.one.test')
        gateway.wait_log(r'SG LISTED match dnslist\[two\.test\] ')


# --- meanwhile ------------------------------------------------------------------------------------

BY_NAME = hat_rows(('BYNAME', ['.lab.test'], 'NAMED'), ('ALL', ['ALL'], 'NAMED'))


def test_a_reload_with_another_dns_loses_nobody_who_waits(make_gateway, next_hop, server, silent):
    gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES,
                           extra=section(silent, '6s')).start()
    with gateway.connect(source='127.0.1.1', seconds=30) as waiting:
        wait_asked(silent, '1.1.0.127.in-addr.arpa')
        gateway.configure(extra=section(server, '9s'))
        gateway.wait_log('generation 2 is in force', since=gateway.reload())
        for number in range(2, 8):  # whichever worker it meets
            assert greeting_of(gateway, f'127.0.1.{number}') == 'mx.lab.test BYNAME'
        assert unread(waiting.socket) == 0  # not answered before its time
        assert waiting.hello()
        assert waiting.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    next_hop.wait_messages(1)
    gateway.wait_log(r'address 127\.0\.1\.1 reverse dns host unknown verified no$')
    gateway.wait_log('generation 3 is in force', since=gateway.reload())


def test_a_lookup_that_is_under_way_at_a_reload_is_finished(make_gateway, next_hop, server):
    """The old resolver brings the answer, after the new one has taken over."""
    held = [True]

    def answer(packet, name, kind):
        return None if held[0] else answer_of_lab(packet, name, kind)
    with NameServer(answer) as slow:
        gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES,
                               extra=section(slow, '60s')).start()
        with gateway.connect(source='127.0.1.1', seconds=50) as waiting:
            wait_asked(slow, '1.1.0.127.in-addr.arpa')
            gateway.configure(extra=section(server, '59s'))
            gateway.wait_log('generation 2 is in force', since=gateway.reload())
            held[0] = False  # it is asked again after a moment
            assert waiting.expect(220).text == 'mx.lab.test BYNAME'


def connections(gateway):
    """Those that the gateway has not closed; sockets of the resolver do not count, libunbound
    keeps them for up to half a minute."""
    states = [(int(row.split()[1].rpartition(':')[2], 16), row.split()[3])
              for row in pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]]
    return sum(port == gateway.port and state in ('01', '08') for port, state in states)


def sources(count):
    return [f'127.0.{3 + i // 200}.{1 + i % 200}' for i in range(count)]


def test_hundreds_who_wait_for_a_silent_dns_get_their_verdict(make_gateway, next_hop, silent):
    gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES,
                           listener='backlog = 1000;', extra=section(silent, '4s')).start()
    clients = [gateway.connect(source=source, seconds=30) for source in sources(400)]
    try:
        for client in clients[::4]:  # one in four has had enough
            client.close()
        for number, client in enumerate(clients):
            if number % 4:
                assert client.expect(220).text == 'mx.lab.test ALL'
        for client in clients[1::4]:
            client.ehlo()
            assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    finally:
        for client in clients:
            client.close()
    next_hop.wait_messages(100)
    wait_until(lambda: connections(gateway) == 0, 10, 'all connections closed')


def test_hosts_that_leave_while_the_dns_is_silent_leave_nothing(make_gateway, next_hop, silent):
    gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES, listener='backlog = 1000;',
                           extra=section(silent, '2s')).start()
    for number in range(2):  # the second time they are known not to answer
        for source in sources(100):
            gateway.connect(source=source).close()
        wait_until(lambda: connections(gateway) == 0 and
                   gateway.log().count(' close\n') == 100 * (number + 1), 20, 'the end of all')
    assert greeting_of(gateway, '127.0.9.9') == 'mx.lab.test ALL'


def test_a_stop_does_not_wait_for_the_dns(make_gateway, next_hop, silent):
    gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES,
                           extra=section(silent, '300s')).start()
    clients = [gateway.connect(source=source) for source in sources(20)]
    wait_asked(silent, '1.3.0.127.in-addr.arpa')
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 5 * PATIENCE
    for client in clients:
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read()
        client.close()


def test_hosts_that_wait_take_no_place_from_others(make_gateway, next_hop, silent):
    """Neither one host with a silent DNS nor many close the listener to those who need none."""
    gateway = make_gateway(
        next_hop, listener='max_connections = 10;',
        policies='ACCEPTED = { access = "accept"; max_connections_per_ip = 3; };',
        hat='{ group = "KNOWN"; senders = [ "127.0.0.9" ]; policy = "ACCEPTED"; },'
            '{ group = "NAMED"; senders = [ ".lab.test" ]; policy = "ACCEPTED"; },'
            '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }',
        extra=section(silent, '4s'), workers=1
    ).start()
    with contextlib.ExitStack() as stack:
        def connect(source):
            return stack.enter_context(gateway.connect(source=source, seconds=20))
        alone = [connect('127.0.0.2') for _ in range(6)]
        codes = []
        for client in alone[3:]:  # three of them wait, the others are one host's too many
            codes.append(client.read().code)
        many = [connect(f'127.0.1.{number}') for number in range(1, 13)]
        for client in many[7:]:  # and ten at the listener
            codes.append(client.read().code)
        assert codes == [421] * 8
        with gateway.connect(source='127.0.0.9') as known:
            known.hello()
            known.quit()
        for client in alone[:3] + many[:7]:
            client.expect(220)


def test_a_stop_does_not_wait_for_a_senders_domain(make_gateway, next_hop, silent):
    gateway = make_gateway(
        next_hop, policies='ACCEPTED = { access = "accept"; verify_sender = true; };',
        hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }',
        extra=section(silent, '60s')
    ).start()
    with gateway.connect() as client:
        client.hello()
        client.send(b'MAIL FROM:<a@lab.test>\r\n')
        wait_until(lambda: silent.asked, 10, 'the domain to be asked for')
        started = time.monotonic()
        gateway.stop()
        assert time.monotonic() - started < 10
        client.expect(421)


def test_a_reload_whose_resolver_cannot_be_had_changes_nothing(make_gateway, next_hop, server):
    gateway = make_gateway(next_hop, hat=BY_NAME, policies=POLICIES,
                           extra=section(server, '9s')).start()
    anchor = gateway.folder / 'anchor'
    anchor.write_bytes(bytes(range(256)))
    gateway.configure(extra=section(server, '9s').replace(
        'sender_timeout', f'trust_anchor = "{anchor}"; sender_timeout'))
    since = gateway.reload()
    gateway.wait_log('DNS: no resolver: ', since=since)
    gateway.wait_log('the old configuration stays in force', since=since)
    assert greeting_of(gateway, '127.0.1.2') == 'mx.lab.test BYNAME'
    gateway.configure(extra=section(server, '9s'))
    gateway.wait_log('is in force', since=gateway.reload())
