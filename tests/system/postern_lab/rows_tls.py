"""Outbound scenarios about TLS: the table of settings, the names in certificates, versions.

What is expected stands in the reference: the fall-back rules of the six settings in its 3.2, the
two name algorithms in 3.3. The transaction goes on in clear text only where the peer is still there
and said so before a 220: a connection that was closed instead of that is not "the same
transaction", it is a host that failed.
"""
import ssl

from postern_lab.matrix import (DEFERRED, DELIVERED, EOF, PLAIN_ZONE, TLS_DEFERRING, TLS_FAILED,
                                TLS_OK, TLS_REFUSED, TLS_REQUIRED, TLS_UNVERIFIED, Cert, Expect,
                                Host, Row, unexpected)
from postern_lab.rogue_hop import CLOSE, HANG, RST, Say, Script, alert

SETTINGS = ('off', 'preferred', 'required', 'preferred-verify', 'required-verify',
            'required-verify-hosted')
GOOD = Cert()
GONE = r'Connection Error: DCID \d+ domain: <domain> IP: <ip> .* reason: network error'
SOME_TLS_LINE = r'DCID \d+ TLS '


def script(**steps):
    return (Script({name.replace('_', ':'): said for name, said in steps.items()}),)


# Before the 220: (hosts' scripts, certificate, what the log says of it when STARTTLS was tried).
BEFORE = {
    'not-offered': (Host(), ()),
    'masked': (Host((Script(starttls='XXXXXXXA'),), GOOD), ()),
    'ehlo-refused': (Host(script(EHLO='500 5.5.1 unknown'), GOOD), ()),
    'refused-454': (Host(script(STARTTLS="454 4.7.0 TLS not available"), GOOD),
                    (TLS_REFUSED, unexpected(454))),
    'refused-502': (Host(script(STARTTLS='502 5.5.1 what'), GOOD), (TLS_REFUSED, unexpected(502))),
}

# In place of the 220: there is nobody left to go on with in the clear.
INSTEAD = {
    'closing-421': (Host(script(STARTTLS=Say('421 4.3.2 closing', then=CLOSE)), GOOD), ()),
    'closed-before-220': (Host(script(STARTTLS=Say(then=CLOSE)), GOOD), (EOF,)),
    'reset-before-220': (Host(script(STARTTLS=Say(then=RST)), GOOD), ()),
    'half-a-220': (Host(script(STARTTLS=Say('220 go ahead', cut=6, then=CLOSE)), GOOD), (EOF,)),
}

# After the 220, in every way that a handshake has to fail.
AFTER = {name: {'TLS': said} for name, said in {
    'handshake-failure': alert(40), 'bad-certificate-alert': alert(42),
    'protocol-version-alert': alert(70), 'internal-error-alert': alert(80),
    'close-notify': alert(0, level=1), 'garbage': Say(b'250 not TLS at all\r\n', then=CLOSE),
    'plaintext-http': Say(b'HTTP/1.1 400 Bad Request\r\n\r\n', then=CLOSE),
    'silent-close': Say(then=CLOSE), 'reset': Say(then=RST),
    'cut-at-1': Say(cut=1, then=CLOSE), 'cut-at-5': Say(cut=5, then=RST),
    'cut-at-100': Say(cut=100, then=CLOSE), 'cut-at-500': Say(cut=500, then=RST),
    'stalls-a-while': Say(cut=60, then=HANG, hang=0.3),
}.items()}
# RFC 3207 6: what comes in the clear behind the 220 is somebody in between.
AFTER['reply-behind-220'] = {'STARTTLS': '220 2.0.0 go ahead\n250 evil'}
AFTER['bytes-behind-220'] = {'STARTTLS': Say(b'220 go ahead\r\nx')}

# What is wrong with a certificate that is otherwise right.
PROBLEMS = {
    'untrusted': Cert('untrusted'), 'expired': Cert('expired'), 'not-yet-valid': Cert('early'),
    'wrong-name': Cert(names=('*.other.test',)), 'self-signed': Cert('self-signed'),
    'revoked': Cert('revoked'),
}
RIGHT = {
    'right-by-cn': Cert(name='<domain>', names=()),
    'right-by-san': Cert(names=('<domain>', 'other.test')),
    'wildcard': Cert(names=('*.' + PLAIN_ZONE,)),
}


def needs_of(setting, more=()):
    return (('verify',) if 'verify' in setting else ()) + tuple(more)


