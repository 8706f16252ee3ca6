"""Recipients that are asked about at their host before RCPT is answered."""
import contextlib
import json
import socket
import threading
import time

import pytest

from postern_lab import PATIENCE, ports
from postern_lab.client import ConnectionEnded
from postern_lab.next_hop import DROP, NextHop
from postern_lab.process import wait_until

RAT = '''{ recipients = [ "free@example.com" ]; action = "accept"; call_ahead = true;
           bypass_limits = true; },
         { recipients = [ "example.com" ]; action = "accept"; call_ahead = true; },
         { recipients = [ "plain.test" ]; action = "accept"; }'''
SECONDS_LONG = 60  # no test waits so long: what ends before is not ended by this deadline


def routes_to(*where):
    """Hops, or ports where nobody listens; to be tried in this order."""
    hosts = ', '.join(f'"127.0.0.1:{getattr(one, "port", one)}/pri={number}"'
                      for number, one in enumerate(where))
    return f'{{ domain = "ALL"; to = [ {hosts} ]; }}'


@pytest.fixture(name='ahead')
def fixture_ahead(make_gateway):
    """ahead(hop, ..., call_ahead='...'): a gateway that asks these hosts; one worker, one cache."""
    def make(*where, call_ahead='', **sections):
        options = {'workers': 1, 'rat': RAT, 'routes': routes_to(*where),
                   'extra': f'call_ahead = {{ timeout = "{SECONDS_LONG}s"; {call_ahead} }};',
                   **sections}
        return make_gateway(**options).start()
    return make


def knows(*users):
    """A rule for RCPT: these are valid, the others are not."""
    def rule(line, _):
        user = line.partition('<')[2].partition('@')[0].lower()
        return None if user in users else '550 5.1.1 secret words of the host'
    return rule


def questions(hop):
    return [line for session in hop.sessions for line in session.commands
            if line.upper().startswith('RCPT')]


@contextlib.contextmanager
def transaction(gateway, **options):
    with gateway.connect(**options) as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        yield client


def rcpt(gateway, user, domain='example.com'):
    """The reply to one recipient, in a session of its own."""
    with transaction(gateway) as client:
        return client.say(f'RCPT TO:<{user}@{domain}>')


def counters(gateway):
    return json.loads(gateway.command('status', '--json'))['counters']


def test_a_valid_recipient_is_accepted_and_the_message_delivered(ahead):
    with NextHop() as hop:
        gateway = ahead(hop)
        with gateway.connect() as client:
            client.hello()
            assert client.transaction('a@lab.test', ['ann@example.com'], b'x\r\n').code == 250
        message, = hop.wait_messages(1)
        assert message.recipients == ['ann@example.com']
        assert hop.sessions[0].commands == ['EHLO mx.lab.test', 'MAIL FROM:<>',
                                            'RCPT TO:<ann@example.com>']
        gateway.wait_log(r'MID \d+ ICID \d+ To: <ann@example\.com> call-ahead to '
                         rf'127\.0\.0\.1:{hop.port}: valid$')


def test_the_connection_ends_with_quit_when_nobody_asks_any_more(ahead):
    with NextHop() as hop:
        gateway = ahead(hop)
        assert rcpt(gateway, 'ann').code == 250
        wait_until(lambda: hop.sessions[0].commands[-1] == 'QUIT', 10, 'QUIT')
        wait_until(lambda: hop.open_sessions == 0, 5, 'the session ended')


def test_an_invalid_recipient_is_refused_in_our_words_and_remembered(ahead):
    with NextHop(replies={'RCPT': knows('ann')}) as hop:
        gateway = ahead(hop)
        for user in ('bob', 'BOB', 'bob'):
            reply = rcpt(gateway, user)
            assert (reply.code, reply.text) == (550, '5.1.1 User unknown')
        assert questions(hop) == ['RCPT TO:<bob@example.com>']
        gateway.wait_log(r'To: <bob@example\.com> call-ahead to 127\.0\.0\.1:\d+: '
                         r'invalid 550 5\.1\.1 secret words of the host$')
        gateway.wait_log(r'MID \d+ ICID \d+ To: <BOB@example\.com> Rejected by call-ahead$')
        assert gateway.log().count('call-ahead to') == 1
        seen = counters(gateway)
        assert (seen['call_aheads'], seen['call_ahead_cached']) == (1, 2)


