"""What a sender asks by RFC 3461 and RFC 8689: passed on, honoured, and told in reports."""
import email
import os
import re
import time

import pytest

from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.returned import TEXT, judge_addresses, send
from postern_lab.rogue_hop import RogueHop, Script

DSN = ('PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES', 'DSN')
SECURE = DSN + ('REQUIRETLS',)


def profile(**settings):
    """The profile "default", fast; a value is written as libconfig has it."""
    values = {'initial_retry': '"1s"', 'max_retry': '"1s"', 'max_age': '"1h"', 'max_retries': 100,
              **settings}
    return 'default = {' + ' '.join(f'{key} = {value};' for key, value in values.items()) + '};'


def finished(gateway, count, seconds=20):
    wait_until(lambda: gateway.log().count('Message finished MID') >= count, seconds,
               f'{count} messages are over')


class Report:
    """A DSN, read by a reader that knows nothing of Postern."""

    def __init__(self, message):
        self.envelope = message
        self.whole = email.message_from_bytes(message.data)
        assert self.whole.get_content_type() == 'multipart/report', message.data
        assert self.whole.get_param('report-type') == 'delivery-status'
        self.human, status, self.original = self.whole.get_payload()
        assert status.get_content_type() == 'message/delivery-status'
        self.fields, *self.recipients = status.get_payload()

    def told(self):
        return {group['Final-Recipient'].split('; ')[1]: group['Action']
                for group in self.recipients}


def reports(hop):
    messages = hop.mails() if isinstance(hop, RogueHop) else list(hop.messages)
    return [Report(message) for message in messages if message.sender == '']


def wait_reports(hop, count, seconds=20):
    wait_until(lambda: len(reports(hop)) >= count, seconds, f'{count} reports')
    return reports(hop)


# --- the parameters ---------------------------------------------------------------------------

def test_dsn_is_offered_to_who_relays_and_requiretls_under_tls_only(gateway):
    with gateway.connect(source='127.0.0.3') as client:
        offered = client.hello()
        assert 'DSN' in offered and 'REQUIRETLS' not in offered
        client.expect(555, 'MAIL FROM:<a@lab.test> REQUIRETLS')
        client.starttls()
        offered = client.ehlo()
        assert 'DSN' in offered and 'REQUIRETLS' in offered
        client.expect(250, 'MAIL FROM:<a@lab.test> REQUIRETLS')


def asks_for_dsn(client, code):
    assert ('DSN' in client.hello()) == (code == 250)
    for word in ('RET=HDRS', 'ENVID=x', 'RET=FULL ENVID=QQ+2B1'):
        reply = client.expect(code, f'MAIL FROM:<a@lab.test> {word}')
        assert code == 250 or reply.text.startswith('5.5.4 ')
        client.expect(250, 'RSET')
    client.expect(250, 'MAIL FROM:<a@lab.test>')
    for word in ('NOTIFY=SUCCESS', 'NOTIFY=NEVER', 'ORCPT=rfc822;x@y'):
        client.expect(code, f'RCPT TO:<b@example.com> {word}')
    client.expect(250, 'RCPT TO:<b@example.com>')


def test_a_stranger_cannot_ask_for_reports_unless_his_policy_says_so(make_gateway, next_hop):
    """A victim would be told of mail that he never sent, and which host has it now."""
    gateway = make_gateway(next_hop).start()
    with gateway.connect() as client:
        asks_for_dsn(client, 555)
    with gateway.connect(source='127.0.0.3') as client:
        asks_for_dsn(client, 250)
    said = gateway.command('explain', 'sender', '127.0.0.1')
    assert '  dsn      false: DSN is not offered' in said
    said = gateway.command('explain', 'sender', '127.0.0.3')
    assert '  dsn      true: DSN is offered' in said
    gateway.configure(policies="""
        ACCEPTED = { access = "accept"; tls = "preferred"; dsn = true; };
        TLS_REQUIRED = { access = "accept"; tls = "required"; };
        RELAYED = { access = "relay"; tls = "preferred"; dsn = false; };""")
    since = gateway.reload()
    gateway.wait_log('generation 2 is in force', since=since)
    with gateway.connect() as client:
        asks_for_dsn(client, 250)
    with gateway.connect(source='127.0.0.3') as client:
        asks_for_dsn(client, 555)


