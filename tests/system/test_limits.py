"""What a policy limits, as a real client sees it: the reply, the log line, and when it is over."""
import contextlib
import smtplib
import threading

import pytest

from postern_lab import PATIENCE
from postern_lab.namespace import Namespace
from postern_lab.next_hop import NextHop
from postern_lab.ports import free_port
from postern_lab.process import wait_until
from postern_lab.sections import hat_rows
from postern_lab.tools import swaks

INTERVAL_S = 4
SOON = f'limits = {{ rate_interval = "{INTERVAL_S}s"; }};'
EVERYBODY = hat_rows(('ALL', ['ALL'], 'ONE'))
BODY = 'Subject: x\r\n\r\nx\r\n'


def one_policy(text):
    return {'hat': EVERYBODY,
            'policies': f'ONE = {{ access = "accept"; tls = "preferred"; {text} }};'}


@pytest.fixture(name='limited')
def fixture_limited(make_gateway, next_hop):
    """limited('keys of the policy', ...): a gateway with that policy for everybody."""
    def make(text, **options):
        return make_gateway(next_hop, **{**one_policy(text), **options}).start()
    return make


@contextlib.contextmanager
def client_of(gateway, source='127.0.0.1', port=None, address='127.0.0.1'):
    """Python's own client."""
    client = smtplib.SMTP(address, port or gateway.port, local_hostname='client.lab.test',
                          timeout=20 * PATIENCE, source_address=(source, 0))
    try:
        client.ehlo()
        yield client
    finally:
        client.close()


def said(answer):
    """(code, bytes) of smtplib as one text."""
    return f'{answer[0]} {answer[1].decode()}'


def send(client, recipients=('b@example.com',), sender='a@lab.test'):
    """MAIL, and the reply to each RCPT."""
    client.rset()
    assert client.mail(sender)[0] == 250
    return [said(client.rcpt(recipient)) for recipient in recipients]


def codes(answers):
    return [int(answer[:3]) for answer in answers]


def many(count, domain='example.com', first=0):
    return [f'b{number}@{domain}' for number in range(first, first + count)]


def recovers(gateway, recipient='b@example.com', **options):
    """Waits until it is taken again."""
    def taken():
        try:
            with client_of(gateway, **options) as client:
                return codes(send(client, [recipient])) == [250]
        except smtplib.SMTPConnectError:
            return False
    wait_until(taken, 3 * INTERVAL_S, f'{recipient} is taken again')


# --- in one connection ----------------------------------------------------------------------------

def test_messages_of_a_connection(limited, next_hop):
    gateway = limited('max_messages_per_connection = 2;')
    with client_of(gateway) as client:
        for _ in range(2):
            assert client.sendmail('a@lab.test', ['b@example.com'], BODY) == {}
        assert said(client.mail('a@lab.test')) == (
            '421 4.7.0 Too many messages on this connection')
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    gateway.wait_log(r'ICID 1 Receiving Failed: Too Many Messages$')
    with client_of(gateway) as client:
        assert client.sendmail('a@lab.test', ['b@example.com'], BODY) == {}
    next_hop.wait_messages(3)


def test_messages_of_a_connection_in_other_words(limited, next_hop):
    """A code that is not 421 closes nothing."""
    gateway = limited('''max_messages_per_connection = 1; max_messages_per_connection_code = 452;
                         max_messages_per_connection_text = "#4.7.9 Enough, $RemoteIP";''')
    with client_of(gateway, '127.0.0.7') as client:
        assert client.sendmail('a@lab.test', ['b@example.com'], BODY) == {}
        for _ in range(2):
            assert said(client.mail('a@lab.test')) == '452 #4.7.9 Enough, 127.0.0.7'
        assert client.noop()[0] == 250
    next_hop.wait_messages(1)


