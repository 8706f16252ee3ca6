"""Mail comes in: the dialogue, TLS in all its forms, and what must be refused."""
import hashlib
import re

import pytest

from postern_lab.client import ConnectionEnded
from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.tools import s_client, swaks

PLAIN = ['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'HELP']
RSA_SUITE = 'ECDHE-RSA-AES128-GCM-SHA256'
ECDSA_SUITE = 'ECDHE-ECDSA-AES128-GCM-SHA256'


@pytest.fixture(name='both')
def fixture_both(make_gateway, next_hop, certificate, certificate_rsa):
    """With an ECDSA and an RSA certificate side by side."""
    return make_gateway(next_hop, certificate=[certificate, certificate_rsa]).start()


@pytest.mark.parametrize('options', [
    [], ['--tls', '--tls-protocol', 'tlsv1_2'], ['--tls', '--tls-protocol', 'tlsv1_3'],
], ids=['clear', 'TLSv1.2', 'TLSv1.3'])
def test_swaks_delivers(gateway, next_hop, ledger, options):
    ident = ledger.new()
    result = swaks(gateway.port, *options, '--header', f'X-Lab-Id: {ident}')
    assert result.returncode == 0, result.stdout
    ledger.accepted(ident)
    message, = next_hop.wait_messages(1)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])
    assert (b'with ESMTPS' if options else b'with ESMTP ') in message.data
    if options:
        version = {'tlsv1_2': 'TLSv1.2', 'tlsv1_3': 'TLSv1.3'}[options[-1]]
        gateway.wait_log(rf'ICID \d+ TLS success protocol {version} cipher \S+')


@pytest.mark.parametrize('arguments, kind', [
    (['-tls1_2', '-cipher', RSA_SUITE], 'RSA'),
    (['-tls1_2', '-cipher', ECDSA_SUITE], 'id-ecPublicKey'),
    (['-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256'], 'RSA'),
    (['-tls1_3', '-sigalgs', 'ecdsa_secp256r1_sha256'], 'id-ecPublicKey'),
])
def test_the_client_chooses_between_an_ecdsa_and_an_rsa_certificate(both, authority, arguments,
                                                                     kind):
    result = s_client(both.port, '-CAfile', authority.chain, '-verify_return_error',
                      '-verify_hostname', 'mx.lab.test', *arguments)
    assert 'Verify return code: 0 (ok)' in result.stdout, result.stdout
    assert '221 2.0.0' in result.stdout
    key_type = 'RSA' if 'a:PKEY: rsaEncryption' in result.stdout else 'id-ecPublicKey'
    assert key_type == kind


def test_a_tls_1_2_client_resumes_its_session(both):
    result = s_client(both.port, '-tls1_2', '-reconnect')
    assert result.stdout.count('Reused, TLSv1.2') == 5, result.stdout


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_a_session_is_resumed_by_its_ticket_also_after_a_reload(both, folder, version):
    ticket = folder / 'session.pem'
    first = s_client(both.port, version, '-sess_out', ticket, commands='EHLO x\nQUIT\n')
    assert 'New, ' in first.stdout and ticket.exists(), first.stdout
    since = both.reload()
    both.wait_log('generation 2 is in force', since=since)
    for _ in range(4):  # whichever worker it meets
        again = s_client(both.port, version, '-sess_in', ticket)
        assert 'Reused, ' in again.stdout, again.stdout


def test_tls_below_the_minimum_is_refused(make_gateway, next_hop):
    gateway = make_gateway(next_hop, tls='min_version = "1.3";').start()
    assert 'Cipher is (NONE)' in s_client(gateway.port, '-tls1_2').stdout
    gateway.wait_log(r'ICID \d+ TLS failed: \(\d+, ')
    assert 'TLSv1.3' in s_client(gateway.port, '-tls1_3').stdout


def test_ehlo_offers_what_is_served_and_tls_only_once(gateway):
    with gateway.connect() as client:
        offered = client.hello()
        assert sorted(word.split()[0] for word in offered) == sorted(PLAIN + ['STARTTLS'])
        assert f'SIZE {20 * 1024 * 1024}' in offered
        client.starttls()
        assert sorted(word.split()[0] for word in client.ehlo()) == sorted(PLAIN + ['REQUIRETLS'])
        client.expect(503, 'STARTTLS')
        client.quit()


def test_the_small_verbs_are_answered(gateway):
    with gateway.connect() as client:
        client.expect(220)
        client.expect(250, 'HELO client.lab.test')
        client.expect(250, 'NOOP')
        client.expect(250, 'RSET')
        client.expect(252, 'VRFY b@example.com')
        client.expect(214, 'HELP')
        client.expect(500, 'WIZARD')
        client.expect(503, 'DATA')
        client.expect(501, 'MAIL FROM:nonsense')
        client.quit()


