"""Envelope senders: does their domain exist, the exception table, who needs TLS; and the access
of a host that gets no mail in: rejected, refused, rejected later; and the words of it all."""
import re
import smtplib
import socket

import pytest

from postern_lab.client import ConnectionEnded
from postern_lab.name_servers import SERVFAIL, NameServer, Nsd, response
from postern_lab.ports import free_port
from postern_lab.process import wait_until
from postern_lab.sections import dns_section, hat_rows
from postern_lab.tools import swaks

EVERYBODY = hat_rows(('ALL', ['ALL'], 'ONE'))


def one_policy(text, access='accept'):
    return {'hat': EVERYBODY,
            'policies': f'ONE = {{ access = "{access}"; tls = "preferred"; {text} }};'}


def mail(client, sender):
    """The reply to MAIL, code and text; the transaction is taken back."""
    reply = client.say(f'MAIL FROM:{sender if sender.startswith("<") else f"<{sender}>"}')
    client.expect(250, 'RSET')
    return f'{reply.code} {reply.text}'


# --- does the domain of the sender exist ----------------------------------------------------------

ZONE = '''
@ MX 10 mail
mail A 192.0.2.1
six AAAA 2001:db8::1
null MX 0 .
text TXT "nothing else"
alias CNAME mail
dangling CNAME nowhere
'''
TEMPORARY = '451 4.1.8 Domain of sender address <{}> does not resolve'
NONEXISTENT = '553 5.1.8 Domain of sender address <{}> does not exist'
SENDERS = [
    ('a@exists.test', 'ok'), ('a@mail.exists.test', 'ok'), ('a@six.exists.test', 'ok'),
    ('a@alias.exists.test', 'ok'), ('a@[192.0.2.1]', 'ok'), ('', 'ok'),
    ('a@nowhere.exists.test', 'nonexistent'), ('a@text.exists.test', 'nonexistent'),
    ('a@dangling.exists.test', 'nonexistent'), ('a@sick.test', 'temporary'),
    ('a@silent.test', 'temporary'), ('a@down.test', 'temporary'), ('a', 'malformed'),
    ('a@', 'malformed'), ('@exists.test', 'malformed'),
]
REASONS = {'malformed': 'envelope sender domain missing',
           'nonexistent': 'envelope sender domain does not exist',
           'temporary': 'envelope sender domain could not be resolved'}
DEFAULTS = {'malformed': '553 5.5.4 Domain required for sender address',
            'nonexistent': NONEXISTENT, 'temporary': TEMPORARY, 'ok': '250 2.1.0 Ok'}
OWN_WORDS = ''.join(f'sender_{kind}_code = {code}; sender_{kind}_text = "{kind} $RemoteIP {more}";'
                    for kind, code, more in [('malformed', 501, '$Group'),
                                             ('nonexistent', 550, '<$EnvelopeSender>'),
                                             ('temporary', 450, '<$envelopesender>')])
OWN = {'malformed': '501 malformed 127.0.0.1 ALL', 'nonexistent': '550 nonexistent 127.0.0.1 <{}>',
       'temporary': '450 temporary 127.0.0.1 <{}>', 'ok': '250 2.1.0 Ok'}


@pytest.fixture(name='verifying', scope='module')
def fixture_verifying(tmp_path_factory):
    """The dns section of a resolver that finds exists.test, and three that are no use."""
    nsd = Nsd(tmp_path_factory.mktemp('nsd'), {'exists.test': ZONE})
    with (NameServer(lambda packet, *_: response(packet, SERVFAIL)) as failing,
          NameServer(lambda *_: None) as silent):
        nsd.start()
        yield dns_section({'exists.test': nsd.port, 'sick.test': failing.port,
                           'silent.test': silent.port, 'down.test': free_port()}, timeout='1s')
        nsd.stop()


@pytest.mark.parametrize('words, replies', [('', DEFAULTS), (OWN_WORDS, OWN)],
                         ids=['default', 'own'])