def test_recipients_of_a_message(limited, next_hop):
    gateway = limited('max_recipients_per_message = 3;')
    with client_of(gateway) as client:
        refused = client.sendmail('a@lab.test', many(5), BODY)
        assert {to: said(answer) for to, answer in refused.items()} == {
            to: '452 4.5.3 Too many recipients' for to in ('b3@example.com', 'b4@example.com')}
        assert client.sendmail('a@lab.test', many(2, first=3), BODY) == {}
    assert sorted(len(message.recipients) for message in next_hop.wait_messages(2)) == [2, 3]


def test_recipients_of_a_message_in_other_words(limited):
    gateway = limited('''max_recipients_per_message = 1; max_recipients_per_message_code = 550;
                         max_recipients_per_message_text = "Too many for $Group ($HATEntry)";''')
    with client_of(gateway) as client:
        assert send(client, many(2))[1] == '550 Too many for ALL (ALL)'


LINE = 'x' * 76 + '\r\n'


@pytest.mark.parametrize('words, reply', [
    ('', '552 5.3.4 Message size exceeds limit'),
    ('max_message_size_code = 554; max_message_size_text = "At most 64 KB from $RemoteIP";',
     '554 At most 64 KB from 127.0.0.1'),
], ids=['default', 'own'])
def test_the_size_of_a_message(limited, next_hop, words, reply):
    gateway = limited(f'max_message_size = "64K"; {words}')
    with client_of(gateway) as client:
        assert client.esmtp_features['size'] == '65536'
        assert said(client.mail('a@lab.test', ['SIZE=65537'])) == reply
        with pytest.raises(smtplib.SMTPSenderRefused) as announced:
            client.sendmail('a@lab.test', ['b@example.com'], BODY + LINE * 1000)
        assert said((announced.value.smtp_code, announced.value.smtp_error)) == reply
        del client.esmtp_features['size']  # now it does not tell
        with pytest.raises(smtplib.SMTPDataError) as real:
            client.sendmail('a@lab.test', ['b@example.com'], BODY + LINE * 1000)
        assert said((real.value.smtp_code, real.value.smtp_error)) == reply
        assert client.sendmail('a@lab.test', ['b@example.com'], BODY + LINE * 800) == {}
    assert len(next_hop.wait_messages(1)) == 1


# --- connections ----------------------------------------------------------------------------------

@pytest.mark.parametrize('words, reply', [
    ('', '421 #4.4.5 Too many connections from your host'),
    ('max_connections_per_ip_code = 450; max_connections_per_ip_text = "$RemoteIP: wait, $Group";',
     '450 127.0.0.1: wait, ALL'),
], ids=['default', 'own'])
def test_connections_of_one_host(limited, words, reply):
    gateway = limited(f'max_connections_per_ip = 2; {words}')
    with client_of(gateway) as first, client_of(gateway):
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            with client_of(gateway):
                pass
        assert said((refused.value.smtp_code, refused.value.smtp_error)) == reply
        swaked = swaks(gateway.port)
        assert f'<** {reply}' in swaked.stdout and swaked.returncode != 0
        with client_of(gateway, '127.0.0.2') as other:
            assert codes(send(other)) == [250]
        gateway.wait_log(r'ICID \d+ Receiving Failed: Connection limit exceeded$')
        first.quit()
        recovers(gateway)


def test_connections_of_all_listeners(make_gateway, next_hop):
    port = free_port()
    more = (f', {{ name = "Second"; type = "public"; address = "127.0.0.1"; port = {port};'
            ' certificate = "mail"; hat = "inbound"; rat = "inbound"; }')
    gateway = make_gateway(next_hop, **one_policy(''), listeners_more=more,
                           extra='limits = { max_connections = 3; };').start()
    with client_of(gateway) as first, client_of(gateway, port=port), client_of(gateway):
        for where in (gateway.port, port):
            with pytest.raises(smtplib.SMTPConnectError) as refused:
                with client_of(gateway, '127.0.0.9', port=where):
                    pass
            assert said((refused.value.smtp_code, refused.value.smtp_error)) == (
                '421 #4.4.5 Too many connections')
        gateway.wait_log(r'ICID \d+ Receiving Failed: Connection limit exceeded$')
        first.quit()
        recovers(gateway, port=port)


