"""`postern destinations`, `explain destination`, and the tables of AsyncOS in and out."""
import json

import pytest

from postern_lab.gateway import run_postern

FRAME = '''
hostname = "mx.example.com"; spool = { path = "spool"; }; tls = { ca_file = "ca.pem"; };
certificates = { mail = { chain = "c.pem"; key = "k.pem"; }; };
listeners = ( { name = "In"; type = "private"; address = "127.0.0.1"; hat = "in";
                bounce_profile = "slow"; } );
mail_flow_policies = { REFUSED = { access = "refuse"; }; };
hat = { in = ( { senders = [ "ALL" ]; policy = "REFUSED"; } ); };
bounce_profiles = { slow = { initial_retry = "5m"; max_retry = "10m"; max_retries = 3; };
                    tls_failed = { max_age = "2m"; }; };
'''

GUIDE = '''[DEFAULT]
ip_sort_pref = PREFER_V6
max_host_concurrency = 500
max_messages_per_connection = 50
recipient_minutes = 60
recipient_limit = 300
limit_type = host
limit_apply = system
table_tls = off
bounce_validation = 0
send_tls_req_alert = 0
certificate = mail
[example1.com]
ip_sort_pref = PREFER_V6
recipient_minutes = 60
recipient_limit = 100
table_tls = require_verify
limit_apply = system
bounce_profile = tls_failed
limit_type = host
[example2.com]
table_tls = on
bounce_profile = tls_failed
'''

# The sample of the CLI guide, with the two columns of Postern behind it.
LISTED = '''\
             Rate               Bounce        Bounce     IP Version             MTA
Domain       Limiting  TLS      Verification  Profile    Preference    DANE     STS
===========  ========  =======  ============  =========  ============  =======  =======
example.com  Default   On       Default       Default    Default       Default  Default
(Default)    On        Off      Off           (Default)  Prefer IPv6   None     Off
'''


@pytest.fixture(name='ask')
def fixture_ask(tmp_path):
    def ask(destinations, *arguments, routes='', code=0):
        (tmp_path / 'p.conf').write_text(
            f'{FRAME}destinations = {{ {destinations} }};\nroutes = ( {routes} );\n')
        done = run_postern(*arguments, '-c', str(tmp_path / 'p.conf'))
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout
    return ask


def test_the_list_is_that_of_asyncos(ask):
    assert ask('domains = ( { domain = "example.com"; tls = "preferred"; } );',
               'destinations', 'list') == LISTED


def test_columns_grow_with_what_is_in_them(ask):
    lines = ask('domains = ( { domain = "a-long-name.example.com"; dane = "opportunistic"; '
                'tls = "required-verify-hosted"; max_connections = 2; ip_version = "require-v4"; '
                'bounce_profile = "tls_failed"; mta_sts = true; } );',
                'destinations', 'list').splitlines()
    ends = [at for at, mark in enumerate(lines[2] + ' ') if mark == ' ' and lines[2][at - 1] == '=']
    starts = [0] + [lines[2].index('=', at) for at in ends[:-1]]
    assert [lines[3][start:end].strip() for start, end in zip(starts, ends)] == [
        'a-long-name.example.com', 'On', 'Required - Verify Hosted Domains', 'Default',
        'tls_failed', 'Require IPv4', 'Opportunistic', 'On']


def test_detail_says_all_of_one_entry(ask):
    table = ('default = { max_recipients = 9; }; domains = ( { domain = "a.example"; '
             'max_connections = 2; limit_per = "address"; tls = "required"; certificate = "mail"; '
             '}, { domain = ".b.example"; tls = "preferred"; } );')
    assert ask(table, 'destinations', 'detail', 'A.example') == '''\
a.example
  Maximum messages per connection: Default
  Rate Limiting:
    2 concurrent connections
    9 recipients per 1h
    Limits applied to each mail exchanger IP address
  TLS: Required
  Bounce Verification: Default
  Bounce Profile: Default
  IP Version Preference: Default
  DANE: Default
  MTA STS: Default
  certificate: mail
'''
    assert len(ask(table, 'destinations', 'detail').split('\n\n')) == 3
    assert 'no entry of its own' in ask(table, 'destinations', 'detail', 'x.b.example', code=1)
    said = json.loads(ask(table, 'destinations', 'list', '--json'))
    assert said[1] == {'domain': '.b.example', 'is_default': False, 'tls': 'preferred'}
    assert said[2]['max_recipients'] == '9' and said[2]['is_default']
    assert json.loads(ask(table, 'destinations', 'detail', 'default', '--json')) == said[2]


def test_each_value_says_where_it_comes_from(ask):
    table = ('default = { max_recipients = 9; tls = "required"; }; domains = ( '
             '{ domain = ".b.example"; max_connections = 2; } );')
    said = json.loads(ask(table, 'explain', 'destination', 'a.b.example', '--json'))
    assert (said['entry'], said['match']) == ('.b.example', 'partial')
    assert said['values']['max_connections'] == {'value': '2', 'from': 'entry'}
    assert said['values']['tls'] == {'value': 'required', 'from': 'default entry'}
    assert said['values']['dane'] == {'value': 'off', 'from': 'built-in'}
    assert json.loads(ask(table, 'explain', 'destination', 'c', '--json'))['match'] == 'default'


