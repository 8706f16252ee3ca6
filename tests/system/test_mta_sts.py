"""Fetching MTA-STS policies from a real HTTPS server (RFC 8461 3.3), by the fetcher alone."""
import os
import subprocess
import time

import pytest

from postern_lab import BUILD
from postern_lab.certificates import Authority
from postern_lab.sts_server import PATH, Answer, Silent, StsServer, policy

PROBE = BUILD / 'tests' / 'gateway' / 'mta_sts_probe'
HOST = 'mta-sts.a.test'
TEXT = policy('enforce', ['mx.a.test', '*.b.test'])
LONGEST = b'#' * 65536


@pytest.fixture(name='strangers', scope='module')
def fixture_strangers(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('strangers'), 'An authority that nobody trusts')


@pytest.fixture(name='trusted', scope='module')
def fixture_trusted(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('trusted'))


@pytest.fixture(name='server')
def fixture_server(trusted):
    with StsServer(trusted) as server:
        yield server


def fetch(port, authority, host=HOST, timeout_ms=10000, addresses=('127.0.0.1',), **environment):
    """Whether there is a policy, and it or the reason."""
    done = subprocess.run([PROBE, host, str(port), str(timeout_ms), authority.chain, *addresses],
                          stdout=subprocess.PIPE, timeout=60, check=False,
                          env={**os.environ, **environment})
    assert done.returncode in (0, 1)
    return done.returncode == 0, done.stdout


@pytest.mark.parametrize('answer', [
    Answer(TEXT),
    Answer(TEXT, content_type='text/plain; charset=utf-8'),
    Answer(TEXT, content_type='Text/Plain;charset="us-ascii"'),
    Answer(TEXT, has_length=False),
    Answer(TEXT, drop_delay=0.001),
    Answer(LONGEST),
    Answer(b''),
])
def test_a_policy_is_fetched_as_it_is(server, trusted, answer):
    server.answers[HOST] = answer
    assert fetch(server.port, trusted) == (True, answer.body)
    assert [(r.host, r.path) for r in server.requests] == [(HOST, PATH)]


@pytest.mark.parametrize('answer, reason', [
    (None, b'sts-policy-fetch-error: https: the answer is 404'),
    (Answer(TEXT, 500), b'sts-policy-fetch-error: https: the answer is 500'),
    (Answer(TEXT, 203), b'sts-policy-fetch-error: https: the answer is 203'),
    (Answer(TEXT, content_type='text/html'), b'sts-policy-invalid: https: the content'),
    (Answer(TEXT, content_type='text/plainer'), b'sts-policy-invalid: https: the content'),
    (Answer(TEXT, content_type=None), b'sts-policy-invalid: https: the content'),
    (Answer(LONGEST + b'#'), b'sts-policy-invalid: https: the policy is longer'),
    (Answer(LONGEST + b'#', has_length=False), b'sts-policy-invalid: https: the policy is longer'),
    (Answer(TEXT, length=len(TEXT) + 1), b'sts-policy-fetch-error: https: '),
    (Answer(raw=b'hello\r\n'), b'sts-policy-fetch-error: https: '),
    (Answer(raw=b''), b'sts-policy-fetch-error: https: '),
])
def test_what_is_no_policy_has_a_reason(server, trusted, answer, reason):
    server.answers[HOST] = answer
    is_policy, text = fetch(server.port, trusted)
    assert not is_policy
    assert reason in text


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server, trusted, status):
    server.elsewhere['/policy'] = Answer(TEXT)
    server.answers[HOST] = Answer(TEXT, status, headers={'Location': '/policy'})
    is_policy, text = fetch(server.port, trusted)
    assert not is_policy and str(status).encode() in text
    assert server.paths() == [PATH]


def test_the_certificate_has_to_be_valid_for_the_host(server, trusted, strangers):
    server.answers[HOST] = Answer(TEXT)
    for certificate in (trusted.issue('mta-sts.b.test'), trusted.issue('a.test'),
                        trusted.issue('wild', names=['*.mta-sts.a.test']),
                        strangers.issue(HOST)):
        server.certificates[HOST] = certificate
        is_policy, text = fetch(server.port, trusted)
        assert not is_policy and b'SSL' in text and text.startswith(b'sts-webpki-invalid: '), text
    assert not server.requests
    server.certificates[HOST] = trusted.issue('wildcard', names=['*.a.test'])
    assert fetch(server.port, trusted)[0]


def test_an_expired_certificate_is_not_valid(server, trusted):
    server.answers[HOST] = Answer(TEXT)
    server.certificates[HOST] = trusted.issue(HOST, kind='ec', days='0')
    time.sleep(1.1)
    is_policy, text = fetch(server.port, trusted)
    assert not is_policy and b'sts-webpki-invalid: ' in text and b'expired' in text


def test_a_proxy_of_the_environment_is_not_asked(server, trusted):
    server.answers[HOST] = Answer(TEXT)
    assert fetch(server.port, trusted, https_proxy='http://127.0.0.1:9',
                 ALL_PROXY='http://127.0.0.1:9')[0]


def test_another_address_is_tried(server, trusted):
    server.answers[HOST] = Answer(TEXT)
    assert fetch(server.port, trusted, addresses=['::1', '127.0.0.2', '127.0.0.1'])[0]


def test_a_host_that_is_slow_is_given_up(server, trusted):
    server.answers[HOST] = Answer(TEXT, drop_delay=0.5)
    with Silent() as silent:
        for port in (server.port, silent.port):
            started = time.monotonic()
            is_policy, text = fetch(port, trusted, timeout_ms=1500)
            assert not is_policy and b'sts-policy-fetch-error: ' in text and b'imed out' in text
            assert time.monotonic() - started < 5