@pytest.mark.parametrize('crash', [False, True], ids=['at once', 'after kill -9'])
@pytest.mark.parametrize('ret, envid', [('', ''), ('RET=HDRS', ''), ('RET=FULL', 'ENVID=QQ+2B1')])
def test_what_was_asked_reaches_a_host_that_knows_dsn(make_gateway, ret, envid, crash):
    hop = RogueHop(extensions=DSN).start()
    if crash:
        hop.stop()
    gateway = make_gateway(hop).start()
    asked = ['', 'NOTIFY=NEVER', 'NOTIFY=SUCCESS', 'NOTIFY=FAILURE,DELAY ORCPT=rfc822;was+2Bit@x',
             'ORCPT=rfc822;other@x', 'NOTIFY=SUCCESS,FAILURE,DELAY']
    send(gateway, [f'<r{i}@example.com> {text}'.rstrip() for i, text in enumerate(asked)],
         mail=f'{ret} {envid}'.strip())
    if crash:
        gateway.kill()
        hop.start()
        gateway.start()
    wait_until(hop.mails, 20, 'the message at the hop')
    mail, = hop.mails()
    said = [word for word in mail.parameters.split() if word[:3] in ('RET', 'ENV')]
    assert said == f'{ret} {envid}'.split()
    assert dict(zip(mail.recipients, mail.rcpt_parameters)) == {
        f'r{i}@example.com': text for i, text in enumerate(asked)}
    finished(gateway, 1)
    hop.stop()


def test_a_host_without_dsn_hears_nothing_of_it(make_gateway):
    with RogueHop() as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com> NOTIFY=FAILURE ORCPT=rfc822;x@y'], mail='RET=HDRS ENVID=1')
        wait_until(hop.mails, 20, 'the message at the hop')
        mail, = hop.mails()
        assert not re.search('RET|ENVID', mail.parameters) and mail.rcpt_parameters == ['']


def test_parameters_survive_a_question_about_the_recipient(make_gateway):
    """The command's line is long gone from the buffer when the answer comes: others have been read
    into it."""
    def think(*_):
        time.sleep(1)
    with NextHop(replies={'RCPT': think}, extensions=DSN[1:]) as hop:
        gateway = make_gateway(hop, workers=1, listener='defaults = { dsn = true; };',
                               rat='{ recipients = [ "example.com" ]; action = '
                               '"accept"; call_ahead = true; }').start()
        with gateway.connect() as client, gateway.connect() as noise:
            client.hello()
            noise.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test> ENVID=keep-me')
            client.send('RCPT TO:<b@example.com> NOTIFY=DELAY ORCPT=rfc822;first@x')
            for _ in range(3000):
                noise.expect(250, 'NOOP ' + 'x' * 400)
            client.expect(250)
            client.expect(354, 'DATA')
            client.send(TEXT + b'.\r\n')
            client.expect(250)
        message, = hop.wait_messages(1)
        assert 'ENVID=keep-me' in message.parameters
        assert ('RCPT TO:<b@example.com> NOTIFY=DELAY ORCPT=rfc822;first@x' in
                message.session.commands), message.session.commands


# --- who is told of what ----------------------------------------------------------------------

NOTIFY = ['', 'NEVER', 'SUCCESS', 'FAILURE', 'DELAY', 'SUCCESS,FAILURE', 'SUCCESS,DELAY',
          'FAILURE,DELAY', 'SUCCESS,FAILURE,DELAY']


def expected(notify, outcome, hop_knows_dsn):
    """RFC 3461 4.1, 5.2.2, 5.2.5 and 5.2.6."""
    words = notify.split(',') if notify else ['FAILURE', 'DELAY']
    told = set()
    if outcome == 'gone' and 'FAILURE' in words:
        told.add('failed')
    if outcome == 'slow' and 'DELAY' in words:
        told.add('delayed')
    if outcome != 'gone' and 'SUCCESS' in words and not hop_knows_dsn:
        told.add('relayed')
    return told


