"""Kernel TLS: the same mail, the same ends, whoever makes the records.

In a guest: tests/vm/guest run -- /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/system -m
ktls. Most tests share one gateway; what they look for in its log stands behind where they began.
"""
import re
import signal
import socket
import ssl
import struct
import threading

import pytest

from postern_lab import kernel_tls, ports
from postern_lab.client import Client, ConnectionEnded
from postern_lab.ktls_lab import RECORDS, Lab, Part, listener_text, only, text_of
from postern_lab.next_hop import DROP, NextHop
from postern_lab.openssl_peers import OpensslHop, SClient
from postern_lab.peers import Postfix, posttls_finger
from postern_lab.process import unread, wait_until
from postern_lab.tools import swaks
from postern_lab.traffic import Traffic

pytestmark = pytest.mark.ktls

BOTH = RECORDS['both']
CIPHERS = {  # what OpenSSL calls them in TLS 1.2 and in 1.3
    'AES-128-GCM': ('ECDHE-ECDSA-AES128-GCM-SHA256', 'TLS_AES_128_GCM_SHA256'),
    'AES-256-GCM': ('ECDHE-ECDSA-AES256-GCM-SHA384', 'TLS_AES_256_GCM_SHA384'),
    'ChaCha20-Poly1305': ('ECDHE-ECDSA-CHACHA20-POLY1305', 'TLS_CHACHA20_POLY1305_SHA256'),
}
CBC = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0']

versions = pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
ciphers = pytest.mark.parametrize('cipher', CIPHERS)
words = pytest.mark.parametrize('word', RECORDS)


def choice(version, cipher):
    """For s_client and s_server."""
    if version == 'TLSv1.2':
        return ['-tls1_2', '-cipher', CIPHERS[cipher][0]]
    return ['-tls1_3', '-ciphersuites', CIPHERS[cipher][1]]


@pytest.fixture(name='lab', scope='module')
def fixture_lab(make_shared_gateway, hop_certificate, tmp_path_factory):
    with NextHop() as clear, NextHop(certificate=hop_certificate) as secure, \
            OpensslHop(tmp_path_factory.mktemp('openssl'), hop_certificate, ktls=True) as openssl:
        lab = Lab(make_shared_gateway, clear, secure, openssl)
        yield lab
        lab.gateway.stop()
    wait_until(lambda: kernel_tls.current() == 0, 5, 'no socket is left to the kernel')


@pytest.fixture(name='part')
def fixture_part(lab):
    return Part(lab)


@pytest.fixture(name='forged', autouse=True)
def fixture_forged():
    """The kernel finds no record that is not good, unless the test says here why it may."""
    forged = []
    before = kernel_tls.counters()['TlsDecryptError']
    yield forged
    assert forged or kernel_tls.counters()['TlsDecryptError'] == before


@pytest.fixture(name='begin')
def fixture_begin(lab, folder, authority):
    """begin(arguments) is an s_client behind its handshake."""
    trust = ['-CAfile', authority.chain, '-verify_return_error', '-verify_hostname', 'mx.lab.test',
             '-servername', 'mx.lab.test']

    def begin(*arguments, listener='both', **options):
        return SClient(lab.ports[listener], folder, *trust, *arguments, **options)
    return begin


def send(client, text, recipient='b@example.com'):
    assert client.transaction('a@lab.test', [recipient], text).code == 250


def deliver(client, part):
    """A message of several records, from EHLO to the end; it has to come out as it went in."""
    text = text_of(100_000)
    client.ehlo()
    send(client, text)
    client.expect(221, 'QUIT')
    assert client.end() == b''
    assert part.message().without_received() == text
    said = client.diagnostics()
    assert client.socket.exit_code == 0, said
    assert ':error:' not in said and 'unexpected eof' not in said, said
    return said


# --- inbound ---------------------------------------------------------------------------------

@versions
@ciphers
@pytest.mark.parametrize('ktls', [False, True], ids=['peer off', 'peer on'])
def test_a_message_comes_in(begin, part, version, cipher, ktls):
    said = deliver(begin(*choice(version, cipher), ktls=ktls), part)
    assert ('Using Kernel TLS for sending' in said) == ktls, said
    part.wait_records('ICID', BOTH)


@words
def test_each_listener_has_its_own_option(begin, part, word):
    deliver(begin('-tls1_3', listener=word), part)
    part.wait_records('ICID', RECORDS[word])


