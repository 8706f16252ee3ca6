"""The verdict of programs that nobody here wrote, on the same certificates and zones: Postfix as
the receiver, and posttls-finger as another client."""
import re
import subprocess

import pytest

from postern_lab import PATIENCE, PEERS, ports, rows_dns
from postern_lab.bad_certificates import Issuer
from postern_lab.mail_world import INSECURE_ZONE, MailWorld
from postern_lab.matrix import SECURE_ZONE, Matrix
from postern_lab.name_servers import SERVFAIL, TYPES, NameServer, response
from postern_lab.namespace import Namespace
from postern_lab.peers import Postfix, need
from postern_lab.process import wait_until
from postern_lab.rows_tls import PROBLEMS, RIGHT, SETTINGS

# What the program can do; see test_outbound_matrix.py.
PRESENT = {
    'verify': True,
    'crl': True,
    'client-certificate': True,
}

ZONE = 'peer.test'


# --- Postfix receives ----------------------------------------------------------------------------

def is_present(setting, problem):
    return 'verify' not in setting or (PRESENT['verify'] and (problem != 'revoked'
                                                              or PRESENT['crl']))


CASES = [(setting, problem) for setting in SETTINGS for problem in (*PROBLEMS, *RIGHT)]
RUN = [case for case in CASES if is_present(*case)]


def domain_of(setting, problem):
    return f'{setting}-{problem}.{ZONE}'


def certificate_of(problem, issuer, stranger):
    """One for all settings."""
    every = [domain_of(setting, problem) for setting in SETTINGS]
    if problem == 'self-signed':
        return issuer.self_signed('unrelated.test', every)
    if problem == 'right-by-cn':  # of one setting; the others have the name elsewhere
        return issuer.certify(domain_of('required-verify', problem))
    names = {'wrong-name': ['*.other.test'], 'wildcard': [f'*.{ZONE}']}.get(problem, every)
    days = {'expired': (-30, -1), 'not-yet-valid': (1, 30)}.get(problem, (-1, 30))
    return (stranger if problem == 'untrusted' else issuer).certify(
        'unrelated.test', names, days, revoked=problem == 'revoked')


@pytest.fixture(name='postfix', scope='module')
def fixture_postfix(make_shared_gateway, tmp_path_factory):
    """(gateway, Postfix): one smtpd for each certificate, and mail for all cases on its way."""
    folder = tmp_path_factory.mktemp('postfix')
    issuer = Issuer(folder / 'issuer')
    stranger = Issuer(folder / 'stranger', 'Nobody Knows This CA')
    services, routes = [], []
    for problem in (*PROBLEMS, *RIGHT):
        certificate, port = certificate_of(problem, issuer, stranger), ports.free_port()
        services.append(f'127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_chain_files='
                        f'{certificate.key},{certificate.chain}')
        routes += [f'{{ domain = "{domain_of(*case)}"; to = [ "127.0.0.1:{port}" ]; }}'
                   for case in RUN if case[1] == problem]
    postfix = Postfix(folder, main_cf='\n'.join([
        'smtpd_tls_security_level = may', 'smtpd_tls_loglevel = 1', 'default_transport = discard:',
        'relay_transport = discard:']), master_cf='\n'.join(services)).start()
    entries = [f'{{ domain = "{domain_of(*case)}"; tls = "{case[0]}"; bounce_profile = "never"; }}'
               for case in RUN]
    try:
        gateway = make_shared_gateway(
            ca=issuer.chain, routes=', '.join(routes),
            rat='{ recipients = [ "nobody.test" ]; action = "reject"; }',
            tls=f'crl_files = [ "{issuer.crl()}" ];' if PRESENT['crl'] else '',
            destinations=f'default = {{ tls = "off"; }}; domains = ( {", ".join(entries)} );',
            bounce='default = {}; never = { initial_retry = "1h"; max_retry = "1h"; };').start()
        with gateway.connect(source='127.0.0.3') as client:
            client.hello()
            for case in RUN:
                client.transaction('', [f'b@{domain_of(*case)}'], b'Subject: peer\r\n\r\nx\r\n')
            client.quit()
        yield gateway, postfix
        gateway.stop()
    finally:
        postfix.stop()


@pytest.mark.parametrize('setting, problem', [
    pytest.param(*case, id='-'.join(case), marks=[] if case in RUN else pytest.mark.skip(
        reason='needs verify')) for case in CASES])
