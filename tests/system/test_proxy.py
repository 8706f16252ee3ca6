"""Behind a load balancer or a proxy: the HAT sees the client that PROXY or XCLIENT names."""
import socket
import struct

import pytest

from postern_lab.client import ConnectionEnded
from postern_lab.next_hop import NextHop

POLICIES = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; };
    ONE = { access = "accept"; max_connections_per_ip = 1; };
    BLOCKED = { access = "reject"; reject_text = "no $RemoteIP"; };
    REFUSED = { access = "refuse"; };'''
HAT = '''
    { group = "BAD"; senders = [ "192.0.2.66", "2001:db8::66" ]; policy = "BLOCKED"; },
    { group = "WORST"; senders = [ "192.0.2.67" ]; policy = "REFUSED"; },
    { group = "ONE"; senders = [ "192.0.2.1" ]; policy = "ONE"; },
    { group = "NAMED"; senders = [ ".partner.test" ]; policy = "ONE"; },
    { group = "BALANCER"; senders = [ "127.0.0.2" ]; policy = "BLOCKED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''
BALANCER = '127.0.0.2'
PROXY = '127.0.0.3'


def v1(source='192.0.2.10', family='TCP4', destination='192.0.2.25'):
    return f'PROXY {family} {source} {destination} 4321 25\r\n'.encode()


def v2(source='192.0.2.10', command=1, tlvs=b''):
    if command == 0:
        family, addresses = 0, b''
    elif ':' in source:
        family, addresses = 0x21, (socket.inet_pton(socket.AF_INET6, source) +
                                   socket.inet_pton(socket.AF_INET6, '2001:db8::25'))
    else:
        family, addresses = 0x11, socket.inet_aton(source) + socket.inet_aton('192.0.2.25')
    ports = struct.pack('!HH', 4321, 25) if addresses else b''
    rest = addresses + ports + tlvs
    return (b'\r\n\r\n\0\r\nQUIT\n' + bytes([0x20 | command, family]) +
            struct.pack('!H', len(rest)) + rest)


@pytest.fixture(name='hop', scope='module')
def fixture_hop():
    with NextHop() as hop:
        yield hop


@pytest.fixture(name='gateway', scope='module')
def fixture_gateway(make_shared_gateway, hop):
    return make_shared_gateway(hop, policies=POLICIES, hat=HAT,
                               listener='proxy_from = [ "127.0.0.2/32" ]; '
                                        'xclient_from = [ "127.0.0.3" ];').start()


@pytest.mark.parametrize('header,address,code', [
    (v1(), '192.0.2.10', 220),
    (v1('192.0.2.66'), '192.0.2.66', 554),
    (v1('2001:db8::66', 'TCP6', '2001:db8::25'), '2001:db8::66', 554),
    (v2(), '192.0.2.10', 220),
    (v2('2001:db8::66'), '2001:db8::66', 554),
    (v2(tlvs=b'\x04\0\x20' + b'x' * 32), '192.0.2.10', 220),
    (v2(command=0), BALANCER, 554),
    (b'PROXY UNKNOWN\r\n', BALANCER, 554),
])
@pytest.mark.parametrize('is_cut', [False, True])
def test_the_hat_sees_the_client(gateway, header, address, code, is_cut):
    since = len(gateway.log())
    with gateway.connect(source=BALANCER) as client:
        for piece in ([bytes([b]) for b in header] if is_cut else [header]):
            client.send(piece)
        reply = client.expect(code)
        assert code != 554 or f'no {address}' in reply.text
        gateway.wait_log(rf'New SMTP ICID \d+ interface Inbound .* address {address} reverse',
                         since=since)


def test_what_follows_the_header_in_the_same_packet_is_the_clients(gateway, hop):
    with gateway.connect(source=BALANCER) as client:
        client.send(v1() + b'EHLO client.lab.test\r\n')
        client.expect(220)
        client.expect(250)
        client.transaction('a@lab.test', ['b@example.com'], b'Subject: x\r\n\r\nx\r\n')
    message = hop.wait_messages(1)[0]
    assert b'[192.0.2.10]' in message.data


def test_a_refused_client_is_reset(gateway):
    with gateway.connect(source=BALANCER) as client:
        client.send(v1('192.0.2.67'))
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read()
    gateway.wait_log(r'ICID 0 TCPREFUSE SG WORST match 192\.0\.2\.67')


def test_limits_count_the_client_and_not_the_balancer(gateway):
    with gateway.connect(source=BALANCER) as first, gateway.connect(source=BALANCER) as second:
        first.send(v1('192.0.2.1'))
        first.expect(220)
        second.send(v1('192.0.2.1'))
        second.expect(421)
        with gateway.connect(source=BALANCER) as third:
            third.send(v1('192.0.2.2'))
            third.expect(220)


@pytest.mark.parametrize('sent', [b'EHLO client.lab.test\r\n', b'PROXY TCP4 x\r\n',
                                  b'\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c' + b'x' * 12, b'x' * 200])
def test_a_listed_balancer_must_say_it_right(gateway, sent):
    since = len(gateway.log())
    with gateway.connect(source=BALANCER) as client:
        client.send(sent)
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read()
    gateway.wait_log(r'Listener Inbound: 127\.0\.0\.2 is listed in proxy_from and sent no PROXY',
                     since=since)


def test_from_others_it_is_no_command(gateway):
    since = len(gateway.log())
    with gateway.connect(source='127.0.0.9') as client:
        client.expect(220)
        client.send(v1('192.0.2.66'))
        client.expect(500)
        client.ehlo()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
    assert '192.0.2.66 reverse' not in gateway.log()[since:]


def test_one_that_says_nothing_is_left(make_gateway, next_hop):
    gateway = make_gateway(next_hop, policies=POLICIES, hat=HAT,
                           listener='proxy_from = [ "127.0.0.2/32" ];').start()
    with gateway.connect(source=BALANCER, seconds=30) as client:
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read()
    with gateway.connect(source=BALANCER):
        gateway.stop()


def test_xclient_begins_anew_with_the_client_it_names(gateway, hop):
    since = len(gateway.log())
    with gateway.connect(source=PROXY) as client:
        assert any(line.startswith('XCLIENT NAME ADDR') for line in client.hello())
        client.expect(220, 'XCLIENT NAME=mx.partner.test ADDR=192.0.2.77')
        gateway.wait_log(r'New SMTP ICID \d+ .* address 192\.0\.2\.77 reverse dns host '
                         r'mx\.partner\.test verified yes', since=since)
        gateway.wait_log(r'ICID \d+ ACCEPT SG NAMED match \.partner\.test', since=since)
        client.ehlo()
        reply = client.transaction('a@lab.test', ['x@example.com'], b'Subject: x\r\n\r\nx\r\n')
        assert reply.code == 250
        client.expect(220, 'XCLIENT ADDR=192.0.2.78 NAME=[UNAVAILABLE]')
        gateway.wait_log(r'address 192\.0\.2\.78 reverse dns host unknown verified no', since=since)
        gateway.wait_log(r'ICID \d+ ACCEPT SG ALL match ALL', since=since)
        client.ehlo()
        client.quit()
    trace = b' '.join(hop.wait_messages(2)[-1].data.split())
    assert b'(mx.partner.test [192.0.2.77])' in trace


def test_xclient_meets_rejections_and_limits(gateway):
    with gateway.connect(source=PROXY) as client, gateway.connect(source=PROXY) as other:
        client.hello()
        client.expect(554, 'XCLIENT ADDR=192.0.2.66')
        client.expect(503, 'MAIL FROM:<a@lab.test>')
        other.hello()
        other.expect(220, 'XCLIENT ADDR=192.0.2.1')
        with gateway.connect(source=PROXY) as third:
            third.hello()
            third.expect(421, 'XCLIENT ADDR=192.0.2.1')
        other.expect(220, 'XCLIENT ADDR=192.0.2.2')
        with gateway.connect(source=PROXY) as third:
            third.hello()
            third.expect(220, 'XCLIENT ADDR=192.0.2.1')
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            other.expect(220, 'XCLIENT ADDR=192.0.2.67')


def test_xclient_is_for_the_listed_only(gateway):
    with gateway.connect(source='127.0.0.9') as client:
        assert not any('XCLIENT' in line for line in client.hello())
        client.expect(500, 'XCLIENT ADDR=192.0.2.66')
    with gateway.connect(source=PROXY) as client:
        client.hello()
        client.expect(501, 'XCLIENT ADDR=192.0.2')
        client.expect(501, 'XCLIENT COLOUR=green')
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(503, 'XCLIENT ADDR=192.0.2.66')
