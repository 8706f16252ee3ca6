"""Mail goes out: TLS by the destination's rule, the next host, retries, bounces, odd next hops."""
import re
import ssl

import pytest

from postern_lab import ports
from postern_lab.next_hop import DROP, NextHop
from postern_lab.peers import Postfix, posttls_finger
from postern_lab.process import wait_until
from postern_lab.tools import swaks

REQUIRED = 'default = { tls = "required"; };'
PREFERRED = 'default = { tls = "preferred"; };'
NOT_NEGOTIATED = (r'DCID \d+ IP 127\.0\.0\.1 TLS was required but could not be successfully '
                  r'negotiated')


def send(gateway, recipients=('b@example.com',), sender='a@lab.test', data=b'x\r\n'):
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        assert client.transaction(sender, recipients, data).code == 250
        client.quit()


def to_hosts(*hops):
    hosts = ', '.join(f'"127.0.0.1:{getattr(hop, "port", hop)}/pri={number}"'
                      for number, hop in enumerate(hops))
    return f'{{ domain = "ALL"; to = [ {hosts} ]; }}'


def bounce(max_age='1h', max_retries=100, retry='1s'):
    return (f'default = {{ initial_retry = "{retry}"; max_retry = "{retry}"; '
            f'max_age = "{max_age}"; max_retries = {max_retries}; }};')


# --- TLS -------------------------------------------------------------------------------------

@pytest.mark.parametrize('rule', [REQUIRED, PREFERRED], ids=['required', 'preferred'])
@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_a_next_hop_that_offers_starttls_gets_mail_encrypted(make_gateway, hop_certificate, rule,
                                                             version):
    with NextHop(certificate=hop_certificate, tls_version_max=ssl.TLSVersion[version]) as hop:
        gateway = make_gateway(hop, destinations=rule).start()
        send(gateway)
        message, = hop.wait_messages(1)
        assert message.session.tls == version.replace('_', '.')
        commands = message.session.commands
        assert commands[1] == 'STARTTLS' and commands[2].startswith('EHLO '), commands
        gateway.wait_log(r'DCID \d+ TLS success protocol TLSv1\.\d cipher \S+')


def test_tls_off_says_no_starttls(make_gateway, hop_certificate):
    with NextHop(certificate=hop_certificate) as hop:
        gateway = make_gateway(hop, destinations='default = { tls = "off"; };').start()
        send(gateway)
        message, = hop.wait_messages(1)
        assert message.session.tls == '' and 'STARTTLS' not in message.session.commands


def no_mail(hop):
    return not hop.messages and not any(
        command.upper().startswith(('MAIL', 'RCPT', 'DATA'))
        for session in hop.sessions for command in session.commands if not session.tls)


def test_required_and_not_offered_is_not_sent_but_deferred(make_gateway, hop_certificate):
    with NextHop() as hop:
        gateway = make_gateway(hop, destinations=REQUIRED).start()
        send(gateway)
        gateway.wait_log(NOT_NEGOTIATED)
        wait_until(lambda: len(hop.sessions) >= 2, 15, 'a second try')
        assert no_mail(hop) and 'Bounced' not in gateway.log()
        hop.certificate = hop_certificate  # the host learns TLS: now it goes
        assert hop.wait_messages(1)[0].session.tls


def test_preferred_and_not_offered_is_sent_in_the_clear(gateway, next_hop):
    send(gateway)
    message, = next_hop.wait_messages(1)
    assert message.session.tls == '' and not re.search(r'CID \d+ TLS', gateway.log())


def test_preferred_and_refused_goes_on_in_the_clear_on_the_same_connection(make_gateway,
                                                                           hop_certificate):
    with NextHop(certificate=hop_certificate, replies={'STARTTLS': ['454 4.7.0 not now']}) as hop:
        gateway = make_gateway(hop, destinations=PREFERRED).start()
        send(gateway)
        message, = hop.wait_messages(1)
        assert (message.session.tls, len(hop.sessions)) == ('', 1)
        gateway.wait_log(r'DCID \d+ TLS failed: STARTTLS unexpected response')


def test_required_and_refused_is_not_sent(make_gateway, hop_certificate):
    with NextHop(certificate=hop_certificate, replies={'STARTTLS': ['454 4.7.0 not now']}) as hop:
        gateway = make_gateway(hop, destinations=REQUIRED).start()
        send(gateway)
        message, = hop.wait_messages(1)  # the second try; the script has one refusal only
        assert message.session.tls and message.session.number == 2
        assert no_mail(hop) is False and not hop.sessions[0].tls
        gateway.wait_log(r'Connection Error: DCID \d+ domain: example\.com IP: 127\.0\.0\.1 port: '
                         r"\d+ details: 454-'.*not now' interface: \S+ "
                         r'reason: unexpected SMTP response')
        gateway.wait_log(NOT_NEGOTIATED)