@pytest.mark.parametrize('knows', [False, True], ids=['without DSN', 'with DSN'])
def test_each_sender_is_told_what_he_asked_for(make_gateway, knows):
    tries = {}

    def judge(line, _):
        address = re.search('<(.*?)>', line)[1]
        tries[address] = tries.get(address, 0) + 1
        if 'gone' in address:
            return '550 5.1.1 no such user'
        return '450 4.2.1 later' if 'slow' in address and tries[address] < 4 else None
    cases = {f'{outcome}{i}@example.com': (notify, outcome)
             for outcome in ('good', 'gone', 'slow') for i, notify in enumerate(NOTIFY)}
    with NextHop(replies={'RCPT': judge}, extensions=['DSN'] if knows else []) as hop:
        gateway = make_gateway(hop, bounce=profile(delay_warnings='true')).start()
        for address, (notify, _) in cases.items():
            send(gateway, [f'<{address}> NOTIFY={notify}' if notify else f'<{address}>'])
        wanted = {address: expected(*case, knows) for address, case in cases.items()}
        count = sum(map(len, wanted.values()))
        finished(gateway, len(cases) + count, seconds=40)
        told = {address: set() for address in cases}
        for report in reports(hop):
            (address, action), = report.told().items()
            assert report.envelope.recipients == ['a@lab.test']
            told[address].add(action)
        assert told == wanted
        assert len(reports(hop)) == count


def test_one_message_has_a_report_for_each_kind_of_news(make_gateway):
    def judge(line, _):
        return '550 5.1.1 no' if 'gone' in line else None
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<gone1@example.com>', '<good@example.com> NOTIFY=SUCCESS',
                       '<gone2@example.com> NOTIFY=NEVER', '<gone3@example.com>',
                       '<fine@example.com>'], mail='ENVID=a+20b')
        told = sorted((report.told() for report in wait_reports(hop, 2)), key=len)
        assert told == [{'good@example.com': 'relayed'},
                        {'gone1@example.com': 'failed', 'gone3@example.com': 'failed'}]
        for report in reports(hop):
            assert report.fields['Original-Envelope-Id'] == 'a b'
        gateway.wait_log(r'MID \d+ generated for relay report of MID \d+')
        gateway.wait_log(r'MID \d+ to RID 2: no bounce is sent: the sender does not want one')


def test_a_report_names_the_original_recipient_and_the_host(make_gateway):
    with NextHop(replies={'RCPT': ['550 5.1.1 <b@example.com> nobody']}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com> ORCPT=rfc822;old+2Bname@example.org'])
        group, = wait_reports(hop, 1)[0].recipients
        assert group['Original-Recipient'] == 'rfc822;old+name@example.org'
        assert group['Remote-MTA'] == 'dns; [127.0.0.1]'
        assert group['Diagnostic-Code'].startswith('smtp; 550 5.1.1')
        assert group['Last-Attempt-Date']


# --- mail that is late, or too old --------------------------------------------------------------

def test_a_sender_is_warned_as_often_as_the_profile_says(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: '450 4.2.1 later' if 'slow' in line else None}
                 ) as hop:
        gateway = make_gateway(hop, bounce=profile(delay_warnings='true', warning_interval='"3s"',
                                                   max_warnings=2)).start()
        send(gateway, ['<slow@example.com>'])
        first, = wait_reports(hop, 1)
        group, = first.recipients
        assert (group['Action'], group['Status']) == ('delayed', '4.2.1')
        assert group['Diagnostic-Code'] == 'smtp; 450 4.2.1 later'
        assert group['Will-Retry-Until'] and first.original.get_content_type() == \
            'text/rfc822-headers'
        wait_until(lambda: gateway.log().count('Delayed: DCID') >= 2, 5, 'two tries in the log')
        second = wait_reports(hop, 2)[1]
        assert second.envelope.received - first.envelope.received >= 2
        tries = gateway.log().count('Delayed: DCID')
        wait_until(lambda: gateway.log().count('Delayed: DCID') > tries + 4, 20, 'more tries')
        assert len(reports(hop)) == 2
        assert gateway.log().count('generated for delay warning of MID') == 2


