"""Reports about TLS (RFC 8460): what was gathered goes by mail and by HTTPS to who asks for it."""
import base64
import datetime
import email
import email.policy
import gzip
import importlib
import json
import re
import subprocess
import time

import pytest

from postern_lab import CI
from postern_lab.gateway import run_postern
from postern_lab.name_servers import NXDOMAIN, TYPES, NameServer, record, response
from postern_lab.process import wait_until
from postern_lab.sts_server import StsServer

DAY_SECONDS = 86400
PATH = '/v1/tlsrpt'


def day_of(ago=0):
    """A day in UTC, so many days ago; the time of its beginning."""
    return int(time.time()) // DAY_SECONDS * DAY_SECONDS - ago * DAY_SECONDS


def date_of(day):
    return datetime.datetime.fromtimestamp(day, datetime.timezone.utc).strftime('%Y-%m-%d')


def policies(*domains, successes=5):
    """Lines as the gateway keeps them: observe/tls_results_lines.c."""
    return ''.join(f'P 1 {successes} 1 {domain}\nS version: STSv1\nM mx.{domain}\n'
                   f'D 3 1 192.0.2.1\t192.0.2.2\tmx.{domain}\tcertificate has expired\n'
                   for domain in domains) + 'X 0\n'


def plant(gateway, day, lines, due=None, name=None):
    """What an earlier process has gathered."""
    folder = gateway.spool_path / 'tls-reports'
    folder.mkdir(exist_ok=True)
    path = folder / (name or f'{date_of(day)}-{day + 10}')
    path.write_text(f'postern tls-reports 1\ndue {due or day + DAY_SECONDS + 900}\n{lines}')
    return path


class Zones:
    """TXT records of domains, and every host at 127.0.0.1."""

    def __init__(self):
        self.records = {}  # by domain

    def answer(self, packet, name, kind):
        domain = name.removeprefix('_smtp._tls.')
        if kind == TYPES['TXT'] and name != domain and domain in self.records:
            text = self.records[domain].encode()
            parts = [text[at:at + 255] for at in range(0, len(text), 255)]
            data = b''.join(bytes([len(part)]) + part for part in parts)
            return response(packet, answers=[record(name, 'TXT', data)])
        if kind == TYPES['A'] and name.startswith('reports.'):
            return response(packet, answers=[record(name, 'A', bytes([127, 0, 0, 1]))])
        return response(packet, code=NXDOMAIN)


@pytest.fixture(name='zones')
def fixture_zones():
    return Zones()


@pytest.fixture(name='name_server')
def fixture_name_server(zones):
    with NameServer(zones.answer) as server:
        yield server


@pytest.fixture(name='https')
def fixture_https(authority):
    with StsServer(authority) as server:
        server.posts[PATH] = 201
        yield server


@pytest.fixture(name='reporting')
def fixture_reporting(make_gateway, next_hop, name_server):
    """A gateway, not started, that sends reports."""
    def make(text='send = true; to_private_addresses = true;', **options):
        return make_gateway(next_hop, extra=settings(name_server, text), **options)
    return make


def settings(name_server, text):
    return (f'dns = {{ servers = [ "127.0.0.1:{name_server.port}" ]; }}; '
            f'tls_reports = {{ {text} }};')


def url(https, host='reports.a.test', path=PATH):
    return f'https://{host}:{https.port}{path}'


def json_of(message):
    """The report in a mail."""
    mail = email.message_from_bytes(message.data, policy=email.policy.default)
    assert not mail.defects
    parts = list(mail.iter_parts())
    assert [part.get_content_type() for part in parts] == ['text/plain', 'application/tlsrpt+gzip']
    assert parts[1].get_filename().endswith('.json.gz')
    return mail, json.loads(gzip.decompress(parts[1].get_content()))


def files_of(gateway):
    folder = gateway.spool_path / 'tls-reports'
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def parts_of(gateway):
    return json.loads(gateway.command('tls-reports', '--json'))['parts']


