"""The benches run, in a short form, and their figures are possible ones. None of them is judged."""
import json
import os
import subprocess
import sys

import pytest

from postern_lab import BUILD, PATIENCE, ROOT
from postern_lab.peers import CANNOT_BE_HAD, missing


def bench(name, *arguments):
    result = subprocess.run(
        [ROOT / 'bench' / name, '--json', '--rounds', '1', *arguments], text=True, check=False,
        env={**os.environ, 'POSTERN_BUILD': str(BUILD)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300 * PATIENCE)
    if result.returncode == CANNOT_BE_HAD:
        missing(f'of bench/{name}', result.stderr.strip())
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert any(line.startswith('postern ') for line in report['machine'])
    return report['results']


def page(folder, name, *sections):
    """A page with places for what --save writes; what is written by hand has to stay."""
    path = folder / name
    path.write_text('By hand.\n' + ''.join(
        f'<!-- {one}: written by bench/{one} --save -->\nold\n<!-- /{one} -->\n'
        for one in sections) + 'More.\n')
    return path


def saved(path):
    text = path.read_text()
    assert text.startswith('By hand.\n') and text.endswith('-->\nMore.\n')
    return text


def domains(*arguments):
    return bench('domains', '--domains', '20', '--hosts', '5', '--messages', '60',
                 '--sessions', '4', *arguments)


@pytest.mark.full
def test_mail_for_many_domains_is_measured_for_both_servers():
    results = domains('--mix', 'zipf', '--tls', 'preferred')
    assert [one['server'] for one in results] == ['postern', 'postfix']
    for one in results:
        assert one['cpu_ms'] > 0 and one['relayed_per_s'] > 0
        assert 0 < one['connections'] <= 1
        assert one['handshakes'] == one['connections']
        assert 0 <= one['resumed'] <= one['handshakes']


@pytest.mark.full
def test_servers_are_compared_as_relays(tmp_path):
    path = page(tmp_path, 'BENCHMARKS.md', 'relay')
    results = bench('relay', '--only', 'postern', 'postfix', '--cases', 'load-10', '--scale',
                    '0.01', '--seconds', '2', '--save', str(tmp_path))
    for name in ('postern', 'postfix'):
        figures = results['rounds'][name][0]['load-10']
        assert figures['messages'] > 0 and figures['failed'] == 0
        assert figures['cpu_s_per_1000'] > 0 and figures['peak_bytes'] > 1 << 20
        assert 0 < figures['p50_ms'] <= figures['p99_ms']
        assert results['syncs'][name]['before_250'] != 0
    text = saved(path)
    assert '| postern |' in text and 'old' not in text
    assert '>postfix</text>' in (tmp_path / 'relay.svg').read_text()


@pytest.mark.full
def test_a_stalled_host_is_met_and_all_others_have_their_mail():
    figures = domains('--stall', '--only', 'postern', '--stall-seconds', '1')['postern']
    assert figures['connections_held'] >= 1
    assert 0 < figures['messages'] < 100
    assert 0 < figures['stalled_p99_ms'] < 60000 and figures['p99_ratio'] > 0
    assert len(figures['p99_ratios']) == 1


@pytest.mark.full
def test_the_spool_is_measured_against_files_and_against_the_disk(tmp_path):
    results = bench('spool', '--folder', str(tmp_path), '--seconds', '0.05', '--sizes', '1K', '20K',
                    '--sessions', '1', '8', '--workers', '1')
    assert [(one['size'], one['sessions']) for one in results] == [
        (1024, 1), (1024, 8), (20480, 1), (20480, 8)]
    for one in results:
        assert one['files_per_s'] > 0
        for name in ('gateway', 'logs'):
            figures = one[name]
            assert figures['per_s'] > 0 and figures['stream_ratio'] > 0
            # A batch of padding may come behind the last of a few messages.
            assert 0.5 <= figures['messages_per_write'] <= one['sessions']
            assert figures['bytes_per_write'] >= one['size'] * figures['messages_per_write']
            assert ('latency_ratio' in figures) == (one['sessions'] == 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_a_start_is_measured_against_reading_the_same_files(tmp_path):
    result = bench('recovery', '--messages', '300', '--folder', str(tmp_path))[0]
    assert result['messages'] == 300  # all of them were found, or it had failed
    assert 0 < result['ready_seconds'] <= result['found_seconds']
    assert result['cat_seconds'] > 0 and result['cpu_seconds'] > 0


@pytest.mark.full
def test_a_relay_is_measured_against_a_receiver_a_sender_and_the_disk():
    results = bench('limits', '--only', 'relay', '--messages', '1000', '--warm', '1000')
    assert all(0 <= one['figure'] < 10000 for one in results)
    relays = [one for one in results if 'CPU / limit' in one['work']]
    assert len(relays) == 2
    for one in relays:
        assert one['figure'] > 0
        assert one['medians']['receive_us'] > 0 and one['medians']['send_us'] > 0
        assert 1 < one['medians']['messages_per_write'] < 1000
    assert sum('allocations' in one['work'] for one in results) == 7


@pytest.mark.full
def test_handshakes_bodies_and_latency_are_measured_against_their_limits(tmp_path):
    path = page(tmp_path, 'BENCHMARKS.md', 'limits')
    results = bench('limits', '--only', 'handshakes', 'policy', 'bodies', 'session', '--sessions',
                    '50', '--bodies', '2', '--save', str(tmp_path))
    text = saved(path)
    assert 'old' not in text and all(f'| {one["work"]} |' in text for one in results)
    assert len(results) == 12
    for one in results:
        # What TLS adds is a difference of two CPU times, and 50 sessions are few.
        least = -10 if one['work'].startswith('TLS of a message') else 0
        assert least < one['figure'] < 1000 and len(one['rounds']) == 1
    limits = [one['medians'] for one in results if 'medians' in one]
    assert all(value > 0 for one in limits for value in one.values())


@pytest.mark.full
def test_idle_sessions_are_measured_in_memory_and_beside_busy_ones():
    results = bench('limits', '--only', 'idle', 'active', '--idle', '300', '--kept', '1',
                    '--messages', '1000')
    assert [one['work'].split()[0] for one in results] == ['300', '500', '500']
    assert all(0 < one['figure'] < 100 for one in results[1:])


@pytest.mark.full
def test_more_workers_are_predicted_from_one_and_bigger_machines_from_both(tmp_path):
    path = page(tmp_path, 'SCALING.md', 'scaling')
    results = bench('scaling', '--messages', '160', '--warm', '160', '--save', str(tmp_path))
    for name in ('4 KiB', '4 KiB, TLS', '10 MiB', '10 MiB, TLS', 'two workers'):
        cost = results['costs'][name]
        assert cost['worker us'] > 0 and cost['ring enters'] > 0
        # A message comes in and goes out, and is written once.
        assert 2 * cost['size'] < cost['wire bytes'] < 2 * cost['size'] * 1.1 + 8000
        assert cost['size'] <= cost['disk bytes'] < cost['size'] * 1.1 + 12288
    assert 0 < results['receive_share'] <= 1 and results['spread'] >= 0
    assert len(results['checks']) == 8
    bytes_predicted = [one for one in results['checks'] if 'wire bytes' in one['what']]
    assert all(0.9 < one['predicted'] / one['measured'] < 1.1 for one in bytes_predicted)
    for machines in results['limits'].values():
        assert all(value > 0 for allowed in machines.values() for value in allowed.values())
    text = saved(path)
    assert 'What saturates first, 10 MiB, TLS' in text and 'old' not in text
    assert '>16 cores, 25 Gbit/s, NVMe' in (tmp_path / 'scaling.svg').read_text()


def test_a_figure_that_is_not_above_zero_is_drawn_all_the_same():
    sys.path.insert(0, str(ROOT / 'bench'))
    import plot
    values = {'large': 1000, 'small': 20, 'none': 0, 'less': -5}
    bars = [plot.Bar(name, value, name, None, False, False) for name, value in values.items()]
    text = plot.svg('title', [], [plot.Column('column', 'hint')], [plot.Row('row', [bars])])
    assert all(f'>{name}<' in text for name in values)


def test_the_model_names_what_a_machine_runs_out_of_first():
    sys.path.insert(0, str(ROOT / 'bench'))
    import scaling_model as model
    cost = {'worker us': 100, 'log us': 5, 'rest us': 5, 'disk bytes': 5000, 'body files': 0,
            'wire bytes': 9600, 'memory bytes': 5000}
    large = {'worker us': 20000, 'log us': 300, 'rest us': 5000, 'disk bytes': 10 << 20,
             'body files': 1, 'wire bytes': 20 << 20, 'memory bytes': 5000}
    fast = model.Disk('fast', 10e9, 20e-6, 1e6)
    slow_bytes = fast._replace(bytes=50e6)
    slow_syncs = fast._replace(sync_seconds=5e-3, syncs=200)
    for machine, one, first in (
            (model.Machine(16, 100e9, fast), cost, 'cores'),
            (model.Machine(16, 1e9, fast), cost, 'network'),
            (model.Machine(16, 100e9, slow_bytes), cost, 'disk, bytes'),
            (model.Machine(64, 100e9, slow_syncs), cost, 'disk, commits'),
            (model.Machine(64, 100e9, fast), cost, 'log writer'),
            (model.Machine(16, 10e9, fast), large, 'network'),
            (model.Machine(64, 100e9, fast._replace(bytes=1e9)), large, 'disk, bytes')):
        assert model.first_of(model.limits(machine, one, 0.1)) == first
    # One owner delivers all: more cores take the taking in off it, and no more.
    assert model.owner_allows(cost, 0.5, 1) == 1e4
    assert 1.9e4 < model.owner_allows(cost, 0.5, 64) < 2e4
    assert model.owner_share(0.5, 1) == 1 and model.owner_share(0.5, 2) == 0.75


@pytest.mark.full
def test_whole_commands_are_measured(tmp_path):
    path = page(tmp_path, 'BENCHMARKS.md', 'commands')
    results = bench('commands', '--senders', '100', '--messages', '50', '--save', str(tmp_path))
    assert 'spool verify, 50 messages' in [one['command'] for one in results]
    assert all(0 < one['min'] <= one['median'] <= one['max'] for one in results)
    assert '| check, 100 senders |' in saved(path)


@pytest.mark.full
def test_benches_run_one_after_the_other_and_the_pure_parts_are_among_them(tmp_path):
    path = page(tmp_path, 'BENCHMARKS.md', 'all', 'commands')
    result = subprocess.run(
        [ROOT / 'bench' / 'all', '--only', 'commands', 'micro', '--quick', '--save', tmp_path],
        env={**os.environ, 'POSTERN_BUILD': str(BUILD), 'MICRO': 'hot'}, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=300 * PATIENCE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '2 benches, about' in result.stdout and '==> 2/2 micro' in result.stdout
    if '0 skipped' not in result.stdout:
        missing('hyperfine or Google Benchmark', result.stdout.splitlines()[-1])
    text = saved(path)
    assert 'old' not in text and 'Body/frame/4096' in text
