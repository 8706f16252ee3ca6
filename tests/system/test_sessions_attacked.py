"""What an enemy may try with the beginnings of sessions and with what they wait for."""
import contextlib
import time

import pytest

from postern_lab import PATIENCE
from postern_lab.client import ConnectionEnded
from postern_lab.name_servers import NameServer
from postern_lab.process import wait_until
from postern_lab.sections import dns_section

OPEN = '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'


def test_a_bad_sender_in_pieces_is_logged_as_it_came(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=OPEN, policies='''
        ACCEPTED = { access = "accept"; verify_sender = true; };''').start()
    with gateway.connect() as client:
        client.hello()
        for piece in (b'MAIL FROM:<nonsense-', b'addr', b'ess>\r\n'):
            client.send(piece)
            time.sleep(0.1)
        client.expect(553)
        gateway.wait_log(r'Address: <nonsense-address> sender rejected, '
                         r'envelope sender domain missing')


def test_421_for_a_bad_sender_ends_the_session(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=OPEN, policies='''
        ACCEPTED = { access = "accept"; verify_sender = true; sender_malformed_code = 421; };''')
    with gateway.start().connect() as client:
        client.hello()
        client.expect(421, 'MAIL FROM:<nonsense>')
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read()


def test_one_host_too_many_does_not_stay_whatever_its_code(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=OPEN, listener='max_connections = 10;', policies='''
        ACCEPTED = { access = "accept"; max_connections_per_ip = 1;
                     max_connections_per_ip_code = 450; };''').start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect(source='127.0.0.2')) for _ in range(14)]
        assert sorted(client.read().code for client in clients) == [220] + [450] * 13
        for source in ('127.0.0.3', '127.0.0.4'):  # those that were refused take no places
            stack.enter_context(gateway.connect(source=source)).hello()


def test_the_client_of_a_balancer_has_no_right_of_the_balancers(make_gateway, next_hop):
    gateway = make_gateway(
        next_hop, hat=OPEN, policies='ACCEPTED = { access = "accept"; };',
        listener='proxy_from = [ "127.0.0.2" ]; xclient_from = [ "127.0.0.0/24" ];').start()
    with gateway.connect(source='127.0.0.2') as client:
        client.send(b'PROXY TCP4 192.0.2.66 192.0.2.25 4321 25\r\n')
        assert not any('XCLIENT' in line for line in client.hello())
        client.expect(500, 'XCLIENT ADDR=127.0.0.9')


def test_another_clients_tls_is_judged_anew(make_gateway, next_hop, authority):
    gateway = make_gateway(
        next_hop, listener='xclient_from = [ "127.0.0.2" ];',
        tls=f'client_ca_file = "{authority.chain}";', policies='''
        ACCEPTED = { access = "accept"; tls = "preferred"; };
        STRICT = { access = "accept"; tls = "required"; verify_client = "required"; };''',
        hat='{ group = "STRICT"; senders = [ "192.0.2.7" ]; policy = "STRICT"; },' + OPEN).start()
    with gateway.connect(source='127.0.0.2') as client:
        client.hello()
        client.starttls()
        client.ehlo()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RSET')
        client.expect(220, 'XCLIENT ADDR=192.0.2.7')
        client.ehlo()
        assert 'certificate' in client.expect(550, 'MAIL FROM:<a@lab.test>').text


def test_a_stop_during_the_lookup_of_xclient_is_not_forgotten(make_gateway, next_hop):
    with NameServer(lambda *_: None) as silent:
        gateway = make_gateway(
            next_hop, listener='xclient_from = [ "127.0.0.2" ];',
            policies='ACCEPTED = { access = "accept"; };',
            hat='''{ group = "KNOWN"; senders = [ "127.0.0.2" ]; policy = "ACCEPTED"; },
                   { group = "NAMED"; senders = [ ".lab.test" ]; policy = "ACCEPTED"; },''' + OPEN,
            extra=dns_section({'2.0.192.in-addr.arpa': silent.port}, timeout='2s')).start()
        with gateway.connect(source='127.0.0.2') as client:
            client.hello()
            client.send(b'XCLIENT ADDR=192.0.2.7\r\n')
            wait_until(lambda: silent.asked, 10, 'the name to be asked for')
            started = time.monotonic()
            gateway.stop()
            assert time.monotonic() - started < 8 * PATIENCE


def test_sessions_that_always_wait_end_too(make_gateway, next_hop):
    with NameServer(lambda *_: None) as silent:
        gateway = make_gateway(
            next_hop, hat=OPEN,
            policies='ACCEPTED = { access = "accept"; verify_sender = true; };',
            extra=dns_section({'slow.test': silent.port}, timeout='1s') +
            'session = { max_time = "10s"; };').start()
        started = time.monotonic()
        with gateway.connect(seconds=30) as client:
            client.hello()
            with pytest.raises((ConnectionEnded, ConnectionResetError, AssertionError)):
                while True:
                    client.expect(451, 'MAIL FROM:<a@slow.test>')
        assert time.monotonic() - started < 25 * PATIENCE
        gateway.wait_log(r'disconnected address 127\.0\.0\.1, exceeded allowable connection time')