def test_a_day_that_is_over_is_reported_by_mail_and_https(
        reporting, next_hop, zones, https):
    zones.records = {
        'a.test': f'v=TLSRPTv1; rua=mailto:tls@a.test, {url(https)}',
        'b.test': 'v=TLSRPTv1;rua=mailto:tls@elsewhere.test',
        'c.test': 'v=spf1 -all',
    }
    gateway = reporting('send = true; to_private_addresses = true; organization = "Lab \\"Inc\\"";'
                        ' contact = "people@lab.test"; domain = "lab.test";')
    day = day_of(ago=1)
    plant(gateway, day, policies('a.test', 'b.test', 'c.test', 'd.test'), due=int(time.time()) - 5)
    gateway.start()

    by_recipient = {message.recipients[0]: message for message in next_hop.wait_messages(2)}
    assert set(by_recipient) == {'tls@a.test', 'tls@elsewhere.test'}
    assert {message.sender for message in next_hop.messages} == {'people@lab.test'}
    mail, report = json_of(by_recipient['tls@a.test'])
    assert mail['From'] == 'people@lab.test' and mail['To'] == 'tls@a.test'
    assert mail['TLS-Report-Domain'] == 'a.test' and mail['TLS-Report-Submitter'] == 'lab.test'
    assert mail['TLS-Required'] == 'No'
    assert mail['Subject'].startswith('Report Domain: a.test Submitter: lab.test Report-ID: <')
    assert mail.get_content_type() == 'multipart/report'
    assert report['organization-name'] == 'Lab "Inc"'
    assert report['contact-info'] == 'people@lab.test'
    assert report['date-range'] == {'start-datetime': f'{date_of(day)}T00:00:00Z',
                                    'end-datetime': f'{date_of(day)}T23:59:59Z'}
    assert report['policies'] == [{
        'policy': {'policy-type': 'sts', 'policy-string': ['version: STSv1'],
                   'policy-domain': 'a.test', 'mx-host': ['mx.a.test']},
        'summary': {'total-successful-session-count': 5, 'total-failure-session-count': 1},
        'failure-details': [{
            'result-type': 'certificate-expired', 'sending-mta-ip': '192.0.2.1',
            'receiving-mx-hostname': 'mx.a.test', 'receiving-ip': '192.0.2.2',
            'failed-session-count': 1, 'failure-reason-code': 'certificate has expired'}]}]
    assert json_of(by_recipient['tls@elsewhere.test'])[1]['policies'][0]['policy'][
        'policy-domain'] == 'b.test'

    wait_until(lambda: https.requests, 10, 'the post')
    request, = https.requests
    assert (request.host, request.path) == ('reports.a.test', PATH)
    assert request.headers['Content-Type'] == 'application/tlsrpt+gzip'
    assert json.loads(gzip.decompress(request.body)) == report

    gateway.wait_log(rf'Info: TLS reports of {date_of(day)}: 2 sent, 2 not wanted, 0 given up\n')
    gateway.wait_log(rf'Info: TLS report: a\.test, {date_of(day)}: is queued for tls@a\.test\n')
    gateway.wait_log(rf'Info: TLS report: a\.test, {date_of(day)}: was taken by https://reports')
    wait_until(lambda: not files_of(gateway), 5, 'the file is gone')


@pytest.fixture(name='dkim')
def fixture_dkim():
    try:
        return importlib.import_module('dkim')
    except ImportError:
        text = 'python3-dkim is not installed'
        return pytest.fail(text) if CI else pytest.skip(text)