def test_the_domain_of_a_sender_has_to_exist(make_gateway, next_hop, verifying, words, replies):
    gateway = make_gateway(next_hop, **one_policy(f'verify_sender = true; {words}'),
                           extra=verifying).start()
    with gateway.connect(seconds=30) as client:
        client.hello()
        for number, (sender, kind) in enumerate(SENDERS):
            if number % 8 == 7:  # too many errors would end the session
                client.quit()
                client.__init__(gateway.port, seconds=30)
                client.hello()
            assert mail(client, sender) == replies[kind].format(sender), sender
            if kind != 'ok':
                shown = f'<{re.escape(sender)}>'
                gateway.wait_log(rf'Info: ICID \d+ Address: {shown} sender rejected, '
                                 rf'{REASONS[kind]}$')
        client.send(b'MAIL FROM:<a@exists.test>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n')
        assert [client.read().code for _ in range(3)] == [250, 250, 354]  # sent before the answer
        client.expect(250, b'x\r\n.\r\n')
    next_hop.wait_messages(1)


def test_without_the_verification_any_domain_will_do(make_gateway, next_hop, verifying):
    gateway = make_gateway(next_hop, **one_policy(''), extra=verifying).start()
    with gateway.connect() as client:
        client.hello()
        for sender in ('a@nowhere.exists.test', 'a@sick.test', 'a@silent.test'):
            assert mail(client, sender).startswith('250 ')
        assert mail(client, '@exists.test').startswith('501 5.1.7')
    assert 'sender rejected' not in gateway.log()


@pytest.mark.parametrize('way', ['leaves', 'stop', 'reload'])
def test_meanwhile_the_sender_is_looked_for(make_gateway, next_hop, way):
    with NameServer(lambda *_: None) as silent:
        gateway = make_gateway(next_hop, **one_policy('verify_sender = true;'),
                               extra=dns_section({'silent.test': silent.port}, timeout='2s')
                               ).start()
        with gateway.connect(seconds=30) as client:
            client.hello()
            client.send('MAIL FROM:<a@silent.test>')
            wait_until(lambda: silent.asked, 10, 'a question')
            if way == 'leaves':
                client.close()
                gateway.wait_log(r'ICID 1 close$')
            elif way == 'reload':
                gateway.configure(extra=dns_section({}, timeout='9s'))
                gateway.wait_log('generation 2 is in force', since=gateway.reload())
                client.expect(451)
            else:
                gateway.stop()
                with pytest.raises((ConnectionEnded, ConnectionResetError)):
                    while True:
                        assert client.read().code in (421, 451)


# --- the exception table --------------------------------------------------------------------------

TABLE = '''exception_table = (
    { senders = [ "friend@bad.test", "@known.test" ]; action = "allow"; },
    { senders = [ "@bad.test", "@.bad.test", "spammer@" ]; action = "reject"; },
    { senders = [ "a@[192.0.2.1]" ]; action = "reject"; reply_code = 450;
      reply_text = "4.7.1 Not now"; } );'''
REJECTED = '553 5.7.1 '


def test_the_exception_table_comes_before_the_dns(make_gateway, next_hop):
    policies = '''ONE = { access = "accept"; tls = "preferred"; verify_sender = true;
                          use_exception_table = true; };
                  TWO = { access = "accept"; tls = "preferred"; };'''
    with NameServer(lambda packet, *_: response(packet, 3)) as server:
        gateway = make_gateway(
            next_hop, policies=policies,
            hat=hat_rows(('TWO', ['127.0.0.2'], 'TWO'), ('ALL', ['ALL'], 'ONE')),
            extra=TABLE + dns_section({zone: server.port for zone in (
                'bad.test', 'known.test', 'other.test')})).start()
        with gateway.connect() as client:
            client.hello()
            for sender in ('friend@bad.test', 'Friend@BAD.test', 'any@known.test'):
                assert mail(client, sender).startswith('250 ')
                gateway.wait_log(rf'ICID 1 Address: <{sender}> sender allowed, '
                                 'envelope sender matched domain exception$')
            for sender in ('foe@bad.test', 'foe@deep.bad.test', 'spammer@other.test'):
                assert re.match(r'5\d\d ', mail(client, sender)), sender
                gateway.wait_log(rf'ICID 1 Address: <{sender}> sender rejected, '
                                 'envelope sender matched domain exception$')
            assert mail(client, 'a@[192.0.2.1]') == '450 4.7.1 Not now'
            assert mail(client, 'b@[192.0.2.1]').startswith('250 ')
            assert not server.asked
            assert mail(client, 'a@other.test') == NONEXISTENT.format('a@other.test')
        with gateway.connect(source='127.0.0.2') as client:  # a policy that does not look at it
            client.hello()
            assert mail(client, 'foe@bad.test').startswith('250 ')


