"""`postern queue` and `postern flush`: what waits and why, and what an operator does about it."""
import json
import re
import socket
import threading
import time

import pytest

from postern_lab import ports
from postern_lab.gateway import run_postern
from postern_lab.name_servers import SERVFAIL, NameServer, response
from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.rogue_hop import RogueHop, Say, Script
from test_admin import dial

LETTER = b'Subject: queue\r\n\r\nx\r\n'
SLOWLY = 'default = { initial_retry = "1h"; max_retry = "1h"; max_age = "2d"; max_retries = 9; };'
RELAY = {'rat': '{ recipients = [ "ALL" ]; action = "accept"; }'}
LATER = '451 4.3.2 come back later'
TIME = r'(\d{4}-\d\d-\d\d \d\d:\d\d|\d\d:\d\d:\d\d)'  # the former if it is another day by then


def accept(gateway, *recipients, sender='a@lab.test', count=1, data=LETTER):
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        for _ in range(count):
            assert client.transaction(sender, list(recipients), data).code == 250
        client.quit()


def queue(gateway, *arguments, code=0):
    return [json.loads(line) for line in
            gateway.command('queue', *arguments, '--json', code=code).splitlines()]


def told(gateway, *arguments, code=0):
    """(standard output, standard error) of a command that ends with this code."""
    result = run_postern(*arguments, '-c', gateway.config_path.name, cwd=gateway.folder)
    assert result.returncode == code, result
    return result.stdout, result.stderr


def entries(gateway, *selection):
    return [one for one in queue(gateway, 'list', *selection) if one['kind'] == 'entry']


def the_entry(gateway, *selection):
    found = entries(gateway, *selection)
    assert len(found) == 1, found
    return found[0]


def waits(gateway, reason, *selection, seconds=15):
    """The one entry, once it waits for this reason."""
    def look():
        found = entries(gateway, *selection)
        return found[0] if found and found[0]['reason'] == reason else None
    wait_until(look, seconds, f'an entry that waits for: {reason} '
                              f'(there are {entries(gateway, *selection)})')
    return look()


def end_of(lines):
    assert lines[-1]['kind'] == 'end' and lines[-1]['complete'] and lines[-1]['durable']
    return lines[-1]


def counters(gateway):
    return json.loads(gateway.command('status', '--json'))['counters']


def test_what_waits_is_listed_and_shown(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', 'c@one.test', 'd@two.test')
        accept(gateway, 'e@one.test', sender='')
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 3, 15,
                   'three entries have been tried')
        first = entries(gateway, '--sender', 'A@lab.test', '--domain', 'one.test')[0]
        assert first['recipients'] == 2 and first['to'] == 'b@one.test'
        assert first['attempts'] == 1 and first['attempts_max'] == 10
        assert first['why'] == f'host 127.0.0.1:{hop.port} said: {LATER}'
        assert 3000 < first['until'] - time.time() < 4500
        assert first['expires'] - first['arrived'] in range(172798, 172803)
        assert sorted(e['domain'] for e in entries(gateway, '--domain', '.test')) == \
            ['one.test', 'one.test', 'two.test']
        assert the_entry(gateway, '--sender', '<>')['sender'] == ''
        assert not entries(gateway, '--older', '1h') and not entries(gateway, '--held')
        assert len(entries(gateway, '--limit', '2')) == 2
        table = gateway.command('queue', 'list')
        assert re.search(rf'^{first["mid"]} +\d+s +\d+ +a@lab\.test +one\.test +2 +1 +'
                         rf'{TIME} +host 127\.0\.0\.1:{hop.port} said: 451', table, re.M), table
        assert '3 entries' in table
        shown = gateway.command('queue', 'show', first['mid'])
        for line in (rf'MID {first["mid"]}$', r'  sender +a@lab\.test', r'  listener +Inbound',
                     r'  client +127\.0\.0\.3 \(.+\), HELO client\.lab\.test, sender group OURS',
                     r'  recipients +3 in all', r'  c@one\.test', r'  d@two\.test',
                     rf'    waits +host 127\.0\.0\.1:{hop.port} said: 451 4\.3\.2 come back '
                     rf'later, next try {TIME} \(attempt 2 of 10\)'):
            assert re.search('^' + line, shown, re.M), f'no {line} in\n{shown}'
        assert shown.count('MID ') == 1
        gateway.stop()