def test_a_restart_forgets_no_warning(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: '450 4.2.1 later' if 'slow' in line else None}
                 ) as hop:
        gateway = make_gateway(hop, bounce=profile(delay_warnings='true')).start()
        send(gateway, ['<slow1@example.com>', '<slow2@example.com> NOTIFY=NEVER'])
        assert wait_reports(hop, 1)[0].told() == {'slow1@example.com': 'delayed'}
        gateway.settle(messages=1)
        gateway.kill()
        gateway.start()
        tries = gateway.log().count('Delayed: DCID')
        wait_until(lambda: gateway.log().count('Delayed: DCID') > tries + 6, 20, 'more tries')
        assert len(reports(hop)) == 1
        assert 'its bounce cannot be made' not in gateway.log()


def test_warnings_are_for_who_has_them_in_his_profile(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: '450 4.2.1 later' if 'slow' in line else None}
                 ) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<slow@example.com> NOTIFY=DELAY'])
        wait_until(lambda: gateway.log().count('Delayed: DCID') > 3, 20, 'some tries')
        assert reports(hop) == []


def test_mail_that_grew_too_old_comes_back_with_the_last_words(make_gateway):
    def judge(line, _):
        if 'one' in line:
            return '452 4.2.2 one is full'
        return '450 4.2.1 two is busy' if 'two' in line else None
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, bounce=profile(max_retries=1)).start()
        send(gateway, ['<one@example.com>', '<two@example.com>'])
        report, = wait_reports(hop, 1)
        told = {group['Final-Recipient']: group for group in report.recipients}
        for name, reply in (('one', '452 4.2.2 one is full'), ('two', '450 4.2.1 two is busy')):
            group = told[f'rfc822; {name}@example.com']
            assert (group['Action'], group['Status']) == ('failed', '5.4.7')
            assert group['Diagnostic-Code'] == f'smtp; {reply}'
            assert group['Remote-MTA'] == 'dns; [127.0.0.1]' and group['Last-Attempt-Date']


def test_the_last_words_about_the_whole_message_are_told_too(make_gateway):
    later = '451 4.3.2 come back'
    with RogueHop([Script({'DATA:1': later, 'DATA:2': later}), Script()]) as hop:
        gateway = make_gateway(hop, bounce=profile(max_retries=1)).start()
        send(gateway, ['<one@example.com>', '<two@example.com>'])
        report, = wait_reports(hop, 1)
        assert [group['Diagnostic-Code'] for group in report.recipients] == [
            'smtp; 451 4.3.2 come back'] * 2


def test_a_host_that_is_never_reached_is_told_of_as_far_as_it_is_known(make_gateway):
    with NextHop() as hop, NextHop() as closed:
        closed.stop()
        gateway = make_gateway(bounce=profile(max_age='"4s"', delay_warnings='true'), routes=(
            f'{{ domain = "lab.test"; to = [ "127.0.0.1:{hop.port}" ]; }},'
            f'{{ domain = "ALL"; to = [ "127.0.0.1:{closed.port}" ]; }}')).start()
        send(gateway, ['<b@example.com>'])
        told = [report.recipients[0] for report in wait_reports(hop, 2)]
        assert [(group['Action'], group['Status']) for group in told] == [
            ('delayed', '4.4.1'), ('failed', '5.4.7')]
        assert all(group['Diagnostic-Code'].startswith('X-Postern; ') for group in told)


# --- bounces of bounces, and the profile --------------------------------------------------------

POSTMASTER = 'bounces = { double = "postmaster"; postmaster = "pm@lab.test"; };'