def test_who_is_not_to_be_called_ahead_is_not(ahead):
    with NextHop(replies={'RCPT': knows()}) as hop:
        gateway = ahead(hop)
        assert rcpt(gateway, 'bob', 'plain.test').code == 250
        assert not hop.sessions


CODES = {'ann': 250, 'bob': 550, 'tom': 450}


@pytest.mark.parametrize('lifetime', [0, 1])
def test_answers_count_as_long_as_they_are_said_to(ahead, lifetime):
    def rule(line, session):
        return '450 4.2.2 full' if 'tom' in line else knows('ann')(line, session)
    with NextHop(replies={'RCPT': rule}) as hop:
        gateway = ahead(hop, call_ahead=f'valid_for = "{lifetime}s"; invalid_for = "{lifetime}s"; '
                                        f'unreachable_for = "{lifetime}s";')
        for user, code in CODES.items():
            before = len(questions(hop))
            began = time.monotonic()
            assert [rcpt(gateway, user).code for _ in range(3)] == [code] * 3
            if lifetime == 0:
                assert len(questions(hop)) == before + 3
            elif time.monotonic() - began < lifetime:
                assert len(questions(hop)) == before + 1
        time.sleep(lifetime + 0.1)
        before = len(questions(hop))
        for user, code in CODES.items():
            assert rcpt(gateway, user).code == code
        assert len(questions(hop)) == before + 3


def test_odd_addresses_are_asked_about_as_they_were_written(ahead):
    rat = '{ recipients = [ "example.com", "postmaster@" ]; action = "accept"; call_ahead = true; }'
    with NextHop(extensions=['SMTPUTF8']) as hop, NextHop() as plain:
        gateway = ahead(hop, rat=rat)
        asked = ['<postmaster>', '<"a b\\"@c"@example.com>', '<PostMaster@EXAMPLE.com>']
        with transaction(gateway) as client:
            for path in [*asked, '<@relay.test:ann@example.com>']:
                client.expect(250, f'RCPT TO:{path}')
        assert questions(hop) == [f'RCPT TO:{path}' for path in [*asked, '<ann@example.com>']]
        for where, code in [(hop, 250), (plain, 451)]:
            gateway.configure(routes=routes_to(where))
            since = gateway.reload()
            gateway.wait_log(r'generation \d is in force', since=since)
            with gateway.connect() as client:
                client.hello()
                client.expect(250, 'MAIL FROM:<a@lab.test> SMTPUTF8')
                client.expect(code, 'RCPT TO:<jürgen@example.com>')
        assert 'RCPT TO:<jürgen@example.com>' in questions(hop)
        assert questions(plain) == []


def test_a_temporary_no_is_450(ahead):
    with NextHop(replies={'RCPT': ['451 4.3.0 secret']}) as hop:
        gateway = ahead(hop)
        reply = rcpt(gateway, 'ann')
        assert (reply.code, reply.text) == (450, '4.2.0 Recipient not available now, '
                                                 'try again later')
        gateway.wait_log(r'call-ahead to \S+: temporary 451 4\.3\.0 secret$')
        assert len(questions(hop)) == 1


@pytest.mark.parametrize('word, code, text', [
    ('accept', 250, ''), ('defer', 451, '4.4.1'), ('reject', 550, '5.4.1')])
def test_a_host_that_is_down_means_what_the_configuration_says(ahead, word, code, text):
    gateway = ahead(ports.free_port(), call_ahead=f'unreachable = "{word}";')
    for user in ('ann', 'bob'):  # the second is known to have no host to ask
        reply = rcpt(gateway, user)
        assert reply.code == code and reply.text.startswith(text)
    gateway.wait_log(r'To: <ann@example\.com> call-ahead to \S+: unreachable Connection refused$')
    assert gateway.log().count('call-ahead to') == 1


