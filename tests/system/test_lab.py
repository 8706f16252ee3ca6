"""The lab itself: what the other tests rely on, proved without the gateway."""
import smtplib
import ssl

import pytest

from postern_lab.client import Client, ConnectionEnded
from postern_lab.ledger import Ledger
from postern_lab.next_hop import DROP, NextHop
from postern_lab.peers import Postfix, SmtpSink, posttls_finger, smtp_source
from postern_lab.process import wait_until
from postern_lab.rogue_hop import CLOSE, RST, RogueHop, Say, Script, alert


def deliver(port, ledger, count=1):
    with smtplib.SMTP('127.0.0.1', port) as client:
        for _ in range(count):
            ident, data = ledger.message()
            client.sendmail('a@lab.test', ['b@example.com'], data)
            ledger.accepted(ident)


def test_ledger_counts_lost_doubled_and_unknown_messages():
    ledger = Ledger()
    (one, first), (two, second), (_, third), (four, _) = (ledger.message() for _ in range(4))
    for ident in (one, two, four):
        ledger.accepted(ident)
    account = ledger.compare([first, second, second, third])
    assert (account.promised, account.lost, account.doubled, len(account.unknown)) == (
        3, [four], [two], 1)


def test_next_hop_keeps_what_it_receives(next_hop, ledger):
    deliver(next_hop.port, ledger, 3)
    messages = next_hop.wait_messages(3)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])
    assert (messages[0].sender, messages[0].recipients) == ('a@lab.test', ['b@example.com'])


def test_next_hop_undoes_dot_stuffing(next_hop):
    with Client(next_hop.port) as client:
        client.hello()
        client.transaction('a@lab.test', ['b@example.com'], b'.one\r\n..two\r\n')
    assert next_hop.messages[0].data == b'.one\r\n..two\r\n'


def test_next_hop_answers_as_the_script_says():
    with NextHop(replies={'RCPT': ['450 4.2.1 later', None], 'BODY': ['451 4.3.0 no']}) as hop:
        with Client(hop.port) as client:
            client.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test>')
            client.expect(450, 'RCPT TO:<b@example.com>')
            assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 451
            assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
        assert len(hop.messages) == 1


def test_next_hop_drops_the_connection_where_told():
    with NextHop(replies={'DATA': [DROP]}) as hop, Client(hop.port) as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RCPT TO:<b@example.com>')
        with pytest.raises(ConnectionEnded):
            client.say('DATA')


@pytest.mark.parametrize('kind', ['ec', 'rsa'])
def test_next_hop_and_client_speak_tls(authority, kind):
    certificate = authority.issue('nexthop.test', kind=kind)
    with NextHop(certificate=certificate) as hop, Client(hop.port) as client:
        assert 'STARTTLS' in client.hello()
        assert client.starttls(ca=authority.chain, name='nexthop.test') == 'TLSv1.3'
        assert 'STARTTLS' not in client.ehlo()
        client.transaction('a@lab.test', ['b@example.com'], b'x\r\n')
        assert hop.messages[0].session.tls == 'TLSv1.3'
        assert hop.messages[0].session.server_name == 'nexthop.test'


def test_client_refuses_a_certificate_of_another_name(authority, hop_certificate):
    with NextHop(certificate=hop_certificate) as hop, Client(hop.port) as client:
        client.hello()
        with pytest.raises(ssl.SSLCertVerificationError):
            client.starttls(ca=authority.chain, name='other.test')


def test_peer_smtp_source_reaches_smtp_sink(folder, background):
    sink = background(SmtpSink(folder))
    result = smtp_source(sink.port, '-s', 4, '-m', 40, '-l', 4096)
    assert result.returncode == 0 and not result.stdout, result.stdout