def test_utf8_addresses_pass_with_smtputf8_only(make_gateway):
    with NextHop(extensions=['SMTPUTF8']) as hop:
        gateway = make_gateway(hop).start()
        with gateway.connect() as client:
            client.hello()
            client.expect(553, 'MAIL FROM:<jürgen@lab.test>')
            client.expect(250, 'MAIL FROM:<jürgen@lab.test> SMTPUTF8 BODY=8BITMIME')
            client.expect(250, 'RCPT TO:<müller@example.com>')
            client.expect(354, 'DATA')
            client.send('Subject: grüße\r\n\r\näöü\r\n.'.encode() + b'\r\n')
            client.expect(250)
        message, = hop.wait_messages(1)
        assert (message.sender, message.recipients) == ('jürgen@lab.test', ['müller@example.com'])
        assert 'SMTPUTF8' in message.parameters
        assert 'äöü'.encode() in message.data


def test_an_announced_size_that_is_too_large_is_refused_at_mail(gateway):
    with gateway.connect() as client:
        client.hello()
        client.expect(552, f'MAIL FROM:<a@lab.test> SIZE={20 * 1024 * 1024 + 1}')
        client.expect(250, f'MAIL FROM:<a@lab.test> SIZE={20 * 1024 * 1024}')


def test_a_body_that_is_too_large_is_refused_at_its_end(make_gateway, next_hop):
    gateway = make_gateway(next_hop, policies='''
        ACCEPTED = { access = "accept"; tls = "preferred"; max_message_size = "64K"; };
        ''', hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }').start()
    line = b'x' * 76 + b'\r\n'
    with gateway.connect() as client:
        client.hello()
        reply = client.transaction('a@lab.test', ['b@example.com'], line * 1000)
        assert (reply.code, reply.text[:5]) == (552, '5.3.4')
        assert client.transaction('a@lab.test', ['b@example.com'], line * 100).code == 250
    assert len(next_hop.wait_messages(1)) == 1


def test_an_unknown_recipient_is_refused_by_the_rat(gateway, next_hop):
    with gateway.connect() as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        assert client.expect(550, 'RCPT TO:<b@elsewhere.test>').text.startswith('5.')
        client.expect(250, 'RCPT TO:<b@example.com>')
        client.expect(550, 'RCPT TO:<c@example.org>')
        client.expect(250, 'RCPT TO:<c@deep.sub.example.com>')
        client.expect(354, 'DATA')
        client.send(b'x\r\n.\r\n')
        client.expect(250)
    # One delivery for each destination domain.
    assert sorted(message.recipients for message in next_hop.wait_messages(2)) == [
        ['b@example.com'], ['c@deep.sub.example.com']]
    gateway.wait_log(r'MID \d+ ICID \d+ To: <b@elsewhere.test> Rejected by RAT')


def test_a_relaying_host_may_send_anywhere(gateway, next_hop):
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        assert client.transaction('a@lab.test', ['b@elsewhere.test'], b'x\r\n').code == 250
    next_hop.wait_messages(1)
    gateway.wait_log(r'ICID \d+ RELAY SG OURS match 127.0.0.3/32 SBRS not enabled')


@pytest.mark.parametrize('body', [
    b'one\ntwo\r\n', b'one\r\n.\nMAIL FROM:<x@y.test>\r\n', b'one\n.\r\nMAIL FROM:<x@y.test>\r\n',
    b'one\rtwo\r\n', b'one\r\n.\rtwo\r\n', b'one\n.\n',
], ids=repr)
def test_a_bare_newline_in_a_body_is_refused(gateway, next_hop, body):
    with gateway.connect() as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RCPT TO:<b@example.com>')
        client.expect(354, 'DATA')
        client.send(body + b'\r\n.\r\nQUIT\r\n')
        assert client.read().code == 554
        with pytest.raises(ConnectionEnded):
            while True:
                assert client.read().code == 221
    assert swaks(gateway.port).returncode == 0
    assert len(next_hop.wait_messages(1)) == 1


def test_a_bare_newline_ends_no_command(gateway):
    with gateway.connect() as client:
        client.hello()
        client.send(b'MAIL FROM:<a@lab.test>\nRCPT TO:<b@example.com>\r\n')
        assert client.read().code >= 500
        with pytest.raises(ConnectionEnded):
            client.expect(503, 'DATA')
            client.read()