@pytest.mark.parametrize('rule', [REQUIRED, PREFERRED], ids=['required', 'preferred'])
@pytest.mark.parametrize('reply', ['220 2.0.0 go ahead', '220 2.0.0 go\n250 evil\n250 ok'],
                         ids=['no handshake', 'plaintext behind the 220'])
def test_a_failed_handshake_is_never_followed_by_clear_text(make_gateway, hop_certificate, rule,
                                                            reply):
    """The first two sessions fail after the 220; the third one is good."""
    with NextHop(certificate=hop_certificate, replies={'STARTTLS': [reply, reply]}) as hop:
        gateway = make_gateway(hop, destinations=rule).start()
        send(gateway)
        message, = hop.wait_messages(1)
        assert message.session.tls and message.session.number == 3
        for session in hop.sessions[:2]:
            assert not any(command.startswith(('MAIL', 'RCPT', 'DATA'))
                           for command in session.commands)
        gateway.wait_log(r'DCID \d+ TLS failed')


def test_a_real_postfix_that_requires_tls_gets_mail(make_gateway, folder, background, certificate,
                                                    authority):
    postfix = background(Postfix(folder, main_cf='\n'.join([
        'smtpd_tls_security_level = encrypt', 'smtpd_tls_loglevel = 1',
        f'smtpd_tls_chain_files = {certificate.key}, {certificate.chain}',
        'smtpd_tls_received_header = yes', 'default_transport = discard:',
        'relay_transport = discard:'])))
    for number, rule in enumerate([REQUIRED, PREFERRED]):
        gateway = make_gateway(routes=to_hosts(postfix.port), destinations=rule).start()
        send(gateway, recipients=['b@example.com', 'c@example.com'])
        wait_until(lambda: postfix.mail_log().count('status=sent') == 2 * (number + 1), 15,
                   'both recipients in the log of Postfix')
        gateway.wait_log(r'Message finished MID \d+ done')
    assert postfix.mail_log().count('TLS connection established') == 2


def test_a_real_postfix_that_requires_tls_refuses_clear_text(make_gateway, folder, background,
                                                          certificate):
    """The next hop demands TLS, our rule says off: its 530 at MAIL bounces, as RFC 3207 has it."""
    postfix = background(Postfix(folder, main_cf='\n'.join([
        'smtpd_tls_security_level = encrypt',
        f'smtpd_tls_chain_files = {certificate.key}, {certificate.chain}'])))
    gateway = make_gateway(routes=to_hosts(postfix.port),
                           destinations='default = { tls = "off"; };').start()
    send(gateway, sender='')
    gateway.wait_log(r"(Bounced|Delayed): DCID \d+ MID \d+ to RID 0 - [45]\.\d\.\d - .*530")


def test_posttls_finger_sees_the_certificate(gateway, authority):
    finger = posttls_finger(gateway.port, '-l', 'encrypt', '-c')
    assert finger.returncode == 0, finger.stdout
    finger = posttls_finger(gateway.port, '-l', 'secure', '-F', authority.chain,
                            match=['mx.lab.test'])
    assert 'Verified TLS connection established' in finger.stdout, finger.stdout
    assert 'subject_CN=mx.lab.test, issuer_CN=Postern Lab CA' in finger.stdout


# --- hosts, retries, bounces ----------------------------------------------------------------------

def test_a_host_that_refuses_the_connection_is_passed_over(make_gateway):
    closed = ports.free_port()
    with NextHop() as hop:
        gateway = make_gateway(routes=to_hosts(closed, hop), bounce=bounce(retry='60s')).start()
        send(gateway)
        hop.wait_messages(1)
        gateway.wait_log(rf'Connection Error: DCID \d+ domain: example\.com IP: 127\.0\.0\.1 '
                         rf'port: {closed} details: .*refused.* reason: network error')


@pytest.mark.parametrize('greeting', ['421 4.3.2 not now', '450 busy', '554 5.3.2 go away', DROP],
                         ids=['421', '450', '554', 'closed'])
def test_a_host_that_does_not_greet_is_passed_over(make_gateway, greeting):
    with NextHop(replies={'GREETING': [greeting]}) as first, NextHop() as second:
        gateway = make_gateway(routes=to_hosts(first, second), bounce=bounce(retry='60s')).start()
        send(gateway)
        second.wait_messages(1)
        assert len(first.sessions) == 1 and not first.messages
        assert 'Bounced' not in gateway.log()


def test_4xx_at_rcpt_is_delayed_and_tried_again(make_gateway):
    with NextHop(replies={'RCPT': ['450 4.2.1 later', '451 4.2.1 later still']}) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway)
        hop.wait_messages(1)
        gateway.wait_log(r'Message finished MID \d+ done')
        assert len(re.findall(r"Delayed: DCID \d+ MID \d+ to RID 0 - 4\.2\.1 - .*\('45[01]'",
                              gateway.log())) == 2
        assert re.search(r'Message \d+ to RID \[0\] pending till \w{3} \w{3} [ \d]\d ',
                         gateway.log())


