"""A program in the background whose output goes to a file, and that never outlives its test."""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import termios
import time

from postern_lab import PATIENCE

STEP_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000  # __WALL: also for a thread
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl  # looked up here: a child of a process with threads must take no lock


def wait_until(condition, seconds, what):
    """Polls condition until it is true and returns its value; fails after seconds (x PATIENCE).

    The last look is behind the deadline: who was not let run meanwhile is not to blame."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        is_late = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if is_late:
            raise AssertionError(f'after {seconds * PATIENCE:g} s still not: {what}')
        time.sleep(STEP_SECONDS)


def listens(port, address='127.0.0.1'):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def _ptrace(request, thread):
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None) != 0:
        raise OSError(ctypes.get_errno(), f'ptrace({request:#x})')


@contextlib.contextmanager
def thread_held(pid, name):
    """Meanwhile the thread of that name does not run, as on a machine that has no time for it."""
    thread, = (int(task.name) for task in pathlib.Path(f'/proc/{pid}/task').iterdir()
               if (task / 'comm').read_text().strip() == name)
    _ptrace(PTRACE_SEIZE, thread)
    _ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        _ptrace(PTRACE_DETACH, thread)


def is_asleep(pid):
    """Whether no thread of a process runs or waits for a CPU: it has done all there was to do."""
    states = [path.read_text().rpartition(')')[2].split()[0]
              for path in pathlib.Path(f'/proc/{pid}/task').glob('*/stat')]
    return all(state == 'S' for state in states)


def unread(file):
    """How many bytes wait in a socket or pipe."""
    return struct.unpack('i', fcntl.ioctl(file, termios.FIONREAD, bytes(4)))[0]


class Process:
    def __init__(self, name, command, folder, env=None):
        self.name = name
        self.words = [str(word) for word in command]
        self.folder = folder
        self.env = {**os.environ, **(env or {})}
        self.log_path = folder / f'{name}.log'
        self.process = None
        self.before_start = None  # a bench's: called with the pid, in the child, before the exec

    def start(self):
        assert self.process is None, f'{self.name} runs already'
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.words, cwd=self.folder, env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=self.in_child)
        return self

    def in_child(self):
        """Before the exec. Nothing that was started may outlive the tests, however they end."""
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if self.before_start:
            self.before_start(os.getpid())

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors='replace') if self.log_path.exists() else ''

    def tail(self, lines=30):
        return '\n'.join(self.log().splitlines()[-lines:])

    def wait_log(self, pattern, seconds=10, since=0):
        """Waits for a line that matches, at or after the offset since of log(); returns it."""
        def look():
            return re.search(pattern, self.log()[since:], re.M) or not self.running()
        match = wait_until(look, seconds, f'{pattern!r} in the log of {self.name}')
        match = re.search(pattern, self.log()[since:], re.M)
        assert match, f'{self.name} ended before it logged {pattern!r}:\n{self.tail()}'
        return match

    def wait_listening(self, port, seconds=20):
        wait_until(lambda: listens(port) or not self.running(), seconds,
                   f'{self.name} listens on {port}')
        assert self.running(), f'{self.name} ended instead of listening:\n{self.tail()}'
        return self

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, seconds=20):
        """SIGTERM; returns the exit code. Kills and fails when it does not end in time."""
        if self.process is None:
            return 0
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'{self.name} did not end at SIGTERM:\n{self.tail()}') from None
        self.process = None
        return code

    def ended(self):
        """The exit code of one that has ended by itself."""
        code, self.process = self.process.poll(), None
        assert code is not None, f'{self.name} still runs'
        return code

    def kill(self):
        """SIGKILL, to the whole session of the process; safe to call at any time."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None