def test_a_pipelined_transaction_is_answered_in_order(gateway, next_hop):
    commands = (b'MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@example.com>\r\n'
                b'RCPT TO:<nobody@elsewhere.test>\r\nDATA\r\n')
    with gateway.connect() as client:
        client.hello()
        for number in range(20):
            client.send(commands)
            assert [client.read().code for _ in range(4)] == [250, 250, 550, 354]
            client.send(b'Subject: %d\r\n\r\n.\r\n' % number)
            client.expect(250)
        client.send(b'RSET\r\nNOOP\r\nQUIT\r\n')
        assert [client.read().code for _ in range(3)] == [250, 250, 221]
    next_hop.wait_messages(20)


def test_commands_cut_into_single_bytes_mean_the_same(gateway, next_hop):
    with gateway.connect() as client:
        client.expect(220)
        for text, code in [('EHLO a', 250), ('MAIL FROM:<a@lab.test>', 250),
                           ('RCPT TO:<b@example.com>', 250), ('DATA', 354),
                           ('..x\r\n.', 250), ('QUIT', 221)]:
            for byte in text.encode() + b'\r\n':
                client.send(bytes([byte]))
            client.expect(code)
    message, = next_hop.wait_messages(1)
    assert message.data.endswith(b'\r\n.x\r\n')


@pytest.mark.parametrize('behind', [b'RSET\r\n', b'EHLO evil\r\nMAIL FROM:<e@vil.test>\r\n', b'R'])
def test_what_is_said_behind_starttls_ends_the_session_unexecuted(gateway, behind):
    with gateway.connect() as client:
        client.hello()
        client.send(b'STARTTLS\r\n' + behind)
        with pytest.raises(ConnectionEnded):  # not even a 220: the session is over
            client.read()
    gateway.wait_log(r'ICID \d+ TLS failed')
    wait_until(lambda: re.search(r'ICID 1 close', gateway.log()), 5, 'the end of the session')
    assert 'evil' not in gateway.log() and 'Start MID' not in gateway.log()


def test_a_handshake_of_nonsense_ends_the_session(gateway):
    with gateway.connect() as client:
        client.hello()
        client.expect(220, 'STARTTLS')
        client.send(b'MAIL FROM:<a@lab.test>\r\n' * 10)
        with pytest.raises(ConnectionEnded):
            while True:
                client.socket.recv(1) or client.read_line()
    gateway.wait_log(r'ICID \d+ TLS failed: \(')
    assert swaks(gateway.port).returncode == 0


@pytest.mark.parametrize('command', [
    'MAIL FROM:<a@lab.test>', 'RCPT TO:<b@example.com>', 'DATA', 'RSET', 'VRFY b', 'EXPN b',
    'HELP', 'AUTH PLAIN', 'WIZARD', 'MAIL FROM:nonsense', 'BDAT 3 LAST', 'XCLIENT ADDR=1.2.3.4'])
def test_without_tls_a_required_policy_answers_530(gateway, command):
    with gateway.connect(source='127.0.0.2') as client:
        client.hello()
        assert client.expect(530, command).text.startswith('5.7.0')
        client.expect(530, command)
        client.quit()


def test_without_tls_a_required_policy_serves_what_leads_to_tls(gateway, next_hop):
    with gateway.connect(source='127.0.0.2') as client:
        client.expect(220)
        client.expect(250, 'NOOP')
        client.expect(250, 'HELO client.lab.test')
        assert 'STARTTLS' in client.ehlo()
        client.expect(530, 'MAIL FROM:<a@lab.test>')
        client.starttls()
        client.expect(503, 'MAIL FROM:<a@lab.test>')  # RFC 3207 4.2: the session starts anew
        client.ehlo()
        assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
        client.quit()
    next_hop.wait_messages(1)
    with gateway.connect(source='127.0.0.2') as client:
        client.hello()
        client.quit()
    gateway.wait_log(r'ICID \d+ TLS was required but remote host did not initiate it')


def test_the_body_arrives_as_it_was_sent(gateway, next_hop):
    bodies = [b'', b'\r\n', b'.\r\n', b'..\r\n.\r\n...x\r\n', b'Subject: x\r\n\r\n\r\n\r\n',
              bytes(range(128, 256)) + b'\r\n', b'a\0b\r\n', b'x' * 998 + b'\r\n']
    with gateway.connect() as client:
        client.hello()
        for body in bodies:
            assert client.transaction('a@lab.test', ['b@example.com'], body).code == 250, body
    wanted = sorted(hashlib.sha256(body).hexdigest() for body in bodies)
    got = sorted(hashlib.sha256(message.without_received()).hexdigest()
                 for message in next_hop.wait_messages(len(bodies)))
    assert got == wanted
