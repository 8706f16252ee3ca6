#!/usr/bin/python3
"""tests/vm/suite.py [KERNEL OPENSSL] - the tests that are run in guests, all or of one combination.

Each combination of kernel and OpenSSL is one boot, in which the commands of ENTRIES run one after
another; as many guests run at a time as there are CPUs. What is found, build/vm/results/KERNEL-
OPENSSL/ holds: NAME.log and NAME.exit (the exit code) of each command, NAME.xml of pytest, in NAME/
what its failed tests left behind, and guest.log. Exit 1 when anything failed. The stage `vm` of
tools/test prepares, calls this and counts. To add a command, add it to ENTRIES.
"""
import collections
import concurrent.futures
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time

import prepared
from packages import CannotBeHad

ROOT = prepared.ROOT
GUEST = ROOT / 'tests' / 'vm' / 'guest'
RESULTS = prepared.VM / 'results'

# where: the pairs of kernel and OpenSSL; None means all. counts: how results are counted, "unit"
# (by the summary that cmocka prints) or "pytest" (a report in NAME.xml). seconds: after which it is
# thought to hang, on a busy machine. needs: a file, without which there is nothing to be run.
Entry = collections.namedtuple('Entry', 'name command counts seconds where needs',
                               defaults=[None, None])

NEWEST = [('newest', '3.0'), ('newest', '3.5')]
SHIPPED = [('6.1', '3.0'), ('6.12', '3.5'), *NEWEST]  # with Debian 12 and 13; for what is long

PYTEST = ['/usr/bin/python3', '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--tb=short', '-ra']

ENTRIES = [
    Entry('gateway_channel', ['build/tests/gateway_channel_test'], 'unit', 180),
    Entry('gateway_kernel_table', ['build/tests/gateway_kernel_table_test'], 'unit', 60),
    Entry('gateway_kernel_dialogue', ['build/tests/gateway_kernel_dialogue_test'], 'unit', 180,
          SHIPPED),
    Entry('gateway_kernel_faults', ['build/tests/gateway_kernel_faults_test'], 'unit', 60, NEWEST),
    Entry('gateway_kernel_records', ['build/tests/gateway_kernel_records_test'], 'unit', 180,
          SHIPPED),
    # These ask nothing of the kernel, only of OpenSSL.
    *(Entry(name, [f'build/tests/{name}_test'], 'unit', 180, NEWEST)
      for name in ('tls_session', 'tls_kernel', 'tls_control', 'tls_trust', 'tls_dane',
                   'tls_resumption', 'tls_post_quantum', 'tls_chain')),
    # Clean under the sanitizers, where there is a build with them.
    Entry('gateway_kernel_records_asan',
          ['env', 'UBSAN_OPTIONS=halt_on_error=1', 'build-asan/tests/gateway_kernel_records_test'],
          'unit', 180, NEWEST[:1], needs='build-asan/tests/gateway_kernel_records_test'),
    # What becomes of a key update is another thing on kernels that cannot follow it.
    Entry('system_key_update', [*PYTEST, '--junitxml={folder}/system_key_update.xml', '-m', 'ktls',
                                '-k', 'key_update', 'tests/system'],
          'pytest', 300, [pair for pair in SHIPPED if pair not in NEWEST],
          needs='tests/system/test_ktls.py'),
    Entry('system', [*PYTEST, '--junitxml={folder}/system.xml', '-m', 'ktls', 'tests/system'],
          'pytest', 450, NEWEST, needs='tests/system/test_ktls.py'),
]

BOOT_SECONDS_MAX = 60
SCRATCH = ROOT / 'build' / 'system'  # of the system tests
KEPT_BYTES_MAX = 1 << 20  # of a file; logs are smaller, spools are not
BEGINS = '== '  # a line that says which command begins


def combinations():
    """The pairs (kernel, openssl) to be run; on a machine with a newer OpenSSL there are fewer."""
    return [(kernel, openssl) for kernel in prepared.KERNELS for openssl in prepared.openssls()]


def entries_of(kernel, openssl):
    return [entry for entry in ENTRIES
            if (entry.where is None or (kernel, openssl) in entry.where)
            and (not entry.needs or (ROOT / entry.needs).exists())]