@pytest.mark.parametrize('sender', ['a@lab.test', ''], ids=['bounce', 'null sender'])
@pytest.mark.parametrize('extra', ['', POSTMASTER], ids=['drop', 'postmaster'])
def test_a_double_bounce_is_dropped_or_the_postmasters(make_gateway, sender, extra):
    judge = judge_addresses('gone@example.com', 'a@lab.test')
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, extra=extra).start()
        send(gateway, ['<gone@example.com>'], sender=sender)
        finished(gateway, (2 if sender else 1) + (1 if extra else 0))
        gateway.wait_log(r"Double bounce: MID \d+ to RID 0 - 5\.1\.1 - Bad destination email "
                         r"address 550-'5\.1\.1 no such user'")
        if not extra:
            gateway.wait_log('no bounce is sent: double bounces are dropped')
            assert hop.messages == []
            return
        report, = reports(hop)
        assert report.envelope.recipients == ['pm@lab.test']
        assert report.told() == {sender or 'gone@example.com': 'failed'}
        assert 'of a bounce' in report.whole['Subject']


def test_of_a_double_bounce_that_fails_nobody_is_told_also_after_a_crash(make_gateway):
    late = []

    def judge(line, _):
        if 'pm@lab.test' in line:
            late.append(line)
            return '550 5.1.1 no' if ready else '450 4.2.1 later'
        return '550 5.1.1 no'
    ready = []
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, extra=POSTMASTER).start()
        send(gateway, ['<gone@example.com>'])
        wait_until(lambda: late, 20, 'the double bounce is tried')
        gateway.settle(messages=1)
        gateway.kill()
        ready.append(True)
        gateway.start()
        gateway.wait_log('no bounce is sent: it told of a double bounce itself')
        wait_until(lambda: len(re.findall('Message finished', gateway.log())) >= 3, 20, 'all over')
        assert gateway.log().count('generated for bounce') == 2 and hop.messages == []


def test_a_profile_may_send_bounces_to_nobody_or_to_somebody_else(make_gateway):
    judge = judge_addresses('gone@example.com', 'gone@example.net')
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(
            hop, bounce=profile(bounces_to='"desk@lab.test"') +
            profile(send_bounces='false').replace('default', 'silent', 1),
            destinations='default = { tls = "preferred"; }; domains = ( { domain = "example.net"; '
            'bounce_profile = "silent"; } );').start()
        send(gateway, ['<gone@example.com>', '<gone@example.net>',
                       '<good@example.net> NOTIFY=SUCCESS'])
        told = {tuple(report.envelope.recipients): report.told() for report in wait_reports(hop, 2)}
        assert told == {('desk@lab.test',): {'gone@example.com': 'failed'},
                        ('a@lab.test',): {'good@example.net': 'relayed'}}
        gateway.wait_log(r'MID \d+ to RID 1: no bounce is sent: the bounce profile says so')
        finished(gateway, 3)


def test_a_listener_has_its_profile_where_the_destination_has_none(make_gateway):
    judge = judge_addresses('gone@example.com', 'gone@example.net')
    quick = profile(max_retries=1, bounces_to='"listener@lab.test"').replace('default', 'quick', 1)
    own = profile(bounces_to='"entry@lab.test"').replace('default', 'own', 1)
    with NextHop(replies={'RCPT': lambda line, session: '450 4.2.1 later' if 'slow' in line
                          else judge(line, session)}) as hop:
        gateway = make_gateway(
            hop, bounce=profile() + quick + own, listener='bounce_profile = "quick";',
            destinations='default = { tls = "preferred"; }; domains = ( { domain = "example.net"; '
            'bounce_profile = "own"; } );').start()
        send(gateway, ['<gone@example.com>'])
        send(gateway, ['<gone@example.net>'])
        send(gateway, ['<slow@example.com>'])
        told = {tuple(report.told()): report.envelope.recipients for report in wait_reports(hop, 3)}
        assert told == {('gone@example.com',): ['listener@lab.test'],
                        ('gone@example.net',): ['entry@lab.test'],
                        ('slow@example.com',): ['listener@lab.test']}
        finished(gateway, 6)
        assert gateway.log().count('Delayed: DCID') == 2


