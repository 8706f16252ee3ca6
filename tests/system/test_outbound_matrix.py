"""The outbound matrix: scenario by scenario, whether mail is delivered, deferred or bounced, in the
clear or encrypted, verified or not, and what the log and the alerts say of it.

The rows are in postern_lab/rows_*.py, what they mean in postern_lab/matrix.py. All of them run at
once in one gateway, each with a domain, a destination entry and next hosts of its own.
"""
import collections
import contextlib
import re

import pytest

from postern_lab import rows_dns, rows_smtp, rows_tls
from postern_lab.mail_world import MailWorld
from postern_lab.matrix import Matrix

# What the program can do. A row that needs anything else is skipped by name.
PRESENT = {
    'verify': True,              # the three settings with verify
    'verified': True,            # "verified" in the line of a TLS success
    'tls-reason': True,          # "TLS failed: " is always followed by a reason
    'crl': True,                 # tls.crl_files
    'ptr': True,                 # the name of the host's address, in Verify
    'mx': True,                  # hosts by MX, and delivery.port
    'routes': True,              # names and priorities in routes
    'ip-version': True,          # ip_version of a destination
    'dane': True,                # dane = "opportunistic" | "mandatory"
    'alerts': True,              # "A required TLS connection to domain ... failed"
    'min-version': True,         # tls_min_version of a destination
    'client-certificate': True,  # certificate of a destination
    'timeouts': True,            # delivery.timeout
    'size': True,                # what a host has no room for is returned before it is sent
    '8bitmime': True,            # 8-bit mail for a host without 8BITMIME is returned
    'smtputf8': True,
    'ascii-after-all': True,     # SMTPUTF8 that was said and not needed
    'chunking': True,             # BDAT where CHUNKING is offered
    'limits': True,              # RFC 9422
    'requiretls': True,          # a matrix that sends, and gets its bounces, by TLS
}

pytestmark = pytest.mark.filterwarnings('ignore:ssl.TLSVersion')  # old ones are the point

KNOWN = {name for name, is_there in PRESENT.items() if is_there}
ALL_ROWS = [*rows_tls.ROWS, *rows_smtp.ROWS, *rows_dns.ROWS]
ROWS = [row for row in ALL_ROWS if KNOWN.issuperset(row.needs)]


def test_each_row_has_a_domain_of_its_own():
    names = collections.Counter(row.name for row in ALL_ROWS)
    assert max(names.values()) == 1, names.most_common(3)
    assert all(re.fullmatch(r'[a-z0-9-]{1,63}', row.id) for row in ALL_ROWS)
    assert all(PRESENT.keys() >= set(row.needs) for row in ALL_ROWS)
    assert len(ALL_ROWS) >= 150


@pytest.fixture(name='matrix', scope='module')
def fixture_matrix(make_shared_gateway, tmp_path_factory):
    """All rows, run."""
    folder = tmp_path_factory.mktemp('matrix')
    matrix = Matrix(folder, ROWS)
    with contextlib.ExitStack() as stack:
        stack.enter_context(matrix.hosts())
        asks = any(row.by != 'address' or 'ptr' in row.needs for row in ROWS)
        world = stack.enter_context(MailWorld(folder, matrix)) if asks else None
        gateway = make_shared_gateway(certificate=matrix.gateway_certificate(),
                                      **matrix.sections(KNOWN, world)).start()
        matrix.run(gateway)
        yield matrix
        gateway.stop()


@pytest.mark.parametrize('row', [
    pytest.param(row, id=row.id, marks=[] if row in ROWS else pytest.mark.skip(
        reason=f'needs {", ".join(row.needs)}')) for row in ALL_ROWS])
def test_outbound(matrix, row):
    matrix.results[row.id].check(KNOWN)