def test_each_mid_that_is_not_there_is_told(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, workers=2, **RELAY).start()
        accept(gateway, 'b@one.test', 'c@two.test')
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 2, 15, 'tried')
        mid = entries(gateway)[0]['mid']
        for verb in ('show', 'hold', 'release', 'retry', 'bounce', 'delete'):
            name = f'postern: queue {verb}: MID'
            assert told(gateway, 'queue', verb, 777, code=1) == \
                ('', f'{name} 777 is not in the queue\n')
        for verb, wanted in (('show', f'MID {mid}\n'), ('hold', '2 entries are held'),
                             ('release', '2 entries are released')):
            output, errors = told(gateway, 'queue', verb, 777, mid, 888, 777, code=1)
            assert output.startswith(wanted), output
            assert errors == ''.join(f'postern: queue {verb}: MID {n} is not in the queue\n'
                                     for n in (777, 888))
        output, errors = told(gateway, 'queue', 'hold', 777, mid, '--json', code=1)
        lines = [json.loads(line) for line in output.splitlines()]
        assert lines[0] == {'kind': 'missing', 'mid': 777} and end_of(lines)['matched'] == 2
        assert errors == 'postern: queue hold: MID 777 is not in the queue\n'
        # One that is there, and not as it was to be, or that nobody looked for, is not missing.
        assert told(gateway, 'queue', 'hold', mid, '--domain', 'x.test', code=1) == \
            ('', 'postern: queue hold: no entry of the queue is like that\n')
        assert told(gateway, 'queue', 'hold', mid, '--domain', 'one.test')[1] == ''
        assert told(gateway, 'queue', 'hold', 777, mid, '--limit', 1)[1] == ''
        gateway.stop()


