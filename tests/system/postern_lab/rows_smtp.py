"""Outbound scenarios about SMTP: failures at each step, several recipients, the next host, and what
a host can and cannot do.

What a reply means: RFC 5321 4.2.1 (4yz is tried again, 5yz is not) and 3.8 (421, and a connection
that ends, at any time), the next host 5.1; and the reference, 4 and 5.
"""
import re

from postern_lab.matrix import (BODY, BOUNCED, DEFERRED, DELIVERED, EOF, LATER, PROTOCOL, REFUSED,
                                TIMEOUT, TLS_OK, Cert, Expect, Host, Row, bounced, delayed,
                                unexpected)
from postern_lab.rogue_hop import CLOSE, HANG, RST, Say, Script, giant

GOOD = Cert()
FINISHED = r'Message finished MID \d+ done'
STEPS = ('GREETING', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'END')
OF_A_MESSAGE = ('MAIL', 'RCPT', 'DATA', 'END')
ERROR = r'Connection Error: DCID \d+ domain: <domain> IP: <ip> '
BIG = BODY + b'x' * 70 + b'\r\n'
LONG = BODY + (b'x' * 70 + b'\r\n') * 2000
HUGE = BODY + (b'x' * 70 + b'\r\n') * 16000  # more than is kept in memory


def once(step, said):
    """The first connection fails so, those that follow are ordinary."""
    return Host((Script({step: said}), Script()))


def always(step, said):
    return Host((Script({step: said}),))


def row(name, host, expect, **options):
    hosts = host if isinstance(host, tuple) else (host,)
    return Row(name, hosts, expect, **options)


def temporary(step):
    """4yz: of a step of the connection it is the host's, of a step of the message its own."""
    log = ((delayed(r'4\.3\.0', 451),) if step in OF_A_MESSAGE else (unexpected(451),))
    # The first one only: the connection may still be there for the next try.
    return row(f'{step.lower()}-4xx', once(f'{step}:1', '451 4.3.0 later'),
               Expect(LATER, log=(*log, FINISHED)))


def permanent(step):
    """5yz: a host that does not greet is passed over, one without EHLO is met with HELO (3.2), and
    only what is said of the message is the last word."""
    if step == 'GREETING':
        expect = Expect(LATER, log=(unexpected(554), FINISHED), absent=('Bounced',))
    elif step == 'EHLO':
        expect = Expect(DELIVERED, visits=(1,), check=said_helo)
    else:
        expect = Expect(BOUNCED, log=(bounced(r'5\.7\.1', 554),), status=r'5\.7\.1', visits=(1,))
    return row(f'{step.lower()}-5xx', once(step, '554 5.7.1 go away'), expect)


def said_helo(result):
    assert [visit.said('HELO') != [] for visit in result.visits()] == [True]


def closing(step):
    return row(f'{step.lower()}-421', once(step, Say('421 4.3.2 closing', then=CLOSE)),
               Expect(LATER, log=(FINISHED,), absent=('Bounced',)))


def failures():
    """Group c: each step, with each way to fail."""
    rows = []
    for step in STEPS:
        low = step.lower()
        rows += [
            temporary(step), permanent(step), closing(step),
            row(f'{low}-421-always', always(step, Say('421 4.3.2 closing', then=CLOSE)),
                Expect(DEFERRED, absent=('Bounced',))),
            row(f'{low}-close', once(step, Say(then=CLOSE)), Expect(LATER, log=(EOF, FINISHED))),
            row(f'{low}-rst', once(step, Say(then=RST)), Expect(LATER, log=(ERROR, FINISHED))),
            row(f'{low}-half-a-reply', once(step, Say('250-half\n250 of it', cut=7, then=CLOSE)),
                Expect(LATER, log=(FINISHED,))),
            row(f'{low}-half-a-reply-rst', once(step, Say('250 half of it', cut=5, then=RST)),
                Expect(LATER, log=(FINISHED,))),
            row(f'{low}-garbage', once(step, Say(b'\x00\xff\x16\x03 not SMTP\r\n')),
                Expect(LATER, log=(PROTOCOL, FINISHED), absent=('Bounced',))),
            row(f'{low}-silent-a-while', once(step, Say(then=HANG, hang=0.4)),
                Expect(LATER, log=(FINISHED,))),
            row(f'{low}-giant', once(f'{step}:1', Say(giant('450'))),
                Expect(LATER, log=(FINISHED,), absent=('Bounced',))),
            row(f'{low}-late', once(step, Say(ordinary(step), delay=0.3)),
                Expect(DELIVERED, visits=(1,))),
            row(f'{low}-hangs', once(step, Say(then=HANG)),
                Expect(LATER, log=(TIMEOUT, FINISHED)), needs=('timeouts',)),
        ]
    return rows


