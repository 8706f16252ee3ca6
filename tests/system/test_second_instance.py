"""A spool belongs to one gateway: a second one is refused, and the tools keep out of its way."""
import contextlib
import json
import os
import subprocess

import pytest

from postern_lab.gateway import run_postern
from postern_lab.process import wait_until
from postern_lab.traffic import Traffic

REFUSED = 'postern: spool {}: lock: another instance is using it'


@contextlib.contextmanager
def another_path(spool, folder, way):
    """The same folder by another name."""
    path = folder / way
    if way == 'symlink':
        path.symlink_to(spool)
        yield path
    elif way == 'bind':
        path.mkdir()
        subprocess.run(['mount', '--bind', str(spool), str(path)], check=True)
        try:
            yield path
        finally:
            subprocess.run(['umount', '-l', str(path)], check=True)
    else:
        yield spool


def run_on(gateway, spool):
    """`postern run` with the same configuration, but for the spool: the ports and the admin socket
    are taken as well, and nothing may be done about that."""
    text = gateway.config_path.read_text()
    path = gateway.folder / 'second.conf'
    path.write_text(text.replace(f'path = "{gateway.spool_path}"', f'path = "{spool}"'))
    return run_postern('run', '-c', path.name, cwd=gateway.folder)


def tree_of(path):
    return {str(one): (one.stat().st_ino, one.stat().st_size, one.stat().st_mtime_ns)
            for one in path.rglob('*')}


@pytest.mark.parametrize('way', ['same', 'symlink', pytest.param('bind', marks=pytest.mark.skipif(
    os.geteuid() != 0, reason='mounts'))])
def test_a_second_gateway_is_refused_and_the_first_one_does_not_notice(make_gateway, next_hop,
                                                                       ledger, folder, way):
    gateway = make_gateway(next_hop).start()
    gateway.settle()
    with another_path(gateway.spool_path, folder, way) as spool:
        tree, log = tree_of(gateway.spool_path), gateway.log()
        result = run_on(gateway, spool)
        assert result.returncode == 1 and result.stdout == ''
        told = [line for line in result.stderr.splitlines() if 'kernel TLS' not in line]
        assert told == [REFUSED.format(spool)]
        assert tree_of(gateway.spool_path) == tree and gateway.log() == log

        with Traffic(gateway, ledger) as traffic:
            for _ in range(3):
                before = traffic.accepted
                assert run_on(gateway, spool).returncode == 1
                wait_until(lambda b=before: traffic.accepted > b + 20, 20, 'mail')
    assert gateway.status()['pid'] == gateway.pid
    assert (traffic.broken, traffic.refused) == (0, 0)
    next_hop.wait_messages(traffic.accepted)
    gateway.stop()
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


def test_of_two_that_start_at_once_one_runs(make_gateway, next_hop, ledger):
    gateways = [make_gateway(next_hop) for _ in range(2)]
    spool = gateways[0].spool_path
    gateways[1].configure(spool=spool)
    for _ in range(3):
        since = [len(gateway.log()) for gateway in gateways]
        for gateway in gateways:
            gateway.start(wait=False)
        wait_until(lambda: [g.running() for g in gateways].count(False) == 1, 20, 'one gives up')
        loser, winner = sorted(gateways, key=lambda gateway: gateway.running())
        assert loser.ended() == 1
        assert loser.log().splitlines()[-1] == REFUSED.format(spool)
        winner.wait_log('is ready', since=since[gateways.index(winner)])
        with winner.connect() as client:
            client.hello()
            ident, data = ledger.message()
            assert client.transaction('a@lab.test', ['b@example.com'], data).code == 250
            ledger.accepted(ident)
        winner.settle()
        winner.stop()
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


@pytest.mark.full
def test_the_tools_look_at_a_spool_that_is_at_work(make_gateway, next_hop, ledger):
    """Mail comes and goes, some of it waits. What cannot be sure says so, and nothing is found
    damaged, kept from its work, or changed."""
    next_hop.replies['RCPT'] = lambda line, _: '450 4.2.1 later' if 'slow' in line else None
    gateway = make_gateway(next_hop).start()
    with gateway.connect() as client:
        client.hello()
        ident, data = ledger.message(subject='it waits')
        assert client.transaction('a@lab.test', ['slow@example.com'], data).code == 250
    spool = str(gateway.spool_path)

    def tool(*arguments):
        result = run_postern('spool', *arguments)
        assert result.returncode == 0, f'{arguments}: {result.stdout}{result.stderr}'
        return result.stdout
    with Traffic(gateway, ledger) as traffic:
        for _ in range(3):
            before = traffic.accepted
            assert json.loads(tool('verify', spool, '--json'))['damaged'] == 0
            waits = [one for one in json.loads(tool('list', spool, '--json'))['messages']
                     if one['sender'] == 'a@lab.test']
            assert len(waits) == 1
            assert '<slow@example.com>' in tool('show', str(waits[0]['mid']), spool)
            assert tool('quarantine', 'list', spool) == 'no segment is in quarantine\n'
            assert tool('quarantine', 'remove', 'all', spool) is not None
            wait_until(lambda b=before: traffic.accepted > b + 20, 20, 'mail')
        tool('selftest', spool)
    assert (traffic.broken, traffic.refused) == (0, 0)
    next_hop.wait_messages(traffic.accepted)
    gateway.settle(messages=1)
    assert not list(gateway.spool_path.glob('*.tmp'))
    gateway.kill()
    since = len(gateway.log())
    next_hop.replies.clear()
    gateway.start()
    assert 'Spool: recovered 1 messages' in gateway.log()[since:]
    next_hop.wait_messages(traffic.accepted + 1)
    gateway.stop()
    ledger.accepted(ident)
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])