def test_who_is_rejected_takes_no_place_of_all_listeners_either(make_gateway, next_hop):
    gateway = make_gateway(
        next_hop, hat=hat_rows(('BAD', ['127.0.0.7'], 'BLOCKED'), ('ALL', ['ALL'], 'ONE')),
        policies='ONE = { access = "accept"; }; BLOCKED = { access = "reject"; };',
        extra='limits = { max_connections = 2; };').start()
    with contextlib.ExitStack() as stack:
        for code in (554, 554, 421):
            stack.enter_context(gateway.connect(source='127.0.0.7')).expect(code)
        for code in (220, 220, 421):
            stack.enter_context(gateway.connect()).expect(code)


@pytest.mark.parametrize('where', ['listener', 'all'])
def test_tls_connections(make_gateway, next_hop, where):
    """Of one listener, and of all: the other one has room, or none."""
    port = free_port()
    more = (f', {{ name = "Second"; type = "public"; address = "127.0.0.1"; port = {port};'
            ' certificate = "mail"; hat = "inbound"; rat = "inbound"; }')
    text = 'max_tls_connections = 2;'
    gateway = make_gateway(next_hop, **one_policy(''), listeners_more=more,
                           **({'listener': text} if where == 'listener' else
                              {'extra': f'limits = {{ {text} }};'})).start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect()) for _ in range(3)]
        for client in clients:
            client.hello()
        for client in clients[:2]:
            client.starttls()
            client.ehlo()
        reply = clients[2].expect(454, 'STARTTLS')
        assert reply.text == '4.7.0 TLS not available due to temporary reason'
        clients[2].expect(250, 'MAIL FROM:<a@lab.test>')  # in the clear it goes on
        with client_of(gateway, port=port) as other:
            assert other.docmd('STARTTLS')[0] == (220 if where == 'listener' else 454)
        clients[2].expect(250, 'RSET')
        clients[0].quit()
        wait_until(lambda: clients[2].say('STARTTLS').code == 220, 10, 'TLS is to be had again')


# --- rates ----------------------------------------------------------------------------------------

HOURLY = 'max_recipients_per_hour'


@pytest.mark.parametrize('words, reply', [
    ('', '452 4.7.1 Too many recipients received this hour'),
    (f'{HOURLY}_code = 451; {HOURLY}_text = "$Group: wait, $Hostname [$RemoteIP]";',
     '451 ALL: wait, Unknown [127.0.0.1]'),
], ids=['default', 'own'])
def test_recipients_per_hour(limited, next_hop, words, reply):
    gateway = limited(f'{HOURLY} = 3; {words}', extra=SOON)
    with client_of(gateway) as client:
        assert send(client, many(5))[3:] == [reply] * 2
        assert client.data(BODY)[0] == 250  # for those that were taken
        assert codes(send(client)) == codes([reply])
        gateway.wait_log(r'MID \d+ ICID 1 To: <b3@example\.com> Rejected by Receiving Control$')
        with client_of(gateway, '127.0.0.2') as other:
            assert codes(send(other)) == [250]
        wait_until(lambda: codes(send(client)) == [250], 3 * INTERVAL_S, 'the next interval')
    message = next_hop.wait_messages(1)[0]
    assert message.recipients == many(3)


def test_what_was_refused_for_another_reason_is_not_counted(limited):
    gateway = limited(f'{HOURLY} = 3; max_recipients_per_message = 2;')
    with client_of(gateway) as client:
        assert codes(send(client, many(3, 'elsewhere.test'))) == [550] * 3
        assert codes(send(client, many(4))) == [250, 250, 452, 452]
        assert send(client, many(2)) == ['250 2.1.5 Ok',
                                         '452 4.7.1 Too many recipients received this hour']


def test_hosts_of_one_network_are_counted_together(limited):
    gateway = limited(f'{HOURLY} = 4; significant_bits = 24;')
    for source, wanted in [('127.0.5.1', [250] * 3), ('127.0.5.200', [250, 452]),
                           ('127.0.5.1', [452]), ('127.0.6.1', [250] * 4 + [452])]:
        with client_of(gateway, source) as client:
            assert codes(send(client, many(len(wanted)))) == wanted


