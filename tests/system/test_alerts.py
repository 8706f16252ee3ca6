"""Alerts: by mail through the gateway's own queue, by a command, in the log."""
import email
import email.policy
import json
import re
import stat

import pytest

from postern_lab.certificates import Authority
from postern_lab.gateway import pairs_of
from postern_lab.process import wait_until

COMMAND = '''#!/bin/sh
out=$(mktemp run.XXXXXX)
{ env; echo; ls -l /proc/self/fd | grep -v ' 3 -> /proc/'; echo; cat; } >"$out"
echo "noted $POSTERN_ALERT_KIND"
mv "$out" "done.${out#run.}"
'''


@pytest.fixture(name='near')
def fixture_near(folder):
    """A certificate that expires in four days."""
    return Authority(folder / 'near').issue('mx.lab.test', days='4')


@pytest.fixture(name='command')
def fixture_command(folder):
    def make(text=COMMAND):
        path = folder / 'page'
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path
    return make


def alerts(text):
    return f'alerts = {{ {text} }};'


def received(hop, count):
    return [email.message_from_bytes(message.data, policy=email.policy.default)
            for message in hop.wait_messages(count)]


def test_a_certificate_near_its_end_is_told_by_mail_by_command_and_in_the_log(
        make_gateway, next_hop, near, command):
    gateway = make_gateway(next_hop, certificate=near, extra=alerts(
        f'mail = [ "ops@example.com", "night@example.net" ]; command = "{command()}";')).start()
    text = r"The certificate 'mail' expires in 4 days, on \w+ \w+  *\d+ [\d:]+ \d+\."
    gateway.wait_log(rf'Warning: Alert certificate: {text}\n')
    for to in ('ops@example.com', 'night@example.net'):
        gateway.wait_log(rf'Info: A System/Warning alert was sent to {to} with subject "Warning '
                         r"<System> mx\.lab\.test: The certificate 'mail' expires in 4 days, on ")

    next_hop.wait_messages(2)  # one for each domain
    assert {message.sender for message in next_hop.messages} == {''}
    assert ({tuple(message.recipients) for message in next_hop.messages}
            == {('ops@example.com',), ('night@example.net',)})
    mail = received(next_hop, 2)[0]
    assert mail['From'] == 'alert@mx.lab.test'
    assert mail['To'] == 'ops@example.com, night@example.net'
    assert mail['Subject'].startswith(
        "Warning <System> mx.lab.test: The certificate 'mail' expires in 4 days, on")
    assert mail['Auto-Submitted'] == 'auto-generated' and mail['Message-ID'] and mail['Date']
    assert not mail.defects
    body = mail.get_content().replace('\r\n', '\n')
    assert re.search(text, ' '.join(body.split())) and '\nAbout: mail\n' in body

    gateway.wait_log(r'Info: Alert command \S+/page: noted certificate')
    environment, descriptors, standard_input = next(
        gateway.folder.glob('done.*')).read_text().split('\n\n', 2)
    assert standard_input == body
    names = {line.partition('=')[0] for line in environment.splitlines()}
    assert {name for name in names if name.startswith('POSTERN_')} == {
        'POSTERN_HOSTNAME', 'POSTERN_ALERT_KIND', 'POSTERN_ALERT_STEP', 'POSTERN_ALERT_SEVERITY',
        'POSTERN_ALERT_ABOUT', 'POSTERN_ALERT_SUBJECT'}
    assert not names & {'HOME', 'USER', 'PYTEST_CURRENT_TEST'}
    assert 'POSTERN_ALERT_STEP=alert' in environment and 'POSTERN_ALERT_ABOUT=mail' in environment
    fds = re.findall(r' (\d+) -> ', descriptors)
    assert set(fds) <= {'0', '1', '2'}, descriptors

    shown = json.loads(gateway.command('alerts', '--json'))['alerts']
    assert [(one['kind'], one['step'], one['severity'], one['about']) for one in shown] == [
        ('certificate', 'alert', 'Warning', 'mail')]
    assert re.fullmatch(rf'\w+ \w+ [ \d]\d [\d:]+ \d+  Warning  {text}\n',
                        gateway.command('alerts'))


def test_a_certificate_that_we_show_to_other_hosts_is_watched_once(
        make_gateway, next_hop, certificate, near):
    gateway = make_gateway(next_hop, certificate=certificate, destinations='''
        default = { tls = "preferred"; certificate = "ours"; };
        domains = ( { domain = "example.net"; certificate = "ours"; tls_min_version = "1.3"; } );
        ''', extra=alerts('mail = [ "ops@example.com" ];'))
    gateway.configure(pairs=f'{pairs_of([certificate])} ); ours = ( {pairs_of([near])}')
    gateway.start()
    mail, = received(next_hop, 1)
    assert mail['Subject'].startswith(
        "Warning <System> mx.lab.test: The certificate 'ours' expires in 4 days, on")
    assert gateway.log().count('Alert certificate: ') == 1