def test_a_cipher_that_the_kernel_does_not_have_stays_with_openssl(begin, part):
    deliver(begin(*CBC), part)
    part.wait_records('ICID', 'send OpenSSL (cipher), receive OpenSSL (cipher)')


@versions
def test_swaks_delivers(lab, part, version):
    result = swaks(lab.gateway.port, '--tls', '--tls-protocol', version.lower().replace('.', '_'))
    assert result.returncode == 0, result.stdout
    assert b'with ESMTPS' in part.message().data
    part.wait_records('ICID', BOTH)
    assert 'lost' not in part.wait_close()


def test_posttls_finger_finds_nothing_wrong(lab, part, authority):
    finger = posttls_finger(lab.gateway.port, '-l', 'secure', '-F', authority.chain,
                            match=['mx.lab.test'])
    assert 'Verified TLS connection established' in finger.stdout, finger.stdout
    part.wait_records('ICID', BOTH)
    assert 'lost' not in part.wait_close()


@versions
def test_a_session_that_was_given_to_the_kernel_is_resumed(lab, begin, folder, version):
    ticket = folder / 'session.pem'
    flag = {'TLSv1.2': '-tls1_2', 'TLSv1.3': '-tls1_3'}[version]
    reuse = ('-sess_in', 'Reused, ')
    for option, word in [('-sess_out', 'New, '), reuse, reuse]:
        part = Part(lab)
        with begin(flag, option, ticket, keys=True) as client:
            client.ehlo('client.lab.test')
            client.expect(221, b'quit\r\n')
        assert word in client.noise, client.noise
        part.wait_records('ICID', BOTH)


# --- outbound --------------------------------------------------------------------------------

@versions
@ciphers
def test_a_message_goes_out_to_s_server(lab, part, version, cipher):
    lab.openssl.arguments = choice(version, cipher)
    text = text_of(100_000)
    with Client(lab.gateway.port) as client:
        client.hello()
        send(client, text, 'b@openssl.example.com')
    assert part.message(lab.openssl).without_received() == text
    part.wait_records('DCID', BOTH)
    assert re.search(rf'DCID \d+ TLS success protocol {version} cipher \S*', part.log())
    part.wait_close('DCID')
    said = lab.openssl.diagnostics()
    assert 'Using Kernel TLS for sending' in said and ':error:' not in said, said


@versions
@words
def test_each_destination_has_its_own_option(lab, part, version, word):
    lab.secure.tls_version_max = only(version)['maximum_version']
    with Client(lab.gateway.port) as client:
        client.hello()
        send(client, text_of(100_000), f'b@{word}.example.com')
    message = part.message(lab.secure)
    assert message.without_received() == text_of(100_000)
    assert message.session.tls == version
    part.wait_records('DCID', RECORDS[word])


def test_a_real_postfix_that_requires_tls_gets_mail(make_gateway, folder, background, certificate):
    postfix = background(Postfix(folder, main_cf='\n'.join([
        'smtpd_tls_security_level = encrypt', 'smtpd_tls_loglevel = 1',
        f'smtpd_tls_chain_files = {certificate.key}, {certificate.chain}',
        'default_transport = discard:', 'relay_transport = discard:'])))
    gateway = make_gateway(next_hop_port=postfix.port, workers=1, tls='ktls = "both";',
                           destinations='default = { tls = "required"; };').start()
    with gateway.connect() as client:
        client.hello()
        for size in (10, 200_000):
            send(client, text_of(size))
    wait_until(lambda: postfix.mail_log().count('status=sent') == 2, 15, 'both sent by Postfix')
    assert 'TLS connection established' in postfix.mail_log()
    records = re.findall(r'DCID \d+ TLS records: (.*)', gateway.log())
    assert records and set(records) == {BOTH}


def test_a_next_hop_that_drops_the_connection_gets_the_mail_later(lab, part):
    text = text_of(100_000)
    lab.secure.replies = {'DATA': [DROP], 'BODY': [DROP]}
    with Client(lab.gateway.port) as client:
        client.hello()
        send(client, text, 'b@both.example.com')
    assert part.message(lab.secure).without_received() == text
    part.wait_log('Message finished MID', seconds=15)
    log = part.log()
    assert log.count('TLS records: ' + BOTH) == 3 and 'Bounced' not in log, log


