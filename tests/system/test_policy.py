"""Who may talk, with what TLS, and how much: the HAT and its mail flow policies."""
import contextlib
import re
import time

import pytest

from postern_lab.client import ConnectionEnded
from postern_lab.namespace import Namespace
from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.tools import swaks

CRES = '''
    { group = "CRES"; senders = [ "208.90.57.0/26" ]; policy = "TLS_REQUIRED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''
INSIDE = ['208.90.57.1', '208.90.57.63']
OUTSIDE = ['208.90.57.64', '208.90.56.255', '127.0.0.1']


@pytest.fixture(name='cres')
def fixture_cres(make_gateway):
    """(gateway, next hop) in a namespace of its own, which has the addresses INSIDE and OUTSIDE."""
    with Namespace() as net:
        for address in (INSIDE + OUTSIDE)[:-1]:
            net.add(f'{address}/32')
        with net.inside(), NextHop() as hop:
            yield make_gateway(hop, hat=CRES).start(), hop


@pytest.mark.parametrize('source', INSIDE)
def test_cres_in_the_clear_is_refused_before_mail_and_accepted_with_tls(cres, source):
    gateway, hop = cres
    clear = swaks(gateway.port, '--local-interface', source)
    assert re.search(r'MAIL FROM.*\n.*530 5\.7\.0', clear.stdout), clear.stdout
    assert 'RCPT TO' not in clear.stdout
    gateway.wait_log(r'ICID \d+ TLS was required but remote host did not initiate it')
    encrypted = swaks(gateway.port, '--local-interface', source, '--tls')
    assert encrypted.returncode == 0, encrypted.stdout
    assert len(hop.wait_messages(1)) == 1
    gateway.wait_log(r'ICID \d+ ACCEPT SG CRES match 208\.90\.57\.0/26 SBRS')


@pytest.mark.parametrize('source', OUTSIDE)
def test_from_outside_of_cres_both_are_accepted(cres, source):
    gateway, hop = cres
    for options in ([], ['--tls']):
        result = swaks(gateway.port, '--local-interface', source, *options)
        assert result.returncode == 0, result.stdout
    hop.wait_messages(2)
    assert 'SG CRES' not in gateway.log()


def test_explain_says_the_same(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=CRES)
    for source, group in [(INSIDE[1], 'CRES'), (OUTSIDE[0], 'ALL')]:
        assert group in gateway.command('explain', 'sender', source)


ACCESS = '''
    { group = "CONT"; senders = [ "127.0.0.9" ]; policy = "GO_ON"; },
    { group = "REJ"; senders = [ "127.0.0.2" ]; policy = "BLOCKED"; },
    { group = "REF"; senders = [ "127.0.0.3" ]; policy = "REFUSED"; },
    { group = "REL"; senders = [ "127.0.0.4" ]; policy = "RELAYED"; },
    { group = "NINE"; senders = [ "127.0.0.9" ]; policy = "BLOCKED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''
POLICIES = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; };
    RELAYED = { access = "relay"; tls = "preferred"; };
    BLOCKED = { access = "reject"; };
    REFUSED = { access = "refuse"; };
    GO_ON = { access = "continue"; };'''


def test_each_access_does_what_it_says(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=ACCESS, policies=POLICIES).start()
    with gateway.connect(source='127.0.0.2') as client:
        client.expect(554)
        client.expect(503, 'EHLO client.lab.test')  # RFC 5321 3.1: all but QUIT
        client.expect(221, 'QUIT')
        with pytest.raises(ConnectionEnded, match='end of file'):
            client.read()
    with pytest.raises((ConnectionEnded, ConnectionResetError), match='reset'):
        with gateway.connect(source='127.0.0.3') as client:
            client.read()
    with gateway.connect(source='127.0.0.4') as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RCPT TO:<b@elsewhere.test>')
    with gateway.connect(source='127.0.0.1') as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(550, 'RCPT TO:<b@elsewhere.test>')
    with gateway.connect(source='127.0.0.9') as client:  # goes on to the row that rejects it
        client.expect(554)
    for line in (r'ICID \d+ REJECT SG REJ match 127\.0\.0\.2(/32)? SBRS',
                 r'ICID 0 TCPREFUSE SG REF match 127\.0\.0\.3(/32)? SBRS',
                 r'ICID \d+ RELAY SG REL match 127\.0\.0\.4(/32)? SBRS',
                 r'ICID \d+ ACCEPT SG ALL match ALL SBRS',
                 r'ICID \d+ REJECT SG NINE match 127\.0\.0\.9(/32)? SBRS'):
        gateway.wait_log(line)


LIMITED = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; max_connections_per_ip = 3;
                 max_messages_per_connection = 2; max_recipients_per_message = 3;
                 max_message_size = "64K"; };
    BLOCKED = { access = "reject"; };
    WIDE = { access = "accept"; tls = "preferred"; };'''