def test_a_host_that_comes_back_is_asked_again(ahead):
    hop = NextHop(replies={'RCPT': knows('ann')})
    gateway = ahead(hop, call_ahead='unreachable_for = "0s";')
    assert rcpt(gateway, 'ann').code == 451
    with hop:
        assert rcpt(gateway, 'ann').code == 250
        assert rcpt(gateway, 'bob').code == 550


@contextlib.contextmanager
def hops_with(rules):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(NextHop(replies=rule)) for rule in rules]


def domains_to(hosts):
    """A RAT, and routes of the domains d0.test... to these lists of hops."""
    return {'rat': '{ recipients = [ ".test" ]; action = "accept"; call_ahead = true; }',
            'routes': ', '.join(routes_to(*where).replace('ALL', f'd{number}.test')
                                for number, where in enumerate(hosts))}


NO_ANSWERS = [
    ({'GREETING': ['421 4.3.2 no']}, r'closing: 421 4\.3\.2 no'),
    ({'GREETING': ['554 5.7.1 no']}, r'refused by the greeting: 554 5\.7\.1 no'),
    ({'GREETING': ['nonsense']}, 'not an SMTP reply, or out of turn'),
    ({'EHLO': ['550 no'], 'HELO': ['550 no']}, 'EHLO and HELO refused: 550 no'),
    ({'MAIL': ['550 5.7.1 no bounces']}, r'the question was refused: 550 5\.7\.1 no bounces'),
    ({'RCPT': ['421 no \x1b[2J']}, r'closing: 421 no .\[2J'),
    ({'RCPT': [DROP]}, 'connection closed by the other side')]


def test_the_next_host_is_asked_where_one_gives_no_answer(ahead):
    nobody = ports.free_port()
    with NextHop(replies={'RCPT': knows('ann')}) as second, \
            hops_with(rule for rule, _ in NO_ANSWERS) as hops:
        gateway = ahead(**domains_to([(first, second) for first in [nobody, *hops]]))
        for number in range(len(NO_ANSWERS) + 1):
            assert rcpt(gateway, 'ann', f'd{number}.test').code == 250
            assert questions(second)[number:] == [f'RCPT TO:<ann@d{number}.test>']
            gateway.wait_log(rf'<ann@d{number}\.test> call-ahead to '
                             rf'127\.0\.0\.1:{second.port}: valid$')
        for number, (hop, (_, why)) in enumerate(zip(hops, NO_ANSWERS), 1):
            gateway.wait_log(rf'<ann@d{number}\.test> call-ahead to 127\.0\.0\.1:{hop.port}: '
                             rf'failed, the next host is tried: {why}$')


def test_no_answer_from_the_last_host_is_unreachable(ahead):
    with hops_with(rule for rule, _ in NO_ANSWERS) as hops:
        gateway = ahead(**domains_to([(hop,) for hop in hops]))
        for number, (_, why) in enumerate(NO_ANSWERS):
            assert rcpt(gateway, 'ann', f'd{number}.test').code == 451
            gateway.wait_log(rf'<ann@d{number}\.test> call-ahead to \S+: unreachable {why}$')
        assert '\x1b' not in gateway.log()