@pytest.mark.parametrize('verb', ['MAIL', 'DATA', 'BODY', 'EHLO'])
def test_4xx_at_any_other_step_is_tried_again(make_gateway, verb):
    with NextHop(replies={verb: ['451 4.3.0 later']}) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway)
        hop.wait_messages(1)
        gateway.wait_log(r'Message finished MID \d+ done')
        assert len(hop.messages) == 1


def dsn_of(hop, count=1):
    return [message for message in hop.wait_messages(count) if message.sender == ''][0]


@pytest.mark.parametrize('verb', ['MAIL', 'RCPT', 'DATA', 'BODY'])
def test_5xx_becomes_a_notification_to_the_sender(make_gateway, verb):
    with NextHop(replies={verb: ['550 5.1.1 <b@example.com> nobody here']}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, data=b'Subject: the lost one\r\n\r\nwhole text\r\n')
        dsn = dsn_of(hop)
        assert dsn.recipients == ['a@lab.test']
        for part in (b'multipart/report', b'report-type=delivery-status', b'Action: failed',
                     b'Status: 5.1.1', b'Final-Recipient: rfc822; b@example.com',
                     b'Diagnostic-Code: smtp; 550 5.1.1', b'Subject: the lost one'):
            assert part.lower() in dsn.data.lower(), (part, dsn.data)
        gateway.wait_log(r"Bounced: DCID \d+ MID \d+ to RID 0 - 5\.1\.1 - .*\('550'")
        gateway.wait_log(r'MID \d+ generated for bounce of MID \d+')
        wait_until(lambda: gateway.log().count('Message finished MID') == 2, 5, 'both are over')


def test_5xx_for_the_null_sender_is_silent(make_gateway):
    with NextHop(replies={'RCPT': ['550 5.1.1 nobody here']}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, sender='')
        gateway.wait_log(r'Bounced: DCID')
        gateway.wait_log(r'Message finished MID \d+ done')
        send(gateway)  # what comes next is the next message, and nothing else
        assert hop.wait_messages(1)[0].sender == 'a@lab.test'


def test_mail_that_grows_too_old_is_returned(make_gateway):
    with NextHop() as hop:
        closed = ports.free_port()
        gateway = make_gateway(bounce=bounce(max_age='3s'), routes=(
            f'{{ domain = "lab.test"; to = [ "127.0.0.1:{hop.port}" ]; }},' + to_hosts(closed)))
        gateway.start()
        send(gateway)
        dsn = dsn_of(hop)
        assert b'Status: 5.4.7' in dsn.data and dsn.recipients == ['a@lab.test']
        gateway.wait_log(r'Bounced: DCID 0 MID \d+ to RID 0 - 5\.4\.7 - ')


def test_mail_that_was_tried_too_often_is_returned(make_gateway):
    with NextHop(replies={'RCPT': ['450 4.2.1 later'] * 3}) as hop:
        gateway = make_gateway(hop, bounce=bounce(max_retries=2)).start()
        send(gateway)
        assert dsn_of(hop).recipients == ['a@lab.test']
        wait_until(lambda: gateway.log().count('Delayed: DCID') == 3, 10, 'three delays in the log')


def test_each_recipient_has_its_own_result(make_gateway):
    tried = []

    def judge(line, _):
        tried.append(line)
        if 'gone@' in line:
            return '550 5.1.1 no such user'
        first = sum('slow' in t for t in tried) == 1
        return '450 4.2.2 full' if 'slow@' in line and first else None
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway, recipients=['good@example.com', 'gone@example.com', 'slow@example.com'])
        messages = hop.wait_messages(3)
        assert sorted((m.sender, m.recipients) for m in messages) == [
            ('', ['a@lab.test']), ('a@lab.test', ['good@example.com']),
            ('a@lab.test', ['slow@example.com'])]
        wait_until(lambda: gateway.log().count('Message finished MID') == 2, 5, 'both are over')
        assert sum('good' in line for line in tried) == 1
        dsn = next(m for m in messages if m.sender == '')
        assert b'gone@example.com' in dsn.data and b'slow@example.com' not in dsn.data


def test_connections_are_reused_up_to_their_limit(make_gateway):
    with NextHop(body_delay=0.01, quit_delay=0.05) as hop:
        gateway = make_gateway(hop, destinations='default = { tls = "preferred"; max_connections '
                               '= 2; max_messages_per_connection = 5; };').start()
        with gateway.connect() as client:
            client.hello()
            for _ in range(40):
                client.transaction('a@lab.test', ['b@example.com'], b'x\r\n')
        hop.wait_messages(40)
        counts = [sum(m.session is session for m in hop.messages) for session in hop.sessions]
        assert max(counts) == 5 and hop.most_sessions <= 2, counts
        assert len(hop.sessions) <= 14, counts