def test_an_empty_queue_is_told_from_one_without_such_entries(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    assert told(gateway, 'queue', 'list') == ('the queue is empty\n', '')
    assert told(gateway, 'queue', 'list', '--limit', 3) == ('the queue is empty\n', '')
    assert told(gateway, 'queue', 'list', '--summary') == ('the queue is empty\n', '')
    assert told(gateway, 'queue', 'list', '--held') == \
        ('no entry of the queue is like that\n', '')
    gateway.stop()


def test_a_flush_tells_what_is_tried(make_gateway):
    gate = threading.Event()
    with NextHop(replies={'RCPT': lambda line, _: LATER if '@late.test' in line else None,
                          'BODY': lambda line, _: gate.wait(20) and None}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        assert told(gateway, 'flush', 'one.test') == ('nothing waits for one.test\n', '')
        accept(gateway, 'b@late.test')
        waits(gateway, 'retry')
        assert told(gateway, 'flush', 'LATE.test') == ('1 entry is tried now\n', '')
        wait_until(lambda: the_entry(gateway)['attempts'] == 2, 15, 'it was tried')
        accept(gateway, 'b@late.test')
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 2, 15, 'tried')
        assert told(gateway, 'flush', 'late.test') == ('2 entries are tried now\n', '')
        accept(gateway, 'b@one.test')
        waits(gateway, 'sending', '--domain', 'one.test')
        assert told(gateway, 'flush', 'one.test') == \
            ('nothing else waits for one.test, 1 being sent now\n', '')
        gate.set()
        hop.wait_messages(1)
        wait_until(lambda: not entries(gateway, '--domain', 'one.test'), 10, 'it is gone')
        assert told(gateway, 'flush', 'one.test') == ('nothing waits for one.test\n', '')
        assert [end_of([json.loads(line) for line in
                        gateway.command('flush', 'one.test', '--json').splitlines()])[name]
                for name in ('matched', 'done')] == [0, 0]
        gateway.stop()


def test_a_flush_says_what_is_held(make_gateway):
    gateway = make_gateway(bounce=SLOWLY, workers=3, routes='{ domain = "ALL"; to = [ "127.0.0.1:'
                           f'{ports.free_port()}" ]; }}', **RELAY).start()
    for number in range(5):
        accept(gateway, f'b@d{number}.test', count=number + 1)
    wait_until(lambda: {e['reason'] for e in entries(gateway)} == {'host'}, 15, 'all wait')
    gateway.command('queue', 'hold', '--all')
    assert told(gateway, 'flush', 'd0.test') == (
        'nothing is tried now: 1 entry for d0.test is held\n'
        'postern queue release --domain d0.test lets it go\n', '')
    for number in range(1, 5):
        assert told(gateway, 'flush', f'D{number}.test')[0].startswith(
            f'nothing is tried now: {number + 1} entries for D{number}.test are held\n')
    end = end_of([json.loads(line) for line in
                  gateway.command('flush', 'd2.test', '--json').splitlines()])
    assert [end[name] for name in ('matched', 'done', 'nothing')] == [3, 0, 3]
    assert told(gateway, 'flush', 'd5.test') == ('nothing waits for d5.test\n', '')
    accept(gateway, 'c@d4.test')  # behind those that are held
    wait_until(lambda: 'host' in [e['reason'] for e in entries(gateway)], 15, 'it waits')
    assert told(gateway, 'flush', 'd4.test') == ('1 entry is tried now\n', '')
    gateway.stop()


def test_a_summary_tells_of_destinations(make_gateway):
    dead = ports.free_port()
    with NextHop(replies={'RCPT': lambda line, _: LATER}) as hop:
        gateway = make_gateway(
            bounce=SLOWLY, routes=f'{{ domain = "down.test"; to = [ "127.0.0.1:{dead}" ]; }}, '
            f'{{ domain = "ALL"; to = [ "127.0.0.1:{hop.port}" ]; }}', **RELAY).start()
        accept(gateway, 'b@down.test', 'c@down.test', count=3)
        accept(gateway, 'b@up.test')
        waits(gateway, 'retry', '--domain', 'up.test')
        wait_until(lambda: all(e['reason'] == 'host' for e in
                               entries(gateway, '--domain', 'down.test')), 15, 'it is down')
        lines = {one['domain']: one for one in queue(gateway, 'list', '--summary')
                 if one['kind'] == 'destination'}
        assert lines['down.test']['entries'] == 3 and lines['down.test']['recipients'] == 6
        assert lines['down.test']['hosts'] == 'down' and lines['down.test']['until'] > time.time()
        assert lines['down.test']['trouble'] == f'host 127.0.0.1:{dead} refused the connection'
        assert lines['up.test']['hosts'] == 'up' and lines['up.test']['deferred'] == 1
        # Six recipients whose host could not be reached, and one that a host has put off.
        assert lines['down.test']['deferred'] in range(2, 7)  # some may have come later
        assert counters(gateway)['recipients_deferred'] == lines['down.test']['deferred'] + 1
        table = gateway.command('queue', 'list', '--summary').splitlines()
        assert table[1].startswith('down.test ') and table[2].startswith('up.test ')
        assert 'and 1 more destination\n' in gateway.command('queue', 'list', '--summary',
                                                             '--limit', '1')
        gateway.stop()


def test_held_mail_stays_over_a_restart_until_it_is_released(make_gateway):
    with NextHop(replies={'RCPT': [LATER]}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test')
        mid = waits(gateway, 'retry')['mid']
        assert end_of(queue(gateway, 'hold', mid))['done'] == 1
        assert end_of(queue(gateway, 'hold', mid))['nothing'] == 1
        held = the_entry(gateway, '--held')
        assert held['reason'] == 'held' and held['until'] == 0 and held['expires'] == 0
        assert counters(gateway)['recipients_held_now'] == 1
        assert end_of(queue(gateway, 'retry', '--all'))['done'] == 0
        assert '1 entry for one.test is held' in gateway.command('flush', 'one.test')
        gateway.kill()
        gateway.start()
        assert the_entry(gateway)['reason'] == 'held'
        assert counters(gateway)['recipients_held_now'] == 1
        time.sleep(0.5)
        assert not hop.messages
        assert end_of(queue(gateway, 'release', mid))['done'] == 1
        hop.wait_messages(1)
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
        assert counters(gateway)['recipients_held_now'] == 0
        gateway.wait_log(rf'MID {mid} to one\.test \(1 recipients\) held by the administrator')
        gateway.wait_log(rf'MID {mid} to one\.test \(1 recipients\) released by the administrator')
        gateway.settle()
        gateway.kill()
        gateway.start()
        assert not entries(gateway)
        gateway.stop()


def test_what_was_released_is_not_held_after_a_restart(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, workers=3, **RELAY).start()
        accept(gateway, 'b@one.test', count=6)
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 6, 15, 'tried')
        mids = [e['mid'] for e in entries(gateway)]
        assert end_of(queue(gateway, 'hold', '--domain', 'one.test'))['done'] == 6
        assert end_of(queue(gateway, 'release', *mids[:4]))['done'] == 4
        gateway.kill()
        gateway.values['workers'] = 2  # logs are read by others than those that wrote them
        gateway.configure()
        gateway.start()
        assert {e['mid'] for e in entries(gateway, '--held')} == set(mids[4:])
        assert len(entries(gateway)) == 6
        gateway.stop()


def test_held_mail_does_not_expire(make_gateway):
    short = 'default = { initial_retry = "1h"; max_retry = "1h"; max_age = "8s"; };'
    with NextHop(replies={'RCPT': [LATER]}) as hop:
        gateway = make_gateway(hop, bounce=short, **RELAY).start()
        accept(gateway, 'b@one.test')
        wait_until(lambda: counters(gateway)['recipients_deferred'] == 1, 10, 'it was tried')
        queue(gateway, 'hold', '--all')
        time.sleep(9)
        assert the_entry(gateway)['reason'] == 'held'
        queue(gateway, 'release', '--all')
        hop.wait_messages(1)
        assert counters(gateway)['recipients_bounced'] == 0
        gateway.stop()


def test_bounced_mail_goes_back_to_its_sender(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER if '@one.test' in line else None}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', 'c@one.test')
        mid = waits(gateway, 'retry')['mid']
        assert end_of(queue(gateway, 'bounce', mid))['recipients'] == 2
        report = hop.wait_messages(1)[0]
        assert report.sender == '' and report.recipients == ['a@lab.test']
        assert report.data.count(b'\r\nStatus: 5.7.1\r\n') == 2
        assert b'returned by the administrator' in report.data
        gateway.wait_log(rf'Bounced: DCID 0 MID {mid} to RID 1 - 5\.7\.1 ')
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
        assert counters(gateway)['recipients_returned'] == 2
        assert counters(gateway)['recipients_bounced'] == 2
        gateway.settle()
        gateway.kill()
        gateway.start()
        assert not entries(gateway)
        gateway.stop()


def test_held_mail_can_be_bounced_and_deleted(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER if '@one.test' in line else None}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', count=2)
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 2, 15, 'tried')
        first, second = [e['mid'] for e in entries(gateway)]
        queue(gateway, 'hold', '--all')
        assert end_of(queue(gateway, 'bounce', first))['done'] == 1
        assert end_of(queue(gateway, 'delete', second))['done'] == 1
        hop.wait_messages(1)
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
        assert counters(gateway)['recipients_held_now'] == 0
        gateway.stop()
        assert len(hop.messages) == 1


