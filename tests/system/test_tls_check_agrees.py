"""What `postern tls-check` says of a setting is what a delivery does: the rows of the matrix.

One look at a host has an answer for each setting, and each of them has a row of its own.
"""
import contextlib
import json

import pytest

from postern_lab import rows_tls
from postern_lab.gateway import Gateway, run_postern
from postern_lab.mail_world import MailWorld
from postern_lab.matrix import DEFERRED, DELIVERED, Matrix

PRESENT = {'verify', 'crl', 'ptr', 'mx', 'routes'}
BY_ID = {row.id: row for row in rows_tls.ROWS if PRESENT.issuperset(row.needs)}
# A row that is looked at -> the rows that its answers are compared with, by setting.
SAME = {
    **{f'preferred-{name}': {setting: f'{setting}-{name}' for setting in rows_tls.SETTINGS
                             if f'{setting}-{name}' in BY_ID}
       for name in (*rows_tls.BEFORE, *rows_tls.INSTEAD, *rows_tls.AFTER, *rows_tls.PROBLEMS,
                    *rows_tls.RIGHT, 'secure-and-close', 'secure-and-rst')},
    **{f'verify-{name}': {'required-verify': f'verify-{name}'} for name in rows_tls.NAMES},
    **{f'hosted-{name}': {'required-verify-hosted': f'hosted-{name}'} for name in rows_tls.NAMES},
}
pytestmark = pytest.mark.filterwarnings('ignore:ssl.TLSVersion')


@pytest.fixture(name='config', scope='module')
def fixture_config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('agrees')
    matrix = Matrix(folder, [BY_ID[name] for name in SAME])
    with contextlib.ExitStack() as stack:
        stack.enter_context(matrix.hosts())
        world = stack.enter_context(MailWorld(folder, matrix))
        yield Gateway(folder / 'gateway', matrix.gateway_certificate(),
                      **matrix.sections(PRESENT, world)).config_path


def is_as_expected(fate, expect):
    if expect.outcome == DEFERRED:
        return fate in ('not-sent', 'unreached')
    assert expect.outcome == DELIVERED
    if not expect.secure:
        return fate == 'clear'
    return fate == 'verified' if expect.verified else fate == 'encrypted'


@pytest.mark.parametrize('name', SAME)
def test_the_answer_is_what_a_delivery_does(config, name):
    row = BY_ID[name]
    done = run_postern('tls-check', '-c', config, '--json', row.name)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    for setting, other in SAME[name].items():
        fate = answer['settings'][setting]['fate']
        assert is_as_expected(fate, BY_ID[other].expect), f'{setting}: {fate}\n{done.stdout}'
    assert is_as_expected(answer['entry']['fate'], row.expect)