def test_postfix_gets_what_the_setting_allows(postfix, setting, problem):
    gateway, peer = postfix
    domain = domain_of(setting, problem)
    is_right = problem in RIGHT and (problem != 'right-by-cn' or setting == 'required-verify')
    if setting.startswith('required-verify') and not is_right:
        gateway.wait_log(rf'domain: {re.escape(domain)} |TLS failed: verify error')
        assert f'to=<b@{domain}>' not in peer.mail_log()
        return
    sent = wait_until(lambda: re.search(rf'(\w+): to=<b@{re.escape(domain)}>.* status=sent',
                                        peer.mail_log()), 20, f'mail to {domain} in Postfix')
    client, = re.findall(rf'postfix/smtpd\[(\d+)\]: {sent[1]}: client=', peer.mail_log())
    assert re.search(rf'smtpd\[{client}\]: \w+ TLS connection established from',
                     peer.mail_log()) or setting == 'off'


@pytest.mark.skipif(not PRESENT['client-certificate'], reason='needs client-certificate')
def test_postfix_that_demands_a_certificate_gets_ours(make_gateway, folder, background):
    issuer = Issuer(folder / 'issuer')
    ours, theirs = issuer.certify('mx.lab.test', ['mx.lab.test']), issuer.certify('p.test')
    peer = background(Postfix(folder, main_cf='\n'.join([
        'smtpd_tls_security_level = encrypt', 'smtpd_tls_req_ccert = yes',
        'smtpd_tls_loglevel = 1', f'smtpd_tls_CAfile = {issuer.chain}',
        f'smtpd_tls_chain_files = {theirs.key}, {theirs.chain}', 'default_transport = discard:',
        'relay_transport = discard:'])))
    gateway = make_gateway(
        certificate=ours, ca=issuer.chain,
        routes=f'{{ domain = "ALL"; to = [ "127.0.0.1:{peer.port}" ]; }}',
        destinations='default = { tls = "required"; certificate = "mail"; };').start()
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        client.transaction('', ['b@example.com'], b'x\r\n')
        client.quit()
    wait_until(lambda: 'status=sent' in peer.mail_log(), 20, 'mail in Postfix')
    assert re.search(r'Trusted TLS connection established from', peer.mail_log())


# --- posttls-finger judges the same zones ---------------------------------------------------------

def validator(matrix, world):
    """In place of a resolver that validates: NSD's answer, with the flag that it is authentic for
    what is in the signed zone, and a failure for what is spoiled. posttls-finger trusts that flag,
    and a resolver of our own making would only be held against itself."""
    spoiled = {(matrix.whole(row, name), kind) for row in matrix.rows for name, kind in row.spoiled}
    names = {number: name for name, number in TYPES.items()}

    def answer(packet, name, kind):
        if (name, names.get(kind)) in spoiled:
            return response(packet, SERVFAIL)
        reply = bytearray(world.ask(packet))
        secure = name.endswith(SECURE_ZONE) and not name.endswith(INSECURE_ZONE)
        reply[2] &= ~4                                    # not authoritative
        reply[3] = (reply[3] & 0x0f) | 0x80 | (0x20 if secure else 0)
        return bytes(reply)
    return answer


# It looks up a domain's mail servers; of a route of ours it knows nothing.
DANE_ROWS = [row for row in rows_dns.ROWS if row.id.startswith('dane-') and len(row.hosts) == 1
             and 'route' not in row.id]


@pytest.fixture(name='finger', scope='module')
def fixture_finger(tmp_path_factory):
    """finger(row) -> what posttls-finger says of it, in a network of its own: it asks port 53."""
    need('postfix')
    folder = tmp_path_factory.mktemp('finger')
    matrix = Matrix(folder, DANE_ROWS)
    (folder / 'resolv.conf').write_text('nameserver 127.0.0.1\noptions edns0 trust-ad\n')
    with Namespace() as net, net.inside(), matrix.hosts(), MailWorld(folder, matrix) as world, \
            NameServer(validator(matrix, world), port=53):
        def ask(row):
            level = 'dane-only' if 'mandatory' in row.id else 'dane'
            command = (f'mount --bind {folder}/resolv.conf /etc/resolv.conf && exec {PEERS} '
                       f'posttls-finger -c -t 5 -T 5 -l {level} -L summary '
                       f'{row.name}:{matrix.port}')
            return subprocess.run(['unshare', '--mount', 'sh', '-c', command], check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT, timeout=60 * PATIENCE).stdout
        yield ask


@pytest.mark.parametrize('row', DANE_ROWS, ids=lambda row: row.id)
def test_posttls_finger_agrees_with_the_matrix_about_dane(finger, row):
    said = finger(row)
    expect = row.expect
    # It connects all the same, to show what it found: what it would not have sent to, it says so.
    is_refused = ('server certificate verification failed' in said  # by DANE
                  or 'resorting to "secure"' in said)               # which nothing here is
    if 'Verified TLS connection established' in said:
        got = 'verified'
    elif 'TLS connection established' in said and not is_refused:
        got = 'encrypted'
    else:
        got = 'not'
    wanted = 'not' if not expect.secure else 'verified' if expect.verified else 'encrypted'
    assert got == wanted, said