@pytest.mark.parametrize('setting,not_offered,failed,unverified', [
    ('tls = "off";', 'clear', 'arise', 'arise'),
    ('tls = "preferred";', 'clear', 'not sent', 'not looked at'),
    ('tls = "preferred"; tls_fallback_clear = "after-failed-handshake";', 'clear', 'clear',
     'not looked at'),
    ('tls = "required";', 'not sent', 'not sent', 'not looked at'),
    ('tls = "preferred-verify";', 'clear', 'not sent', 'the log says'),
    ('tls = "required-verify";', 'not sent', 'not sent', 'not sent'),
    ('tls = "required-verify-hosted";', 'not sent', 'not sent', 'not sent'),
    ('tls = "preferred"; dane = "mandatory";', 'not sent', 'not sent', 'not sent'),
])
def test_the_rule_is_told_in_words(ask, setting, not_offered, failed, unverified):
    rule = json.loads(ask(f'default = {{ {setting} }};', 'explain', 'destination', 'a.example',
                          '--json'))['tls_rule']
    assert not_offered in rule['not_offered']
    assert failed in rule['handshake_failed']
    assert unverified in rule['unverified']
    assert ('not sent' in rule['not_offered']) == ('clear' not in rule['not_offered'])
    for text in (rule['not_offered'], rule['handshake_failed']):
        assert text in ask(f'default = {{ {setting} }};', 'explain', 'destination', 'a.example')


def test_retries_follow_the_profile(ask):
    table = ('domains = ( { domain = "a.example"; bounce_profile = "slow"; }, '
             '{ domain = "b.example"; bounce_profile = "tls_failed"; } );')
    said = json.loads(ask(table, 'explain', 'destination', 'a.example', '--json'))
    assert said['bounce_profile']['retries_after_s'] == [300, 900, 1500]
    said = json.loads(ask(table, 'explain', 'destination', 'b.example', '--json'))
    assert said['bounce_profile']['retries_after_s'] == [60]
    assert said['listener_bounce_profiles'] == []
    # The listener has one of its own, where the destination names none.
    said = json.loads(ask(table, 'explain', 'destination', 'c.example', '--json'))
    assert said['bounce_profile']['name'] == 'default'
    (own,) = said['listener_bounce_profiles']
    assert (own['listener'], own['bounce_profile']['name']) == ('In', 'slow')
    assert own['bounce_profile']['retries_after_s'] == [300, 900, 1500]
    assert 'slow, of mail that came in at "In": after 5m, 15m, 25m\n' in ask(
        table, 'explain', 'destination', 'c.example')
    assert 'came in at' not in ask(table, 'explain', 'destination', 'b.example')


def test_the_route_says_how_it_is_followed(ask):
    routes = ('{ domain = "a.example"; to = [ "mx.test:26/pri=5", "[mx.test]", "192.0.2.1" ]; }, '
              '{ domain = "b.example"; to = [ "USEDNS" ]; }, '
              '{ domain = ".c.example"; to = [ "/dev/null" ]; }')
    route = json.loads(ask('', 'explain', 'destination', 'a.example', '--json',
                           routes=routes))['route']
    assert route['action'] == 'hosts'
    assert [(host['lookup'], host['port'], host['priority']) for host in route['to']] == [
        ('mx', 26, 5), ('addresses', 25, 0), ('none', 25, 0)]
    for domain, words in (('b.example', 'USEDNS: the MX'), ('x.c.example', '/dev/null'),
                          ('d.example', 'none: the MX')):
        assert words in ask('', 'explain', 'destination', domain, routes=routes)


def test_a_table_of_asyncos_goes_in_and_out(ask, tmp_path):
    (tmp_path / 'in').write_text(GUIDE)
    done = run_postern('import', 'destinations', str(tmp_path / 'in'))
    assert done.returncode == 0, done.stderr
    assert 'in:19: warning: tls_failed: has to be in bounce_profiles' in done.stderr
    table = done.stdout[done.stdout.index('{') + 1:done.stdout.rindex('}')]
    exported = ask(table, 'export', 'destinations')
    said = exported.splitlines()
    assert said[0] == '[DEFAULT]' and 'recipient_limit = 300' in said
    assert said.index('table_tls = require_verify') > said.index('[example1.com]')
    # Out of what came out, the same comes again.
    (tmp_path / 'out').write_text(exported)
    again = run_postern('import', 'destinations', str(tmp_path / 'out'))
    assert again.returncode == 0
    assert ask(again.stdout[again.stdout.index('{') + 1:again.stdout.rindex('}')],
               'export', 'destinations') == exported


def test_routes_of_asyncos_go_in(ask, tmp_path):
    (tmp_path / 'in').write_text('.example.com mx1.test:25/pri=10, mx2.test/pri=20\nALL: USEDNS\n')
    said = json.loads(run_postern('import', 'routes', str(tmp_path / 'in'), '--json').stdout)
    assert said['ok'] and said['problems'] == []
    written = said['configuration']
    routes = written[written.index('(') + 1:written.rindex(')')]
    answer = json.loads(ask('', 'explain', 'destination', 'a.example.com', '--json', routes=routes))
    assert [host['priority'] for host in answer['route']['to']] == [10, 20]


def test_a_table_that_is_not_understood_gives_nothing(tmp_path):
    (tmp_path / 'in').write_text('[DEFAULT]\ntable_tls = maybe\n')
    done = run_postern('import', 'destinations', str(tmp_path / 'in'))
    assert (done.returncode, done.stdout) == (1, '')
    assert 'in:2: table_tls has to be one of' in done.stderr
    (tmp_path / 'in').write_text('a.example nowhere:0\n')
    done = run_postern('import', 'routes', str(tmp_path / 'in'))
    assert (done.returncode, done.stdout) == (1, '')
    assert run_postern('import', 'profiles', 'x').returncode == 2
    assert run_postern('destinations').returncode == 2
    assert run_postern('export', 'hat').returncode == 2
