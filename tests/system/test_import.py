"""Tables of AsyncOS become ours, and then decide as they did on the ESA."""
import json

import pytest

from postern_lab.gateway import run_postern
from postern_lab.imported import ImportedTables, Row, run_import

HAT = '''# File exported by the GUI at 20060530T220526
$ACCEPTED
    ACCEPT {
        max_msgs_per_session = 100
        spam_check = "on"
        tls = "on"
    }
$TLS-ONLY (for partners)
    ACCEPT {
        tls = "required"
    }
$BLOCKED
    REJECT {
        smtp_banner_code = 554
        smtp_banner_text = "$RemoteIP is not welcome"
    }
RELAYLIST:
    10.1.1.0/24 (mail stores)
    10.2.0.5, 10.2.0.6
    .stores.example
    2001:db8:10::/48
    $RELAYED (Relay permitted)
CRES:
    .res.cisco.com
    .cres.iphmx.com
    208.90.57.0/26
    204.15.81.0/26
    $TLS-ONLY
WHITELIST:
    $ACCEPTED (nobody yet)
EXCEPTION:
    192.0.2.77
    CONTINUE (a later row decides)
BLACKLIST:
    192.0.2.0/24
    bad.example
    $BLOCKED (Spammers are rejected)
spamdomain.com
    REJECT (reject the domain "spamdomain.com")
198.51.100.10
    TCPREFUSE (no TCP for this one)
169.254.10.10
    RELAY (RELAY the address 169.254.10.10)
ALL
    $ACCEPTED
    ACCEPT
'''

RELAY = Row('RELAYLIST', 'RELAYED', 'relay', 'off')
CRES = Row('CRES', 'TLS-ONLY', 'accept', 'required')
BLACK = Row('BLACKLIST', 'BLOCKED', 'reject', 'off')
REST = Row('ALL', 'ACCEPTED', 'accept', 'preferred')

# What the table says: address, verified host name or None, the row that decides.
VERDICTS = [
    ('10.1.1.0', None, RELAY),
    ('10.1.1.255', None, RELAY),
    ('10.1.2.0', None, REST),
    ('10.2.0.6', None, RELAY),
    ('10.2.0.7', None, REST),
    ('203.0.113.1', 'mx.stores.example', RELAY),
    ('203.0.113.1', 'stores.example', REST),
    ('2001:db8:10:ffff::1', None, RELAY),
    ('2001:db8:11::1', None, REST),
    ('208.90.57.63', None, CRES),
    ('208.90.57.64', None, REST),
    ('204.15.81.1', None, CRES),
    ('203.0.113.1', 'esa1.res.cisco.com', CRES),
    ('203.0.113.1', 'a.b.cres.iphmx.com', CRES),
    ('203.0.113.1', 'res.cisco.com', REST),
    ('203.0.113.1', None, REST),
    ('192.0.2.1', None, BLACK),
    ('192.0.2.77', None, BLACK),
    ('203.0.113.1', 'bad.example', BLACK),
    ('203.0.113.1', 'not.bad.example', REST),
    ('203.0.113.1', 'spamdomain.com', Row('', 'BLOCKED_ROW_6', 'reject', 'off')),
    ('198.51.100.10', None, Row('', 'REFUSED_ROW_7', 'refuse', 'off')),
    ('198.51.100.11', None, REST),
    ('169.254.10.10', None, Row('', 'RELAYED_ROW_8', 'relay', 'off')),
]


@pytest.fixture(name='tables', scope='module')
def fixture_tables(tmp_path_factory):
    return ImportedTables(tmp_path_factory.mktemp('tables'), HAT)


@pytest.mark.parametrize('address, host, row', VERDICTS)
def test_explain_gives_the_verdict_that_the_table_says(tables, address, host, row):
    assert tables.row_for(address, host) == row


def test_what_is_not_carried_over_is_told(tables):
    assert tables.hat_report.splitlines() == [
        'hat.txt:5: warning: spam_check: ignored: Postern does not scan for spam',
        'hat.txt:17: warning: policy $RELAYED is not in the file: written with the values that '
        'AsyncOS suggests',
        'hat.txt:29: warning: sender group WHITELIST has no entries: it is written as a comment',
    ]
    assert tables.rat_report == ''