def ordinary(step):
    return {'GREETING': '220 late.test', 'DATA': '354 go'}.get(step, '250 2.0.0 late but fine')


def oddities():
    """Steps that have no column in the table above."""
    twice = '250 2.1.0 one\n250 2.1.0 two'
    return [
        row('body-close', once('BODY', Say(then=CLOSE, cut=1000)), Expect(LATER, log=(EOF,)),
            data=LONG),
        row('body-rst', once('BODY', Say(then=RST, cut=70000)), Expect(LATER, log=(ERROR,)),
            data=LONG),
        row('body-421', once('BODY', Say('421 4.3.2 closing', then=CLOSE, cut=5000)),
            Expect(LATER), data=LONG),
        row('body-hangs', once('BODY', Say(then=HANG, cut=1000)), Expect(LATER, log=(TIMEOUT,)),
            data=LONG * 100, needs=('timeouts',)),
        row('after-the-final-dot-closed-always', always('END', Say(then=CLOSE)),
            Expect(DEFERRED, absent=('Bounced',))),
        row('two-replies-to-mail', once('MAIL', twice), Expect(LATER, log=(FINISHED,))),
        row('354-to-rcpt', once('RCPT', '354 go ahead'), Expect(LATER, log=(PROTOCOL,))),
        row('250-to-data', once('DATA', '250 ok'), Expect(LATER, log=(FINISHED,))),
        row('354-to-the-body', once('END', '354 more'), Expect(LATER, log=(PROTOCOL,))),
        row('100-to-mail', once('MAIL', '100 what'), Expect(LATER, log=(PROTOCOL,))),
        row('600-to-mail', once('MAIL', '600 what'), Expect(LATER, log=(PROTOCOL,))),
        row('codes-that-differ', once('EHLO', '250-rogue.test\n550 PIPELINING'),
            Expect(LATER, log=(PROTOCOL,))),
        row('two-greetings', once('GREETING', '220 one\n220 two'), Expect(LATER)),
        row('greeting-of-a-web-server', once('GREETING', 'HTTP/1.1 400 Bad Request'),
            Expect(LATER, log=(PROTOCOL,))),
        row('greeting-of-many-lines', Host((Script({'GREETING': '220-a\n220-b\n220 c'}),)),
            Expect(DELIVERED, visits=(1,))),
        row('quit-closed', Host((Script({'QUIT': Say(then=CLOSE)}),)),
            Expect(DELIVERED, absent=('Delayed',), visits=(1,))),
        row('quit-4xx', Host((Script({'QUIT': '451 stay'}),)), Expect(DELIVERED, visits=(1,))),
        row('quit-garbage', Host((Script({'QUIT': Say(b'\0\0\0\r\n')}),)),
            Expect(DELIVERED, absent=('Delayed',))),
        row('only-ehlo-no-extensions', Host(options={'extensions': ()}), Expect(DELIVERED)),
        row('252-to-rcpt', Host((Script({'RCPT': '252 2.1.5 will try'}),)), Expect(DELIVERED)),
        row('251-to-rcpt', Host((Script({'RCPT': '251 2.1.5 will forward'}),)), Expect(DELIVERED)),
        row('452-too-many-recipients', Host((Script({'RCPT:2': '452 4.5.3 too many'}), Script())),
            Expect(each={'a': DELIVERED, 'b': LATER}), recipients=('a', 'b')),
        row('552-too-many-recipients', Host((Script({'RCPT:2': '552 5.5.3 too many'}), Script())),
            Expect(each={'a': DELIVERED, 'b': LATER}), recipients=('a', 'b')),  # 4.5.3.1.10
        row('550-always', always('RCPT', '550 5.1.1 nobody'),
            Expect(BOUNCED, log=(bounced(r'5\.1\.1', 550),), status=r'5\.1\.1')),
        row('450-always', always('RCPT', '450 4.2.1 later'),
            Expect(DEFERRED, log=(delayed(r'4\.2\.1', 450), r'to RID \[0\] pending till \w'),
                   absent=('Bounced',))),
        row('5xx-without-a-status', always('RCPT', '550 nobody'),
            Expect(BOUNCED, log=(r'Bounced: DCID \d+ .*\(\'550\'',), status=r'5\.\d\.\d')),
        row('status-of-the-wrong-class', always('RCPT', '450 5.1.1 later'),
            Expect(DEFERRED, log=(r"Delayed: DCID \d+ .* - 4\.\d\.\d - .*\('450'",))),
    ]


