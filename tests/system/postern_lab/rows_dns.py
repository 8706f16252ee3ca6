"""Outbound scenarios about the DNS: MX and its oddities, routes that look names up, DANE.

What is expected: RFC 5321 5.1 (MX, implicit MX, CNAME), RFC 7505 (null MX), RFC 7672 (DANE: 2.2
what is secure, insecure, bogus; 2.2.3 and 3 which records count), and the reference 3.6. A failure
or a bogus answer defers, it never leads to another host, nor to clear text.
"""
from postern_lab.mail_world import INSECURE_ZONE
from postern_lab.matrix import (BODY, BOUNCED, DEFERRED, DELIVERED, DISCARDED, LATER, PLAIN_ZONE,
                                REFUSED, SECURE_ZONE, TLS_OK, TLS_REQUIRED, NO_HOST, Cert, Expect,
                                Host, Row)
from postern_lab.rogue_hop import CLOSE, Say, Script, alert
from postern_lab.rows_tls import no_mail_at_all

GOOD = Cert()
CLOSED = Host(is_closed=True)
HARD = (r"Bounced: DCID 0 MID \d+ to RID 0 - 5\.1\.2 - Bad destination host \('000', "
        r"\['DNS Hard Error looking up <domain> \(MX\):  NXDomain'\]\)")
SOFT = r'DNS Temporary Failure <domain> MX - ServFail'
SOFT_SOMEHOW = r'DNS Temporary Failure '
NO_ROUTE = r'5\.(?:1\.2|4\.4)'  # RFC 3463 has both for a domain without a usable host


def mx(name, hosts, expect, by='mx', needs=(), **options):
    hosts = hosts if isinstance(hosts, tuple) else (hosts,)
    return Row(name, hosts, expect, by=by, needs=('mx', *needs), **options)


def zone(name, hosts, expect, *records, **options):
    return mx(name, hosts, expect, by='zone', records=records, **options)