def test_a_bounce_of_many_recipients_comes_in_parts(make_gateway):
    """However much the hosts have to say about each: all of it is told, and the message ends."""
    reply = '\n'.join(f'550-5.1.1 {"no such user, and here is why " * 4}{n}' for n in range(3))
    reply += '\n550 5.1.1 that was all'
    names = [f'{"user" * 12}{n}' for n in range(450)]

    def judge(line, _):
        return reply if 'user' in line else None
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway, recipients=[f'{name}@example.com' for name in names])
        dsns = hop.wait_messages(5, seconds=30)
        wait_until(lambda: gateway.log().count('Message finished MID') == 6, 20, 'all are over')
        told = [name for dsn in dsns for name in re.findall(
            rb'Final-Recipient: rfc822; (\w+)@example.com', dsn.data)]
        assert sorted(told) == sorted(name.encode() for name in names)
        assert all(len(dsn.data) < 1 << 20 and dsn.sender == '' for dsn in dsns)


# --- what next hops say of themselves -------------------------------------------------------------

@pytest.mark.parametrize('limit, most', [('RCPTMAX=2', 2), ('RCPTMAX=2 RCPTDOMAINMAX=1', 2),
                                         ('RCPTMAX=0', 5), ('RCPTMAX=1000000 MAILMAX=x', 5)])
def test_a_transaction_has_no_more_recipients_than_the_host_takes(make_gateway, limit, most):
    recipients = [f'r{n}@example.com' for n in range(5)]
    with NextHop(extensions=[f'LIMITS {limit}']) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway, recipients=recipients)
        gateway.wait_log(r'Message finished MID \d+ done', seconds=30)
        assert max(len(message.recipients) for message in hop.messages) == most
        assert sorted(r for message in hop.messages for r in message.recipients) == recipients
        assert 'Bounced' not in gateway.log()


def test_a_message_above_the_size_that_a_host_takes_is_not_sent(make_gateway):
    with NextHop(extensions=['SIZE 1000']) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, data=b'x' * 70 + b'\r\n')
        hop.wait_messages(1)
        send(gateway, data=(b'y' * 70 + b'\r\n') * 20)
        gateway.wait_log(r'Bounced: .*5\.3\.4')
        mails = [command for session in hop.sessions for command in session.commands
                 if command.startswith('MAIL FROM:<a@lab.test>')]
        assert len(mails) == 1, mails


# --- next hops that misbehave -------------------------------------------------------------------

ENDLESS = '220-' + 'x' * 200000
MANY = '\n'.join(['220-more'] * 30000)


@pytest.mark.parametrize('replies', [
    {'GREETING': ['HTTP/1.1 400 Bad Request']}, {'GREETING': ['']}, {'GREETING': [ENDLESS]},
    {'GREETING': [MANY]}, {'GREETING': ['\0\1\2\3']}, {'GREETING': ['220 hi\n220 hi again']},
    {'EHLO': ['250-a\n260 b']}, {'EHLO': ['250-' + 'y' * 5000 + '\n250 z']}, {'EHLO': [DROP]},
    {'EHLO': ['999 what']}, {'MAIL': ['hello']}, {'MAIL': ['354 go']}, {'MAIL': [DROP]},
    {'RCPT': ['220-\n\n\n']}, {'RCPT': [DROP]}, {'DATA': ['250 no 354']}, {'DATA': [DROP]},
    {'BODY': ['100 odd']}, {'BODY': ['354 odd']}, {'BODY': [DROP]}, {'BODY': [MANY]},
    {'RCPT': ['250 one\n250 two\n250 three']}, {'EHLO': ['421 bye']}, {'DATA': ['421 bye']},
], ids=lambda replies: ' '.join(
    f'{verb} {text if text is DROP else text[:16]!r}' for verb, (text,) in replies.items())[:40])
def test_a_next_hop_that_misbehaves_once_gets_the_mail_later(make_gateway, replies):
    with NextHop(replies={verb: list(texts) for verb, texts in replies.items()}) as hop:
        gateway = make_gateway(hop, bounce=bounce()).start()
        send(gateway)
        gateway.wait_log(r'Message finished MID \d+ done', seconds=15)
        assert 'Bounced' not in gateway.log()
        assert len(hop.messages) >= 1


def test_swaks_to_swaks_is_the_same_text(gateway, next_hop):
    assert swaks(gateway.port, '--body', 'one\\n.two\\n..three').returncode == 0
    message, = next_hop.wait_messages(1)
    assert b'one\r\n.two\r\n..three\r\n' in message.data