# --- what the kernel counts ------------------------------------------------------------------

@pytest.mark.parametrize('word, sends, receives', [('both', 2, 2), ('tx', 2, 0), ('off', 0, 0)])
def test_the_kernel_counts_a_session_in_and_one_out(lab, part, word, sends, receives):
    wait_until(lambda: kernel_tls.current() == 0, 10, 'earlier sessions are over')
    before = kernel_tls.counters()
    with lab.connect(word) as client:
        assert kernel_tls.current() == (sends + receives) // 2
        send(client, text_of(50_000), f'b@{word}.example.com')
        part.message(lab.secure)
        client.quit()
    part.wait_close('ICID')
    part.wait_close('DCID')
    after = kernel_tls.counters()
    assert after['TlsTxSw'] - before['TlsTxSw'] == sends
    assert after['TlsRxSw'] - before['TlsRxSw'] == receives
    wait_until(lambda: kernel_tls.current() == 0, 5, 'nothing is left')


# --- much, little, and cut anywhere ----------------------------------------------------------

def test_several_mib_pass_through_one_session_each_way(lab, part):
    lab.secure.tls_version_max = only('TLSv1.2')['maximum_version']
    text = text_of(4 << 20)
    with lab.connect(version='TLSv1.3') as client:
        send(client, text, 'b@both.example.com')
        client.quit()
    assert part.message(lab.secure).without_received() == text
    part.wait_records('ICID', BOTH)
    part.wait_records('DCID', BOTH)


def test_replies_that_nobody_reads_yet_wait_and_come_complete(lab, part):
    """More of them than the buffers on the way hold."""
    count = 80_000
    with lab.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        writer = threading.Thread(target=client.send, args=(b'HELP\r\n' * count + b'QUIT\r\n',))
        writer.start()
        wait_until(lambda: unread(client.socket) > 16384, 10, 'many replies wait')
        heard = b''.join(iter(lambda: client.socket.recv(65536), b''))  # to the close_notify
        writer.join()
    lines = heard.split(b'\r\n')
    assert len(heard) > 4 << 20
    assert set(lines[:-2]) == {lines[0]} and lines[0].startswith(b'214 ')
    assert (len(lines), lines[-2][:4], lines[-1]) == (count + 2, b'221 ', b'')
    assert 'lost' not in part.wait_close()


def test_many_small_messages_pass_pipelined_through_one_session(lab, part):
    texts = [b'Subject: %d\r\n\r\n' % number for number in range(100)]
    envelope = b'MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n'
    with lab.connect() as client:
        client.send(envelope)
        for text in texts:
            assert [client.read().code for _ in range(3)] == [250, 250, 354]
            client.send(text + b'.\r\n' + envelope)
            client.expect(250)
        client.send(b'RSET\r\n.\r\nRSET\r\nQUIT\r\n')
        assert [client.read().code for _ in range(6)] == [250, 250, 354, 250, 250, 221]
    first = part.seen[lab.clear]
    wait_until(lambda: len(lab.clear.messages) == first + 101, 20, 'all messages')
    got = [message.without_received() for message in lab.clear.messages[first:]]
    assert sorted(got) == sorted([*texts, b'RSET\r\n'])


@versions
@pytest.mark.parametrize('cut', [1, 7, 64])
def test_records_may_be_cut_anywhere(lab, part, version, cut):
    with lab.connect(cut=cut, version=version) as client:
        for size in (0, 200, 1000):
            send(client, text_of(size))
        client.quit()
    part.wait_records('ICID', BOTH)
    assert 'lost' not in part.wait_close()
    first = part.seen[lab.clear]
    wait_until(lambda: len(lab.clear.messages) == first + 3, 20, 'all messages')
    assert {message.without_received() for message in lab.clear.messages[first:]} == {
        text_of(size) for size in (0, 200, 1000)}


# --- reload ----------------------------------------------------------------------------------

