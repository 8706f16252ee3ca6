"""The admin socket and `postern status`: what they tell, and what nobody can do to them."""
import json
import os
import re
import socket
import stat
import time

from postern_lab import ROOT
from postern_lab.gateway import run_postern
from postern_lab.process import wait_until

CLIENTS_MAX = 16
REQUEST_SECONDS = 5


def dial(gateway, name='admin.sock'):
    """By a short path: the gateway's folder is too deep for a socket's name."""
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(20)
    folder = os.open(gateway.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        one.connect(f'/proc/self/fd/{folder}/{name}')
    finally:
        os.close(folder)
    return one


def read_all(one):
    parts = []
    try:
        while part := one.recv(65536):
            parts.append(part)
    except ConnectionResetError:  # it did not read all that was sent
        pass
    return b''.join(parts)


def ask(gateway, line, **where):
    with dial(gateway, **where) as one:
        one.sendall(line + b'\n')
        reply = read_all(one)
    assert reply.endswith(b'\n') and reply.count(b'\n') == 1
    return json.loads(reply)


def status(gateway):
    return json.loads(gateway.command('status', '--json'))


def deliver(gateway):
    with gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250


def test_docs_name_all_that_status_tells(make_gateway, next_hop):
    page = (ROOT / 'docs/LOG.md').read_text(encoding='utf-8')
    rows = [line.split('|')[1] for line in page.splitlines() if line.startswith('| `')]
    named = {name for row in rows for name in re.findall('`([a-z_]+)`', row)}
    told = status(make_gateway(next_hop).start())
    assert named == {*told, *told['counters']}


def test_what_a_start_unlinks_counts_no_more(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    for _ in range(3):  # each prepares segments, and uses none
        gateway.start()
        gateway.kill()
    gateway.start()
    wait_until(lambda: status(gateway)['spool_is_recovered'], 20, 'it is recovered')
    files = len(list((gateway.spool_path / 'segments').iterdir()))
    wait_until(lambda: status(gateway)['spool_segment_bytes'] == files << 26, 5,
               f'{files} segments are counted')


def test_status_tells_how_the_gateway_is(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    before = status(gateway)
    assert before['pid'] == gateway.pid and before['uptime_s'] < 300
    wait_until(lambda: status(gateway)['in_force'], 5, 'the first generation is in force')
    assert before['generation'] == 1 and len(before['workers']) == 2
    assert before['counters']['messages_accepted'] == 0
    deliver(gateway)
    next_hop.wait_messages(1)
    wait_until(lambda: status(gateway)['counters']['messages_finished'] == 1, 5, 'it is counted')
    after = status(gateway)
    assert after['counters']['messages_accepted'] == 1
    assert after['counters']['connections_in'] == 1 and after['counters']['messages_now'] == 0
    for name in ('ring_enters', 'ring_completions', 'socket_receives', 'socket_sends'):
        assert after['counters'][name] > before['counters'][name], name
    # Both are of the allocator, which is another one under the sanitizers.
    assert (after['allocations'] > 0) == (after['counters']['allocated_bytes'] > 0)
    table = gateway.command('status')
    for line in (r'version +0\.', rf'process +{gateway.pid}', r'running for +0 d 00:',
                 r'configuration +generation 1, in force', r'connections +0 in', r'messages +0,',
                 rf'Inbound +127\.0\.0\.1:{gateway.port} +0', r'messages_accepted +1'):
        assert re.search(rf'^{line}', table, re.M), f'no {line} in\n{table}'


def test_connections_are_told_by_listener_and_sender(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        assert status(gateway)['listeners'][0]['connections'] == 1
        assert ask(gateway, b'sender 127.0.0.3')['connections'] == [
            {'listener': 'Inbound', 'endpoint': f'127.0.0.1:{gateway.port}', 'connections': 1}]
        assert ask(gateway, b'sender 127.0.0.1')['connections'][0]['connections'] == 0
    wait_until(lambda: ask(gateway, b'sender 127.0.0.3')['connections'][0]['connections'] == 0, 5,
               'it has left')


def test_where_nobody_listens_status_says_so(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    result = run_postern('status', '-c', 'postern.conf', cwd=gateway.folder)
    assert result.returncode == 1 and result.stdout == ''
    assert re.search(r'^postern: status: no gateway listens at \S*admin\.sock: No such file',
                     result.stderr)
    gateway.start()
    gateway.kill()
    result = run_postern('status', '-c', 'postern.conf', cwd=gateway.folder)
    assert result.returncode == 1
    assert re.search(r'no gateway listens at \S*admin\.sock: Connection refused', result.stderr)


def test_the_file_comes_and_goes_with_the_gateway(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    path = gateway.folder / 'admin.sock'
    gateway.start()
    assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o660
    gateway.kill()
    assert path.exists()
    gateway.start()  # takes over what was left behind
    assert status(gateway)['pid'] == gateway.pid
    gateway.stop()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone_and_mail_flows(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    path = gateway.folder / 'admin.sock'
    path.write_text('mine')
    gateway.start()
    assert re.search(r'admin socket \S*admin\.sock: there is a file, and it is no socket',
                     gateway.log())
    deliver(gateway)
    gateway.stop()
    assert path.read_text() == 'mine'


def test_a_second_gateway_does_not_take_a_socket_that_lives(make_gateway, next_hop):
    first = make_gateway(next_hop).start()
    second = make_gateway(next_hop)
    text = second.config_path.read_text()
    here = os.path.relpath(first.folder, second.folder)
    second.config_path.write_text(text.replace('"admin.sock"', f'"{here}/admin.sock"'))
    second.start()
    assert re.search(r'admin socket \S+: another process answers there', second.log())
    second.stop()
    assert status(first)['pid'] == first.pid
    assert (first.folder / 'admin.sock').exists()


def test_a_reload_moves_the_socket(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    text = gateway.config_path.read_text()
    waiting = dial(gateway)
    wait_until(lambda: status(gateway)['in_force'], 5, 'the first generation is in force')
    gateway.config_path.write_text(text.replace('"admin.sock"', '"moved.sock"'))
    gateway.wait_log('generation 2 is in force', since=gateway.reload())
    assert ask(gateway, b'generation', name='moved.sock')['generation'] == 2
    assert not (gateway.folder / 'admin.sock').exists()
    waiting.sendall(b'generation\n')  # it had been let in
    assert json.loads(read_all(waiting))['generation'] == 2
    assert status(gateway)['in_force']
    # A path that cannot be had leaves it where it is.
    gateway.config_path.write_text(text.replace('"admin.sock"', '"no/such/folder.sock"'))
    since = gateway.reload()
    gateway.wait_log(r'admin socket \S*folder\.sock: its folder: No such file', since=since)
    gateway.wait_log('generation 3 is in force', since=since)
    assert ask(gateway, b'generation', name='moved.sock')['generation'] == 3
    # A file that somebody removed comes back with the next reload.
    (gateway.folder / 'moved.sock').unlink()
    gateway.config_path.write_text(text.replace('"admin.sock"', '"moved.sock"'))
    gateway.wait_log('generation 4 is in force', since=gateway.reload())
    assert ask(gateway, b'generation', name='moved.sock')['generation'] == 4


def test_garbage_is_answered_or_dropped(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    for line in (b'', b'no such thing', b'status x', b'sender', b'sender x', b'\0\xff' * 100,
                 b'GET / HTTP/1.1', b'{"a": 1}', b'x' * 1023):
        assert set(ask(gateway, line)) == {'error'}
    assert 'counters' in ask(gateway, b'counters\r')
    with dial(gateway) as one:  # an endless line
        try:
            for _ in range(1000):
                one.sendall(b'x' * 4096)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert read_all(one) in (b'', b'{"error": "the request is too long"}\n')
    with dial(gateway) as one:  # half a line, and no more
        one.sendall(b'sta')
        one.shutdown(socket.SHUT_WR)
        assert read_all(one) == b''
    for _ in range(50):  # leaves before the reply
        one = dial(gateway)
        one.sendall(b'status\n')
        one.close()
    with dial(gateway) as one:  # byte by byte
        for byte in b'generation\n':
            one.sendall(bytes([byte]))
        assert json.loads(read_all(one))['generation'] == 1
    deliver(gateway)


def test_silent_clients_are_sent_away_and_keep_nobody_out(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    descriptors = f'/proc/{gateway.pid}/fd'
    before = len(os.listdir(descriptors))
    silent = []
    for number in range(200):
        silent.append(dial(gateway))
        if number % 50 == 0:
            assert status(gateway)['pid'] == gateway.pid
            assert len(os.listdir(descriptors)) <= before + CLIENTS_MAX + 8
    since = time.monotonic()
    assert [read_all(one) for one in silent] == [b''] * 200
    assert time.monotonic() - since < 4 * REQUEST_SECONDS
    for one in silent:
        one.close()
    assert status(gateway)['pid'] == gateway.pid
    deliver(gateway)


def test_a_client_in_the_middle_does_not_hold_the_stop(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    with dial(gateway) as one:
        one.sendall(b'stat')
        gateway.stop()
        assert read_all(one) == b''
