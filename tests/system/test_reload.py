"""SIGHUP: no session dropped, no message lost, each session of one generation."""
import json
import re
import time

import pytest

from postern_lab import LONG, ports
from postern_lab.certificates import Certificate
from postern_lab.client import Client
from postern_lab.ledger import Ledger
from postern_lab.next_hop import NextHop
from postern_lab.process import listens, thread_held, wait_until
from postern_lab.traffic import Traffic

RELOADS = 100 if LONG else 20
SIZES = {1: '1M', 0: '2M'}  # of odd and even generations
FIRST = {1: 'GROUP_ODD', 0: 'GROUP_EVEN'}


def tables(number):
    """Sections that tell in EHLO (SIZE), at RCPT (RAT) and in the log (SG) whose they are."""
    odd = number % 2
    other = '' if odd else '{ group = "MORE"; senders = [ "192.0.2.0/24" ]; policy = "ACCEPTED"; },'
    return {
        'policies': f'ACCEPTED = {{ access = "accept"; tls = "preferred"; '
                    f'max_message_size = "{SIZES[odd]}"; }};',
        'hat': f'{other} {{ group = "{FIRST[odd]}"; senders = [ "ALL" ]; policy = "ACCEPTED"; }}',
        'rat': f'{{ recipients = [ "example.com", "{"odd" if odd else "even"}.test" ]; '
               'action = "accept"; }',
    }


def check_generation(client, extensions):
    """What EHLO says and what RCPT does belong together, in one session."""
    size = next(int(word.split()[1]) for word in extensions if word.startswith('SIZE'))
    odd = size == 1 << 20
    client.expect(250, 'MAIL FROM:<>')
    client.expect(250 if odd else 550, 'RCPT TO:<x@odd.test>')
    client.expect(550 if odd else 250, 'RCPT TO:<x@even.test>')
    client.expect(250, 'RSET')


def in_force(gateway, number, since=0):
    gateway.wait_log(f'configuration generation {number} is in force', since=since)


def test_reloads_under_load_drop_nothing(make_gateway):
    ledger = Ledger('reload')
    with NextHop() as hop, NextHop() as other:
        gateway = make_gateway(hop, **tables(1)).start()
        generation = 1
        with Traffic(gateway, ledger, threads=4, check=check_generation) as traffic:
            for number in range(RELOADS):
                seen = traffic.accepted
                if number % 5 == 4:  # a broken file changes nothing
                    gateway.configure(hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "NO"; }')
                    gateway.wait_log('the old one stays in force', since=gateway.reload())
                else:
                    generation += 1
                    gateway.configure(**tables(generation), routes=(
                        f'{{ domain = "ALL"; to = [ "127.0.0.1:{(hop, other)[number % 2].port}" ];'
                        '}'))
                    in_force(gateway, generation, gateway.reload())
                wait_until(lambda s=seen: traffic.accepted > s + 10, 20, 'mail goes on')
        wait_until(lambda: not ledger.compare(hop.bodies() + other.bodies()).lost, 20, 'all arrive')
        gateway.stop()
        account = ledger.compare(hop.bodies() + other.bodies())
        print(f'{RELOADS} reloads, {traffic.sessions} sessions, {traffic.broken} broken: {account}')
        assert account[1:] == ([], [], []) and traffic.broken == 0 and traffic.refused == 0
        assert hop.messages and other.messages
        check_log(gateway.log())


def check_log(log):
    assert set(re.findall(r'ACCEPT SG (\w+)', log)) == set(FIRST.values())
    assert not re.search(r'ICID \d+ lost', log)


def test_a_session_keeps_the_generation_in_which_it_began(make_gateway, next_hop):
    gateway = make_gateway(next_hop, **tables(1)).start()
    with gateway.connect() as old:
        old.expect(220)
        for number in range(2, 6):
            gateway.configure(**tables(number))
            in_force(gateway, number, gateway.reload())
            check_generation(old, old.ehlo())
            assert f'SIZE {1 << 20}' in old.ehlo()
            with gateway.connect() as new:
                assert f'SIZE {(2 - number % 2) << 20}' in new.hello()


def test_a_generation_is_in_force_when_every_worker_has_it(make_gateway, next_hop):
    gateway = make_gateway(next_hop, **tables(1)).start()
    gateway.configure(**tables(2))
    with thread_held(gateway.pid, 'worker 1'):
        since = gateway.reload()
        time.sleep(0.5)  # it would be said by now
        assert 'in force' not in gateway.log()[since:]
    in_force(gateway, 2, since)