def test_peer_postfix_receives_over_tls(folder, background, certificate, authority):
    postfix = background(Postfix(folder, main_cf=f'''
        smtpd_tls_security_level = encrypt
        smtpd_tls_chain_files = {certificate.key}, {certificate.chain}
        default_transport = discard:
        relay_transport = discard:'''.replace('        ', '')))
    with Client(postfix.port) as client:
        client.hello()
        client.expect(530, 'MAIL FROM:<a@lab.test>')
        client.starttls(ca=authority.chain)
        client.ehlo()
        assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    wait_until(lambda: 'status=sent' in postfix.mail_log(), 10, 'status=sent in Postfix\'s log')
    finger = posttls_finger(postfix.port, '-l', 'secure', '-F', authority.chain,
                            match=['mx.lab.test'])
    assert 'Verified TLS connection established' in finger.stdout, finger.stdout


def test_peer_postfix_relays(folder, background, ledger, next_hop):
    postfix = background(Postfix(
        folder, main_cf=f'default_transport = smtp:[127.0.0.1]:{next_hop.port}'))
    deliver(postfix.port, ledger, 5)
    next_hop.wait_messages(5)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


def test_rogue_hop_does_what_is_written_for_each_connection():
    scripts = [Script({'RCPT:2': '450 4.2.1 later', 'END': '451 4.3.0 no'}),
               Script({'EHLO': Say('250 half', cut=5, then=CLOSE)}), Script()]
    with RogueHop(scripts) as hop:
        with Client(hop.port) as client:
            client.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test> SIZE=7')
            assert [client.say(f'RCPT TO:<{name}@x.test>').code for name in 'abc'] == [
                250, 450, 250]
            client.expect(354, 'DATA')
            assert client.say(b'..x\r\n.\r\n').code == 451
        with Client(hop.port) as client:
            client.expect(220)
            client.send('EHLO x')
            with pytest.raises(ConnectionEnded):
                client.read()
            assert client.pending == b'250 h'
        with Client(hop.port) as client:
            client.hello()
            client.transaction('a@lab.test', ['b@x.test'], b'x\r\n')
            client.quit()
        kept, = hop.mails()
        refused, = hop.visits[0].mails
        assert (kept.recipients, kept.visit.number, kept.secure) == (['b@x.test'], 3, False)
        assert (refused.recipients, refused.data, refused.parameters) == (
            ['a@x.test', 'c@x.test'], b'.x\r\n', 'SIZE=7')


@pytest.mark.parametrize('said, seen', [
    (alert(40), 'handshake failure'), (Say(then=RST), 'reset'), (Say(cut=3, then=CLOSE), 'EOF'),
    (Say(b'junk\r\n', then=CLOSE), 'wrong version')])
def test_rogue_hop_breaks_the_handshake(hop_certificate, said, seen):
    with RogueHop([Script({'TLS': said})], hop_certificate) as hop, Client(hop.port) as client:
        client.hello()
        with pytest.raises((ssl.SSLError, ConnectionError)) as raised:
            client.starttls()
        assert seen.lower() in str(raised.value).replace('_', ' ').lower()
        assert not hop.visits[0].tls


def test_rogue_hop_takes_chunks_and_notes_the_clients_certificate(authority):
    ours, theirs = authority.issue('c.test', client=True), authority.issue('nexthop.test')
    with RogueHop(certificate=theirs, client_ca=authority.chain, extensions=['CHUNKING'],
                  demands_certificate=True) as hop, Client(hop.port) as client:
        assert client.hello() == ['CHUNKING', 'STARTTLS']
        client.starttls(ca=authority.chain, name='nexthop.test', certificate=ours)
        client.ehlo()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RCPT TO:<b@x.test>')
        client.expect(250, b'BDAT 3\r\na\r\n')
        client.expect(250, b'BDAT 3 LAST\r\n.\r\n')
        client.quit()
        mail, = hop.mails()
        assert (mail.data, mail.chunks, mail.secure) == (b'a\r\n.\r\n', 2, True)
        assert (mail.visit.client_subject, mail.visit.server_name) == ('c.test', 'nexthop.test')