@contextlib.contextmanager
def silence():
    """A port on which connections are accepted by the kernel, and nothing is ever said."""
    with socket.create_server(('127.0.0.1', 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_a_silent_host_costs_the_deadline_and_no_more(ahead):
    with silence() as port:
        gateway = ahead(port, extra='call_ahead = { timeout = "2s"; };')
        began = time.monotonic()
        assert rcpt(gateway, 'ann').code == 451
        assert 1.8 < time.monotonic() - began < 4 * PATIENCE
        began = time.monotonic()
        assert rcpt(gateway, 'bob').code == 451  # of the same route, which is known to be silent
        assert time.monotonic() - began < 1.5 * PATIENCE
        gateway.wait_log(r'<ann@example\.com> call-ahead to \S+: unreachable timeout')


def test_a_silent_first_host_leaves_time_for_the_second(ahead):
    with silence() as port, NextHop() as hop:
        gateway = ahead(port, hop, extra='call_ahead = { timeout = "3s"; };')
        assert rcpt(gateway, 'ann').code == 250


def test_a_host_that_is_slow_to_answer_ends_with_the_deadline(ahead):
    release = threading.Event()

    def rule(line, _):
        if 'slow' in line:
            release.wait(20)

    with NextHop(replies={'RCPT': rule}) as hop:
        gateway = ahead(hop, extra='call_ahead = { timeout = "1s"; };')
        assert rcpt(gateway, 'slow').code == 451
        release.set()
        assert rcpt(gateway, 'ann').code == 250  # the host is not held to be down
        gateway.wait_log(r'<slow@example\.com> call-ahead to \S+: unreachable timeout$')


TLS = 'default = { tls = "off"; }; domains = ( { domain = "example.com"; tls = "%s"; } );'


@pytest.mark.parametrize('rule, offered, code', [
    ('required', True, 250), ('required', False, 451), ('preferred', True, 250),
    ('preferred', False, 250), ('off', True, 250)])
def test_the_tls_rule_of_the_destination_holds(ahead, hop_certificate, rule, offered, code):
    with NextHop(certificate=hop_certificate if offered else None) as hop:
        gateway = ahead(hop, destinations=TLS % rule)
        assert rcpt(gateway, 'ann').code == code
        assert rcpt(gateway, 'bob').code == code
        if code == 250:
            assert len(questions(hop)) == 2 and len(hop.sessions) == 1
            assert bool(hop.sessions[0].tls) == (offered and rule != 'off')
        else:
            assert questions(hop) == []
            gateway.wait_log('unreachable TLS is required and not offered$')


def test_where_starttls_is_refused_a_required_rule_asks_nothing(ahead, hop_certificate):
    with NextHop(certificate=hop_certificate, replies={'STARTTLS': ['454 4.7.0 no']}) as hop:
        gateway = ahead(hop, destinations=TLS % 'required')
        assert rcpt(gateway, 'ann').code == 451
        assert questions(hop) == []
        gateway.wait_log(r'unreachable STARTTLS refused: 454 4\.7\.0 no$')


def test_fifty_recipients_need_one_connection(ahead):
    with NextHop() as hop:
        gateway = ahead(hop)
        with transaction(gateway) as client:
            for number in range(50):
                client.expect(250, f'RCPT TO:<u{number}@example.com>')
        assert len(questions(hop)) == 50
        assert len(hop.sessions) == 1


def test_a_pipelining_client_gets_its_replies_in_order(ahead):
    valid = {f'u{number}' for number in range(0, 60, 2)}
    with NextHop(replies={'RCPT': knows(*valid)}) as hop:
        gateway = ahead(hop)
        with gateway.connect() as client:
            client.hello()
            users = [f'u{number}' for number in range(60)]
            client.send(b'MAIL FROM:<a@lab.test>\r\n'
                        + b''.join(f'RCPT TO:<{user}@example.com>\r\n'.encode() for user in users)
                        + b'DATA\r\n')
            client.expect(250)
            codes = [client.read().code for _ in users]
            assert codes == [250 if user in valid else 550 for user in users]
            client.expect(354)
            client.expect(250, b'x\r\n.\r\n')
        message, = hop.wait_messages(1)
        assert len(message.recipients) == len(valid)
        # One that refused too often is left for a new one: it may slow down who is refused.
        assert len(hop.sessions) <= 6


def test_equal_questions_of_many_sessions_are_put_once(ahead):
    release = threading.Event()
    with NextHop(replies={'RCPT': lambda *_: release.wait(20) and None}) as hop:
        gateway = ahead(hop)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(transaction(gateway)) for _ in range(20)]
            for client in clients:
                client.send('RCPT TO:<ann@example.com>')
            wait_until(lambda: questions(hop), 10, 'the question')
            release.set()
            for client in clients:
                client.expect(250)
        assert len(questions(hop)) == 1
        gateway.wait_log(r'call-ahead to \S+: valid$')
        assert gateway.log().count('call-ahead to') == 1
        assert counters(gateway)['call_aheads'] == 1


def test_many_questions_share_a_few_connections(ahead):
    def rule(*_):
        time.sleep(0.005)

    with NextHop(replies={'RCPT': rule}) as hop:
        gateway = ahead(hop)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(transaction(gateway)) for _ in range(100)]
            for number, client in enumerate(clients):
                client.send(f'RCPT TO:<u{number}@example.com>')
            for client in clients:
                client.expect(250)
        assert len(questions(hop)) == 100
        assert hop.most_sessions <= 16


