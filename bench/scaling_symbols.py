"""Where the CPU time of workers goes, by symbol: samples of perf, as microseconds a message."""
import re
import signal
import subprocess
import time

import rig

SAMPLES_PER_SECOND = 1999
ROWS = 20
HAND_OVER = re.compile(r'mailbox|msg_ring|fall_asleep')


def symbols(run, path):
    """{symbol: us a message} of the workers of a gateway that relays."""
    run.generate(run.warm)
    run.calm_down()
    perf = subprocess.Popen(['perf', 'record', '-q', '-F', str(SAMPLES_PER_SECOND), '-e',
                             'cpu-clock', '-p', str(run.gateway.pid), '-o', path],
                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    run.generate(run.messages)
    perf.send_signal(signal.SIGINT)
    perf.wait()
    workers = ','.join(f'worker {number}' for number in range(run.workers))
    text = rig.run_text('perf', 'report', '-i', path, '--comms', workers, '--sort', 'sym', '-F',
                        'sample,sym', '--stdio')
    found = {}
    for count, kind, name in re.findall(r'^ *(\d+) +\[(.)\] (\S+)', text, re.M):
        name = ('kernel ' if kind == 'k' else '') + name
        found[name] = found.get(name, 0) + int(count) * 1e6 / SAMPLES_PER_SECOND / run.messages
    return found


def compare(run_class, names, options):
    """Prints the symbols whose cost grows most from the first run to any other."""
    path = str(rig.results_folder('scaling-results') / 'perf.data')
    columns = {}
    for name in names:
        with run_class(name, options) as run:
            columns[name] = symbols(run, path)
    first = columns[names[0]]
    every = sorted(set().union(*columns.values()), key=lambda symbol: max(
        one.get(symbol, 0) - first.get(symbol, 0) for one in columns.values()), reverse=True)

    def row(title, value):
        return [title, *(f'{value(one):.2f}' for one in columns.values())]

    rig.table(['us a message, workers', *names], [
        row('all', lambda one: sum(one.values())),
        row('kernel', lambda one: sum(us for name, us in one.items()
                                      if name.startswith('kernel '))),
        row('mailboxes and bells', lambda one: sum(us for name, us in one.items()
                                                   if HAND_OVER.search(name))),
        *(row(symbol, lambda one, symbol=symbol: one.get(symbol, 0)) for symbol in every[:ROWS])])