# --- TLS for some senders -------------------------------------------------------------------------

def test_some_senders_need_tls(make_gateway, next_hop):
    gateway = make_gateway(
        next_hop, **one_policy('tls_senders = "secure";'),
        extra='address_lists = { secure = [ "boss@lab.test", "@.secure.test" ]; };').start()
    for sender in ('boss@lab.test', 'Boss@LAB.test', 'a@x.secure.test'):
        clear = swaks(gateway.port, sender=sender)
        assert '<** 530 5.7.0 Must issue a STARTTLS command first' in clear.stdout
        assert swaks(gateway.port, '--tls', sender=sender).returncode == 0
    for sender in ('a@lab.test', 'a@secure.test'):
        assert swaks(gateway.port, sender=sender).returncode == 0
    assert len(next_hop.wait_messages(5)) == 5


# --- defaults of a listener -----------------------------------------------------------------------

def test_policies_inherit_what_they_do_not_say_from_their_listener(make_gateway, next_hop):
    port = free_port()
    more = (f', {{ name = "Plain"; type = "public"; address = "127.0.0.1"; port = {port};'
            ' certificate = "mail"; hat = "inbound"; rat = "inbound"; }')
    gateway = make_gateway(
        next_hop, listeners_more=more,
        listener='''defaults = { tls = "preferred"; max_message_size = "2M";
                                 max_recipients_per_message = 1; hostname = "in.lab.test";
                                 banner_text = "hello"; reject_text = "Go away, $Group"; };''',
        hat=hat_rows(('OWN', ['127.0.0.2'], 'OWN'), ('REJ', ['127.0.0.3'], 'BLOCKED'),
                     ('ALL', ['ALL'], 'INHERITS')),
        policies='''
        INHERITS = { access = "accept"; };
        OWN = { access = "accept"; tls = "off"; max_message_size = "1M"; hostname = "own.lab.test";
                max_recipients_per_message = 2; banner_text = "hi"; };
        BLOCKED = { access = "reject"; reject_code = 521; };''').start()
    for where, source, banner, size, tls, recipients in [
            (gateway.port, '127.0.0.1', 'in.lab.test hello', 2, True, 1),
            (gateway.port, '127.0.0.2', 'own.lab.test hi', 1, False, 2),
            (port, '127.0.0.1', 'mx.lab.test ESMTP', 20, False, 3),
            (port, '127.0.0.2', 'own.lab.test hi', 1, False, 2)]:
        client = gateway.connect(source=source)
        client.__init__(where, source=source)
        assert client.expect(220).text == banner
        offered = client.ehlo()
        assert f'SIZE {size << 20}' in offered and ('STARTTLS' in offered) == tls
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        codes = [client.say('RCPT TO:<b@example.com>').code for _ in range(3)]
        assert codes == [250] * recipients + [452] * (3 - recipients)
        client.close()
    for where, text in ((gateway.port, 'Go away, REJ'),
                        (port, 'Your access to this mail system has been rejected')):
        with pytest.raises(smtplib.SMTPConnectError) as rejected:
            smtplib.SMTP('127.0.0.1', where, source_address=('127.0.0.3', 0))
        assert (rejected.value.smtp_code, rejected.value.smtp_error) == (521, text.encode())


# --- access and its words -------------------------------------------------------------------------

@pytest.mark.parametrize('words, reply', [
    ('', '554 Your access to this mail system has been rejected'),
    ('reject_code = 450; reject_text = "$Group $HATEntry $RemoteIP $Hostname $OrgID";',
     '450 BAD 127.0.0.0/24 127.0.0.1 Unknown $OrgID'),
    ('reject_code = 421; reject_text = "later";', '421 later'),
], ids=['default', 'own', '421'])
def test_a_rejected_host_hears_it_in_the_greeting(make_gateway, next_hop, words, reply):
    gateway = make_gateway(next_hop, hat=hat_rows(('BAD', ['127.0.0.0/24'], 'BLOCKED'),
                                                  ('ALL', ['ALL'], 'ONE')),
                           policies=f'''BLOCKED = {{ access = "reject"; {words} }};
                                         ONE = {{ access = "accept"; }};''').start()
    with gateway.connect() as client:
        said = client.read()
        assert f'{said.code} {said.text}' == reply
        if said.code == 421:
            with pytest.raises(ConnectionEnded, match='end of file'):
                client.read()
        else:
            client.expect(503, 'MAIL FROM:<a@lab.test>')
            client.expect(221, 'QUIT')
    gateway.wait_log(r'ICID 1 REJECT SG BAD match 127\.0\.0\.0/24 SBRS not enabled '
                     r'country not enabled$')
    assert f'<** {reply}' in swaks(gateway.port).stdout


