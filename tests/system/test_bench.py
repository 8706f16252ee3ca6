"""The benches run, in a short form, and their figures are possible ones. None of them is judged."""
import json
import os
import subprocess

import pytest

from postern_lab import BUILD, PATIENCE, ROOT
from postern_lab.peers import CANNOT_BE_HAD, missing


def domains(*arguments):
    result = subprocess.run(
        [ROOT / 'bench' / 'domains', '--json', '--domains', '20', '--hosts', '5', '--rounds', '1',
         '--messages', '60', '--sessions', '4', *arguments], text=True, check=False,
        env={**os.environ, 'POSTERN_BUILD': str(BUILD)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120 * PATIENCE)
    if result.returncode == CANNOT_BE_HAD:
        missing('of bench/domains', result.stderr.strip())
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert any(line.startswith('postern ') for line in report['machine'])
    return report['results']


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
def test_a_stalled_host_is_met_and_all_others_have_their_mail():
    figures = domains('--stall', '--only', 'postern', '--stall-seconds', '1')['postern']
    assert figures['connections_held'] >= 1
    assert 0 < figures['messages'] < 100
    assert 0 < figures['stalled_p99_ms'] < 60000 and figures['p99_ratio'] > 0
    assert len(figures['p99_ratios']) == 1