def before_rows(setting, name, host, log):
    wanted, required = setting != 'off', setting.startswith('required')
    if required:
        expect = Expect(DEFERRED, log=(*log, TLS_REQUIRED), alert=True, absent=(TLS_OK,))
    else:
        expect = Expect(DELIVERED, secure=False, visits=(1,), log=log if wanted else (),
                        absent=() if log and wanted else (SOME_TLS_LINE,))
    return Row(f'{setting}-{name}', (host,), expect, setting, needs=needs_of(setting))


def instead_row(setting, name, host, log):
    if setting == 'off':
        expect = Expect(DELIVERED, secure=False, visits=(1,), absent=(SOME_TLS_LINE,))
    else:
        expect = Expect(DEFERRED, log=log, alert=setting.startswith('required'), absent=(TLS_OK,),
                        visits=(1,))
    return Row(f'{setting}-{name}', (host,), expect, setting, needs=needs_of(setting))


def after_row(setting, name, steps):
    if setting == 'off':
        expect = Expect(DELIVERED, secure=False, absent=(SOME_TLS_LINE,))
    else:
        required = setting.startswith('required')
        expect = Expect(DEFERRED, log=(TLS_FAILED, *((TLS_REQUIRED,) if required else ())),
                        alert=required, absent=(TLS_OK,), visits=(1,), check=no_mail_at_all)
    return Row(f'{setting}-{name}', (Host((Script(steps),), GOOD),), expect, setting,
               needs=needs_of(setting))


def ended_row(setting, name, how):
    """The handshake was well, and then the host is gone."""
    expect = Expect(DEFERRED, log=(TLS_OK, GONE), check=no_mail_at_all)
    return Row(f'{setting}-secure-and-{name}', (Host(script(SECURE=Say(then=how)), GOOD),), expect,
               setting)


def no_mail_at_all(result):
    assert not any(visit.said('MAIL') for visit in result.visits())


def certificate_row(setting, name, cert, is_right):
    required, checked = setting.startswith('required'), 'verify' in setting
    if setting == 'off':
        expect = Expect(DELIVERED, secure=False, absent=(SOME_TLS_LINE,))
    elif is_right or not checked:
        expect = Expect(DELIVERED, secure=True, verified=checked or None, log=(TLS_OK,),
                        absent=(TLS_UNVERIFIED, TLS_DEFERRING))
    elif required:
        expect = Expect(DEFERRED, log=(TLS_UNVERIFIED, TLS_REQUIRED), alert=True,
                        check=no_mail_at_all)
    else:
        expect = Expect(DELIVERED, secure=True, verified=False, log=(TLS_OK, TLS_DEFERRING))
    more = ('crl',) if name == 'revoked' and checked else ()
    return Row(f'{setting}-{name}', (Host((), cert),), expect, setting,
               needs=needs_of(setting, more))


def settings_rows():
    """Group a: each setting with each thing that can happen to it."""
    rows = []
    for setting in SETTINGS:
        rows += [before_rows(setting, name, *what) for name, what in BEFORE.items()]
        rows += [instead_row(setting, name, *what) for name, what in INSTEAD.items()]
        ways = AFTER if setting in ('preferred', 'required') else {
            name: AFTER[name] for name in ('handshake-failure', 'garbage', 'cut-at-100',
                                             'reply-behind-220')}
        rows += [after_row(setting, name, steps) for name, steps in ways.items()]
        if setting in ('preferred', 'required'):
            rows += [ended_row(setting, how, how) for how in (CLOSE, RST)]
        rows += [certificate_row(setting, name, cert, False) for name, cert in PROBLEMS.items()]
        rows += [certificate_row(setting, name, cert, True) for name, cert in RIGHT.items()]
    return rows


# Group b: (certificate, by, whether Verify takes it, whether Hosted does). 3.3: Verify compares the
# CN with domain and PTR, the SAN with the domain; Hosted the SAN, and the CN only without a SAN,
# with the domain and with the host by whose name the server was chosen.
NAMES = {
    'cn-domain': (Cert(name='<domain>', names=()), 'address', True, True),
    'cn-domain-other-san': (Cert(name='<domain>', names=('other.test',)), 'address', True, False),
    'cn-upper-case': (Cert(name='<DOMAIN>', names=()), 'address', True, True),
    'san-domain': (Cert(names=('<domain>',)), 'address', True, True),
    'san-last-of-many': (Cert(names=('a.test', 'b.test', 'c.test', '<domain>')), 'address', True,
                         True),
    'san-below-wildcard': (Cert(names=('*.test',)), 'address', False, False),
    'san-fragment-wildcard': (Cert(names=('san*.' + PLAIN_ZONE,)), 'address', False, False),
    'san-wildcard-inside': (Cert(names=('san-wildcard-inside.*.test',)), 'address', False, False),
    'san-wildcard-alone': (Cert(names=('*',)), 'address', False, False),
    'san-parent': (Cert(names=(PLAIN_ZONE,)), 'address', False, False),
    'san-child': (Cert(names=('x.<domain>',)), 'address', False, False),
    'san-suffix': (Cert(names=('evil-<domain>',)), 'address', False, False),
    'cn-mx': (Cert(name='<mx>', names=()), 'mx', False, True),
    'san-mx': (Cert(names=('<mx>',)), 'mx', False, True),
    'san-mx-wildcard': (Cert(names=('*.<domain>',)), 'mx', False, True),
    'san-mx-of-a-route': (Cert(names=('<mx>',)), 'name', False, False),
    'cn-route': (Cert(name='<route>', names=()), 'name', False, True),
    'san-route': (Cert(names=('<route>',)), 'name', False, True),
    'cn-ptr': (Cert(name='<ptr>', names=()), 'mx', True, False),
    'cn-ptr-other-san': (Cert(name='<ptr>', names=('other.test',)), 'mx', True, False),
    'san-ptr': (Cert(names=('<ptr>',)), 'mx', False, False),
}