@pytest.mark.parametrize('mail, limit, size, kind', [
    ('', '10K', 1000, 'message/rfc822'),
    ('', '10K', 20000, 'text/rfc822-headers'),
    ('', '0', 100, 'text/rfc822-headers'),
    ('', '256K', 250000, 'message/rfc822'),
    ('RET=FULL', '10K', 1000, 'message/rfc822'),
    ('RET=FULL', '10K', 20000, 'text/rfc822-headers'),
    ('RET=HDRS', '10K', 1000, 'text/rfc822-headers'),
    ('RET=HDRS', '256K', 20000, 'text/rfc822-headers')])
def test_so_much_of_a_message_comes_back(make_gateway, mail, limit, size, kind):
    with NextHop(replies={'RCPT': ['550 5.1.1 nobody']}) as hop:
        gateway = make_gateway(hop, bounce=profile(max_bounce_copy=f'"{limit}"')).start()
        body = b'Subject: the original\r\n\r\n' + b'.' * 60 + b'\r\n' + b'x' * 58 + b'\r\n'
        body += (b'y' * 58 + b'\r\n') * ((size - len(body)) // 60)
        send(gateway, ['<b@example.com>'], mail=mail, data=body.replace(b'\r\n.', b'\r\n..'))
        report, = wait_reports(hop, 1)
        assert report.original.get_content_type() == kind
        assert b'Subject: the original' in report.envelope.data
        assert (b'yyyy' in report.envelope.data or b'xxxx' in report.envelope.data) == (
            kind == 'message/rfc822')


BIG_HEADER = b'From: a@lab.test\r\nMessage-ID: <big@lab.test>\r\nSubject: the original\r\n\r\n'
BIG = BIG_HEADER + (b'y' * 62 + b'\r\n') * (3 << 14)  # 3 MiB: a body in a file of its own


@pytest.mark.parametrize('news', ['failed', 'delayed'])
@pytest.mark.parametrize('crash', [False, True], ids=['at once', 'after kill -9'])
def test_a_report_of_a_large_message_has_its_header(make_gateway, news, crash):
    ready = []

    def judge(line, _):
        if 'b@example.com' not in line:
            return None
        return '550 5.1.1 nobody' if ready and news == 'failed' else '450 4.2.1 later'
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop, bounce=profile(
            delay_warnings='true' if news == 'delayed' else 'false')).start()
        send(gateway, ['<b@example.com>'], data=BIG, mail='RET=FULL')
        if crash:
            gateway.kill()
            gateway.start()
        ready.append(True)
        report, = wait_reports(hop, 1)
        assert report.told() == {'b@example.com': news}
        assert report.original.get_content_type() == 'text/rfc822-headers'
        text = report.original.get_payload(decode=True)
        assert text.startswith(b'Received: ')
        assert text.rstrip().endswith(BIG_HEADER.rstrip()) and b'yyyy' not in report.envelope.data


def test_many_large_messages_come_back_each_with_its_own_header(make_gateway):
    with NextHop(replies={'RCPT': judge_addresses('b@example.com')}) as hop:
        gateway = make_gateway(hop).start()
        for i in range(30):
            send(gateway, ['<b@example.com>'], data=BIG.replace(b'<big@', f'<big{i}@'.encode()))
        found = [re.findall(rb'Message-ID: <(big\d+)@', report.envelope.data)
                 for report in wait_reports(hop, 30)]
        assert sorted(found) == sorted([f'big{i}'.encode()] for i in range(30))