def judged(**replies):
    """The nth recipient gets the nth of them at the first connection."""
    return (Script({f'RCPT:{n[1:]}': text for n, text in replies.items()}), Script())


def recipients():
    """Group d: some of the recipients. Whoever was accepted gets the message at once and once."""
    no, later = '550 5.1.1 nobody', '450 4.2.2 full'
    plain = {'extensions': ('8BITMIME',)}  # without PIPELINING the replies come one by one

    def both(name, scripts, each, **options):
        names = tuple(each)
        return [row(name, Host(scripts), Expect(each=each, **options), recipients=names),
                row(f'{name}-unpipelined', Host(scripts, options=plain),
                    Expect(each=each, **options), recipients=names)]
    return [
        *both('one-of-two-refused', judged(_2=no), {'a': DELIVERED, 'b': BOUNCED}),
        *both('first-of-two-refused', judged(_1=no), {'a': BOUNCED, 'b': DELIVERED}),
        *both('one-of-two-later', judged(_1=later), {'a': LATER, 'b': DELIVERED}),
        *both('each-its-own', judged(_1=no, _3=later),
              {'a': BOUNCED, 'b': DELIVERED, 'c': LATER, 'd': DELIVERED}),
        *both('all-refused', judged(_1=no, _2=no), {'a': BOUNCED, 'b': BOUNCED}),
        *both('none-now', judged(_1=no, _2=later), {'a': BOUNCED, 'b': LATER}),
        row('421-at-the-second-recipient',
            Host((Script({'RCPT:2': Say('421 4.3.2 closing', then=CLOSE)}), Script())),
            Expect(each={'a': LATER, 'b': LATER}), recipients=('a', 'b')),
        row('closed-at-the-second-recipient',
            Host((Script({'RCPT:2': Say(then=RST)}), Script())),
            Expect(each={'a': LATER, 'b': LATER}), recipients=('a', 'b')),
        row('refused-all-at-the-end', Host((Script({'END': '554 5.6.0 no'}),)),
            Expect(each={'a': BOUNCED, 'b': BOUNCED}), recipients=('a', 'b')),
        row('later-all-at-the-end', Host((Script({'END:1': '452 4.3.1 full'}), Script())),
            Expect(each={'a': LATER, 'b': LATER}), recipients=('a', 'b')),
        row('one-refused-then-later-at-the-end',
            Host((Script({'RCPT:1': no, 'END:1': '452 4.3.1 full'}), Script())),
            Expect(each={'a': BOUNCED, 'b': LATER}), recipients=('a', 'b')),
    ]


def second_only(result):
    assert not result.hops[0] or not result.hops[0].mails()
    assert len(result.hops[1].mails()) == 1