@pytest.mark.parametrize('data', [LETTER, LETTER + (b'y' * 70 + b'\r\n') * 30000],
                         ids=['small', 'large'])
def test_deleted_mail_is_gone_without_a_word(make_gateway, data):
    with NextHop(replies={'RCPT': lambda line, _: LATER if '@one.test' in line else None}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', 'c@two.test', data=data)
        mid = waits(gateway, 'retry')['mid']
        wait_until(lambda: counters(gateway)['recipients_delivered'] == 1, 15, 'the other has it')
        assert end_of(queue(gateway, 'delete', mid))['done'] == 1
        gateway.kill()  # at once: what was said to be done is on the disk
        gateway.start()
        assert not entries(gateway)
        gateway.stop()
        assert len(hop.messages) == 1 and hop.messages[0].recipients == ['c@two.test']
        assert re.search(rf'Deleted: MID {mid} to \[0\]', gateway.log())
        assert not list((gateway.spool_path / 'bodies').iterdir())


def test_more_than_one_is_deleted_only_if_one_insists(make_gateway):
    with NextHop(replies={'RCPT': lambda line, _: LATER}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', count=3)
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 3, 15, 'tried')
        mids = [e['mid'] for e in entries(gateway)]
        assert gateway.command('queue', 'hold', mids[0]) == '1 entry is held (1 recipient)\n'
        assert gateway.command('queue', 'hold', '--all') == \
            '2 entries are held (2 recipients), 1 had nothing to be done\n'
        for selection in (['--all'], ['--domain', 'one.test'], mids[:2], []):
            gateway.command('queue', 'delete', *selection, code=2)
        for verb in ('hold', 'release', 'retry', 'bounce'):
            gateway.command('queue', verb, code=2)
        assert len(entries(gateway)) == 3
        gateway.command('queue', 'delete', '--domain', 'two.test', '--yes', code=1)
        assert '3 entries are deleted (3 recipients)' in gateway.command('queue', 'delete', '--all',
                                                                         '--yes')
        assert not entries(gateway)
        assert counters(gateway)['recipients_deleted'] == 3
        assert counters(gateway)['messages_now'] == 0
        gateway.stop()


@pytest.mark.parametrize('how', ['flush', 'retry'])
def test_mail_that_may_go_with_less_tls_is_tried_like_other_mail(make_gateway, how):
    """It waits apart from the other mail of its domain, where DANE or MTA-STS might ask for TLS."""
    hop = NextHop()
    gateway = make_gateway(hop, bounce=SLOWLY,
                           destinations='default = { tls = "preferred"; dane = "opportunistic"; };',
                           **RELAY).start()
    accept(gateway, 'b@one.test', data=b'TLS-Required: No\r\n' + LETTER)
    entry = waits(gateway, 'host')
    assert entry['why'] == f'host 127.0.0.1:{hop.port} refused the connection'
    with hop:
        if how == 'flush':
            assert told(gateway, 'flush', 'ONE.test') == ('1 entry is tried now\n', '')
        else:
            assert end_of(queue(gateway, 'retry', entry['mid']))['done'] == 1
        hop.wait_messages(1)
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
    accept(gateway, 'b@one.test')
    accept(gateway, 'b@one.test', data=b'TLS-Required: No\r\n' + LETTER)
    wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['host'] * 2, 15, 'both wait')
    assert told(gateway, 'flush', 'one.test') == ('2 entries are tried now\n', '')
    gateway.stop()