def test_a_reload_changes_new_sessions_only(make_gateway, next_hop, hop_certificate):
    next_hop.certificate = hop_certificate
    port = ports.free_port()
    gateway = make_gateway(next_hop, workers=1, tls='ktls = "both";',
                           listeners_more=listener_text('Both', 'both', port)).start()

    def begin(at, text, since):
        client = Client(at)
        client.hello()
        client.starttls()
        client.ehlo()
        line = gateway.wait_log(r'ICID \d+ TLS records: (.*)', since=since)
        assert line.group(1) == text
        return client
    old = begin(gateway.port, BOTH, 0)
    send(old, text_of(50_000))
    gateway.configure(tls='ktls = "off";')
    since = gateway.reload()
    gateway.wait_log('configuration generation 2 is in force', since=since)
    begin(gateway.port, RECORDS['off'], len(gateway.log())).quit()
    begin(port, BOTH, len(gateway.log())).quit()  # the listener says otherwise
    send(old, text_of(50_000))
    next_hop.wait_messages(2)
    assert re.findall(r'DCID \d+ TLS records: (.*)', gateway.log()) == [BOTH, RECORDS['off']]
    assert 'kernel TLS:' not in gateway.log()[since:]  # it is the same kernel
    old.socket.suppress_ragged_eofs = False
    gateway.signal(signal.SIGTERM)
    old.expect(421)
    assert old.socket.recv(1) == b''
    old.close()
    gateway.stop()
    assert not re.search(r'ICID \d+ lost', gateway.log())


def test_reloads_under_load_lose_nothing(make_gateway, ledger, hop_certificate):
    with NextHop(certificate=hop_certificate) as hop:
        gateway = make_gateway(hop, tls='ktls = "both";').start()

        def secure(client, _):
            client.starttls()
            client.ehlo()
        with Traffic(gateway, ledger, threads=4, check=secure) as traffic:
            for word in ['off', 'both', 'tx', 'both']:
                gateway.configure(tls=f'ktls = "{word}";')
                gateway.wait_log('is in force', since=gateway.reload())
                seen = traffic.accepted
                wait_until(lambda n=seen: traffic.accepted > n + 10, 20, 'mail goes on')
        wait_until(lambda: not ledger.compare(hop.bodies()).lost, 20, 'all arrive')
        assert ledger.compare(hop.bodies())[1:] == ([], [], [])
        assert (traffic.broken, traffic.refused) == (0, 0)
    assert set(re.findall(r'ICID \d+ TLS records: (.*)', gateway.log())) == set(RECORDS.values())
    assert not re.search(r'ICID \d+ lost', gateway.log())


# --- STARTTLS --------------------------------------------------------------------------------

EVIL = b'EHLO evil\r\nMAIL FROM:<e@vil.test>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n'


def begin_in_the_clear(lab):
    client = Client(lab.gateway.port)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.hello()
    return client


def is_unheard(part):
    log = part.wait_close()
    return 'TLS failed' in log and 'evil' not in log and 'Start MID' not in log and (
        'TLS records' not in log) and part.nothing_came()


@pytest.mark.parametrize('behind', [b'N', b'NOOP\r\n', EVIL], ids=['N', 'NOOP', 'a message'])
def test_plaintext_in_the_segment_of_starttls_ends_the_session(lab, part, behind):
    with begin_in_the_clear(lab) as client:
        client.send(b'STARTTLS\r\n' + behind)
        with pytest.raises(ConnectionEnded):  # not even a 220
            client.read()
    assert is_unheard(part)


@pytest.mark.parametrize('behind', [b'NOOP\r\n', EVIL, EVIL * 200],
                         ids=['NOOP', 'a message', 'many'])
def test_plaintext_sent_before_the_220_was_read_ends_the_session(lab, part, behind):
    with begin_in_the_clear(lab) as client:
        client.send(b'STARTTLS\r\n')
        client.socket.recv(1, socket.MSG_PEEK)  # it has come, and nobody reads it
        client.send(behind)
        client.expect(220)
        with pytest.raises((ConnectionEnded, ssl.SSLError)):
            while client.socket.recv(1) or client.read_line():
                continue
    assert is_unheard(part)


def test_plaintext_in_front_of_a_good_handshake_does_not_get_into_the_session(lab, part):
    with begin_in_the_clear(lab) as client:
        client.send(b'STARTTLS\r\n')
        client.socket.recv(1, socket.MSG_PEEK)
        client.socket.sendall(EVIL)
        client.expect(220)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(OSError):
            context.wrap_socket(client.socket)
    assert is_unheard(part)


# --- the end ---------------------------------------------------------------------------------

def half_close(client):
    """A FIN without close_notify; Python's own shutdown would forget the session's state."""
    socket.socket.shutdown(client.socket, socket.SHUT_WR)