@pytest.mark.parametrize('is_named', [True, False])
def test_reports_by_mail_are_signed(reporting, next_hop, zones, dkim, tmp_path, is_named):
    """RFC 8460 3, as another implementation of RFC 6376 verifies it."""
    key = tmp_path / 'dkim.pem'
    subprocess.run(['openssl', 'genrsa', '-out', key, '2048'], check=True, capture_output=True)
    public = subprocess.run(['openssl', 'rsa', '-in', key, '-pubout', '-outform', 'DER'],
                            check=True, capture_output=True).stdout
    signer = 'signer.test' if is_named else 'lab.test'
    wanted = []

    def look_up(name, timeout=5):
        wanted.append(name)
        return b'v=DKIM1; k=rsa; s=tlsrpt; p=' + base64.b64encode(public)

    def verify(data):
        try:
            return dkim.DKIM(data, tlsrpt='strict').verify(dnsfunc=look_up)
        except dkim.ValidationError:  # a body that does not fit, say
            return False

    zones.records = {'a.test': 'v=TLSRPTv1; rua=mailto:tls@a.test'}
    name = f'domain = "{signer}"; ' if is_named else ''
    gateway = reporting('send = true; domain = "lab.test"; '
                        f'dkim = {{ {name}selector = "tls._x"; key = "{key}"; }};')
    plant(gateway, day_of(ago=1), policies('a.test', successes=3), due=int(time.time()) - 5)
    gateway.start()
    message, = next_hop.wait_messages(1)
    data = b'\r\n'.join(message.data.splitlines()) + b'\r\n'
    assert verify(data)
    assert wanted == [f'tls._x._domainkey.{signer}.'.encode()]
    mail, report = json_of(message)
    assert report['policies'][0]['summary']['total-successful-session-count'] == 3
    signature = re.sub(r'\s', '', mail['DKIM-Signature'])
    assert ';l=' not in signature and f';d={signer};' in signature
    for old, new in ((b'Submitter: lab', b'Submitter: mal'), (b'aggregate', b'aggregated'),
                     (b'From: p', b'From: q'), (b'To: tls', b'To: tlt')):
        assert old in data and not verify(data.replace(old, new))


def test_a_key_that_cannot_sign_is_a_problem_of_the_configuration(reporting, tmp_path):
    key = tmp_path / 'dkim.pem'
    key.write_text('nothing')
    gateway = reporting(f'send = true; dkim = {{ selector = "x"; key = "{key}"; }};')
    result = run_postern('check', '-c', 'postern.conf', cwd=gateway.folder)
    assert result.returncode == 1 and f'dkim: {key}' in result.stderr


def test_what_is_gathered_is_sent_on_demand_and_survives_restarts(reporting, next_hop, zones):
    zones.records = {'a.test': 'v=TLSRPTv1; rua=mailto:tls@a.test'}
    gateway = reporting()
    today, yesterday = day_of(), day_of(ago=1)
    plant(gateway, today, policies('a.test', successes=1))
    plant(gateway, yesterday, policies('a.test', successes=2), due=int(time.time()) + 3000)
    gateway.start()
    wait_until(lambda: len(parts_of(gateway)) == 2, 10, 'both are there')
    assert {(part['day'], part['state'], part['sessions']) for part in parts_of(gateway)} == {
        (date_of(today), 'gathering', 2), (date_of(yesterday), 'gathering', 3)}
    assert re.search(rf'^{date_of(today)}  gathering  2 sessions, to be sent on ',
                     gateway.command('tls-reports'), re.M)
    gateway.stop()
    gateway.start()
    assert len(files_of(gateway)) == 2 and not next_hop.messages

    assert 'is being sent' in gateway.command('tls-reports', 'send', date_of(today))
    report = json_of(next_hop.wait_messages(1)[0])[1]
    assert report['date-range']['start-datetime'].startswith(date_of(today))
    wait_until(lambda: len(parts_of(gateway)) == 1, 10, 'it is over')
    gateway.command('tls-reports', 'send', '--json')
    report = json_of(next_hop.wait_messages(2)[1])[1]
    assert report['policies'][0]['summary']['total-successful-session-count'] == 2
    wait_until(lambda: not files_of(gateway), 10, 'nothing is left')
    assert 'nothing is gathered yet' in gateway.command('tls-reports')
    gateway.stop()
    gateway.start()
    assert len(next_hop.messages) == 2


