"""The mail log, read as the parsers of others read it."""
import re
import signal

from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.tools import swaks

STAMP = re.compile(r'^(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|'
                   r'Nov|Dec) [ 1-3]\d \d\d:\d\d:\d\d \d{4} (?:Info|Warning|Critical|Debug): ')

# What findevent.py of AsyncOS looks for (esa.md 8.4), behind the time stamp.
FINDEVENT = [
    r'^New SMTP ICID (\d+)', r'^ICID (\d+) ACCEPT|ICID (\d+) RELAY', r'^ICID (\d+) close',
    r'^Start MID (\d+) ICID (\d+)', r'^New SMTP DCID (\d+) interface', r'^DCID (\d+) TLS success',
    r'^Delivery start DCID (\d+) MID (\d+)', r'^Message finished MID (\d+) done',
    r'^DCID (\d+) close', r'MID (\d+) ',
]

# One message, TLS on both sides, line by line; I: ICID, M: MID, D: DCID.
ONE_MESSAGE = r'''
New SMTP ICID (?P<I>\d+) interface Inbound \(127\.0\.0\.1\) address 127\.0\.0\.1 reverse dns .*
ICID (?P=I) ACCEPT SG ALL match ALL SBRS not enabled country not enabled
ICID (?P=I) TLS success protocol TLSv1\.\d cipher \S+
Start MID (?P<M>\d+) ICID (?P=I)
MID (?P=M) ICID (?P=I) From: <a@lab\.test>
MID (?P=M) ICID (?P=I) RID 0 To: <b@example\.com>
MID (?P=M) ready (?P<bytes>\d+) bytes from <a@lab\.test>
MID (?P=M) queued for delivery
New SMTP DCID (?P<D>\d+) interface 127\.0\.0\.1 address 127\.0\.0\.1 port \d+
DCID (?P=D) TLS success protocol TLSv1\.\d cipher \S+
Delivery start DCID (?P=D) MID (?P=M) to RID \[0\]
Message done DCID (?P=D) MID (?P=M) to RID \[0\]( \[\('TLS', 'TLSv1\.\d'\), .*\])?
MID (?P=M) RID \[0\] Response '2\.0\.0 kept'
Message finished MID (?P=M) done
'''


def lines_of(gateway):
    """The lines of the log without their stamps; what the program says on its own is left out."""
    return [STAMP.sub('', line) for line in gateway.log().splitlines() if STAMP.match(line)]


def test_findevent_finds_each_step_and_one_number_follows_the_message(make_gateway,
                                                                      hop_certificate):
    with NextHop(certificate=hop_certificate) as hop:
        gateway = make_gateway(hop).start()
        assert swaks(gateway.port, '--tls').returncode == 0
        gateway.wait_log(r'Message finished MID \d+ done')
        gateway.stop()
    lines = lines_of(gateway)
    for pattern in FINDEVENT:
        assert any(re.search(pattern, line) for line in lines), pattern
    mid = re.search(r'Start MID (\d+)', '\n'.join(lines)).group(1)
    assert f'Message finished MID {mid} done' in lines
    for kind in ('ICID', 'DCID'):
        opened = re.findall(rf'^New SMTP {kind} (\d+) ', '\n'.join(lines), re.M)
        closed = re.findall(rf'^{kind} (\d+) close$', '\n'.join(lines), re.M)
        assert sorted(opened) == sorted(closed) and len(set(opened)) == len(opened)


def test_each_line_has_the_shape_and_the_place_it_has_in_asyncos(make_gateway, hop_certificate):
    with NextHop(certificate=hop_certificate) as hop:
        gateway = make_gateway(hop, workers=1).start()
        assert swaks(gateway.port, '--tls').returncode == 0
        gateway.wait_log(r'Message finished MID \d+ done')
        gateway.stop()
    text = '\n'.join(lines_of(gateway))
    wanted = r'\n(?:.*\n)*?'.join(ONE_MESSAGE.strip().splitlines())
    assert re.search(wanted, text, re.M), text


def test_every_line_has_a_stamp_or_is_the_program_s_own(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    swaks(gateway.port)
    next_hop.wait_messages(1)
    gateway.stop()
    odd = [line for line in gateway.log().splitlines()
           if not STAMP.match(line) and not line.startswith('postern: ')]
    assert not odd


def test_what_a_peer_says_cannot_forge_a_line(make_gateway):
    forged = 'Message finished MID 99 done'
    with NextHop(replies={'RCPT': [f'550 5.1.1 no\r550 \x1b[2J{forged}']}) as hop:
        gateway = make_gateway(hop).start()
        with gateway.connect() as client:
            client.expect(220)
            client.say(f'EHLO a\rSun Nov 22 19:02:36 2026 Info: {forged}')
            client.ehlo()
            client.say(f'MAIL FROM:<"x\rInfo: {forged}"@lab.test>')
            client.say(f'MAIL FROM:<"{forged}"@lab.test>')
            client.say('RSET')
            client.transaction('a@lab.test', ['b@example.com'], b'x\r\n')
        gateway.wait_log('Bounced: DCID')
        assert f'\n{forged}' not in gateway.log() and f'Info: {forged}' not in gateway.log()
        assert '\x1b' not in gateway.log() and '\r' not in gateway.log()


def test_a_log_file_is_opened_anew_at_sigusr1(make_gateway, next_hop, folder):
    gateway = make_gateway(next_hop)
    text = gateway.config_path.read_text()
    gateway.config_path.write_text(text.replace('file = "-"', 'file = "mail.log"'))
    gateway.start(wait=False)
    gateway.wait_log('is ready')
    path = gateway.folder / 'mail.log'
    assert swaks(gateway.port).returncode == 0
    wait_until(lambda: 'Message finished' in path.read_text(), 5, 'the message in the file')
    path.rename(folder / 'mail.log.1')
    gateway.signal(signal.SIGUSR1)
    wait_until(path.exists, 5, 'a new file')
    assert swaks(gateway.port).returncode == 0
    wait_until(lambda: 'Message finished' in path.read_text(), 5, 'the message in the new file')
    assert not STAMP.match(gateway.log())


def test_numbers_are_never_used_twice_also_after_a_crash(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    for _ in range(4):
        since = len(gateway.log())
        gateway.start()
        assert swaks(gateway.port).returncode == 0
        gateway.wait_log(r'^.*Start MID \d+(?s:.*)queued for delivery', since=since)
        gateway.kill()
    text = '\n'.join(lines_of(gateway))
    for pattern in (r'^New SMTP ICID (\d+) ', r'^Start MID (\d+) '):
        seen = [int(number) for number in re.findall(pattern, text, re.M)]
        assert len(seen) >= 4 and len(set(seen)) == len(seen)