def next_hosts():
    """Group e. What is the host's fault sends the message to the next one at once; what is said of
    the recipient does not."""
    def pair(name, first, expect=None, second=Host(), **options):
        wanted = Expect(LATER, absent=('Bounced', 'pending till'), check=second_only)
        return row(name, (first, second), expect or wanted, retry='never', **options)
    starttls = {'tls': 'required'}
    # Whether the one host that failed is worth an alert is left open: the mail has gone.
    alarmed = Expect(LATER, secure=True, log=(TLS_OK,), alert=None, check=second_only)
    rows = [
        pair('next-after-refused', Host(is_closed=True),
             Expect(LATER, log=(REFUSED,), check=second_only)),
        pair('next-after-greeting-421', always('GREETING', Say('421 4.3.2 no', then=CLOSE))),
        pair('next-after-greeting-450', always('GREETING', '450 busy')),
        pair('next-after-greeting-554', always('GREETING', '554 5.3.2 no mail here')),
        pair('next-after-greeting-closed', always('GREETING', Say(then=CLOSE))),
        pair('next-after-greeting-reset', always('GREETING', Say(then=RST))),
        pair('next-after-greeting-garbage', always('GREETING', 'HTTP/1.1 400 Bad Request')),
        pair('next-after-ehlo-421', always('EHLO', Say('421 4.3.2 no', then=CLOSE))),
        pair('next-after-ehlo-and-helo-refused',
             Host((Script({'EHLO': '500 no', 'HELO': '550 no'}),))),
        pair('next-after-tls-not-offered', Host(), alarmed, Host((), GOOD), **starttls),
        pair('next-after-tls-refused', Host((Script({'STARTTLS': '454 4.7.0 no'}),), GOOD),
             alarmed, Host((), GOOD), **starttls),
        pair('next-after-handshake-failed', Host((Script({'TLS': Say(then=CLOSE)}),), GOOD),
             alarmed, Host((), GOOD), **starttls),
        pair('next-after-handshake-failed-preferred',
             Host((Script({'TLS': Say(then=RST)}),), GOOD),
             Expect(LATER, secure=True, check=second_only), Host((), GOOD), tls='preferred'),
        pair('next-after-untrusted', Host((), Cert('untrusted')), alarmed, Host((), GOOD),
             tls='required-verify', needs=('verify',)),
        pair('no-next-after-5xx-at-rcpt', always('RCPT', '550 5.1.1 nobody'),
             Expect(BOUNCED, visits=(1, 0))),
        pair('no-next-after-4xx-at-rcpt', always('RCPT', '450 4.2.1 later'),
             Expect(DEFERRED, log=(delayed(r'4\.2\.1', 450),), visits=(1, 0))),
        pair('no-next-after-5xx-at-the-end', always('END', '554 5.6.0 no'),
             Expect(BOUNCED, visits=(1, 0))),
        pair('all-refuse', Host(is_closed=True), Expect(DEFERRED, log=(REFUSED,)),
             Host(is_closed=True)),
        row('third-of-three', (Host(is_closed=True), always('GREETING', '421 no'), Host()),
            Expect(LATER, visits=(0, 1, 1)), retry='never'),
        row('priorities', (Host(), Host()), Expect(DELIVERED, visits=(0, 1)), priorities=(20, 10),
            needs=('routes',)),
        row('priorities-and-the-first-is-down', (Host(), Host(is_closed=True)),
            Expect(LATER, visits=(1, 0)), priorities=(20, 10), retry='never', needs=('routes',)),
    ]
    return rows


def sizes(result):
    mail, = result.mails()
    size = re.search(r'SIZE=(\d+)', mail.parameters)
    assert size and abs(int(size[1]) - len(mail.data)) < 100, (mail.parameters, len(mail.data))


def nothing_sent(result):
    assert not any(visit.said('DATA') or visit.said('BDAT') for visit in result.visits())


def parameter(text, is_there=True):
    def check(result):
        assert [text in mail.parameters.upper() for mail in result.mails()] == [is_there]
    return check


def unstuffed(data):
    """What a body on its way to DATA says (RFC 5321 4.5.2)."""
    return re.sub(rb'(\A|\r\n)\.', rb'\1', data)


def chunked(result):
    """In one chunk, to a byte, and without the dots of DATA (RFC 3030 2). SIZE= says its length."""
    mail, = result.mails()
    assert mail.chunks == 1 and mail.data.endswith(b'\r\n' + unstuffed(result.row.data))
    assert not [visit for visit in result.visits() if visit.said('DATA')]
    size = re.search(r'SIZE=(\d+)', mail.parameters)
    assert not size or int(size[1]) == len(mail.data), (mail.parameters, len(mail.data))


def not_chunked(result):
    mail, = result.mails()
    assert mail.chunks == 0 and mail.data.endswith(b'\r\n' + unstuffed(result.row.data))
    size = re.search(r'SIZE=(\d+)', mail.parameters)
    assert not size or int(size[1]) == len(mail.data), (mail.parameters, len(mail.data))


def chunked_then_not(result):
    assert [visit.said('BDAT') != [] for visit in result.visits()] == [True, False]
    not_chunked(result)


def no_chunk(result):
    assert not any(visit.said('BDAT') for visit in result.visits())


def at_most(recipients_max):
    def check(result):
        assert max(len(mail.recipients) for mail in result.mails()) <= recipients_max
    return check