def test_a_refused_host_gets_a_reset_and_no_icid(make_gateway, next_hop):
    gateway = make_gateway(next_hop, hat=hat_rows(('BAD', ['127.0.0.7'], 'REFUSED'),
                                                  ('ALL', ['ALL'], 'ONE')),
                           policies='REFUSED = { access = "refuse"; };'
                                    'ONE = { access = "accept"; };').start()
    with pytest.raises(ConnectionResetError):
        with socket.create_connection(('127.0.0.1', gateway.port), timeout=20,
                                      source_address=('127.0.0.7', 0)) as client:
            client.recv(1)
    gateway.wait_log(r'Info: ICID 0 TCPREFUSE SG BAD match 127\.0\.0\.7 SBRS not enabled '
                     r'country not enabled$')
    assert 'New SMTP' not in gateway.log()
    with gateway.connect() as client:
        client.hello()
    gateway.wait_log(r'New SMTP ICID 1 ')


def test_a_delayed_rejection_lets_the_recipients_be_seen(make_gateway, next_hop):
    gateway = make_gateway(next_hop, **one_policy('', access='reject'),
                           extra='session = { delayed_rejection = true; };').start()
    with gateway.connect() as client:
        assert client.expect(220).text == 'mx.lab.test ESMTP'
        client.ehlo()
        client.starttls()
        client.ehlo()
        for _ in range(2):
            client.expect(250, 'MAIL FROM:<a@lab.test>')
            for recipient in ('b@example.com', 'c@elsewhere.test'):
                assert client.expect(550, f'RCPT TO:<{recipient}>').text == (
                    '5.7.1 Your access to submit messages to this e-mail system has been rejected')
            client.expect(554, 'DATA')
            client.expect(250, 'RSET')
        client.quit()
    for line in (r'REJECT SG ALL match ALL SBRS not enabled country not enabled',
                 r'Delayed HAT REJECT continuing session for recipient logging \(127\.0\.0\.1\)',
                 r'Delayed HAT REJECT Message from: a@lab\.test \(127\.0\.0\.1\)',
                 r'Delayed HAT REJECT Message recipient: <b@example\.com> \(127\.0\.0\.1\)',
                 r'Delayed HAT REJECT Message recipient: <c@elsewhere\.test> \(127\.0\.0\.1\)'):
        gateway.wait_log(rf'Info: ICID 1 {line}$')
    assert 'MID' not in gateway.log()
    since = gateway.reload()
    gateway.wait_log('generation 2 is in force', since=since)
    gateway.configure(extra='')
    gateway.wait_log('generation 3 is in force', since=gateway.reload())
    with gateway.connect() as client:
        client.expect(554)


@pytest.mark.parametrize('words, greeting', [
    ('banner_code = 221; banner_text = "$RemoteIP, hello";', '221 mx.lab.test 127.0.0.1, hello'),
    ('hostname = "mail.example.com";', '220 mail.example.com ESMTP'),
    ('hostname = ""; banner_text = "only this";', '220 only this'),
    ('banner_text = "$GROUP $remoteip $OrgID $$ $";', '220 mx.lab.test ALL 127.0.0.1 $OrgID $$ $'),
])
def test_the_words_of_the_greeting(make_gateway, next_hop, words, greeting):
    gateway = make_gateway(next_hop, **one_policy(words)).start()
    with gateway.connect() as client:
        said = client.read()
        assert f'{said.code} {said.text}' == greeting
        assert client.ehlo()  # the host name there is the listener's
        assert client.say('EHLO x').lines[0].startswith('mx.lab.test')
