"""What the benches share: CPU time of a whole server, memory of it, the machine's description."""
import datetime
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault('POSTERN_BUILD', 'build-bench')
sys.path.insert(0, str(ROOT / 'tests' / 'system'))

from postern_lab import BUILD, PEERS, POSTERN  # noqa: E402 (needs the path above)

CGROUP = pathlib.Path('/sys/fs/cgroup')
TICKS_PER_SECOND = os.sysconf('SC_CLK_TCK')
FORKS = 50
STARTERS = ('sh', 'dash', 'bash', 'cat', 'sudo')

def run_text(*command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=False,
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).stdout.strip()


def machine(peers=('postfix',)):
    """Lines that say where the figures come from; peers: those whose versions belong to them."""
    cpu = re.search(r'^model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text(), re.M)
    disk = run_text('df', '--output=source,fstype', ROOT).splitlines()[-1]
    return [f'date     {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}',
            f'machine  {os.cpu_count()} x {cpu.group(1) if cpu else platform.machine()}',
            f'kernel   {platform.release()}, tree on {" ".join(disk.split())}',
            f'busy     load average {os.getloadavg()[1]:.1f} in the five minutes before',
            f'fork     {fork_us():.0f} us CPU for a small process from fork to exit',
            f'openssl  {run_text("openssl", "version")}',
            f'postern  {run_text("git", "-C", ROOT, "describe", "--always", "--dirty")}',
            *(f'{peer:8} {run_text(PEERS, "version", peer)}' for peer in peers)]


def fork_us():
    """CPU time that a fork costs, with the exit of the child: servers that fork live by it."""
    def used():
        return sum(one.ru_utime + one.ru_stime for one in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    before = used()
    for _ in range(FORKS):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return (used() - before) / FORKS * 1e6


def table(head, rows):
    """Columns as wide as they need to be; the first to the left, the others to the right."""
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print('  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))


def median(values):
    return statistics.median(values)


class Cgroup:
    """A cgroup for one server, so that the CPU time of processes that came and went is counted.

    Falls back to the times in /proc where no cgroup can be made (no root, a read-only mount).
    """

    def __init__(self, name):
        self.path = None
        for mount in (CGROUP, CGROUP / 'unified'):
            if not (mount / 'cgroup.procs').exists():
                continue
            match = re.search(r'^0::(.*)$', pathlib.Path('/proc/self/cgroup').read_text(), re.M)
            own = mount / match.group(1).strip('/') if match else mount
            path = own / f'postern-bench-{name}-{os.getpid()}'
            try:
                path.mkdir()
            except OSError:
                continue
            if (path / 'cpu.stat').exists():
                self.path = path
                return
            path.rmdir()

    def adopt(self, pid):
        if self.path:
            (self.path / 'cgroup.procs').write_text(str(pid))

    def pids(self):
        """Of all that is in it; empty without one."""
        return (self.path / 'cgroup.procs').read_text().split() if self.path else []

    def cpu_seconds(self, pid):
        """Of everything in the group; without one, of the process tree below pid."""
        if self.path:
            text = (self.path / 'cpu.stat').read_text()
            return int(re.search(r'^usage_usec (\d+)', text, re.M).group(1)) / 1e6
        return cpu_seconds(pid)

    def remove(self):
        if not self.path:
            return
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def cpu_seconds(pid):
    """Of a process, those below it, and those that they have waited for."""
    return sum(sum(map(int, stat_fields(one)[11:15])) for one in tree(pid)) / TICKS_PER_SECOND


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state on (index 0 is field 3)."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return ['0'] * 50
    return text.rpartition(')')[2].split()


def tree(pid):
    """pid and all processes below it."""
    parents = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            parents.setdefault(stat_fields(entry)[1], []).append(entry)
    found, todo = [], [str(pid)]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += parents.get(one, [])
    return found


def without_starters(pids):
    """Those that are no interpreter or shell which only started the server and waits for it."""
    def is_starter(pid):
        try:
            name = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
        except OSError:
            return True
        return name in STARTERS or name.startswith('python')
    return [pid for pid in pids if not is_starter(pid)]


def memory_bytes(pids):
    """(PSS, RSS) over the processes: memory that they share is counted once in the first."""
    totals = {'Pss': 0, 'Rss': 0}
    for pid in pids:
        try:
            text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
        except OSError:
            continue
        for key in totals:
            totals[key] += int(re.search(rf'^{key}:\s+(\d+) kB', text, re.M).group(1)) * 1024
    return totals['Pss'], totals['Rss']


def anonymous_bytes(pid):
    """What a process has allocated: without its files, whose pages it has in common with others."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    return int(re.search(r'^Pss_Anon:\s+(\d+) kB', text, re.M).group(1)) * 1024


def peak_bytes(pid):
    """The most RSS that a process has had."""
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'^VmHWM:\s+(\d+) kB', text, re.M).group(1)) * 1024


def kernel_bytes():
    """Memory of the kernel that grows with sockets: slabs, and the pages of socket buffers."""
    slab = int(re.search(r'^Slab:\s+(\d+)', pathlib.Path('/proc/meminfo').read_text(),
                         re.M).group(1)) * 1024
    pages = re.search(r'^TCP:.* mem (\d+)', pathlib.Path('/proc/net/sockstat').read_text(), re.M)
    return slab + int(pages.group(1)) * os.sysconf('SC_PAGE_SIZE')


def fetch_peer(name):
    """0, or the exit code of tools/peers, which has said on standard error why not."""
    return subprocess.run([PEERS, 'fetch', name], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.DEVNULL).returncode


def require_peer(name='postfix'):
    code = fetch_peer(name)
    if code:
        sys.exit(code)


def require_postern():
    if not POSTERN.exists():
        sys.exit(f'postern: bench: {POSTERN} is missing: make bench builds it')


def results_folder(name):
    path = BUILD / 'bench' / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def save_section(path, name, text):
    """Puts text between the two marks of that name in a page; the rest of it is written by hand."""
    begin, end = f'<!-- {name}: written by bench/{name} --save -->\n', f'<!-- /{name} -->'
    page = path.read_text()
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f'postern: bench: {path} has no place marked {begin.strip()} ... {end}')
    before, _, rest = page.partition(begin)
    path.write_text(before + begin + text.rstrip('\n') + '\n' + end + rest.partition(end)[2])