@versions
@words
def test_quit_is_followed_by_close_notify(lab, part, version, word):
    with lab.connect(word, version=version) as client:
        client.expect(221, 'QUIT')
        assert client.socket.recv(1) == b''  # without it: SSLEOFError
        client.socket.unwrap()  # ours may come behind the gateway's FIN
    assert 'lost' not in part.wait_close()


@versions
@words
def test_who_half_closes_behind_quit_still_gets_all_replies(lab, part, version, word):
    with lab.connect(word, version=version) as client:
        client.send(b'MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n')
        assert [client.read().code for _ in range(3)] == [250, 250, 354]
        client.send(text_of(50_000) + b'.\r\nNOOP\r\nQUIT\r\n')
        half_close(client)
        assert [client.read().code for _ in range(3)] == [250, 250, 221]
        assert client.socket.recv(1) == b''
    assert part.message().without_received() == text_of(50_000)
    assert 'lost' not in part.wait_close()


def fin(client):
    client.socket.connection.shutdown(socket.SHUT_WR)


def reset(client):
    connection = client.socket.connection
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def half_a_record(client):
    """The last one would have ended the message, but its own end is missing."""
    client.socket.tls.write(b'.\r\n')
    client.socket.connection.sendall(client.socket.said.read()[:-1])
    fin(client)


def close_notify(client):
    with pytest.raises(ssl.SSLWantReadError):
        client.socket.tls.unwrap()
    client.socket.flush()
    while client.socket.connection.recv(65536):
        continue
    client.close()


@pytest.mark.parametrize('word', ['both', 'off'])
@pytest.mark.parametrize('leave', [fin, reset, half_a_record, close_notify],
                         ids=lambda leave: leave.__name__)
def test_who_leaves_inside_a_message_is_lost_and_nothing_accepted(lab, part, word, leave):
    with lab.connect(word, cut=1 << 20) as client:
        for command, code in [('MAIL FROM:<a@lab.test>', 250), ('RCPT TO:<b@example.com>', 250),
                              ('DATA', 354)]:
            client.expect(code, command)
        client.send(text_of(50_000))
        leave(client)
        log = part.wait_close()
    assert re.search(r'ICID \d+ lost$', log, re.M) and 'Message aborted MID' in log, log
    assert 'ready' not in log and part.nothing_came()


@pytest.mark.parametrize('word', ['both', 'off'])
@pytest.mark.parametrize('leave', [fin, reset, half_a_record, close_notify],
                         ids=lambda leave: leave.__name__)
def test_who_leaves_between_messages_is_lost_only_with_a_reset(lab, part, word, leave):
    with lab.connect(word, cut=1 << 20) as client:
        send(client, text_of(50_000))
        leave(client)
        log = part.wait_close()
    assert ('lost' in log) == (leave is reset) and 'aborted' not in log, log
    part.message()


def record(kind, version, body):
    return struct.pack('!BHH', kind, version, len(body)) + body


@pytest.mark.parametrize('word', ['both', 'off'])
@pytest.mark.parametrize('bytes_in, alert', [
    (record(23, 0x303, bytes(64)), 'BAD_RECORD_MAC'),
    (record(23, 0x303, bytes(17000)), 'RECORD_OVERFLOW'),
    (record(23, 0x909, bytes(64)), 'PROTOCOL_VERSION|DECODE_ERROR'),  # as OpenSSL's version has it
], ids=['tag', 'length', 'version'])
def test_a_forged_record_is_answered_by_an_alert(lab, part, forged, word, bytes_in, alert):
    forged.append(alert)
    before = kernel_tls.counters()['TlsDecryptError']
    with lab.connect(word) as client:
        for command, code in [('MAIL FROM:<a@lab.test>', 250), ('RCPT TO:<b@example.com>', 250),
                              ('DATA', 354)]:
            client.expect(code, command)
        client.send(text_of(50_000))
        socket.socket.sendall(client.socket, bytes_in)
        with pytest.raises(ssl.SSLError, match=alert):
            client.socket.recv(1)
    log = part.wait_close()
    assert re.search(r'ICID \d+ lost$', log, re.M) and 'Message aborted MID' in log, log
    assert 'TLS failed: (' in log and part.nothing_came()
    is_counted = kernel_tls.counters()['TlsDecryptError'] > before
    assert is_counted == (word == 'both' and alert == 'BAD_RECORD_MAC')


