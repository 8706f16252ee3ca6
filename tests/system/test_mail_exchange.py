"""Where mail goes and what TLSA records say, from real zones through the real resolver."""
import socket
import struct

import pytest

from postern_lab import BUILD
from postern_lab.name_servers import NameServer, Nsd, wire_name
from postern_lab.signed_zone import SignedZone
from postern_lab.tools import run

PROBE = BUILD / 'tests' / 'gateway' / 'resolver_probe'
TLSA = bytes([3, 1, 1]) + bytes(32)
ADDRESS = socket.inet_aton('192.0.2.1')

PLAIN_ZONE = '''
mx A 192.0.2.9
direct A 192.0.2.8
null MX 0 .
sub.empty TXT "its parent has no record, and exists"
silent MX 10 mx.silent.test.
both MX 20 mx
both MX 10 mx.silent.test.
tosigned MX 10 mx.signed.test.
_25._tcp.mx TYPE52 \\# 35 030101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
'''


def exchange(preference, target):
    return struct.pack('>H', preference) + wire_name(target)


def signed_zone(folder):
    names = {'mx': 'mx.signed.test', 'lame': 'mx.plain.test', 'alias': 'far.signed.test',
             'spoiled': 'spoiled.signed.test', 'astray': 'astray.signed.test',
             'bare': 'bare.signed.test'}
    records = [(name, 'MX', exchange(10, target)) for name, target in
               [('good', names['mx']), ('lame', names['lame']), ('chain', names['alias']),
                ('badhost', names['spoiled']), ('out', names['astray']),
                ('badmx', names['mx']), ('badtlsa', names['bare'])]]
    records += [('null', 'MX', exchange(0, '')), ('itself', 'A', ADDRESS),
                ('badmx', 'A', ADDRESS),
                ('mx', 'A', ADDRESS), ('_25._tcp.mx', 'TLSA', TLSA),
                ('far', 'CNAME', wire_name('near.signed.test')), ('near', 'A', ADDRESS),
                ('_25._tcp.near', 'TLSA', TLSA),
                ('spoiled', 'A', ADDRESS), ('bare', 'A', ADDRESS), ('_25._tcp.bare', 'TLSA', TLSA),
                ('astray', 'CNAME', wire_name('mx.plain.test')), ('_25._tcp.astray', 'TLSA', TLSA),
                ('link', 'CNAME', wire_name('good.signed.test'))]
    return SignedZone('signed.test', records,
                      spoiled=[('spoiled', 'A'), ('badmx', 'MX'), ('_25._tcp.bare', 'TLSA')])


@pytest.fixture(name='where', scope='module')
def fixture_where(tmp_path_factory):
    """Domain -> where its mail goes, as the probe has it."""
    folder = tmp_path_factory.mktemp('exchange')
    zone = signed_zone(folder)
    anchor = folder / 'anchor'
    anchor.write_text(zone.anchor())
    server = Nsd(folder, {'plain.test': PLAIN_ZONE}, {'signed.test': zone.text()}).start()
    with NameServer(lambda *_: None) as silent:
        ports = {'plain.test': server.port, 'signed.test': server.port,
                 'silent.test': silent.port}

        def ask(domain):
            stubs = [word for name, port in ports.items()
                     for word in ('--stub', f'{name}=127.0.0.1:{port}')]
            result = run([PROBE, '--server', '127.0.0.1:1', *stubs, '--anchor', anchor,
                          '--query-ms', '2000', f'MAIL:{domain}'], seconds=30)
            assert result.returncode == 0, result.stdout
            (line,) = [text for text in result.stdout.splitlines() if text.startswith('MAIL:')]
            return line.split(' ', 1)[1]
        yield ask
    server.stop()


@pytest.mark.parametrize('domain, answer', [
    ('good.signed.test', 'FOUND SECURE; mx.signed.test/10 FOUND SECURE 192.0.2.1 '
                         'tlsa=FOUND/SECURE/mx.signed.test/1'),
    ('link.signed.test', 'FOUND SECURE alias=good.signed.test; mx.signed.test/10 FOUND SECURE '
                         '192.0.2.1 tlsa=FOUND/SECURE/mx.signed.test/1'),
    ('chain.signed.test', 'FOUND SECURE; far.signed.test/10 FOUND SECURE 192.0.2.1 '
                          'tlsa=FOUND/SECURE/near.signed.test/1'),
    ('itself.signed.test', 'FOUND SECURE implicit; itself.signed.test/0 FOUND SECURE 192.0.2.1 '
                           'tlsa=NONE/SECURE'),
    # An alias out of the signed zone: the alias is signed, and so are the records of its own name.
    ('out.signed.test', 'FOUND SECURE; astray.signed.test/10 FOUND INSECURE 192.0.2.9 '
                        'tlsa=FOUND/SECURE/astray.signed.test/1'),
    ('lame.signed.test', 'FOUND SECURE; mx.plain.test/10 FOUND INSECURE 192.0.2.9'),
    ('tosigned.plain.test', 'FOUND INSECURE; mx.signed.test/10 FOUND SECURE 192.0.2.1'),
    ('null.signed.test', 'NO_MAIL SECURE'),
    ('null.plain.test', 'NO_MAIL INSECURE'),
    ('nowhere.signed.test', 'NO_DOMAIN SECURE'),
    ('nowhere.plain.test', 'NO_DOMAIN INSECURE'),
    ('direct.plain.test', 'FOUND INSECURE implicit; direct.plain.test/0 FOUND INSECURE 192.0.2.8'),
    # A name with names below it exists.
    ('empty.plain.test', 'NO_HOST INSECURE implicit; empty.plain.test/0 NO_DATA INSECURE'),
])
def test_zones_say_where_mail_goes_and_who_must_prove_himself(where, domain, answer):
    assert where(domain) == answer


@pytest.mark.parametrize('domain, answer', [
    ('badmx.signed.test', 'FAILED BOGUS'),  # although the domain has an address
    ('badhost.signed.test', 'FAILED SECURE; spoiled.signed.test/10 FAILED BOGUS'),
    ('badtlsa.signed.test', 'FOUND SECURE; bare.signed.test/10 FOUND SECURE 192.0.2.1 '
                            'tlsa=FAILED/BOGUS'),
    ('some.silent.test', 'FAILED INSECURE'),
    ('silent.plain.test', 'FAILED INSECURE; mx.silent.test/10 FAILED INSECURE'),
    ('both.plain.test', 'FOUND INSECURE; mx.silent.test/10 FAILED INSECURE; '
                        'mx.plain.test/20 FOUND INSECURE 192.0.2.9'),
])
def test_what_cannot_be_told_now_is_a_failure_and_nothing_less(where, domain, answer):
    assert where(domain) == answer