class WideHop(NextHop):
    """At every address of the loopback, so that many routes lead to it."""

    def start(self):
        self.listener = socket.create_server(('', self.port), backlog=512)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self


CONNECTIONS_MAX = 256  # GATEWAY_CALL_AHEAD_CONNECTIONS_MAX
ROUTES = CONNECTIONS_MAX + 20


def many_routes(port):
    """One for each of the domains d0.test..."""
    return {'rat': '{ recipients = [ ".test" ]; action = "accept"; call_ahead = true; }',
            'routes': ', '.join(f'{{ domain = "d{n}.test"; '
                                f'to = [ "127.0.{n // 200 + 1}.{n % 200 + 1}:{port}" ]; }}'
                                for n in range(ROUTES))}


def test_idle_connections_make_room_for_others(ahead):
    with WideHop() as hop:
        gateway = ahead(**many_routes(hop.port))
        with transaction(gateway) as client:
            client.send(b''.join(f'RCPT TO:<ann@d{number}.test>\r\n'.encode()
                                 for number in range(ROUTES)))
            for _ in range(ROUTES):
                client.expect(250)
        assert len(questions(hop)) == ROUTES


def test_what_is_beyond_the_connections_there_may_be_is_unreachable(ahead):
    with socket.create_server(('', 0), backlog=512) as silent:
        gateway = ahead(**many_routes(silent.getsockname()[1]),
                        extra='call_ahead = { timeout = "3s"; };')
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(transaction(gateway)) for _ in range(ROUTES)]
            for number, client in enumerate(clients):
                client.send(f'RCPT TO:<ann@d{number}.test>')
            for client in clients:
                client.expect(451)
        wait_until(lambda: gateway.log().count('call-ahead to') == CONNECTIONS_MAX, 10,
                   'the others were not asked about')


def test_an_idle_connection_that_the_host_has_closed_does_no_harm(ahead):
    with NextHop() as hop:
        gateway = ahead(hop)
        assert rcpt(gateway, 'ann').code == 250
        hop.stop()
        hop.start()
        assert rcpt(gateway, 'bob').code == 250
        assert len(hop.sessions) == 2


def test_a_question_on_a_used_connection_that_breaks_is_put_again(ahead):
    with NextHop(replies={'RCPT': [None, DROP, None]}) as hop:
        gateway = ahead(hop)
        assert rcpt(gateway, 'ann').code == 250
        assert rcpt(gateway, 'bob').code == 250
        assert len(hop.sessions) == 2
    assert 'unreachable' not in gateway.log()


BUFFERS = 1024  # that a worker receives into, in turn


def test_what_others_say_meanwhile_does_not_change_the_recipient(ahead):
    release = threading.Event()
    with NextHop(replies={'RCPT': lambda *_: release.wait(20) and None}) as hop:
        gateway = ahead(hop)
        with transaction(gateway) as client, gateway.connect() as other:
            client.send('RCPT TO:<ann@example.com>')
            wait_until(lambda: questions(hop), 10, 'the question')
            other.hello()
            for _ in range(BUFFERS + 100):
                other.expect(250, 'NOOP <bob@example.com> <bob@example.com>')
            release.set()
            client.expect(250)
            client.expect(354, 'DATA')
            client.expect(250, b'x\r\n.\r\n')
        message, = hop.wait_messages(1)
        assert message.recipients == ['ann@example.com']


