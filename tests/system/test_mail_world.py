"""The zones of the outbound matrix are what their rows say, asked through our own resolver."""
import pytest

from postern_lab import BUILD, rows_dns, rows_tls
from postern_lab.mail_world import INSECURE_ZONE, MailWorld
from postern_lab.matrix import PLAIN_ZONE, SECURE_ZONE, Matrix
from postern_lab.tools import run

PROBE = BUILD / 'tests' / 'gateway' / 'resolver_probe'


@pytest.fixture(name='ask', scope='module')
def fixture_ask(tmp_path_factory):
    """ask("TYPE:name", ...) -> the question: the first two words of the answer."""
    folder = tmp_path_factory.mktemp('world')
    matrix = Matrix(folder, [*rows_dns.ROWS, *rows_tls.ROWS])
    with MailWorld(folder, matrix) as world:
        def ask(*steps):
            steps = [step.replace('<port>', str(matrix.port)) for step in steps]
            addresses = matrix.results['verify-cn-ptr'].addresses
            steps = [step.replace('<ptr>', addresses[0]) for step in steps]
            result = run([PROBE, '--server', f'127.0.0.1:{world.nsd.port}', '--stub',
                          f'sick.test=127.0.0.1:{world.sick.port}', '--anchor', world.anchor,
                          *steps])
            assert result.returncode == 0, result.stdout
            lines = [line.split() for line in result.stdout.splitlines()]
            return [' '.join(words[1:3]) for step in steps for words in lines if words[0] == step]
        yield ask


def test_signed_names_are_secure_and_what_is_spoiled_is_bogus(ask):
    row = f'dane-opportunistic-ee.{SECURE_ZONE}'
    assert ask(f'MX:{row}', f'A:mx1.{row}', f'TLSA:_<port>._tcp.mx1.{row}',
               f'TLSA:_<port>._tcp.mx1.dane-opportunistic-no-records.{SECURE_ZONE}',
               f'MX:mx-no-domain-proved.{SECURE_ZONE}',
               f'TLSA:_<port>._tcp.mx1.dane-mandatory-bogus.{SECURE_ZONE}',
               f'MX:mx-bogus.{SECURE_ZONE}') == [
        'FOUND SECURE', 'FOUND SECURE', 'FOUND SECURE', 'NO_NAME SECURE', 'NO_NAME SECURE',
        'FAILED BOGUS', 'FAILED BOGUS']


def test_unsigned_names_are_insecure(ask):
    row = f'dane-opportunistic-insecure.{INSECURE_ZONE}'
    assert ask(f'MX:{row}', f'TLSA:_<port>._tcp.mx1.{row}', f'MX:mx-one.{PLAIN_ZONE}',
               f'MX:mx-no-domain.{PLAIN_ZONE}', f'MX:mx-null.{PLAIN_ZONE}') == [
        'FOUND INSECURE', 'FOUND INSECURE', 'FOUND INSECURE', 'NO_NAME INSECURE',
        'FOUND INSECURE']


def test_the_address_of_a_host_has_its_name(ask):
    assert ask('HOST:<ptr>') == [f'VERIFIED ptr1.verify-cn-ptr.{PLAIN_ZONE}']


def test_what_is_sick_fails(ask):
    assert ask('MX:any.sick.test') == ['FAILED INSECURE']