@pytest.mark.parametrize('harm', ['gone', 'short'])
def test_a_body_that_cannot_be_read_does_not_keep_the_report(make_gateway, harm):
    ready = []

    def judge(line, _):
        if 'b@example.com' not in line:
            return None
        return '550 5.1.1 nobody' if ready else '450 4.2.1 later'
    with NextHop(replies={'RCPT': judge}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com>'], data=BIG)
        gateway.wait_log('Delayed: DCID')
        body, = (gateway.spool_path / 'bodies').iterdir()
        if harm == 'gone':
            body.unlink()
        else:
            os.truncate(body, 100)
        ready.append(True)
        report, = wait_reports(hop, 1)
        text = report.original.get_payload(decode=True)
        assert text.startswith(b'Received: ') and b'Subject' not in text
        gateway.wait_log(r'MID \d+: its body file cannot be read, and its bounce goes without: ')


# --- REQUIRETLS -------------------------------------------------------------------------------

@pytest.fixture(name='good_certificate')
def fixture_good_certificate(authority):
    return authority.issue('example.com', names=['example.com', 'lab.test'])


def secure_mails(hop):
    return [(mail.sender, 'REQUIRETLS' in mail.parameters, mail.secure) for mail in hop.mails()]


@pytest.mark.parametrize('crash', [False, True], ids=['at once', 'after kill -9'])
def test_requiretls_goes_on_to_a_host_that_offers_it(make_gateway, good_certificate, crash):
    hop = RogueHop(extensions=SECURE, certificate=good_certificate).start()
    if crash:
        hop.stop()
    gateway = make_gateway(hop).start()
    send(gateway, ['<b@example.com>'], mail='REQUIRETLS', tls=True)
    if crash:
        gateway.kill()
        hop.start()
        gateway.start()
    wait_until(hop.mails, 20, 'the message')
    send(gateway, ['<c@example.com>'], tls=True)
    wait_until(lambda: len(hop.mails()) == 2, 20, 'the other one')
    assert secure_mails(hop) == [('a@lab.test', True, True), ('a@lab.test', False, True)]
    hop.stop()


def refused_hops(certificate, other):
    """What keeps a message with REQUIRETLS from a host, and what is said of it."""
    return {
        'no TLS': (RogueHop(extensions=SECURE), '5.7.10'),
        'not offered': (RogueHop(extensions=DSN, certificate=certificate), '5.7.30'),
        'wrong name': (RogueHop(extensions=SECURE, certificate=other), '5.7.10'),
    }


@pytest.mark.parametrize('why', ['no TLS', 'not offered', 'wrong name'])
def test_requiretls_is_never_sent_without(make_gateway, good_certificate, hop_certificate, why):
    hop, status = refused_hops(good_certificate, hop_certificate)[why]
    with hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com>'], mail='REQUIRETLS RET=FULL', tls=True)
        report, = wait_reports(hop, 1)
        group, = report.recipients
        assert (group['Action'], group['Status']) == ('failed', status)
        assert group['Diagnostic-Code'].startswith(f'X-Postern; 550 {status} ')
        # RFC 8689 section 5: without the body; and it goes though the way back lacks REQUIRETLS.
        assert report.original.get_content_type() == 'text/rfc822-headers'
        assert b'the body' not in report.envelope.data
        assert [mail.sender for mail in hop.mails()] == ['']
        gateway.wait_log(rf"Bounced: DCID \d+ MID \d+ to RID 0 - {re.escape(status)} - .*\('550'")
        finished(gateway, 2)


def test_a_bounce_of_requiretls_says_it_too(make_gateway, good_certificate):
    with RogueHop([Script({'RCPT:1': '550 5.1.1 no'}), Script()], extensions=SECURE,
                  certificate=good_certificate) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com>'], mail='REQUIRETLS', tls=True)
        wait_reports(hop, 1)
        assert secure_mails(hop) == [('', True, True)]


def test_each_host_is_asked_for_requiretls_before_it_fails(make_gateway, good_certificate):
    with RogueHop(extensions=DSN, certificate=good_certificate) as plain, \
            RogueHop(extensions=SECURE, certificate=good_certificate) as secure:
        gateway = make_gateway(routes=(
            f'{{ domain = "ALL"; to = [ "127.0.0.1:{plain.port}/pri=1", '
            f'"127.0.0.1:{secure.port}/pri=2" ]; }}')).start()
        for number in range(3):
            send(gateway, [f'<plain{number}@example.com>'])
            send(gateway, [f'<b{number}@example.com>'], mail='REQUIRETLS', tls=True)
        wait_until(lambda: len(secure.mails() + plain.mails()) == 6, 40, 'all six')
        assert not any(with_it for _, with_it, _ in secure_mails(plain))
        assert secure_mails(secure).count(('a@lab.test', True, True)) == 3
        assert reports(plain) == reports(secure) == []
