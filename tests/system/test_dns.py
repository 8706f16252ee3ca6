"""The resolver against real name servers: NSD, one that counts, and some that misbehave."""
import re
import socket

import pytest

from postern_lab import BUILD, PATIENCE
from postern_lab.name_servers import (NXDOMAIN, REFUSED, SERVFAIL, TYPES, NameServer, Nsd, record,
                                      response, wire_name)
from postern_lab.signed_zone import SignedZone
from postern_lab.tools import run

PROBE = BUILD / 'tests' / 'gateway' / 'resolver_probe'
GAP_MS_MAX = 100  # how long a loop may stand still, on a machine that does other things too

LAB_ZONE = '''
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
mail A 192.0.2.10
mail AAAA 2001:db8::10
mail TXT "v=spf1 -all" " and more"
liar A 192.0.2.99
second A 192.0.2.13
@ MX 10 mail
@ MX 20 www
_25._tcp.mail TYPE52 \\# 35 030101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
*.wild A 192.0.2.5
*.wild TXT "anything"
''' + ''.join(f'big TXT "{i:03} {"x" * 200}"\n' for i in range(60)) + ''.join(
    f'many A 10.{i >> 8}.{i & 255}.1\n' for i in range(2000))

REVERSE_ZONE = '''
10 PTR mail.lab.test.
11 PTR liar.lab.test.
12 PTR nowhere.lab.test.
13 PTR liar.lab.test.
13 PTR second.lab.test.
14 PTR a\\032b.lab.test.
15 PTR a\\.b.lab.test.
16 PTR \\000\\255\\013\\010.lab.test.
17 PTR {long}
18 TXT "no pointer"
20 PTR elsewhere.dead.test.
''' .format(long='.'.join(['a' * 63] * 3 + ['b' * 61]) + '.') + ''.join(
    f'19 PTR host{i}.lab.test.\n' for i in range(1500))

REVERSE_V6 = '0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR mail.lab.test.'


@pytest.fixture(name='nsd', scope='module')
def fixture_nsd(tmp_path_factory):
    server = Nsd(tmp_path_factory.mktemp('nsd'), {
        'lab.test': LAB_ZONE, '2.0.192.in-addr.arpa': REVERSE_ZONE,
        '8.b.d.0.1.0.0.2.ip6.arpa': REVERSE_V6})
    yield server.start()
    server.stop()


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def probe(*words, seconds=30):
    """Runs the probe; what it printed about each step, without what it says of itself."""
    result = run([PROBE, *words], seconds=seconds)
    assert result.returncode == 0, result.stdout
    assert 'ERROR: ' not in result.stdout and 'runtime error' not in result.stdout, result.stdout
    return result.stdout.splitlines()


def answers(lines):
    return {line.split()[0]: line.split(' ', 1)[1] for line in lines if ':' in line.split()[0]}


def ask(nsd, *steps):
    zones = ['lab.test', '2.0.192.in-addr.arpa', '8.b.d.0.1.0.0.2.ip6.arpa']
    words = [word for zone in zones for word in ('--stub', f'{zone}=127.0.0.1:{nsd.port}')]
    return answers(probe('--server', f'127.0.0.1:{free_udp_port()}', *words, *steps))


def values(answer):
    """The records of an answer, in an order that does not depend on the server."""
    return sorted(re.findall(r'"[^"]*"|\S+', answer.split('ttl=')[1])[1:])


def test_each_type_of_record_is_found(nsd):
    got = ask(nsd, 'A:www.lab.test', 'AAAA:www.lab.test', 'PTR:10.2.0.192.in-addr.arpa',
              'TXT:mail.lab.test', 'MX:lab.test', 'TLSA:_25._tcp.mail.lab.test',
              'A:WWW.Lab.Test.')
    assert values(got['A:www.lab.test']) == ['192.0.2.1', '192.0.2.2']
    assert values(got['A:WWW.Lab.Test.']) == ['192.0.2.1', '192.0.2.2']
    assert got['AAAA:www.lab.test'] == 'FOUND INSECURE ttl=300 2001:db8::1'
    assert values(got['PTR:10.2.0.192.in-addr.arpa']) == ['mail.lab.test']
    assert values(got['TXT:mail.lab.test']) == ['"v=spf1 -all and more"']
    assert values(got['MX:lab.test']) == ['10/mail.lab.test', '20/www.lab.test']
    assert got['TLSA:_25._tcp.mail.lab.test'].endswith('(35 bytes)')