def chunking(host):
    """Of CHUNKING, RFC 3030: small ones, larger ones that lie in memory, and those in a file; each
    with dots to take off and without."""
    needs = {'needs': ('chunking',)}
    dots = BODY + b'..\r\n..x\r\n...\r\n'
    bodies = {'a-small-one': BODY, 'a-long-one': LONG, 'a-huge-one': HUGE, 'dots': dots,
              'a-dot-at-the-start': b'..a\r\n', 'a-dot-that-was-not-doubled': BODY + b'.a\r\n',
              'many-dots': BODY + b'..\r\n' * 8000, 'a-long-one-with-dots': LONG + dots,
              'a-huge-one-with-dots': HUGE + dots, 'huge-dots': BODY + b'..\r\n' * 300000,
              'nothing': b'', 'an-empty-line': b'\r\n'}
    rows = []
    for name, data in bodies.items():
        rows += [
            row(f'chunking-of-{name}', host('CHUNKING', 'PIPELINING', 'SIZE'),
                Expect(check=chunked), data=data, **needs),
            row(f'no-chunking-of-{name}', host('PIPELINING', 'SIZE'), Expect(check=not_chunked),
                data=data, **needs)]

    def scripted(*scripts):
        return host('CHUNKING', 'PIPELINING', scripts=scripts)
    later, no = '452 4.3.1 full', '554 5.6.0 no'
    unknown = r'DCID \d+: the host offers CHUNKING and had no answer to BDAT: it gets DATA'
    return rows + [
        row('chunking-unpipelined', host('CHUNKING'), Expect(check=chunked), data=dots, **needs),
        row('chunking-by-tls', host('CHUNKING', 'SIZE', cert=GOOD),
            Expect(secure=True, check=chunked), data=LONG + dots, tls='required', **needs),
        row('chunking-of-a-huge-one-by-tls', host('CHUNKING', 'SIZE', cert=GOOD),
            Expect(secure=True, check=chunked), data=HUGE + dots, tls='required', **needs),
        row('chunking-4xx', scripted(Script({'END:1': later})),
            Expect(LATER, log=(delayed(r'4\.3\.1', 452),)), **needs),
        row('chunking-5xx', scripted(Script({'END': no})),
            Expect(BOUNCED, status=r'5\.6\.0', visits=(1,)), **needs),
        row('chunking-4xx-in-the-middle', scripted(Script({'BODY:1': Say(later, cut=9999),
                                                           'END:1': Say()}), Script()),
            Expect(LATER, log=(delayed(r'4\.3\.1', 452),)), data=HUGE, **needs),
        row('chunking-5xx-in-the-middle', scripted(Script({'BODY': Say('552 5.3.4 big', cut=9999),
                                                           'END': Say()})),
            Expect(BOUNCED, status=r'5\.3\.4', visits=(1,)), data=LONG, **needs),
        row('chunking-5xx-in-the-middle-and-closed',
            scripted(Script({'BODY': Say('552 5.3.4 big', cut=9999, then=CLOSE)}), Script()),
            Expect(BOUNCED, status=r'5\.3\.4'), data=HUGE * 4, **needs),
        row('chunking-5xx-to-the-verb', scripted(Script({'END': '502 5.5.1 unknown'}), Script()),
            Expect(check=chunked_then_not, log=(unknown,), absent=('Bounced', 'Delayed'),
                   visits=(2,)), data=dots, retry='never', **needs),
        row('chunking-5xx-to-the-verb-of-a-huge-one',
            scripted(Script({'BODY': Say('500 5.5.1 what', cut=1), 'END': Say()}), Script()),
            Expect(check=chunked_then_not, log=(unknown,), absent=('Bounced', 'Delayed')),
            data=HUGE, retry='never', **needs),
        row('chunking-taken-for-commands', scripted(Script({'VERB': '500 5.5.1 what'}), Script()),
            Expect(check=chunked_then_not, log=(unknown,), absent=('Bounced',)), data=dots,
            **needs),
        row('chunking-taken-for-commands-a-long-one',
            scripted(Script({'VERB': '500 5.5.1 what'}), Script()),
            Expect(check=chunked_then_not, log=(unknown,), absent=('Bounced',)), data=LONG,
            retry='soon', **needs),
        row('chunking-closed', scripted(Script({'VERB': Say(then=CLOSE)}), Script()),
            Expect(LATER, check=chunked_then_not, log=(EOF, unknown)), data=dots, **needs),
        row('chunking-reset-in-the-middle',
            scripted(Script({'BODY': Say(then=RST, cut=70000)}), Script()),
            Expect(LATER, log=(ERROR,)), data=LONG, **needs),
        row('chunking-hangs', scripted(Script({'END': Say(then=HANG)}), Script()),
            Expect(LATER, check=chunked_then_not, log=(TIMEOUT, unknown)),
            needs=('chunking', 'timeouts')),
        row('chunking-421', scripted(Script({'END': Say('421 4.3.2 closing', then=CLOSE)}),
                                     Script()), Expect(LATER, check=chunked), **needs),
        row('chunking-354', scripted(Script({'END': '354 go'}), Script()),
            Expect(LATER, log=(PROTOCOL,)), **needs),
        row('chunking-for-nobody', scripted(Script({'RCPT': '550 5.1.1 nobody'})),
            Expect(BOUNCED, status=r'5\.1\.1', check=no_chunk), **needs),
        row('chunking-for-one-of-two', scripted(Script({'RCPT:1': '550 5.1.1 nobody'})),
            Expect(each={'a': BOUNCED, 'b': DELIVERED}, check=chunked), recipients=('a', 'b'),
            **needs),
        row('chunking-switched-off', host('CHUNKING', 'SIZE'), Expect(check=not_chunked), data=dots,
            more='chunking = false;', **needs),
        row('chunking-of-8-bit', host('CHUNKING', '8BITMIME'),
            Expect(check=both(chunked, parameter('BODY=8BITMIME'))),
            data=dots + 'grüße\r\n'.encode(), **needs),
    ]