def test_listeners_come_and_go_by_reload(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    port = ports.free_port()
    generation = 1
    for _ in range(3):
        gateway.configure(listeners_more=(
            f', {{ name = "More"; type = "public"; address = "127.0.0.1"; port = {port}; '
            'certificate = "mail"; hat = "inbound"; rat = "inbound"; }'))
        generation += 1
        in_force(gateway, generation, gateway.reload())
        with Client(port) as old:
            old.hello()
            gateway.configure(listeners_more='')
            generation += 1
            in_force(gateway, generation, gateway.reload())
            wait_until(lambda: not listens(port), 5, 'the port is closed')
            # What had begun goes on.
            assert old.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    next_hop.wait_messages(3)
    assert gateway.connect().hello()


def test_a_port_that_is_taken_is_told_and_changes_nothing(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    gateway.configure(**tables(2), listeners_more=(
        f', {{ name = "Taken"; type = "public"; address = "127.0.0.1"; port = {next_hop.port}; '
        'certificate = "mail"; hat = "inbound"; rat = "inbound"; }'))
    since = gateway.reload()
    gateway.wait_log(rf'Critical: listener Taken: cannot listen on 127\.0\.0\.1:{next_hop.port}',
                     since=since)
    gateway.wait_log('Critical: reload: not all can be had, the old configuration stays',
                     since=since)
    with gateway.connect() as client:
        assert f'SIZE {20 << 20}' in client.hello()
    failed_s = json.loads(gateway.command('status', '--json'))['reload_failed_s']
    assert abs(failed_s - time.time()) < 60
    assert re.search(r'^last reload +failed, \w+ ', gateway.command('status'), re.M)
    gateway.configure(listeners_more='')
    in_force(gateway, 3, gateway.reload())
    assert json.loads(gateway.command('status', '--json'))['reload_failed_s'] == 0
    assert 'last reload' not in gateway.command('status')


def test_what_waits_for_the_next_start_is_named(make_gateway, next_hop):
    gateway = make_gateway(next_hop, workers=1).start()
    gateway.configure(workers=2)
    since = gateway.reload()
    in_force(gateway, 2, since)
    told = re.findall(r'reload: the change of (\S+) takes effect at the next start',
                      gateway.log()[since:])
    assert told == ['workers']


def test_a_broken_file_is_reported_with_its_lines(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    gateway.configure(hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "ACEPTED"; }')
    since = gateway.reload()
    gateway.wait_log(r'postern\.conf:\d+: .*ACEPTED', since=since)
    gateway.wait_log('the old one stays in force', since=since)
    with gateway.connect() as client:
        assert client.hello()


def test_a_new_certificate_is_used_after_a_reload(make_gateway, next_hop, authority, folder):
    first, second = authority.issue('one.lab.test'), authority.issue('two.lab.test')
    chain, key = folder / 'chain.pem', folder / 'key.pem'
    chain.write_bytes(first.chain.read_bytes())
    key.write_bytes(first.key.read_bytes())
    gateway = make_gateway(next_hop, certificate=Certificate(chain, key)).start()
    with gateway.connect() as client:
        client.hello()
        client.starttls(ca=authority.chain, name='one.lab.test')
    chain.write_bytes(second.chain.read_bytes())
    since = gateway.reload()  # chain and key do not belong together: nothing changes
    gateway.wait_log('the old (configuration|one) stays', since=since)
    key.write_bytes(second.key.read_bytes())
    since = gateway.reload()
    gateway.wait_log('is in force', since=since)
    with gateway.connect() as client:
        client.hello()
        client.starttls(ca=authority.chain, name='two.lab.test')


@pytest.mark.parametrize('signals', [50])
def test_a_storm_of_signals_is_survived(make_gateway, next_hop, signals):
    gateway = make_gateway(next_hop).start()
    for _ in range(signals):
        gateway.reload()
    with gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    next_hop.wait_messages(1)


def test_a_repaired_route_is_tried_at_once(make_gateway):
    """By what waits and by what comes, however long the dead host would have been left alone."""
    bounce = 'default = { initial_retry = "30m"; max_retry = "1h"; };'
    with NextHop() as hop:
        gateway = make_gateway(routes='{ domain = "ALL"; to = [ "127.0.0.1:9" ]; }',
                               bounce=bounce).start()
        with gateway.connect() as client:
            client.hello()
            assert client.transaction('a@lab.test', ['b@example.com'], b'1\r\n').code == 250
            gateway.wait_log(r'Delayed: |network error')
            gateway.configure(routes=f'{{ domain = "ALL"; to = [ "127.0.0.1:{hop.port}" ]; }}')
            in_force(gateway, 2, gateway.reload())
            hop.wait_messages(1)
            assert client.transaction('a@lab.test', ['b@example.com'], b'2\r\n').code == 250
            hop.wait_messages(2)


def test_a_new_route_and_tls_rule_count_for_the_next_message(make_gateway):
    """Also where a connection to the old host, in the clear, is open and could be used again."""
    with NextHop() as old, NextHop() as new:
        gateway = make_gateway(old).start()
        with gateway.connect() as client:
            client.hello()

            def send():
                assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
            send()
            old.wait_messages(1)
            gateway.configure(routes=f'{{ domain = "ALL"; to = [ "127.0.0.1:{new.port}" ]; }}')
            in_force(gateway, 2, gateway.reload())
            send()
            new.wait_messages(1)
            gateway.configure(destinations='default = { tls = "required"; };')
            in_force(gateway, 3, gateway.reload())
            send()
            gateway.wait_log('TLS was required but could not be successfully negotiated')
            assert (len(old.messages), len(new.messages)) == (1, 1)