@pytest.mark.parametrize('word', ['both', 'off'])
def test_a_forged_record_right_behind_a_command_is_answered_by_an_alert(lab, part, forged, word):
    """The kernel tells of it with whatever is done next, be it to send the reply."""
    forged.append('tag')
    with lab.connect(word, cut=1 << 20) as client:
        client.socket.tls.write(b'NOOP\r\n')
        client.socket.connection.sendall(client.socket.said.read() + record(23, 0x303, bytes(64)))
        with pytest.raises(ssl.SSLError, match='BAD_RECORD_MAC'):
            while client.socket.recv(65536):
                continue
    assert re.search(r'ICID \d+ TLS failed: .*bad record mac', part.wait_close())


# --- KeyUpdate -------------------------------------------------------------------------------

NOT_ITS_KEY = 'what comes behind it is sealed with a key that the kernel does not have'

@words
@pytest.mark.parametrize('wants_answer', [False, True], ids=['told', 'asked'])
def test_a_key_update_is_followed_or_ends_the_session(lab, part, begin, forged, word,
                                                     wants_answer):
    """What was said in front of it is answered in either case."""
    follows = 'follows key updates' in lab.gateway.log()
    is_kernels = word == 'both' or (word == 'tx' and wants_answer)
    before = kernel_tls.counters()
    with begin('-tls1_3', listener=word, keys=True) as client:
        client.ehlo('client.lab.test')
        client.send(b'mail from:<a@lab.test>\r\n')
        client.socket.key_update(wants_answer)
        client.expect(250)
        if follows or not is_kernels:
            finish_among_key_updates(client, part, wants_answer)
        else:
            with pytest.raises(ConnectionEnded):
                client.read()
            forged.append(NOT_ITS_KEY)
            log = part.wait_close()
            assert re.search(r'ICID \d+ TLS ended: .*key update', log), log
            assert 'Message aborted MID' in log and part.nothing_came()
        said = client.diagnostics()
    assert ':error:' not in said and 'unexpected eof' not in said, said
    part.wait_records('ICID', RECORDS[word])
    after = kernel_tls.counters()
    if follows:
        assert after['TlsRxRekeyOk'] - before['TlsRxRekeyOk'] == (3 if word == 'both' else 0)
        answers = after['TlsTxRekeyOk'] - before['TlsTxRekeyOk']  # one for several: RFC 8446 4.6.3
        assert 1 <= answers <= 3 if wants_answer and word != 'off' else answers == 0


def finish_among_key_updates(client, part, wants_answer):
    client.expect(250, b'rcpt to:<b@example.com>\r\n')
    client.expect(354, b'data\r\n')
    client.send(text_of(20_000))
    client.socket.key_update(wants_answer)
    client.send(text_of(20_000))
    client.socket.key_update(wants_answer)
    client.expect(250, b'.\r\n')
    client.expect(221, b'quit\r\n')
    assert part.message().without_received() == text_of(20_000) * 2
    assert 'lost' not in part.wait_close()


def test_a_key_update_of_the_next_hop_is_followed_or_costs_one_try(lab, forged):
    """Where it cost one, the kernel does not get the sessions with this host any more."""
    follows = 'follows key updates' in lab.gateway.log()
    forged.extend([] if follows else [NOT_ITS_KEY])
    hop, updates = lab.openssl, []
    hop.arguments, hop.keys = ['-tls1_3'], True
    hop.ktls = False  # OpenSSL's own kernel TLS says that it changes its key, and does not

    def update(_, __):
        if updates:
            hop.servers[-1].key_update(updates.pop())
    hop.replies = {'MAIL': update, 'RCPT': update, 'BODY': update}
    for wants_answer, otherwise in [(False, [BOTH, RECORDS['off']]), (True, [RECORDS['off']])]:
        part, tries = Part(lab), [BOTH] if follows else otherwise
        updates[:] = [wants_answer] * 3
        with Client(lab.gateway.port) as client:
            client.hello()
            send(client, text_of(50_000), 'b@openssl.example.com')
        assert part.message(hop).without_received() == text_of(50_000)
        part.wait_log('Message finished MID')
        assert re.findall(r'DCID \d+ TLS records: (.*)', part.log()) == tries
        assert ('TLS ended: a key update' in part.log()) == (len(tries) > 1)
    hop.replies, hop.keys, hop.ktls = {}, False, True