def both(*checks):
    def check(result):
        for one in checks:
            one(result)
    return check


def capabilities():
    """Group h: what a host can, and what it cannot."""
    def host(*extensions, scripts=(), cert=None):
        return Host(scripts, cert, options={'extensions': extensions})
    eight = BODY + 'grüße\r\n'.encode()
    wide_header = 'Subject: grüße\r\n\r\nhello\r\n'.encode()
    wide = {'needs': ('smtputf8',), 'parameters': 'BODY=8BITMIME SMTPUTF8'}
    tls = {'tls': 'required'}
    require = {'needs': ('requiretls',), 'parameters': 'REQUIRETLS'}
    return [
        row('size-is-told', host('SIZE 0'), Expect(check=sizes)),
        row('size-without-a-limit', host('SIZE'), Expect(check=sizes), data=LONG),
        row('size-too-small', host('SIZE 500'),
            Expect(BOUNCED, status=r'5\.3\.4', check=nothing_sent), data=LONG,
            needs=('size',)),
        row('size-just-right', host('SIZE 1000000'), Expect(check=sizes), data=LONG),
        row('size-not-a-number', host('SIZE abc'), Expect(DELIVERED), data=LONG),
        row('size-beyond-all-numbers', host('SIZE 99999999999999999999999'), Expect(DELIVERED)),
        row('size-552-at-mail', host('SIZE', scripts=(Script({'MAIL': '552 5.3.4 too big'}),)),
            Expect(BOUNCED, status=r'5\.3\.4')),
        row('8bit-offered', host('8BITMIME'), Expect(check=parameter('BODY=8BITMIME')), data=eight,
            parameters='BODY=8BITMIME'),
        row('8bit-not-needed', host('8BITMIME'), Expect(DELIVERED)),
        row('8bit-not-offered', host('PIPELINING'),
            Expect(BOUNCED, status=r'5\.6\.\d', check=nothing_sent), data=eight,
            parameters='BODY=8BITMIME', needs=('8bitmime',)),
        row('8bit-not-declared', host('8BITMIME'), Expect(check=parameter('BODY=8BITMIME')),
            data=eight, needs=('8bitmime',)),
        row('8bit-not-declared-and-not-offered', host('PIPELINING'),
            Expect(BOUNCED, status=r'5\.6\.3', check=nothing_sent), data=eight,
            needs=('8bitmime',)),
        row('8bit-in-the-header-only', host('PIPELINING'),
            Expect(BOUNCED, status=r'5\.6\.3', check=nothing_sent), data=wide_header,
            parameters='BODY=8BITMIME', needs=('8bitmime',)),
        row('8bit-sent-nevertheless', host('PIPELINING'),
            Expect(check=parameter('BODY=', False)), data=eight, parameters='BODY=8BITMIME',
            more='eight_bit = "send";', needs=('8bitmime',)),
        row('8bit-declared-in-vain', host('PIPELINING'),
            Expect(check=parameter('BODY=', False)), parameters='BODY=8BITMIME',
            needs=('8bitmime',)),
        row('8bit-declared-in-vain-and-offered', host('8BITMIME'),
            Expect(check=parameter('BODY=', False)), parameters='BODY=8BITMIME',
            needs=('8bitmime',)),
        row('8bit-of-a-large-one', host('PIPELINING'),
            Expect(BOUNCED, status=r'5\.6\.3', check=nothing_sent), data=HUGE + eight,
            needs=('8bitmime',)),
        row('8bit-at-the-next-host', (host('PIPELINING'), host('8BITMIME')),
            Expect(visits=(1, 1), check=second_only), data=eight, retry='never',
            needs=('8bitmime',)),
        row('8bit-at-no-host', (host('PIPELINING'), host('SIZE')),
            Expect(BOUNCED, status=r'5\.6\.3', visits=(1, 1), check=nothing_sent), data=eight,
            needs=('8bitmime',)),
        row('size-at-the-next-host', (host('SIZE 500'), host('SIZE 1000000')),
            Expect(visits=(1, 1), check=second_only), data=LONG, needs=('size',)),
        row('utf8-offered', host('8BITMIME', 'SMTPUTF8'), Expect(check=parameter('SMTPUTF8')),
            recipients=('grüße',), **wide),
        row('utf8-not-offered', host('8BITMIME'),
            Expect(BOUNCED, status=r'5\.6\.7', check=nothing_sent), recipients=('grüße',), **wide),
        row('utf8-not-needed-after-all', host('8BITMIME'), Expect(DELIVERED),
            **{**wide, 'needs': ('ascii-after-all',)}),
        row('utf8-not-needed-but-offered', host('8BITMIME', 'SMTPUTF8'),
            Expect(check=parameter('SMTPUTF8', False)), **{**wide, 'needs': ('ascii-after-all',)}),
        row('utf8-in-the-body-only', host('8BITMIME'), Expect(check=parameter('BODY=8BITMIME')),
            data=eight, **{**wide, 'needs': ('ascii-after-all',)}),
        row('utf8-in-the-header-offered', host('8BITMIME', 'SMTPUTF8'),
            Expect(check=parameter('BODY=8BITMIME SMTPUTF8')), data=wide_header, **wide),
        row('utf8-in-the-header', host('8BITMIME'),
            Expect(BOUNCED, status=r'5\.6\.7', check=nothing_sent), data=wide_header, **wide),
        row('utf8-in-the-header-undeclared', host('8BITMIME'),
            Expect(check=parameter('BODY=8BITMIME')), data=wide_header,
            needs=('ascii-after-all',)),
        row('utf8-at-the-next-host', (host('8BITMIME'), host('8BITMIME', 'SMTPUTF8')),
            Expect(visits=(1, 1), check=second_only), data=wide_header, **wide),
        *chunking(host),
        row('limits-of-recipients', host('LIMITS RCPTMAX=2', 'PIPELINING'),
            Expect(check=at_most(2)), recipients=tuple('abcde'), needs=('limits',)),
        row('limits-of-one-recipient', host('LIMITS RCPTMAX=1'), Expect(check=at_most(1)),
            recipients=tuple('abc'), needs=('limits',)),
        row('limits-nobody-knows', host('LIMITS FOO=1 RCPTMAX=0 MAILMAX=x'), Expect(DELIVERED),
            needs=('limits',)),
        row('requiretls-offered', host('REQUIRETLS', cert=GOOD),
            Expect(secure=True, log=(TLS_OK,), check=parameter('REQUIRETLS')), **tls, **require),
        row('requiretls-not-offered', host('PIPELINING', cert=GOOD),
            Expect(BOUNCED, status=r'5\.7\.30', check=nothing_sent), **tls, **require),
        row('requiretls-and-no-tls', host('REQUIRETLS'),
            Expect(BOUNCED, status=r'5\.7\.10', check=nothing_sent), **require),
        row('requiretls-and-untrusted', host('REQUIRETLS', cert=Cert('untrusted')),
            Expect(BOUNCED, status=r'5\.7\.\d+', check=nothing_sent), **tls, **require),
    ]


ROWS = [*failures(), *oddities(), *recipients(), *next_hosts(), *capabilities()]