def test_a_network_of_ipv6_is_one_host(make_gateway):
    """Who has an address there has its /64, unless the policy says otherwise."""
    here, near, far = '2001:db8::1', '2001:db8::ffff:2', '2001:db8:0:1::1'
    ports = {bits: free_port() for bits in (64, 128)}
    more = ''.join(f''',
    {{ name = "Six{bits}"; type = "public"; address = "{here}"; port = {port}; hat = "inbound";
       certificate = "mail"; rat = "inbound"; defaults = {{ significant_bits_v6 = {bits}; }}; }}'''
                   for bits, port in ports.items())
    with Namespace() as net:
        for address in (here, near, far):
            net.ip('-6', 'address', 'add', f'{address}/128', 'dev', 'lo', 'nodad')
        with net.inside(), NextHop() as hop:
            gateway = make_gateway(hop, **one_policy(f'{HOURLY} = 2;'), listeners_more=more).start()
            for bits, source, wanted in [(64, here, [250]), (64, near, [250, 452]),
                                         (64, here, [452]), (64, far, [250, 250, 452]),
                                         (128, here, [250, 250, 452]), (128, near, [250])]:
                with client_of(gateway, source, ports[bits], here) as client:
                    assert codes(send(client, many(len(wanted)))) == wanted, (bits, source)
            gateway.stop()


def test_recipients_that_bypass_the_limits(limited):
    gateway = limited(f'{HOURLY} = 1; max_invalid_recipients_per_hour = 1;'
                      'drop_invalid_recipients = false;', rat='''
        { recipients = [ "postmaster@example.com" ]; action = "accept"; bypass_limits = true; },
        { recipients = [ "example.com" ]; action = "accept"; }''')
    with client_of(gateway) as client:
        assert codes(send(client, ['postmaster@example.com'] * 5 + many(2))) == (
            [250] * 6 + [452])
        assert codes(send(client, many(2, 'elsewhere.test'))) == [550] * 2
        assert codes(send(client, ['b@example.com', 'postmaster@example.com'])) == [550, 250]


SENDER = 'max_recipients_per_sender'


@pytest.mark.parametrize('words, reply', [
    ('', '452 4.7.1 Too many recipients received from the sender'),
    (f'{SENDER}_code = 450; {SENDER}_text = "<$EnvelopeSender> is busy";',
     '450 <A@lab.test> is busy'),
], ids=['default', 'own'])
def test_recipients_of_an_envelope_sender(limited, words, reply):
    gateway = limited(
        f'{SENDER} = 2; sender_interval = "{INTERVAL_S}s"; sender_exceptions = "big"; {words}',
        extra='address_lists = { big = [ "news@lab.test", "@big.test" ]; };')
    with client_of(gateway) as client, client_of(gateway, '127.0.0.2') as other:
        assert codes(send(client, many(1), 'a@lab.test')) == [250]
        # From another host, and written in another way, it is the same sender.
        assert send(other, many(3), 'A@lab.test')[1:] == [reply] * 2
        gateway.wait_log(r'MID \d+ ICID \d+ To: <b2@example\.com> Rejected by Receiving Control$')
        for sender in ('b@lab.test', 'news@lab.test', 'any@big.test', ''):
            wanted = [250] * 2 + [int(reply[:3])] if sender == 'b@lab.test' else [250] * 3
            assert codes(send(client, many(3), sender)) == wanted, sender
        wait_until(lambda: codes(send(client, many(1), 'a@lab.test')) == [250], 3 * INTERVAL_S,
                   'the next interval')


def test_a_recipient_that_the_senders_limit_refuses_is_not_counted_for_the_host(limited):
    gateway = limited(f'{HOURLY} = 5; {SENDER} = 2;')
    with client_of(gateway) as client:
        assert codes(send(client, many(6), 'a@lab.test')) == [250] * 2 + [452] * 4
        assert codes(send(client, many(2), 'b@lab.test')) == [250] * 2
        assert send(client, many(2), 'c@lab.test') == [
            '250 2.1.5 Ok', '452 4.7.1 Too many recipients received this hour']