@pytest.mark.parametrize('weaker', ['preferred', 'off'])
def test_what_is_not_demanded_any_more_has_recovered(make_gateway, next_hop, weaker):
    gateway = make_gateway(next_hop, destinations='default = { tls = "required"; };').start()
    with gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
    gateway.wait_log("Alert required-tls: A required TLS connection to domain 'example.com'")
    gateway.configure(destinations=f'default = {{ tls = "{weaker}"; }};')
    gateway.reload()
    next_hop.wait_messages(1)
    gateway.wait_log('Info: Alert required-tls: Recovered: A required TLS connection to domain '
                     "'example.com'")


def test_what_comes_and_goes_is_held_back_and_summed_up(
        make_gateway, next_hop, near, certificate):
    gateway = make_gateway(next_hop, certificate=near, extra=alerts(
        'mail = [ "ops@example.com" ]; initial_wait = "6s"; max_wait = "6s";')).start()
    next_hop.wait_messages(1)
    for number, one in enumerate((certificate, near, certificate, near), 2):
        gateway.configure(pairs=pairs_of([one]))
        since = gateway.reload()
        gateway.wait_log(f'configuration generation {number} is in force', since=since)
        wait_until(lambda: ' is in force' in gateway.log()[since:], 5, 'a look at the certificate')
    subjects = [mail['Subject'].partition(': ')[2][:20] for mail in received(next_hop, 3)]
    assert subjects == ["The certificate 'mai", "Recovered: The certi", "The certificate 'mai"]
    summary = ' '.join(received(next_hop, 3)[2].get_content().split())
    assert 'This happened 2 times since the last alert about it' in summary
    assert gateway.log().count('Alert certificate: ') == 3
    assert re.search(r'Info: Alert certificate: Recovered: The certificate', gateway.log())
    shown = json.loads(gateway.command('alerts', '2', '--json'))['alerts']
    assert [one['step'] for one in shown] == ['summary', 'recovered']


def test_a_reload_changes_who_is_told(make_gateway, next_hop, near, certificate):
    gateway = make_gateway(next_hop, certificate=near,
                           extra=alerts('certificates = false;')).start()
    gateway.configure(extra=alerts('mail = [ "ops@example.com" ]; from = "gate@example.com"; '
                                   'initial_wait = "0s";'), pairs=pairs_of([certificate]))
    gateway.wait_log('generation 2 is in force', since=gateway.reload())
    assert 'Alert certificate' not in gateway.log()
    gateway.configure(pairs=pairs_of([near]))
    gateway.reload()
    mail, = received(next_hop, 1)
    assert mail['From'] == 'gate@example.com'


def test_a_spool_without_room_is_told_although_it_takes_no_mail(make_gateway, next_hop):
    gateway = make_gateway(next_hop, extra=alerts('mail = [ "ops@example.com" ];')).start()
    gateway.configure(spool_more='min_free = "1000000G";')
    gateway.reload()
    gateway.wait_log(r'Critical: Alert spool: spool: no room')
    with gateway.connect() as client:
        client.hello()
        client.expect(452, 'MAIL FROM:<a@lab.test>')
    gateway.configure(spool_more='')
    gateway.reload()
    gateway.wait_log(r'Info: Alert spool: Recovered: spool: no room')
    severities = [mail['Subject'].split()[0] for mail in received(next_hop, 2)]
    assert severities == ['Critical', 'Info']


def test_a_command_that_hangs_holds_up_nothing(make_gateway, next_hop, near, command):
    """Neither mail nor the end of the gateway, which takes it along."""
    path = command('#!/bin/sh\necho begun\nexec sleep 1000\n')
    gateway = make_gateway(next_hop, certificate=near, extra=alerts(
        f'mail = [ "ops@example.com" ]; command = "{path}";')).start()
    next_hop.wait_messages(1)
    gateway.stop()
    gateway.wait_log(r'Warning: Alert command \S+ was killed, it took too long: begun')


@pytest.mark.parametrize('text, expected', [
    ('#!/bin/sh\nexit 3\n', r'Warning: Alert command \S+ ended with exit status 3\n'),
    ('#!/bin/sh\nkill -9 $$\n', r'Warning: Alert command \S+ died of signal 9\n'),
    ('#!/nonexistent\n', r'Warning: Alert command \S+ cannot be run: No such file or directory\n'),
    ('#!/bin/sh\nyes | head -c 300000\n', r'Info: Alert command \S+: (y\\n){500}\n'),
])
def test_how_a_command_ended_is_logged(make_gateway, near, command, text, expected):
    gateway = make_gateway(certificate=near, routes='{ domain = "ALL"; to = [ "127.0.0.1:9" ]; }',
                           extra=alerts(f'command = "{command(text)}";')).start()
    gateway.wait_log(expected)