def exchange_rows():
    """Group f."""
    sent = Expect(DELIVERED, visits=(1,))
    unasked = Expect(DEFERRED, visits=(0,), log=(SOFT_SOMEHOW,), absent=('Bounced',))
    second = Host(preference=20)
    secure = {'zone': SECURE_ZONE}
    return [
        mx('mx-one', Host(), sent),
        mx('mx-signed', Host(), sent, **secure),
        mx('mx-lower-preference-first', (second, Host()), Expect(DELIVERED, visits=(0, 1))),
        mx('mx-first-is-down', (CLOSED, second), Expect(LATER, log=(REFUSED,), visits=(0, 1)),
           retry='never'),
        mx('mx-first-greets-with-421',
           (Host((Script({'GREETING': Say('421 4.3.2 no', then=CLOSE)}),)), second),
           Expect(LATER, visits=(1, 1)), retry='never'),
        mx('mx-all-down', (CLOSED, CLOSED), Expect(DEFERRED, log=(REFUSED,), absent=('Bounced',))),
        mx('mx-first-has-no-address', second, sent, records=(('', 'MX', '10 none.<domain>'),)),
        mx('mx-first-cannot-be-asked', second, sent, records=(('', 'MX', '10 x.sick.test'),)),
        zone('mx-none-has-an-address', (), Expect(BOUNCED, status=NO_ROUTE),
             ('', 'MX', '10 none.<domain>'), ('', 'MX', '20 none2.<domain>')),
        zone('mx-cannot-be-asked-for-its-address', Host(), unasked, ('', 'MX', '10 x.sick.test'),
             ('', 'A', '<ip1>')),
        zone('mx-down-and-an-address-of-its-own', (CLOSED, Host()),
             Expect(DEFERRED, log=(REFUSED,), visits=(0, 0)), ('', 'MX', '10 a.<domain>'),
             ('a', 'A', '<ip1>'), ('', 'A', '<ip2>')),
        zone('mx-null', Host(), Expect(BOUNCED, status=r'5\.1\.10', visits=(0,)),
             ('', 'MX', '0 .'), ('', 'A', '<ip1>')),
        mx('mx-null-beside-another', Host(), sent, records=(('', 'MX', '0 .'),)),
        zone('mx-implicit', Host(), sent, ('', 'A', '<ip1>')),
        zone('mx-implicit-signed', Host(), sent, ('', 'A', '<ip1>'), **secure),
        zone('mx-no-domain', (), Expect(BOUNCED, log=(HARD,), status=r'5\.1\.2')),
        zone('mx-no-domain-proved', (), Expect(BOUNCED, log=(HARD,), status=r'5\.1\.2'), **secure),
        zone('mx-nothing-of-use', (), Expect(BOUNCED, status=NO_ROUTE), ('', 'TXT', 'nothing')),
        zone('mx-servfail', (), Expect(DEFERRED, log=(SOFT,), absent=('Bounced',)),
             domain='any.sick.test'),
        zone('mx-silence', (), Expect(DEFERRED, log=(SOFT_SOMEHOW,), absent=('Bounced',)),
             domain='any.silent.test', needs=('timeouts',)),
        zone('mx-bogus', Host(), unasked, ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'),
             ('', 'A', '<ip1>'), spoiled=(('', 'MX'),), **secure),
        zone('mx-implicit-bogus', Host(), unasked, ('', 'A', '<ip1>'), spoiled=(('', 'A'),),
             **secure),
        zone('mx-host-bogus', Host(), unasked, ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'),
             spoiled=(('a', 'A'),), **secure),
        zone('mx-one-host-bogus', (Host(), Host()), Expect(DELIVERED, visits=(0, 1)),
             ('', 'MX', '10 a.<domain>'), ('', 'MX', '20 b.<domain>'), ('a', 'A', '<ip1>'),
             ('b', 'A', '<ip2>'), spoiled=(('a', 'A'),), **secure),
        zone('mx-of-an-alias', Host(), sent, ('', 'CNAME', 'real.<domain>'),
             ('real', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>')),
        zone('mx-alias-of-nothing', (), Expect(BOUNCED, status=r'5\.1\.2'),
             ('', 'CNAME', 'none.<domain>')),
        zone('mx-host-is-an-alias', Host(), sent, ('', 'MX', '10 a.<domain>'),
             ('a', 'CNAME', 'b.<domain>'), ('b', 'A', '<ip1>')),
        zone('mx-two-addresses-one-down', (CLOSED, Host()), Expect(check=arrived),
             ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'), ('a', 'A', '<ip2>'), retry='never'),
        zone('mx-require-v6-and-there-is-none', Host(),
             Expect(BOUNCED, status=NO_ROUTE, visits=(0,)), ('', 'MX', '10 a.<domain>'),
             ('a', 'A', '<ip1>'), more='ip_version = "require-v6";', needs=('ip-version',)),
        zone('mx-require-v4', Host(), sent, ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'),
             ('a', 'AAAA', '::1'), more='ip_version = "require-v4";', needs=('ip-version',)),
        zone('mx-prefer-v4', Host(), sent, ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'),
             ('a', 'AAAA', '::1'), more='ip_version = "prefer-v4";', needs=('ip-version',)),
        zone('mx-prefer-v6-and-it-is-down', Host(), Expect(LATER, visits=(1,)),
             ('', 'MX', '10 a.<domain>'), ('a', 'A', '<ip1>'), ('a', 'AAAA', '::1'),
             more='ip_version = "prefer-v6";', needs=('ip-version',), retry='never'),
        mx('route-usedns', Host(), sent, by='usedns', needs=('routes',)),
        mx('route-by-mx', (second, Host()), Expect(DELIVERED, visits=(0, 1)), by='mx-route',
           needs=('routes',)),
        Row('route-by-name', (Host(),), sent, by='name', needs=('routes',)),
        Row('route-by-names-first-is-down', (CLOSED, Host()),
            Expect(LATER, log=(REFUSED,), visits=(0, 1)), by='name', priorities=(1, 2),
            retry='never', needs=('routes',)),
        Row('route-to-nowhere', (), Expect(DISCARDED), by='discard', needs=('routes',)),
    ]


def arrived(result):
    assert len(result.mails()) == 1


EE, TA = (3, 1, 1, 'key'), (2, 0, 1, 'root')
NOT_SENT = 'not sent'

# Group g: (host, zone, spoil the records, expected of opportunistic, of mandatory). What is
# expected: verified, or encrypted, or in the clear, or NOT_SENT.
VERIFIED, ENCRYPTED, CLEAR = 'verified', 'encrypted', 'clear'
DANE = {
    'ee': (Host((), GOOD, tlsa=(EE,)), SECURE_ZONE, False, VERIFIED, VERIFIED),
    'ta': (Host((), Cert(names=('<mx>',), with_root=True), tlsa=(TA,)), SECURE_ZONE, False,
           VERIFIED, VERIFIED),
    'wrong-digest': (Host((), GOOD, tlsa=((3, 1, 1, 'wrong'),)), SECURE_ZONE, False, NOT_SENT,
                     NOT_SENT),
    # 2.2: records, but none of use: TLS without authentication, and never without TLS.
    'unusable': (Host((), GOOD, tlsa=((3, 1, 9, 'key'),)), SECURE_ZONE, False, ENCRYPTED, NOT_SENT),
    'pkix-usage': (Host((), GOOD, tlsa=((1, 1, 1, 'key'),)), SECURE_ZONE, False, ENCRYPTED,
                   NOT_SENT),
    'unusable-not-offered': (Host(tlsa=((3, 1, 9, 'key'),)), SECURE_ZONE, False, NOT_SENT,
                             NOT_SENT),
    'no-records': (Host((), GOOD), SECURE_ZONE, False, ENCRYPTED, NOT_SENT),
    'no-records-not-offered': (Host(), SECURE_ZONE, False, CLEAR, NOT_SENT),
    'bogus': (Host((), GOOD, tlsa=(EE,)), SECURE_ZONE, True, NOT_SENT, NOT_SENT),
    'insecure': (Host((), Cert(names=('x.test',)), tlsa=((3, 1, 1, 'wrong'),)), INSECURE_ZONE,
                 False, ENCRYPTED, NOT_SENT),
    'insecure-not-offered': (Host(tlsa=(EE,)), INSECURE_ZONE, False, CLEAR, NOT_SENT),
    'not-offered': (Host(tlsa=(EE,)), SECURE_ZONE, False, NOT_SENT, NOT_SENT),
    'refused': (Host((Script({'STARTTLS': '454 4.7.0 no'}),), GOOD, tlsa=(EE,)), SECURE_ZONE,
                False, NOT_SENT, NOT_SENT),
    # 3.1.1: of an end entity neither name nor dates matter.
    'ee-expired': (Host((), Cert('expired'), tlsa=(EE,)), SECURE_ZONE, False, VERIFIED, VERIFIED),
    'ee-other-name': (Host((), Cert(names=('x.test',)), tlsa=(EE,)), SECURE_ZONE, False, VERIFIED,
                      VERIFIED),
    'ee-self-signed': (Host((), Cert('self-signed'), tlsa=(EE,)), SECURE_ZONE, False, VERIFIED,
                       VERIFIED),
    # 3.1.2 and 3.2.3: of a trust anchor both do.
    'ta-other-name': (Host((), Cert(names=('x.test',), with_root=True), tlsa=(TA,)), SECURE_ZONE,
                      False, NOT_SENT, NOT_SENT),
    # 3.2.2: the domain whose secure MX records led to the host is a name of it, too.
    'ta-next-hop-domain': (Host((), Cert(names=('<domain>',), with_root=True), tlsa=(TA,)),
                           SECURE_ZONE, False, VERIFIED, VERIFIED),
    'ta-expired': (Host((), Cert('expired', names=('<mx>',), with_root=True), tlsa=(TA,)),
                   SECURE_ZONE, False, NOT_SENT, NOT_SENT),
    'ta-not-in-the-chain': (Host((), Cert(names=('<mx>',)), tlsa=(TA,)), SECURE_ZONE, False,
                            NOT_SENT, NOT_SENT),
    'one-of-two': (Host((), GOOD, tlsa=((3, 1, 1, 'wrong'), EE)), SECURE_ZONE, False, VERIFIED,
                   VERIFIED),
    'unusable-beside-wrong': (Host((), GOOD, tlsa=((3, 1, 9, 'key'), (3, 1, 1, 'wrong'))),
                              SECURE_ZONE, False, NOT_SENT, NOT_SENT),
}


# The same where a route leads to the host: only the host has a name there.
DANE_ROUTES = {
    'route-ta': (Host((), Cert(names=('<route>',), with_root=True), tlsa=(TA,)), SECURE_ZONE, False,
                 VERIFIED, VERIFIED),
    'route-ta-domain': (Host((), Cert(names=('<domain>',), with_root=True), tlsa=(TA,)),
                        SECURE_ZONE, False, NOT_SENT, NOT_SENT),
    'route-ee': (Host((), Cert(names=('x.test',)), tlsa=(EE,)), SECURE_ZONE, False, VERIFIED,
                 VERIFIED),
}


def dane_row(level, name, host, where, spoil, outcome, by='mx'):
    row_id = f'dane-{level}-{name}'
    spoiled = [('_<port>._tcp.mx1', 'TLSA')] if spoil else ()
    if outcome == NOT_SENT:
        log = (f'{TLS_REQUIRED}|{NO_HOST}',) if level == 'mandatory' and not spoil else ()
        expect = Expect(DEFERRED, absent=('Bounced',), log=log, alert=None, check=no_mail_at_all)
    elif outcome == CLEAR:
        expect = Expect(DELIVERED, secure=False)
    else:
        expect = Expect(DELIVERED, secure=True, verified=outcome == VERIFIED, log=(TLS_OK,))
    return mx(row_id, host, expect, tls='preferred', more=f'dane = "{level}";', zone=where,
              spoiled=tuple(spoiled), needs=('dane',), by=by)


def dane_rows():
    rows = []
    for table, by in ((DANE, 'mx'), (DANE_ROUTES, 'name')):
        for name, (host, where, spoil, opportunistic, mandatory) in table.items():
            rows.append(dane_row('opportunistic', name, host, where, spoil, opportunistic, by))
            rows.append(dane_row('mandatory', name, host, where, spoil, mandatory, by))
    expect = Expect(LATER, secure=True, log=(TLS_OK,), alert=None, check=no_mail_at_first)
    rows.append(mx('dane-opportunistic-the-next-host-fits',
                   (Host((), GOOD, tlsa=((3, 1, 1, 'wrong'),)),
                    Host((), GOOD, preference=20, tlsa=(EE,))), expect, tls='preferred',
                   more='dane = "opportunistic";', zone=SECURE_ZONE, needs=('dane',),
                   retry='never'))
    return rows


def no_mail_at_first(result):
    assert not result.hops[0].mails() and len(result.hops[1].mails()) == 1


def ignored_rows():
    """RFC 8689 4.2.2: mail with TLS-Required: No goes although DANE says no, but for what the
    operator himself demands."""
    wrong = Host((), GOOD, tlsa=((3, 1, 1, 'wrong'),))
    clear = Host(tlsa=(EE,))
    broken = Host((Script({'TLS': alert(40)}),), GOOD, tlsa=(EE,))
    spoiled = (('_<port>._tcp.mx1', 'TLSA'),)
    waits = Expect(DEFERRED, absent=('Bounced',), alert=None, check=no_mail_at_all)
    cases = {
        'wrong-digest': (wrong, 'opportunistic', 'preferred', Expect(secure=True, log=(TLS_OK,))),
        'not-offered': (clear, 'opportunistic', 'preferred', Expect(secure=False)),
        'bogus': (Host((), GOOD, tlsa=(EE,)), 'opportunistic', 'preferred', Expect(secure=True)),
        'handshake-fails': (broken, 'opportunistic', 'preferred',
                            Expect(LATER, secure=False, visits=(2,))),
        'mandatory': (wrong, 'mandatory', 'preferred', waits),
        'table-requires': (clear, 'opportunistic', 'required',
                           Expect(DEFERRED, log=(TLS_REQUIRED,), alert=True,
                                  check=no_mail_at_all)),
    }
    return [mx(f'tls-required-no-{name}', host, expect, tls=tls, more=f'dane = "{level}";',
               zone=SECURE_ZONE, spoiled=spoiled if name == 'bogus' else (), needs=('dane',),
               data=b'TLS-Required: No\r\n' + BODY, retry='never')
            for name, (host, level, tls, expect) in cases.items()]


# What RFC 8689 4.2.1 wants of a host: (the name in its certificate, how it is found, in which zone,
# the setting, whether it gets the message, what else the row needs).
REQUIRETLS = {
    'mx-signed': ('<mx>', 'mx', SECURE_ZONE, 'required', True),
    'mx-unsigned': ('<mx>', 'mx', PLAIN_ZONE, 'required', False),
    'implicit': ('<domain>', 'zone', PLAIN_ZONE, 'preferred', True),
    'implicit-other-name': ('x.<domain>', 'zone', PLAIN_ZONE, 'preferred', False),
    'route': ('<route>', 'name', PLAIN_ZONE, 'required', True, 'routes'),
    'route-by-mx-unsigned': ('<mx>', 'mx-route', PLAIN_ZONE, 'required', False, 'routes'),
    'route-by-mx-signed': ('<mx>', 'mx-route', SECURE_ZONE, 'required', True, 'routes'),
    # Enough for the setting, and the word of whoever has the address.
    'ptr': ('<ptr>', 'mx', SECURE_ZONE, 'required-verify', False, 'verify', 'ptr'),
}


def nothing_sent(result):
    assert not any(visit.said('DATA') for visit in result.visits())


def requiretls_rows():
    rows = []
    for name, (cert, by, where, tls, is_sent, *needs) in REQUIRETLS.items():
        host = Host((), Cert(name=cert, names=()), options={'extensions': ('REQUIRETLS',)})
        expect = Expect(DELIVERED, secure=True, log=(TLS_OK,)) if is_sent else Expect(
            BOUNCED, log=(TLS_OK,), status=r'5\.7\.10', check=nothing_sent)
        records = (('', 'A', '<ip1>'),) if by == 'zone' else ()
        rows.append(mx(f'requiretls-{name}', host, expect, by=by, tls=tls, zone=where,
                       records=records, parameters='REQUIRETLS', needs=('requiretls', *needs)))
    return rows


ROWS = [*exchange_rows(), *dane_rows(), *ignored_rows(), *requiretls_rows()]