# --- invalid recipients ---------------------------------------------------------------------------

HARVEST = 'max_invalid_recipients_per_hour'
UNKNOWN = many(4, 'elsewhere.test')


def test_who_tries_too_many_recipients_is_thrown_out(limited):
    gateway = limited(f'{HARVEST} = 2;', extra=SOON)
    with client_of(gateway) as client:
        answers = send(client, [*many(1), *UNKNOWN[:3]])
        assert codes(answers) == [250, 550, 550, 550]
        assert answers[3] == '550 5.7.1 Too many invalid recipients'
        assert answers[3] not in answers[:3]
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    gateway.wait_log(r'ICID 1 Dropping connection due to potential Directory Harvest Attack from '
                     r'host=\(127\.0\.0\.1\), sender_group=ALL$')
    gateway.wait_log(r'MID 1 ICID 1 To: <b1@elsewhere\.test> Rejected by RAT$')
    gateway.wait_log(r'Message aborted MID 1 Receiving aborted$')
    with client_of(gateway) as client:  # he is known by now, whomever he writes to
        assert send(client) == ['550 5.7.1 Too many invalid recipients']
    gateway.wait_log(r'MID 2 ICID 2 To: <b@example\.com> Rejected by Receiving Control$')
    with client_of(gateway, '127.0.0.2') as client:
        assert codes(send(client)) == [250]
    recovers(gateway)


def test_who_tries_too_many_recipients_may_stay_and_hear_it(limited):
    gateway = limited(f'{HARVEST} = 2; drop_invalid_recipients = false; {HARVEST}_code = 451;'
                      f'{HARVEST}_text = "4.7.1 $RemoteIP guesses";', extra=SOON)
    with client_of(gateway) as client:
        assert codes(send(client, [*UNKNOWN, 'b@example.com'])) == [550, 550, 451, 451, 451]
        assert send(client) == ['451 4.7.1 127.0.0.1 guesses']
        wait_until(lambda: codes(send(client)) == [250], 3 * INTERVAL_S, 'the next interval')
    assert 'Directory Harvest' not in gateway.log()


# --- counted together -----------------------------------------------------------------------------

def test_a_count_is_shared_by_listeners_and_workers_and_outlives_a_reload(make_gateway, next_hop):
    port = free_port()
    more = (f', {{ name = "Second"; type = "public"; address = "127.0.0.1"; port = {port};'
            ' certificate = "mail"; hat = "second"; rat = "inbound"; }')
    policies = ''.join(f'{name} = {{ access = "accept"; tls = "preferred"; {HOURLY} = {limit}; }};'
                       for name, limit in (('ONE', 6), ('TWO', 9)))
    gateway = make_gateway(next_hop, workers=3, hat=EVERYBODY, policies=policies,
                           listeners_more=more,
                           hats_more=f'second = ( {hat_rows(("ALL", ["ALL"], "TWO"))} );').start()

    def count(where, attempts):
        """How many are taken, each in a connection of its own."""
        taken = 0
        for _ in range(attempts):
            with client_of(gateway, port=where) as client:
                taken += codes(send(client)) == [250]
        return taken
    assert (count(gateway.port, 2), count(port, 2)) == (2, 2)
    gateway.configure(policies=policies.replace('= 6', '= 7'))
    gateway.wait_log('generation 2 is in force', since=gateway.reload())
    assert (count(gateway.port, 6), count(port, 6)) == (3, 2)  # up to 7, and up to 9


def test_a_limit_is_exact_when_all_come_at_once(limited):
    gateway = limited(f'{HOURLY} = 50;', workers=3)
    taken = []

    def work():
        for _ in range(3):
            with client_of(gateway) as client:
                taken.append(codes(send(client, many(10))).count(250))
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 18 and sum(taken) == 50