def test_a_chain_of_names_is_followed(nsd):
    got = ask(nsd, 'A:alias.lab.test', 'TXT:alias.lab.test')
    assert values(got['A:alias.lab.test']) == ['192.0.2.1', '192.0.2.2']
    assert got['TXT:alias.lab.test'].startswith('NO_DATA')


def test_no_name_and_no_data_are_told_apart_with_their_time_to_live(nsd):
    got = ask(nsd, 'A:nowhere.lab.test', 'AAAA:liar.lab.test', 'PTR:18.2.0.192.in-addr.arpa',
              'A:not a name', 'A:', 'A:a..b')
    assert got['A:nowhere.lab.test'] == 'NO_NAME INSECURE ttl=60'
    assert got['AAAA:liar.lab.test'] == 'NO_DATA INSECURE ttl=60'
    assert got['PTR:18.2.0.192.in-addr.arpa'].startswith('NO_DATA')
    assert got['A:not'].endswith('NO_NAME INSECURE ttl=0')
    assert got['A:a..b'] == 'NO_NAME INSECURE ttl=0'


def test_what_does_not_fit_into_a_datagram_is_fetched_by_tcp(nsd):
    got = ask(nsd, 'TXT:big.lab.test', 'A:many.lab.test')
    assert len(values(got['TXT:big.lab.test'])) == 60
    assert len(values(got['A:many.lab.test'])) == 1024  # DNS_RECORDS_MAX


@pytest.mark.parametrize('address, outcome', [
    ('192.0.2.10', 'VERIFIED mail.lab.test'),
    ('2001:db8::10', 'VERIFIED mail.lab.test'),
    ('192.0.2.11', 'MISMATCHED liar.lab.test'),
    ('192.0.2.12', 'MISMATCHED nowhere.lab.test'),
    ('192.0.2.13', 'VERIFIED second.lab.test'),
    ('192.0.2.14', 'NONE '),
    ('192.0.2.15', 'NONE '),
    ('192.0.2.16', 'NONE '),
    ('192.0.2.18', 'NONE '),
    ('192.0.2.200', 'NONE '),
    ('2001:db8::11', 'NONE '),
])
def test_the_double_lookup(nsd, address, outcome):
    assert ask(nsd, f'HOST:{address}')[f'HOST:{address}'] == outcome


def test_a_host_with_a_thousand_names_and_one_with_the_longest(nsd):
    got = ask(nsd, 'HOST:192.0.2.19', 'PTR:17.2.0.192.in-addr.arpa')
    assert got['HOST:192.0.2.19'].startswith('MISMATCHED host')
    assert len(values(got['PTR:17.2.0.192.in-addr.arpa'])[0]) == 253


def stub(zone, server):
    return ['--server', '127.0.0.1:1', '--stub', f'{zone}=127.0.0.1:{server.port}']


@pytest.mark.parametrize('code', [SERVFAIL, REFUSED, 4])
def test_a_server_that_answers_with_an_error_has_failed(code):
    with NameServer(lambda packet, *_: response(packet, code)) as server:
        got = answers(probe(*stub('sick.test', server), 'A:www.sick.test',
                            'PTR:1.sick.test', seconds=20))
    assert got['A:www.sick.test'] == 'FAILED INSECURE ttl=0 (server failure)'


def test_a_failure_is_remembered_but_not_for_long():
    """For 5 to 6 s, says the header; the server is well again from the second name on."""
    def answer(packet, name, _):
        if not server.asked['well.sick.test', TYPES['A']]:
            return response(packet, SERVFAIL)
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))])
    with NameServer(answer) as server:
        lines = probe(*stub('sick.test', server), 'A:www.sick.test', 'wait', 'A:well.sick.test',
                      'wait', 'A:www.sick.test', 'wait', 'sleep=6100', 'A:www.sick.test')
    got = [line.split()[1] for line in lines if line.startswith('A:www')]
    assert got == ['FAILED', 'FAILED', 'FOUND']


def test_a_server_that_never_answers_is_cut_off():
    with NameServer(lambda *_: None) as server:
        lines = probe(*stub('silent.test', server), '--query-ms', '700', 'A:www.silent.test',
                      'HOST:192.0.2.1', 'wait')
    assert answers(lines)['A:www.silent.test'] == 'FAILED INSECURE ttl=0 (no answer in time)'


def test_a_server_that_is_down_is_cut_off():
    lines = probe('--server', f'127.0.0.1:{free_udp_port()}', '--query-ms', '700',
                  'A:www.example', 'HOST:192.0.2.1', 'wait')
    assert answers(lines)['A:www.example'].startswith('FAILED')
    assert answers(lines)['HOST:192.0.2.1'] == 'FAILED '