def test_an_error_prints_nothing_and_exits_1(folder):
    path = folder / 'hat.txt'
    path.write_text('$P\n ACCEPT\nG:\n 10.0.0.300\n $P\nALL\n $NOPE\n')
    result = run_import('hat', path, code=1)
    assert result.stdout == ''
    assert result.stderr == ('hat.txt:4: "10.0.0.300": not an IPv4 address, network or range\n')
    result = run_import('hat', path, '--json', code=1)
    report = json.loads(result.stdout)
    assert not report['ok'] and report['configuration'] == '' and report['errors'] == 1
    assert report['problems'][0]['line'] == 4 and result.stderr == ''


def test_json_has_the_report_and_the_configuration(folder):
    path = folder / 'rat.txt'
    path.write_bytes(b'# ours\r\n.example.com ACCEPT { colour = "red" }\r\nALL REJECT\r\n')
    plain = run_import('rat', path, '--name', 'mine')
    report = json.loads(run_import('rat', path, '--name', 'mine', '--json').stdout)
    assert report['ok'] and report['configuration'] == plain.stdout
    assert 'mine = (' in plain.stdout and '# ours' in plain.stdout
    assert [(p['line'], p['severity']) for p in report['problems']] == [(2, 'warning')]


@pytest.mark.parametrize('arguments, code, said', [
    (['import'], 2, 'hat|rat|destinations|routes is missing'),
    (['import', 'cat', 'x'], 2, '"cat" is none of hat, rat, destinations, routes'),
    (['import', 'hat'], 2, 'FILE is missing'),
    (['import', 'hat', 'x', '--name', 'a b'], 2, '"a b" is not a name'),
    (['import', 'hat', '/nowhere/hat.txt'], 1, 'cannot read /nowhere/hat.txt: No such file'),
    (['import', 'rat', '/'], 1, 'cannot read /: Is a directory'),
])
def test_misuse_and_unreadable_files_are_told(arguments, code, said):
    result = run_postern(*arguments)
    assert result.returncode == code and said in result.stderr and result.stdout == ''


def test_standard_input_is_read(folder):
    result = run_postern('import', 'rat', '-', cwd=folder)  # which is empty here
    assert result.returncode == 1
    assert result.stderr == '-: no row in it: it is empty, or has been cut off\n'


RAT = 'firma.example ACCEPT\n.firma.example ACCEPT\nALL REJECT\n'
ROUTES = '.example.com mx1.internal:25/pri=10, mx2.internal\nALL USEDNS\n'
DESTINATIONS = '[DEFAULT]\ntable_tls = on\n[example.com]\nlimit_type: host\n'
LOOKS = [('hat', HAT, 'a HAT (host access table)'),
         ('rat', RAT, 'a RAT (recipient access table)'),
         ('destinations', DESTINATIONS, 'destination controls'),
         ('routes', ROUTES, 'SMTP routes')]


@pytest.mark.parametrize('table, _, wanted', LOOKS)
@pytest.mark.parametrize('kind, text, look', LOOKS)
def test_a_file_of_another_table_is_refused_in_one_line(folder, table, _, wanted, kind, text, look):
    path = folder / 'x.txt'
    path.write_text(text)
    result = run_import(table, path, code=0 if kind == table else 1)
    if kind != table:
        assert result.stdout == ''
        assert result.stderr == (f'x.txt: this looks like {look}, not like {wanted}: '
                                 f'"postern import {kind}" reads it\n')


def test_a_hat_that_ends_before_its_groups_is_refused(folder):
    path = folder / 'hat.txt'
    path.write_text(HAT[:HAT.index('RELAYLIST')])
    result = run_import('hat', path, code=1)
    assert result.stdout == ''
    assert result.stderr.startswith('hat.txt: no row in it: it is empty, or has been cut off\n')


def test_the_help_says_how_to_export():
    for table, menu in [('hat', 'hostaccess'), ('rat', 'rcptaccess')]:
        result = run_postern('import', table, '--help')
        assert result.returncode == 0 and menu in result.stdout
