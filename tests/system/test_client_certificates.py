"""Certificates of clients: asked for, required, or of listed names only; the lowest TLS version."""
import ssl

import pytest

from postern_lab.certificates import Authority
from postern_lab.next_hop import NextHop

POLICIES = '''
    ACCEPTED = { access = "accept"; tls = "preferred"; };
    OPTIONAL = { access = "accept"; tls = "preferred"; verify_client = "optional"; };
    REQUIRED = { access = "accept"; tls = "required"; verify_client = "required"; };
    HALF = { access = "accept"; tls = "preferred"; verify_client = "required"; };
    LISTED = { access = "accept"; tls = "required"; verify_client = "required";
               client_names = [ "mail.partner.test", "*.hosts.test" ]; };
    NEW_ONLY = { access = "accept"; tls = "preferred"; tls_min_version = "1.3"; };'''
SOURCES = {'OPTIONAL': '127.0.0.2', 'REQUIRED': '127.0.0.3', 'LISTED': '127.0.0.4',
           'NEW_ONLY': '127.0.0.5', 'HALF': '127.0.0.6'}
HAT = ''.join(f'{{ group = "{name}"; senders = [ "{address}" ]; policy = "{name}"; }},\n'
              for name, address in SOURCES.items()) + (
    '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }')


@pytest.fixture(name='clients', scope='module')
def fixture_clients(tmp_path_factory):
    """Certificates of clients by what is to be said of them; and the authority of the good ones."""
    folder = tmp_path_factory.mktemp('clients')
    ours, others = Authority(folder / 'ours'), Authority(folder / 'others', 'Others')
    return ours, {
        'good': ours.issue('mail.partner.test', client=True),
        'below': ours.issue('a.hosts.test', client=True),
        'deeper': ours.issue('b.a.hosts.test', client=True),
        'server': ours.issue('mail2.partner.test'),
        'foreign': others.issue('mail.partner.test', client=True),
        None: None,
    }


@pytest.fixture(name='gateway', scope='module')
def fixture_gateway(make_shared_gateway, clients):
    with NextHop() as hop:
        yield make_shared_gateway(hop, policies=POLICIES, hat=HAT,
                                  tls=f'client_ca_file = "{clients[0].chain}";').start()


@pytest.mark.parametrize('policy,shown,code,verdict', [
    ('ACCEPTED', 'foreign', 250, None),
    ('OPTIONAL', None, 250, 'without a name: none was shown'),
    ('OPTIONAL', 'good', 250, 'mail.partner.test: verified'),
    ('OPTIONAL', 'foreign', 550, 'mail.partner.test: '),
    ('OPTIONAL', 'server', 550, 'mail2.partner.test: '),
    ('REQUIRED', None, 550, 'without a name: none was shown'),
    ('REQUIRED', 'deeper', 250, 'b.a.hosts.test: verified'),
    ('REQUIRED', 'foreign', 550, 'mail.partner.test: '),
    ('LISTED', 'good', 250, 'mail.partner.test: verified'),
    ('LISTED', 'below', 250, 'a.hosts.test: verified'),
    ('LISTED', 'deeper', 550, 'b.a.hosts.test: not one of the names allowed'),
])
@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_policy_judges_the_certificate(gateway, clients, version, policy, shown, code, verdict):
    since = len(gateway.log())
    with gateway.connect(source=SOURCES.get(policy)) as client:
        client.expect(220)
        client.ehlo()
        client.starttls(certificate=clients[1][shown], minimum_version=version,
                        maximum_version=version)
        client.ehlo()
        reply = client.expect(code, 'MAIL FROM:<a@lab.test>')
        if code == 550:
            assert '5.7.1' in reply.text and 'certificate' in reply.text
        client.quit()
    if verdict:
        gateway.wait_log(rf'ICID \d+ TLS client certificate {verdict}', since=since)
    else:
        gateway.wait_log(r'ICID \d+ close', since=since)
        assert 'client certificate' not in gateway.log()[since:]


@pytest.mark.parametrize('policy,code', [('OPTIONAL', 250), ('HALF', 530), ('REQUIRED', 530)])
def test_who_must_show_one_sends_nothing_in_the_clear(gateway, policy, code):
    with gateway.connect(source=SOURCES[policy]) as client:
        client.hello()
        client.expect(code, 'MAIL FROM:<a@lab.test>')


def test_a_policy_may_demand_a_newer_version(gateway):
    with gateway.connect(source=SOURCES['NEW_ONLY']) as client:
        client.hello()
        with pytest.raises(ssl.SSLError, match='(?i)version'):
            client.starttls(maximum_version=ssl.TLSVersion.TLSv1_2)
    gateway.wait_log(r'ICID \d+ TLS failed')
    with gateway.connect(source=SOURCES['NEW_ONLY']) as client:
        client.hello()
        client.starttls(minimum_version=ssl.TLSVersion.TLSv1_3)
        client.ehlo()
        client.expect(250, 'MAIL FROM:<a@lab.test>')


def test_asking_needs_authorities(make_gateway, next_hop):
    gateway = make_gateway(next_hop, policies=POLICIES, hat=HAT)
    gateway.command('check', code=1)