def test_what_https_refuses_is_tried_again(reporting, zones, https):
    zones.records = {f'{name}.test': f'v=TLSRPTv1; rua={url(https, host=f"reports.{name}.test")}'
                     for name in 'ab'}
    https.posts[PATH] = 307  # it is not followed
    https.certificates['reports.b.test'] = https.authority.issue('reports.other.test')
    gateway = reporting()
    day = day_of(ago=1)
    plant(gateway, day, policies('a.test', 'b.test'), due=int(time.time()) - 5)
    gateway.start()
    gateway.wait_log(r'TLS report: a\.test, \S+: https://\S+: https: the answer is 307\n')
    gateway.wait_log(r'TLS report: b\.test, \S+: https://\S+: https: \S*SSL\S*')
    assert [request.path for request in https.requests] == [PATH]
    part, = parts_of(gateway)
    assert (part['state'], part['sent'], part['waiting']) == ('sending', 0, 2)

    https.posts[PATH] = 200
    https.certificates['reports.b.test'] = https.authority.issue('reports.b.test')
    gateway.kill()  # whatever was not sent is known to the next process
    gateway.start()
    gateway.wait_log(r'TLS reports of \S+: 2 sent, 0 not wanted, 0 given up\n')
    assert len(https.requests) == 3


def test_a_private_address_is_not_posted_to_unless_that_is_allowed(reporting, zones, https):
    zones.records = {'a.test': f'v=TLSRPTv1; rua={url(https)}',
                     'b.test': f'v=TLSRPTv1; rua={url(https, host="127.0.0.1")}',
                     'c.test': f'v=TLSRPTv1; rua={url(https, host="localhost")}'}
    gateway = reporting('send = true;')
    plant(gateway, day_of(ago=1), policies('a.test', 'b.test', 'c.test'))
    gateway.start()
    gateway.command('tls-reports', 'send')
    for domain in ('a', 'b', 'c'):
        gateway.wait_log(rf'Warning: TLS report: {domain}\.test, \S+: https://\S+ gets none: its '
                         r'addresses are not of the public Internet\n')
    assert not https.requests


def test_a_reload_switches_reports_on_and_off(make_gateway, next_hop, name_server):
    gateway = make_gateway(next_hop, extra=settings(name_server, ''))
    plant(gateway, day_of(), policies('a.test'))
    gateway.start()
    wait_until(lambda: not files_of(gateway), 10, 'nothing is kept while reports are off')
    assert 'send is false' in gateway.command('tls-reports')
    result = run_postern('tls-reports', 'send', '-c', 'postern.conf', cwd=gateway.folder)
    assert result.returncode == 1 and 'tls_reports.send is false' in result.stderr
    gateway.configure(extra=settings(name_server, 'send = true;'))
    gateway.wait_log('generation 2 is in force', since=gateway.reload())
    wait_until(lambda: 'nothing is gathered yet' in gateway.command('tls-reports'), 10, 'it is on')


def test_files_that_are_none_are_left_out(reporting, zones, next_hop):
    zones.records = {'a.test': 'v=TLSRPTv1; rua=mailto:tls@a.test'}
    gateway = reporting()
    plant(gateway, day_of(ago=1), policies('a.test'))
    plant(gateway, day_of(ago=4), policies('a.test'))
    plant(gateway, day_of(), 'nonsense\n')
    plant(gateway, day_of(), '', name='~new')
    gateway.start()
    gateway.wait_log(rf'Warning: TLS reports: {date_of(day_of(ago=4))}-\d+ is left out: ')
    gateway.wait_log(rf'Warning: TLS reports: {date_of(day_of())}-\d+ is left out: ')
    gateway.command('tls-reports', 'send')
    next_hop.wait_messages(1)
    wait_until(lambda: not files_of(gateway), 10, 'nothing is left')
    assert len(next_hop.messages) == 1


@pytest.mark.parametrize('arguments, why', [
    (('now',), '"now" is not send'),
    (('send', 'today'), '"today" is not a day like 2016-04-01'),
    (('send', '2023-02-29'), '"2023-02-29" is not a day like 2016-04-01'),
])
def test_the_command_is_misused(arguments, why):
    result = run_postern('tls-reports', *arguments)
    assert result.returncode == 2 and why in result.stderr
