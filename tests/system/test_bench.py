"""The benches run, in a short form, and their figures are possible ones. None of them is judged."""
import json
import os
import subprocess

import pytest

from postern_lab import BUILD, PATIENCE, ROOT
from postern_lab.peers import CANNOT_BE_HAD, missing


def bench(name, *arguments):
    result = subprocess.run(
        [ROOT / 'bench' / name, '--json', '--rounds', '1', *arguments], text=True, check=False,
        env={**os.environ, 'POSTERN_BUILD': str(BUILD)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120 * PATIENCE)
    if result.returncode == CANNOT_BE_HAD:
        missing(f'of bench/{name}', result.stderr.strip())
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert any(line.startswith('postern ') for line in report['machine'])
    return report['results']


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
    (tmp_path / 'BENCHMARKS.md').write_text(
        'By hand.\n<!-- relay: written by bench/relay --save -->\nold\n<!-- /relay -->\nMore.\n')
    results = bench('relay', '--only', 'postern', 'postfix', '--cases', 'load-10', '--scale',
                    '0.01', '--seconds', '2', '--save', str(tmp_path))
    for name in ('postern', 'postfix'):
        figures = results['rounds'][name][0]['load-10']
        assert figures['messages'] > 0 and figures['failed'] == 0
        assert figures['cpu_s_per_1000'] > 0 and figures['peak_bytes'] > 1 << 20
        assert 0 < figures['p50_ms'] <= figures['p99_ms']
        assert results['syncs'][name]['before_250'] != 0
    page = (tmp_path / 'BENCHMARKS.md').read_text()
    assert page.startswith('By hand.\n') and page.endswith('<!-- /relay -->\nMore.\n')
    assert '| postern |' in page and 'old' not in page
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
            assert 1 <= figures['messages_per_write'] <= one['sessions']
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
    assert len(results) == 4
    for one in results:
        assert 0 < one['figure'] < 1000
    for one in (results[0], results[3]):
        assert one['medians']['receive_us'] > 0 and one['medians']['send_us'] > 0
        assert 1 < one['medians']['messages_per_write'] < 1000


@pytest.mark.full
def test_handshakes_bodies_and_latency_are_measured_against_their_limits():
    results = bench('limits', '--only', 'handshakes', 'bodies', 'session', '--sessions', '50',
                    '--bodies', '2')
    assert len(results) == 8
    for one in results:
        assert 0 < one['figure'] < 1000 and len(one['rounds']) == 1
    limits = [one['medians'] for one in results if 'medians' in one]
    assert all(value > 0 for one in limits for value in one.values())


@pytest.mark.full
def test_idle_sessions_are_measured_in_memory_and_beside_busy_ones():
    results = bench('limits', '--only', 'idle', 'active', '--idle', '300', '--messages', '1000')
    assert [one['work'].split()[0] for one in results] == ['300', '500', '500']
    assert all(0 < one['figure'] < 100 for one in results[1:])