def test_a_name_whose_addresses_cannot_be_asked_is_a_mismatch(nsd):
    with NameServer(lambda *_: None) as silent:
        lines = probe('--server', '127.0.0.1:1', '--query-ms', '700',
                      '--stub', f'2.0.192.in-addr.arpa=127.0.0.1:{nsd.port}',
                      '--stub', f'dead.test=127.0.0.1:{silent.port}', 'HOST:192.0.2.20')
    assert answers(lines)['HOST:192.0.2.20'] == 'MISMATCHED elsewhere.dead.test'


def test_answers_are_cached_as_long_as_their_time_to_live():
    soa = wire_name('ns.short.test') + wire_name('h.short.test') + bytes(16) + bytes([0, 0, 0, 2])

    def answer(packet, name, kind):
        if kind == TYPES['A'] and name.startswith('yes'):
            return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]), ttl=2)])
        code = 0 if name.startswith('yes') else NXDOMAIN
        return response(packet, code, [], [record('short.test', 'SOA', soa, ttl=600)])
    questions = ['A:yes.short.test', 'TXT:yes.short.test', 'A:no.short.test']
    with NameServer(answer) as server:
        def counts():
            return [server.asked['yes.short.test', TYPES['A']],
                    server.asked['yes.short.test', TYPES['TXT']],
                    server.asked['no.short.test', TYPES['A']]]
        lines = probe(*stub('short.test', server), *questions, *questions, 'wait', *questions,
                      'wait')
        assert counts() == [1, 1, 1]
        assert len(answers(lines)) == 3 and len([li for li in lines if ' ttl=' in li]) == 9
        probe(*stub('short.test', server), *questions, 'wait', 'sleep=3000', *questions)
        assert counts() == [3, 3, 3]


def test_lies_about_other_names_are_not_believed():
    """An answer that brings records of other zones along does not change what is known of them."""
    def answer(packet, name, _):
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 66])),
                                    record('www.lab.test', 'A', bytes([192, 0, 2, 66]))])

    def honest(packet, name, _):
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))])
    with NameServer(answer) as liar, NameServer(honest) as server:
        lines = probe(*stub('liar.test', liar), '--stub', f'lab.test=127.0.0.1:{server.port}',
                      'A:x.liar.test', 'wait', 'A:www.lab.test')
    assert values(answers(lines)['A:www.lab.test']) == ['192.0.2.1']


def test_damaged_answers_do_no_harm():
    count = [0]

    def answer(packet, name, _):
        count[0] += 1
        good = bytearray(response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))] * 3))
        good[(count[0] * 7) % len(good)] ^= 1 << count[0] % 8
        return bytes(good[:len(good) - count[0] % 5])
    with NameServer(answer) as server:
        lines = probe(*stub('bad.test', server), '--query-ms', '1500', 'flood=300:A:bad.test')
    assert sum(map(int, re.findall(r'[A-Z]=(\d+)', lines[1]))) == 300


def flood_of(lines):
    line, = (line for line in lines if line.startswith('flood'))
    return {name: int(value) for name, value in re.findall(r'([\w-]+)=(\d+)', line)}


def test_ten_thousand_queries_at_once_do_not_hold_up_the_loop(nsd):
    lines = probe('--server', '127.0.0.1:1', '--stub', f'lab.test=127.0.0.1:{nsd.port}',
                  '--queries-max', '20000', 'flood=10000:A:wild.lab.test', seconds=60)
    flood = flood_of(lines)
    assert (flood['FOUND'], flood['FAILED'], flood['in-flight']) == (10000, 0, 0)
    assert flood['gap'] < GAP_MS_MAX * PATIENCE


def test_queries_beyond_the_maximum_fail_and_the_others_do_not(nsd):
    lines = probe('--server', '127.0.0.1:1', '--stub', f'lab.test=127.0.0.1:{nsd.port}',
                  '--queries-max', '20', 'flood=500:A:wild.lab.test')
    flood = flood_of(lines)
    assert flood['FOUND'] >= 20 and flood['FAILED'] > 0
    assert flood['FOUND'] + flood['FAILED'] == 500