@pytest.mark.parametrize('how', ['mid', 'domain', 'all', 'flush'])
def test_a_retry_comes_at_once_when_the_host_is_back(make_gateway, how):
    hop = NextHop()
    gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
    accept(gateway, 'b@one.test')
    mid = waits(gateway, 'host')['mid']
    accept(gateway, 'c@one.test')
    with hop:
        time.sleep(0.3)
        assert not hop.messages
        if how == 'flush':
            assert 'tried now' in gateway.command('flush', 'one.test')
        else:
            gateway.command('queue', 'retry', *{'mid': [mid], 'domain': ['--domain', 'ONE.test'],
                                                'all': ['--all']}[how])
        hop.wait_messages(2)  # the host is up for both
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
        gateway.command('flush', 'nobody.test')
        gateway.stop()


def test_a_retry_takes_what_waits_for_its_time(make_gateway):
    with NextHop(replies={'RCPT': [LATER] * 2}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', count=2)
        wait_until(lambda: [e['reason'] for e in entries(gateway)] == ['retry'] * 2, 15, 'tried')
        first, second = [e['mid'] for e in entries(gateway)]
        assert end_of(queue(gateway, 'retry', first))['done'] == 1
        hop.wait_messages(1)
        assert the_entry(gateway)['mid'] == second
        gateway.command('flush', 'one.test')
        hop.wait_messages(2)
        gateway.stop()


# --- why -----------------------------------------------------------------------------------------

def test_why_while_it_is_being_sent(make_gateway):
    gate = threading.Event()
    with NextHop(replies={'BODY': lambda line, _: gate.wait(20) and None}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test')
        entry = waits(gateway, 'sending')
        assert entry['why'] == 'it is being sent now'
        # Behind the final dot nothing is done to it.
        for verb in ('hold', 'bounce', 'delete'):
            lines = queue(gateway, verb, entry['mid'], code=1)
            assert lines[0] == {'kind': 'left', 'mid': entry['mid'], 'domain': 'one.test',
                                'why': 'it is being sent now'}
            assert end_of(lines)['busy'] == 1 and end_of(lines)['done'] == 0
        assert end_of(queue(gateway, 'retry', entry['mid']))['busy'] == 1
        gate.set()
        hop.wait_messages(1)
        wait_until(lambda: not entries(gateway), 10, 'the queue is empty')
        gateway.stop()
        assert len(hop.messages) == 1


def test_why_at_the_limit_of_connections_and_its_turn(make_gateway):
    gate = threading.Event()
    with NextHop(replies={'BODY': lambda line, _: gate.wait(30) and None}) as hop:
        gateway = make_gateway(
            hop, bounce=SLOWLY,
            destinations='default = { tls = "off"; max_connections = 1; };', **RELAY).start()
        accept(gateway, 'b@one.test', count=3)
        wait_until(lambda: sorted(e['reason'] for e in entries(gateway)) ==
                   ['connection limit', 'connection limit', 'sending'], 15, 'one is on its way')
        limited = [e for e in entries(gateway) if e['reason'] == 'connection limit'][0]
        assert limited['why'] == 'the connection limit of one.test is reached: 1 at a time'
        assert limited['until'] == 0
        gate.set()
        hop.wait_messages(3)
        gateway.stop()


def test_why_at_the_limit_of_recipients(make_gateway):
    with NextHop() as hop:
        gateway = make_gateway(
            hop, bounce=SLOWLY, destinations='default = { tls = "off"; max_recipients = 2; '
            'recipients_interval = "1m"; };', **RELAY).start()
        accept(gateway, 'b@one.test', count=3)
        hop.wait_messages(2)
        entry = waits(gateway, 'recipient limit')
        assert entry['why'] == ('the rate limit of one.test is reached: '
                                '2 recipients in 60 seconds')
        assert 20 < entry['until'] - time.time() < 65
        assert re.search(rf'waits +the rate limit .*, more at {TIME}$',
                         gateway.command('queue', 'show', entry['mid']), re.M)
        gateway.stop()


@pytest.mark.parametrize('script, why', [
    (Script({'GREETING': '554 5.7.1 go away'}),
     r'did not welcome the connection: 554 (5\.7\.1 )?go away'),
    (Script({'GREETING': '421 4.3.2 busy'}), r'broke off the connection: 421 (4\.3\.2 )?busy'),
    (Script({'EHLO': '550 no', 'HELO': '550 no'}), r'refused EHLO: 550 no'),
    (Script({'GREETING': Say('', then='close')}), r'broke off the connection'),
], ids=['554', '421', 'ehlo', 'close'])
def test_why_a_host_is_of_no_use(make_gateway, script, why):
    with RogueHop([script]) as hop:
        gateway = make_gateway(
            routes=f'{{ domain = "ALL"; to = [ "{hop.address}:{hop.port}" ]; }}',
            bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test')
        entry = waits(gateway, 'host')
        assert re.fullmatch(rf'host {re.escape(hop.address)}:{hop.port} {why}', entry['why']), entry
        assert entry['until'] > time.time()
        assert counters(gateway)['recipients_deferred'] == 1
        gateway.stop()


def test_why_without_the_tls_that_is_required(make_gateway):
    with NextHop() as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, destinations='default = { tls = "required"; };',
                               **RELAY).start()
        accept(gateway, 'b@one.test')
        entry = waits(gateway, 'tls')
        assert entry['why'] == (f'host 127.0.0.1:{hop.port}: TLS is required: '
                                'STARTTLS is not offered')
        gateway.stop()


def test_why_without_an_answer_of_the_dns(make_gateway):
    with NameServer(lambda packet, name, kind: response(packet, SERVFAIL)) as server:
        gateway = make_gateway(
            bounce=SLOWLY, extra=f'dns = {{ servers = [ "127.0.0.1:{server.port}" ]; }};',
            **RELAY).start()
        accept(gateway, 'b@one.test')
        entry = waits(gateway, 'dns', seconds=40)
        assert entry['why'] == 'DNS: MX: server failure', entry
        assert entry['until'] > time.time()
        gateway.command('queue', 'list')
        gateway.stop()


def test_what_a_host_says_is_harmless_on_a_terminal(make_gateway):
    evil = '451 4.7.1 \x1b[2J\x1b]0;owned\x07 \u009b31m \u202e done'
    with NextHop(replies={'RCPT': lambda line, _: evil}) as hop:
        gateway = make_gateway(hop, bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test')
        mid = waits(gateway, 'retry')['mid']
        for text in (gateway.command('queue', 'list'), gateway.command('queue', 'show', mid)):
            assert 'done' in text and '[2J' in text and '\\xC2\\x9B31m' in text, ascii(text)
            assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]', text)
        gateway.stop()


# --- the socket ----------------------------------------------------------------------------------

def test_a_request_that_makes_no_sense_is_told(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    for line in (b'queue', b'queue frobnicate', b'queue hold', b'queue list mid=x',
                 b'queue show', b'queue flush domain=.test'):
        with dial(gateway) as one:
            one.sendall(line + b'\n')
            reply = json.loads(one.makefile('rb').read())
            assert list(reply) == ['error'], reply
    gateway.stop()


def hold_late_mail(gateway):
    """What is being sent is left alone, and told of."""
    result = run_postern('queue', 'hold', '--domain', 'late.test', '--json', '-c',
                         gateway.config_path.name, cwd=gateway.folder)
    end = end_of([json.loads(line) for line in result.stdout.splitlines()])
    assert result.returncode == (end['busy'] > 0)
    return end


def test_a_long_queue_is_listed_while_mail_flows(make_gateway):
    count, flowing = 20000, threading.Event()
    with NextHop(replies={'RCPT': lambda line, _: LATER if '@late.test' in line else None}) as hop:
        gateway = make_gateway(
            hop, bounce=SLOWLY, destinations='''default = { tls = "off"; }; domains = (
            { domain = "late.test"; tls = "off"; max_connections = 1; } );''', **RELAY).start()
        run_postern('load', '--to', f'127.0.0.1:{gateway.port}', '--messages', count, '--sessions',
                    20, '--from', 'a@lab.test', '--recipient', 'r@late.test', '--size', '1K')
        assert counters(gateway)['messages_accepted'] == count
        slowest = []

        def flow():
            while not flowing.is_set():
                began = time.monotonic()
                accept(gateway, 'x@fast.test')
                slowest.append(time.monotonic() - began)
        flood = threading.Thread(target=flow)
        flood.start()
        try:
            lines = queue(gateway, 'list', '--domain', 'late.test')
            assert end_of(lines)['matched'] == count == len(lines) - 1
            assert len({one['mid'] for one in lines[:-1]}) == count
            # Nobody who does not read his list holds up anything.
            with dial(gateway) as idle, dial(gateway) as gone:
                for one in (idle, gone):
                    one.sendall(b'queue list\n')
                gone.recv(100)
                gone.shutdown(socket.SHUT_RDWR)
                assert end_of(queue(gateway, 'list', '--summary'))['matched'] >= count
            before = len(hop.messages)
            wait_until(lambda: len(hop.messages) > before + 3, 20, 'mail flows')
            end = hold_late_mail(gateway)
            assert end['done'] + end['busy'] == count and end['done'] > count / 2
            assert end_of(queue(gateway, 'delete', '--held', '--yes'))['done'] == end['done']
        finally:
            flowing.set()
            flood.join()
        assert len(entries(gateway, '--domain', 'late.test')) == end['busy']
        assert max(slowest) < 5
        gateway.stop()
