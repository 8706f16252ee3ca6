"""The guest kernel of tests/vm/guest: misuse, and what a command gets and gives back."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

GUEST = pathlib.Path(__file__).resolve().parents[2] / 'tests' / 'vm' / 'guest'
CI = os.environ.get('CI') == 'true'

sys.path.insert(0, str(GUEST.parent))
import prepared  # noqa: E402, of that folder


def guest(*arguments, **options):
    return subprocess.run([GUEST, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=120, **options)


@pytest.fixture(name='kernel', scope='module')
def fixture_kernel():
    """The name of a kernel that is there."""
    result = guest('prepare', 'newest')
    if result.returncode == 3 and not CI:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    return 'newest'


MISUSED = [
    ('no subcommand', [], 'subcommand'),
    ('a kernel that nobody has', ['prepare', '5.10'], '5.10'),
    ('a run of nothing', ['run'], 'no command'),
    ('a run of nothing behind --', ['run', '--'], 'no command'),
    ('a command without its --', ['run', 'true'], 'unrecognized arguments: true'),
    ('a folder that is not there', ['run', '--write', '/nonsuch', '--', 'true'], '/nonsuch'),
]


@pytest.mark.parametrize('arguments,says', [row[1:] for row in MISUSED],
                         ids=[row[0] for row in MISUSED])
def test_misuse_is_exit_2_and_says_what(arguments, says):
    result = guest(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith('postern: guest: ') and says in result.stderr


def test_an_openssl_that_cannot_be_had_is_exit_125():
    result = guest('host', '--openssl', '1.1', '--', 'true')
    assert result.returncode == 125
    assert 'run with OpenSSL' in result.stderr


def test_the_archive_is_laid_out_as_the_kernel_reads_it():
    """Checked by its rules: heads of 110 bytes, names and data at multiples of 4, folders first."""
    packed = prepared.archive({'a/b/one': b'12345', 'two': b''})
    members, at = [], 0
    while at < len(packed):
        assert packed[at:at + 6] == b'070701' and at % 4 == 0
        fields = [int(packed[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = packed[at + 110:at + 110 + name_size]
        data_at = at + 110 + name_size + (-(110 + name_size) % 4)
        members.append((name, oct(fields[1]), packed[data_at:data_at + size]))
        at = data_at + size + (-size % 4)
    assert members == [(b'a\0', '0o40755', b''), (b'a/b\0', '0o40755', b''),
                       (b'a/b/one\0', '0o100755', b'12345'), (b'two\0', '0o100755', b''),
                       (b'TRAILER!!!\0', '0o0', b'')]


def test_a_command_gets_its_words_and_its_exit_comes_back(kernel, tmp_path):
    """And what it leaves running does not hold it up, nor is anything written but below --write."""
    folder = tmp_path / "a b, c'd"
    folder.mkdir()
    words = ['a b', "c'd", '$HOME', '"', '--', '-x', 'é\n', '']
    script = '''pwd; printf '<%s>' "$0" "$@"; echo written >file; echo lost >../lost
                echo "$POSTERN_GUEST$CI$SECRET" >&2; sleep 1000 & exit 7'''
    result = guest('run', '--kernel', kernel, '--write', '.', '--', 'sh', '-c', script, *words,
                   cwd=folder, env={**os.environ, 'CI': 'true', 'SECRET': 'x'})
    assert result.returncode == 7, result.stderr
    assert result.stdout == f'{folder}\n{"".join(f"<{word}>" for word in words)}1true\n'
    assert (folder / 'file').read_text(encoding='utf-8') == 'written\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


ASK_FOR_TLS = '''
import os, socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
try:
    client.setsockopt(socket.IPPROTO_TCP, 31, b'tls')
    print('kernel TLS')
except OSError as error:
    print(error.strerror)
'''


@pytest.mark.parametrize('options,says', [([], 'kernel TLS'),
                                          (['--no-module'], 'No such file or directory')])
def test_the_kernel_has_tls_unless_it_must_not(kernel, options, says):
    result = guest('run', '--kernel', kernel, *options, '--', '/usr/bin/python3', '-c', ASK_FOR_TLS)
    assert (result.stdout, result.returncode) == (says + '\n', 0), result.stderr


def test_the_time_limit_is_exit_124(kernel):
    started = time.monotonic()
    result = guest('run', '--kernel', kernel, '--seconds', '5', '--', 'sh', '-c',
                   'echo started; sleep 1000')
    assert result.returncode == 124
    assert 5 <= time.monotonic() - started < 15


def test_a_guest_that_breaks_down_is_exit_125(kernel):
    result = guest('run', '--kernel', kernel, '--', 'sh', '-c', 'echo c >/proc/sysrq-trigger')
    assert result.returncode == 125
    assert 'it ended early' in result.stderr and 'sysrq' in result.stderr


def processes_with(word):
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if word in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass  # it ended meanwhile
    return found


def test_nothing_runs_on_when_the_tool_is_killed(kernel):
    mark = f'mem={1_000_000 + os.getpid()}k'  # an argument of the guest, which is how to find it
    process = subprocess.Popen([GUEST, 'run', '--kernel', kernel, '--memory', mark[4:], '--',
                                'sh', '-c', 'echo started; sleep 1000'], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'started\n'
    assert processes_with(mark.encode())
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while processes_with(mark.encode()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(mark.encode()) == []