def test_what_comes_of_a_cancelled_query_is_cached():
    def answer(packet, name, _):
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))], flags=0x8180)
    with NameServer(answer) as server:
        lines = probe('--server', f'127.0.0.1:{server.port}', 'cancel=50:A:some.test',
                      'sleep=500', 'flood=50:A:some.test')
        assert server.asked.total() == 50
    assert 'in-flight=50' in lines[1] and 'FOUND=50' in lines[2] and 'in-flight=0' in lines[2]


def test_a_zone_that_keeps_silent_does_not_hold_up_the_others():
    """Of the same server, which has no answer for thousands of names, and then has one."""
    def answer(packet, name, _):
        if name.endswith('silent.test'):
            return None
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))], flags=0x8180)
    with NameServer(answer) as server:
        lines = probe('--server', f'127.0.0.1:{server.port}', '--query-ms', '3000',
                      'A:first.test', 'wait', 'cancel=2000:A:silent.test', 'A:second.test', 'wait',
                      'sleep=1000', 'A:third.test')
    assert {answer.split()[0] for answer in answers(lines).values()} == {'FOUND'}


def test_a_resolver_with_thousands_of_queries_in_flight_can_be_dropped():
    with NameServer(lambda *_: None) as server:
        lines = probe(*stub('silent.test', server), 'cancel=3000:A:silent.test',
                      'A:x.silent.test', 'HOST:192.0.2.1', 'destroy', 'again', 'A:localhost',
                      'wait', 'cancel=100:A:silent.test', 'destroy')
    assert [line.split()[0] for line in lines if 'destroyed' in line] == ['destroyed'] * 2
    assert answers(lines) == {'A:localhost': 'FOUND INSECURE ttl=10800 127.0.0.1'}


@pytest.fixture(name='signed', scope='module')
def fixture_signed(tmp_path_factory):
    """Steps -> answers, of a resolver that trusts the key of signed.test."""
    folder = tmp_path_factory.mktemp('signed')
    address = socket.inet_aton('192.0.2.1')
    zone = SignedZone('signed.test', [
        ('www', 'A', address), ('spoiled', 'A', address), ('bare', 'A', address),
        ('alias', 'CNAME', wire_name('www.signed.test')),
        ('astray', 'CNAME', wire_name('www.lab.test')),
        ('1', 'PTR', wire_name('www.signed.test'))],
        spoiled=[('spoiled', 'A')], bare=[('bare', 'A')])
    anchor = folder / 'anchor'
    anchor.write_text(zone.anchor())
    server = Nsd(folder, {'lab.test': 'www A 192.0.2.1'}, {'signed.test': zone.text()}).start()

    def ask_signed(*steps, trust=('--anchor', anchor)):
        stubs = [f'{name}=127.0.0.1:{server.port}' for name in ('signed.test', 'lab.test')]
        return answers(probe('--server', '127.0.0.1:1', '--stub', stubs[0], '--stub', stubs[1],
                             *trust, *steps))
    yield ask_signed
    server.stop()


def test_signed_answers_are_secure_and_others_are_not(signed):
    got = signed('A:www.signed.test', 'PTR:1.signed.test', 'A:alias.signed.test',
                 'A:nowhere.signed.test', 'TXT:www.signed.test', 'A:www.lab.test',
                 'A:astray.signed.test')
    assert {step: answer.split()[:2] for step, answer in got.items()} == {
        'A:www.signed.test': ['FOUND', 'SECURE'],
        'PTR:1.signed.test': ['FOUND', 'SECURE'],
        'A:alias.signed.test': ['FOUND', 'SECURE'],
        'A:nowhere.signed.test': ['NO_NAME', 'SECURE'],
        'TXT:www.signed.test': ['NO_DATA', 'SECURE'],
        'A:www.lab.test': ['FOUND', 'INSECURE'],
        'A:astray.signed.test': ['FOUND', 'INSECURE']}
    assert values(got['PTR:1.signed.test']) == ['www.signed.test']


@pytest.mark.parametrize('name', ['spoiled', 'bare'])
def test_a_wrong_or_missing_signature_is_a_failure(signed, name):
    got = signed(f'A:{name}.signed.test', 'wait', 'A:www.signed.test')
    assert re.match(r'FAILED BOGUS ttl=0 \(validation failure .*signed\.test',
                    got[f'A:{name}.signed.test'])
    assert got['A:www.signed.test'].startswith('FOUND SECURE')


def test_without_an_anchor_nothing_is_secure_or_bogus(signed):
    got = signed('A:www.signed.test', 'A:spoiled.signed.test', trust=())
    assert {answer.split(' ttl')[0] for answer in got.values()} == {'FOUND INSECURE'}