def test_a_client_that_leaves_meanwhile_does_no_harm(ahead):
    release = threading.Event()
    with NextHop(replies={'RCPT': lambda *_: release.wait(20) and None}) as hop:
        gateway = ahead(hop)
        with transaction(gateway) as client:
            client.send('RCPT TO:<ann@example.com>')
            wait_until(lambda: questions(hop), 10, 'the question')
        release.set()
        gateway.wait_log(r'<ann@example\.com> call-ahead to \S+: valid$')
        gateway.wait_log(r'ICID \d+ close')
        assert rcpt(gateway, 'ann').code == 250
        assert len(questions(hop)) == 1


@pytest.mark.parametrize('is_open', [True, False])
def test_a_stop_ends_the_questions_at_once(ahead, is_open):
    release = threading.Event()
    with contextlib.ExitStack() as stack:
        hop = stack.enter_context(
            NextHop(replies={'RCPT': lambda *_: release.wait(20) and None}))
        port = stack.enter_context(silence())
        gateway = ahead(hop if is_open else port)
        clients = [stack.enter_context(transaction(gateway)) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(f'RCPT TO:<u{number}@example.com>')
        if is_open:
            wait_until(lambda: questions(hop), 10, 'a question')
        else:
            time.sleep(0.3)
        began = time.monotonic()
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        for client in clients:
            reply = client.read()
            assert (reply.code, reply.text[:5]) == (451, '4.3.2')
            assert client.say('RCPT TO:<other@example.com>').code in (421, 451)
            with contextlib.suppress(ConnectionEnded, OSError):
                client.send('QUIT')
            client.close()
        stopping.join()
        assert time.monotonic() - began < 5 * PATIENCE
        release.set()


def test_a_stop_does_not_wait_for_a_host_that_does_not_answer_quit(ahead):
    release = threading.Event()
    with NextHop(replies={'QUIT': lambda *_: release.wait(20) and None}) as hop:
        gateway = ahead(hop)
        assert rcpt(gateway, 'ann').code == 250
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 8 * PATIENCE
        release.set()


def test_a_reload_meanwhile_changes_nothing_for_the_question_and_all_for_the_next(ahead):
    release = threading.Event()
    with NextHop(replies={'RCPT': lambda *_: release.wait(20) and None}) as old, \
            NextHop(replies={'RCPT': knows()}) as new:
        gateway = ahead(old)
        with transaction(gateway) as client:
            client.send('RCPT TO:<ann@example.com>')
            wait_until(lambda: questions(old), 10, 'the question')
            gateway.configure(routes=routes_to(new))
            since = gateway.reload()
            gateway.wait_log('generation 2 is in force', since=since)
            wait_until(lambda: rcpt(gateway, 'ann').code == 550, 10, 'the new route is asked')
            release.set()
            client.expect(250)
        assert len(questions(new)) >= 1
        # Back again: what is known of the old route still counts.
        gateway.configure(routes=routes_to(old))
        gateway.reload()
        wait_until(lambda: rcpt(gateway, 'ann').code == 250, 10, 'the old route is back')
        assert len(questions(old)) == 1


DHAP = '''ACCEPTED = { access = "accept"; max_invalid_recipients_per_hour = 2;
             drop_invalid_recipients = false; };'''
ALL = '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'


def test_invalid_recipients_count_as_a_harvest(ahead):
    with NextHop(replies={'RCPT': knows('ann')}) as hop:
        gateway = ahead(hop, policies=DHAP, hat=ALL)
        with transaction(gateway) as client:
            for _ in range(4):  # those that bypass the limits do not count
                client.expect(550, 'RCPT TO:<free@example.com>')
            client.expect(250, 'RCPT TO:<ann@example.com>')
            first, second, third = (client.say(f'RCPT TO:<no{n}@example.com>') for n in range(3))
            assert [first.text, second.text] == ['5.1.1 User unknown'] * 2
            assert third.text != first.text
            asked = len(questions(hop))
        assert rcpt(gateway, 'no9').code >= 400
        assert len(questions(hop)) == asked  # who harvests is not asked for any more
        gateway.wait_log(r'<no0@example\.com> Rejected by call-ahead$')