def name_row(setting, short, name, cert, by, is_right):
    needs = ['verify'] + {'address': [], 'mx': ['mx'], 'name': ['routes']}[by]
    if 'ptr' in name:
        needs.append('ptr')
    if cert.name == '<DOMAIN>':
        cert = Cert(name=f'{short}-{name}.{PLAIN_ZONE}'.upper(), names=())
    if is_right:
        expect = Expect(DELIVERED, secure=True, verified=True, log=(TLS_OK,))
    else:
        expect = Expect(DEFERRED, log=(TLS_UNVERIFIED, TLS_REQUIRED), alert=True,
                        check=no_mail_at_all)
    return Row(f'{short}-{name}', (Host((), cert),), expect, setting, by=by, needs=tuple(needs))


def name_rows():
    rows = []
    for name, (cert, by, verify, hosted) in NAMES.items():
        rows.append(name_row('required-verify', 'verify', name, cert, by, verify))
        rows.append(name_row('required-verify-hosted', 'hosted', name, cert, by, hosted))
    return rows


def version_host(highest, **options):
    return Host((), GOOD, {'versions': (None, highest), **options})


def has_client_certificate(result):
    assert [mail.visit.client_subject for mail in result.mails()] == ['mx.lab.test']


def protocol(version):
    def check(result):
        assert [mail.visit.tls for mail in result.mails()] == [version]
    return check


def version_rows():
    """Group i: versions and client certificates."""
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    failed = Expect(DEFERRED, log=(TLS_FAILED,), absent=(TLS_OK,), check=no_mail_at_all)
    alarmed = Expect(DEFERRED, log=(TLS_FAILED, TLS_REQUIRED), absent=(TLS_OK,), alert=True,
                     check=no_mail_at_all)

    def sent(version):
        return Expect(DELIVERED, secure=True, log=(TLS_OK,), check=protocol(version))
    own = ('min-version',)
    demand = {'client_ca': 'issuer', 'demands_certificate': True}
    certificate = Expect(DELIVERED, secure=True, check=has_client_certificate)
    return [
        Row('version-1-2-is-enough', (version_host(old),), sent('TLSv1.2'), 'required'),
        Row('version-1-3-is-taken', (version_host(new),), sent('TLSv1.3'), 'required'),
        Row('version-1-1-is-too-old', (version_host(ssl.TLSVersion.TLSv1_1),), alarmed, 'required'),
        Row('version-1-0-is-too-old', (version_host(ssl.TLSVersion.TLSv1),), failed, 'preferred'),
        Row('own-minimum-reached', (version_host(new),), sent('TLSv1.3'), 'required',
            'tls_min_version = "1.3";', needs=own),
        Row('own-minimum-missed', (version_host(old),), alarmed, 'required',
            'tls_min_version = "1.3";', needs=own),
        Row('own-minimum-missed-preferred', (version_host(old),), failed, 'preferred',
            'tls_min_version = "1.3";', needs=own),
        Row('client-certificate-demanded-and-had', (version_host(new, **demand),), certificate,
            'required', 'certificate = "mail";', needs=('client-certificate',)),
        Row('client-certificate-demanded-and-had-1-2', (version_host(old, **demand),), certificate,
            'required', 'certificate = "mail";', needs=('client-certificate',)),
        Row('client-certificate-demanded-and-not-had', (version_host(old, **demand),), alarmed,
            'required'),
        Row('client-certificate-demanded-and-not-had-1-3', (version_host(new, **demand),),
            Expect(DEFERRED, absent=(r'Message done',)), 'required'),
    ]


ROWS = [*settings_rows(), *name_rows(), *version_rows()]
