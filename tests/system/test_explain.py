"""`postern explain sender`: the policy as it is used, what would be asked, what is counted now."""
import json

import pytest

from postern_lab.gateway import run_postern

POLICIES = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; max_recipients_per_hour = 5;
                 significant_bits = 24; };
    BLOCKED = { access = "reject"; };'''
HAT = '''
    { group = "NEAR"; senders = [ "127.0.0.5", ".partner.test" ]; policy = "ACCEPTED"; },
    { group = "LISTED"; senders = [ "dnslist[zen.test]", "SBRS[-10:-3]" ]; policy = "BLOCKED"; },
    { group = "HOME"; senders = [ "127.0.0.0/8" ]; policy = "ACCEPTED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }'''


@pytest.fixture(name='gateway')
def fixture_gateway(make_gateway, next_hop):
    return make_gateway(next_hop, policies=POLICIES, hat=HAT,
                        listener='defaults = { max_message_size = "7M"; tls = "off"; };',
                        extra='dns = { servers = [ "127.0.0.1:9" ]; sender_timeout = "1s"; };\n'
                              'reputation = { file = "scores"; zone = "score.test"; };')


def explain(gateway, *arguments):
    (gateway.folder / 'scores').write_text('127.0.0.7 -4.5\n127.0.0.0/8 1 # home\n')
    return json.loads(gateway.command('explain', 'sender', *arguments, '--json'))[0]


def test_values_come_from_the_policy_the_listener_or_nobody(gateway):
    values = explain(gateway, '192.0.2.1')['policy']['values']
    assert values['tls'] == {'value': 'preferred', 'from': 'policy'}
    assert values['max_message_size'] == {'value': '7M', 'from': 'listener'}
    assert values['max_recipients_per_message'] == {'value': '1000', 'from': 'default'}
    assert '(inherited from the listener)' in gateway.command('explain', 'sender', '192.0.2.1')


@pytest.mark.parametrize('address,row,asked', [
    ('127.0.0.5', 1, []),
    ('127.0.0.6', 3, ['double', 'zen.test']),  # the score is known, from the file
    ('127.0.0.7', 2, ['double']),              # and settles it here, but for the first row
    ('192.0.2.1', 4, ['double', 'score.test', 'zen.test']),
])
def test_it_says_what_would_be_asked(gateway, address, row, asked):
    said = explain(gateway, address)
    assert said['row'] == row
    assert [one.get('zone', 'double') for one in said['lookups'] if one['asked']] == asked
    assert len(said['lookups']) == 3


def test_a_row_that_is_not_asked_says_so_once(gateway):
    (gateway.folder / 'scores').write_text('127.0.0.7 -4.5\n')
    said = gateway.command('explain', 'sender', '127.0.0.5')
    assert ('row 2 (LISTED) is not asked: it looks at zen.test, the score: '
            'row 1 (NEAR) matches 127.0.0.5 first\n') in said


def test_facts_can_be_played_through(gateway):
    assert explain(gateway, '192.0.2.1', '--host', 'mx.partner.test')['group'] == 'NEAR'
    assert explain(gateway, '192.0.2.1', '--listed', 'zen.test')['group'] == 'LISTED'
    assert explain(gateway, '192.0.2.1', '--score', '-3.0')['group'] == 'LISTED'
    assert explain(gateway, '127.0.0.7', '--score', 'none')['group'] == 'HOME'


@pytest.mark.parametrize('arguments, code, said', [
    (['--listed', 'zen.tset'], 1, '--listed zen.tset: no HAT here asks this list'),
    (['--listed', 'zen.test', '--listed', 'other.test=127.0.0.2'], 1, 'other.test=127.0.0.2'),
    (['--country', '12'], 2, '--country is two letters, or none, not "12"'),
    (['--country', 'D-'], 2, '--country is two letters'),
    (['--country', 'DEU'], 2, '--country is two letters'),
    (['--country', ''], 2, '--country is two letters'),
])
def test_facts_that_could_not_be_are_refused(gateway, arguments, code, said):
    explain(gateway, '192.0.2.1', '--listed', 'ZEN.test.', '--country', 'de')
    done = run_postern('explain', 'sender', '192.0.2.1', *arguments, '-c',
                       gateway.config_path.name, cwd=gateway.folder)
    assert (done.returncode, done.stdout) == (code, '')
    assert said in done.stderr


def test_an_empty_value_is_said_as_it_is_written(make_gateway, next_hop):
    gateway = make_gateway(next_hop, policies='SILENT = { access = "accept"; hostname = ""; };',
                           hat='{ senders = [ "ALL" ]; policy = "SILENT"; }')
    said = gateway.command('explain', 'sender', '192.0.2.1')
    assert [line.split() for line in said.splitlines() if 'hostname' in line] == [
        ['hostname', '""']]


def test_the_running_gateway_says_what_it_counts(gateway):
    explain(gateway, '127.0.0.5')
    assert gateway.command('explain', 'sender', '127.0.0.5', '--running', code=1) == ''
    gateway.start()
    with gateway.connect(source='127.0.0.5') as client:
        client.hello()
        client.expect(250, 'MAIL FROM:<a@lab.test>')
        client.expect(250, 'RCPT TO:<b@example.com>')
        client.expect(250, 'RCPT TO:<c@example.com>')
        client.expect(550, 'RCPT TO:<c@elsewhere.test>')
        assert explain(gateway, '127.0.0.5', '--running')['counted'] == {
            'connections': 1, 'recipients': 2, 'invalid_recipients': 0}
        neighbour = explain(gateway, '127.0.0.99', '--running')['counted']
        assert (neighbour['connections'], neighbour['recipients']) == (0, 2)
    said = gateway.command('explain', 'sender', '127.0.0.5', '--running')
    assert ' 2 recipients in this interval, at all listeners\n' in said
    assert 'invalid' not in said  # there is no limit for these, so nobody counts
