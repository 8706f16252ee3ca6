"""Fixtures of the system tests; the classes behind them are in postern_lab/."""
import collections
import contextlib
import os
import pathlib
import random
import re
import shutil
import time

import pytest

from postern_lab import BUILD, POSTERN, SIDE, kernel_tls
from postern_lab.certificates import Authority
from postern_lab.gateway import Gateway
from postern_lab.ledger import Ledger
from postern_lab.next_hop import NextHop

SCRATCH = BUILD / 'system' / str(SIDE)
TEMPORARY = ('tmpfs', 'ramfs')
IN_GUEST = os.environ.get('POSTERN_GUEST') == '1'


def file_system_of(path):
    """The type of the file system that holds path."""
    best = ('', 'unknown')
    for line in open('/proc/mounts', encoding='utf-8'):
        _, mount, kind = line.split()[:3]
        if str(path).startswith(mount.rstrip('/') + '/') and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


def pytest_configure(config):
    config.addinivalue_line('markers', 'full: long; left out under the sanitizers')
    config.addinivalue_line('markers', 'ktls: wants a kernel with TLS; run in the guest')
    config.addinivalue_line('markers', 'no_ktls: wants a kernel without TLS')


def pytest_addoption(parser):
    parser.addoption('--rows', type=int, default=1, metavar='N',
                     help='of the rows of each test run every Nth only, the first always')


def rows_left_out(items, every):
    """Rows of one test differ by what they set and expect, hardly by the code that they run."""
    seen = collections.Counter()
    for item in items:
        name = (item.path, item.cls, item.originalname)
        if seen[name] % every:
            yield item
        seen[name] += 1


def is_left_out(item):
    """Tests of kernel TLS are for the guest, where a kernel without it fails them, below."""
    if item.get_closest_marker('ktls'):
        return not IN_GUEST
    return item.get_closest_marker('no_ktls') and kernel_tls.is_there()


def pytest_collection_modifyitems(config, items):
    left_out = {item for item in items if is_left_out(item)}
    left_out.update(rows_left_out([item for item in items if item not in left_out],
                                  config.getoption('rows')))
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item):
    if item.get_closest_marker('ktls') and not kernel_tls.is_there():
        pytest.fail('this kernel has no TLS', pytrace=False)


def pytest_report_header():
    kind = file_system_of(SCRATCH)
    note = ' (spools are not durable there)' if kind in TEMPORARY else ''
    return f'postern: {POSTERN}, spools on {kind}{note}'


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == 'call':
        item.lab_failed = outcome.get_result().failed


@pytest.fixture(name='folder')
def fixture_folder(request):
    """A folder below the build tree, on a real disk; kept when the test fails."""
    name = re.sub(r'[^\w.-]+', '_', request.node.name)[:80]
    path = SCRATCH / pathlib.Path(request.node.path).stem / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    if not getattr(request.node, 'lab_failed', True):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(name='authority', scope='session')
def fixture_authority():
    path = SCRATCH / 'authority'
    shutil.rmtree(path, ignore_errors=True)
    return Authority(path)


@pytest.fixture(name='certificate', scope='session')
def fixture_certificate(authority):
    """Of the gateway, with an EC key."""
    return authority.issue('mx.lab.test')


@pytest.fixture(name='certificate_rsa', scope='session')
def fixture_certificate_rsa(authority):
    return authority.issue('mx.lab.test', kind='rsa')


@pytest.fixture(name='hop_certificate', scope='session')
def fixture_hop_certificate(authority):
    return authority.issue('nexthop.test')


@pytest.fixture(name='ledger')
def fixture_ledger(request):
    return Ledger(re.sub(r'\W+', '-', request.node.name))


@pytest.fixture(name='chance')
def fixture_chance():
    """Random numbers from a seed that a test which fails has printed."""
    seed = int(os.environ.get('POSTERN_SEED') or time.time_ns() % (1 << 31))
    print(f'POSTERN_SEED={seed}')
    return random.Random(seed)


@pytest.fixture(name='next_hop')
def fixture_next_hop():
    """A next hop with ordinary replies, in the clear; tests with wishes make their own NextHop."""
    with NextHop() as hop:
        yield hop


@pytest.fixture(name='background')
def fixture_background():
    """background(process) starts it, and kills it after the test."""
    started = []

    def start(process):
        started.append(process)
        return process.start()
    yield start
    for process in reversed(started):
        process.stop()


@contextlib.contextmanager
def gateways_in(folder, certificate, authority):
    """A function that makes gateways below folder; at the end each is stopped."""
    made = []

    def make(next_hop=None, **options):
        home = folder / f'gateway{len(made) + 1}'
        home.mkdir(exist_ok=True)
        options.setdefault('certificate', certificate)
        options.setdefault('ca', authority.chain)
        if next_hop is not None:
            options.setdefault('next_hop_port', next_hop.port)
        gateway = Gateway(home, **options)
        made.append(gateway)
        return gateway
    try:
        yield make
        for gateway in made:
            gateway.stop()
            gateway.check_trouble()
    finally:
        for gateway in made:
            gateway.kill()


@pytest.fixture(name='make_gateway')
def fixture_make_gateway(folder, certificate, authority):
    """make_gateway(...) as Gateway(...), not started; at the end each is stopped."""
    with gateways_in(folder, certificate, authority) as make:
        yield make


@pytest.fixture(name='make_shared_gateway', scope='module')
def fixture_make_shared_gateway(request, certificate, authority):
    """The same for gateways that all tests of a module use."""
    path = SCRATCH / pathlib.Path(request.node.path).stem / 'shared'
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    with gateways_in(path, certificate, authority) as make:
        yield make


@pytest.fixture(name='gateway')
def fixture_gateway(make_gateway, next_hop):
    """A running gateway in front of next_hop."""
    return make_gateway(next_hop).start()