def missing(kernel, openssl):
    """Why this combination cannot be booted, or None."""
    try:
        prepared.kernel_root(kernel)
        prepared.openssl_root(openssl)
    except CannotBeHad as why:
        return str(why)
    return None


def results_of(kernel, openssl):
    return RESULTS / f'{kernel}-{openssl}'


def seconds_of(kernel, openssl):
    return BOOT_SECONDS_MAX + sum(entry.seconds for entry in entries_of(kernel, openssl))


# In the guest: tests/vm/suite.py inside KERNEL OPENSSL FOLDER

def run(entry, folder):
    """Its output goes to the log and, as it comes, to ours."""
    command = [word.format(folder=folder) for word in entry.command]
    with open(folder / f'{entry.name}.log', 'wb') as log:
        process = subprocess.Popen(['timeout', '-k', '5', str(entry.seconds), *command], cwd=ROOT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        while data := process.stdout.read1():
            log.write(data)
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return process.wait()


def keep(folder):
    """The guest's files are gone when it halts: saves what the failed tests left."""
    for path in SCRATCH.rglob('*'):
        if path.is_file() and path.stat().st_size <= KEPT_BYTES_MAX:
            place = folder / path.relative_to(SCRATCH)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def run_inside(kernel, openssl, folder):
    shutil.rmtree(SCRATCH, ignore_errors=True)
    worst = 0
    for entry in entries_of(kernel, openssl):
        print(f'{BEGINS}kernel {kernel}, OpenSSL {openssl}: {entry.name}', flush=True)
        started = time.monotonic()
        code = run(entry, folder)
        print(f'{entry.name}: exit {code}, {time.monotonic() - started:.1f} s', flush=True)
        (folder / f'{entry.name}.exit').write_text(f'{code}\n', encoding='utf-8')
        if code:
            keep(folder / entry.name)
            worst = 1
    return worst


# On this machine

class Suite:
    def __init__(self):
        self.cpus = queue.SimpleQueue()  # those without a guest; each guest is bound to one
        self.count = 0
        for cpu in sorted(os.sched_getaffinity(0)):
            self.cpus.put(cpu)
            self.count += 1
        self.printing = threading.Lock()

    def say(self, text):
        with self.printing:
            print(text, flush=True)

    def boot(self, pair):
        """Runs a combination; its output goes to guest.log, and here only how far it is."""
        folder = results_of(*pair)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        cpu = self.cpus.get()
        try:
            with open(folder / 'guest.log', 'w', encoding='utf-8') as log:
                process = subprocess.Popen(
                    ['taskset', '-c', str(cpu), GUEST, 'run', '--kernel', pair[0],
                     '--openssl', pair[1], '--seconds', str(seconds_of(*pair)), '--write', folder,
                     '--', __file__, 'inside', *pair, folder], encoding='utf-8', errors='replace',
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                for line in process.stdout:
                    log.write(line)
                    if line.startswith(BEGINS):
                        self.say(line.rstrip())
            return process.wait()
        finally:
            self.cpus.put(cpu)

    def run(self, pairs):
        """The longest first. At the end all that was said, of those that failed last."""
        pairs = sorted(pairs, key=lambda pair: -seconds_of(*pair))
        with concurrent.futures.ThreadPoolExecutor(self.count) as pool:
            codes = dict(zip(pairs, pool.map(self.boot, pairs)))
        for pair in sorted(pairs, key=lambda pair: codes[pair] != 0):
            self.say((results_of(*pair) / 'guest.log').read_text(encoding='utf-8').rstrip())
            self.say(f'kernel {pair[0]}, OpenSSL {pair[1]}: exit {codes[pair]}')
        return int(any(codes.values()))


def main():
    arguments = sys.argv[1:]
    if len(arguments) == 4 and arguments[0] == 'inside':
        return run_inside(arguments[1], arguments[2], pathlib.Path(arguments[3]))
    if arguments and arguments[0] in ('-h', '--help'):
        print(__doc__)
        return 0
    pairs = [tuple(arguments)] if arguments else combinations()
    if not set(pairs) <= set(combinations()):
        print(f'postern: suite: no combination {" ".join(arguments)}', file=sys.stderr)
        return 2
    return Suite().run([pair for pair in pairs if not missing(*pair)])


if __name__ == '__main__':
    sys.exit(main())