LIMITED_HAT = '''
    { group = "WIDE"; senders = [ "127.0.0.4" ]; policy = "WIDE"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''


@pytest.fixture(name='limited')
def fixture_limited(make_gateway, next_hop):
    return make_gateway(next_hop, hat=LIMITED_HAT, policies=LIMITED,
                        listener='max_connections = 6;').start()


def test_connections_of_one_host_are_limited(limited):
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(limited.connect()).hello()
        with limited.connect() as client:
            client.expect(421)
        with limited.connect(source='127.0.0.7') as client:
            client.hello()
    limited.wait_log(r'ICID \d+ Receiving Failed: Connection limit exceeded')

    def again():
        with limited.connect() as client:
            return client.read().code == 220
    wait_until(again, 5, 'the count goes down when connections close')


def test_connections_of_a_listener_are_limited(limited):
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(limited.connect(source='127.0.0.4')).hello()
        with limited.connect(source='127.0.0.5') as client:
            client.expect(421)

    def again():
        with limited.connect(source='127.0.0.5') as client:
            return client.read().code == 220
    wait_until(again, 5, 'the count goes down when connections close')


REJECTING_HAT = '''
    { group = "REJ"; senders = [ "127.0.0.2" ]; policy = "BLOCKED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''
REJECTING = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; };
    BLOCKED = { access = "reject"; max_connections_per_ip = 3; };'''


def test_who_is_rejected_takes_no_place_from_others(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=REJECTING_HAT, policies=REJECTING,
                           listener='max_connections = 4;').start()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(gateway.connect(source='127.0.0.2')).expect(554)
        with gateway.connect(source='127.0.0.2') as client:
            client.expect(421)
        for _ in range(4):
            stack.enter_context(gateway.connect()).hello()
        with gateway.connect() as client:
            client.expect(421)


def test_messages_of_a_connection_are_limited(limited, next_hop):
    with limited.connect() as client:
        client.hello()
        for _ in range(2):
            assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
        client.expect(421, 'MAIL FROM:<a@lab.test>')
        with pytest.raises(ConnectionEnded):
            client.read()
    next_hop.wait_messages(2)
    limited.wait_log(r'ICID \d+ Receiving Failed: Too Many Messages')


def test_recipients_of_a_message_are_limited(limited, next_hop):
    with limited.connect() as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        for number in range(3):
            client.expect(250, f'RCPT TO:<b{number}@example.com>')
        client.expect(452, 'RCPT TO:<b3@example.com>')
        client.expect(354, 'DATA')
        client.expect(250, b'x\r\n.\r\n')
    message, = next_hop.wait_messages(1)
    assert len(message.recipients) == 3


def test_the_size_of_a_message_is_limited(limited):
    with limited.connect() as client:
        assert 'SIZE 65536' in client.hello()
        client.expect(552, 'MAIL FROM:<a@lab.test> SIZE=65537')
        client.expect(250, 'MAIL FROM:<a@lab.test> SIZE=65536')


def test_errors_and_commands_of_a_session_are_limited(make_gateway, next_hop):
    gateway = make_gateway(next_hop,
                           extra='session = { max_errors = 4; max_commands = 12; };').start()
    with gateway.connect() as client:
        client.hello()
        replies = [client.say('WIZARD').code for _ in range(3)]
        assert replies == [500] * 3
        with pytest.raises(ConnectionEnded):
            assert client.say('WIZARD').code in (421, 500)
            assert client.say('WIZARD').code == 421
            client.read()
    with gateway.connect() as client:
        client.hello()
        with pytest.raises(ConnectionEnded):
            for _ in range(20):
                reply = client.say('NOOP')
                assert reply.code in (250, 421)
        assert reply.code == 421


def test_a_silent_client_is_sent_away(make_gateway, next_hop):
    gateway = make_gateway(
        next_hop, extra='session = { command_timeout = "3s"; data_timeout = "1s"; };').start()
    with gateway.connect() as client, gateway.connect() as sender:
        client.hello()
        sender.hello()
        sender.expect(250, 'MAIL FROM:<a@lab.test>')
        sender.expect(250, 'RCPT TO:<b@example.com>')
        sender.expect(354, 'DATA')
        sender.send(b'half a message')
        client.expect(421)
        sender.expect(421)
        for peer in (client, sender):
            with pytest.raises(ConnectionEnded):
                peer.read()
    gateway.wait_log(r'disconnected address 127\.0\.0\.1, no messages injected within timeout')
    gateway.wait_log(r'Message aborted MID \d+ Receiving aborted')


@pytest.mark.parametrize('tls', ['off', 'preferred', 'required'])
def test_the_tls_of_a_policy_decides_what_is_offered(make_gateway, next_hop, tls):
    gateway = make_gateway(
        next_hop, hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "ONE"; }',
        policies=f'ONE = {{ access = "accept"; tls = "{tls}"; }};').start()
    with gateway.connect() as client:
        assert ('STARTTLS' in client.hello()) == (tls != 'off')
        if tls == 'off':
            client.expect(502, 'STARTTLS')
        client.expect(530 if tls == 'required' else 250, 'MAIL FROM:<a@lab.test>')


def test_sessions_that_only_pretend_to_go_on_end(make_gateway, next_hop):
    gateway = make_gateway(
        next_hop, extra='session = { max_time = "10s"; command_timeout = "2s"; };').start()
    with gateway.connect() as talker, gateway.connect() as dribbler:
        for client in (talker, dribbler):
            client.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test>')
        dribbler.expect(250, 'RCPT TO:<b@example.com>')
        dribbler.expect(354, 'DATA')
        began, ended = time.monotonic(), set()
        while len(ended) < 2 and time.monotonic() - began < 20:
            time.sleep(0.2)
            try:
                if talker not in ended and talker.say('NOOP').code == 421:
                    ended.add(talker)
            except (ConnectionEnded, OSError):
                ended.add(talker)
            try:
                dribbler.send(b'x')
            except OSError:
                ended.add(dribbler)
        assert len(ended) == 2, 'still connected after twice their time'


def test_sessions_that_hold_on_do_not_use_up_the_spool(make_gateway, next_hop):
    """Each promises a megabyte: together far more than the segments that are ready at a start."""
    gateway = make_gateway(next_hop).start()
    clients = [gateway.connect() for _ in range(400)]
    for client in clients:
        client.hello()
    waiting = list(clients)

    def all_are_promised_room():
        waiting[:] = [client for client in waiting if not promises(client)]
        return not waiting
    try:
        wait_until(all_are_promised_room, 30, 'room for all')
    finally:
        for client in clients:
            client.close()


def promises(client):
    """Whether the gateway takes a message of a megabyte from it; the body is not sent."""
    if client.say('MAIL FROM:<a@lab.test> SIZE=1000000').code != 250:
        return False
    client.expect(250, 'RCPT TO:<b@example.com>')
    return client.say('DATA').code == 354
