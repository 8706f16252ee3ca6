"""The first thing that a user sees: a message goes in with swaks and comes out at the next hop."""
import os
import subprocess

import pytest

from postern_lab import ROOT, ports


def swaks(port, *arguments):
    return subprocess.run(['swaks', '--server', f'127.0.0.1:{port}', '--from', 'a@lab.test',
                           '--to', 'b@example.com', *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)


def test_swaks_sends_one_message_through(gateway, next_hop, ledger):
    ident = ledger.new()
    result = swaks(gateway.port, '--tls', '--header', f'X-Lab-Id: {ident}')
    assert result.returncode == 0, result.stdout
    ledger.accepted(ident)
    message, = next_hop.wait_messages(1)
    assert (message.sender, message.recipients) == ('a@lab.test', ['b@example.com'])
    assert ledger.compare(next_hop.bodies())[1:] == ([], [], [])


def test_swaks_in_the_clear_is_refused_where_tls_is_required(gateway, next_hop):
    result = swaks(gateway.port, '--local-interface', '127.0.0.2')
    assert '530 ' in result.stdout, result.stdout
    assert not next_hop.messages


@pytest.mark.full
def test_the_demonstration_of_make_run(tmp_path):
    """tools/demo as `make run` calls it, on other ports, in the ordinary build tree."""
    environment = {**os.environ, 'DEMO_EXIT': '1', 'DEMO_PORT': str(ports.free_port()),
                   'DEMO_RELAY_PORT': str(ports.free_port()),
                   'DEMO_SINK_PORT': str(ports.free_port())}
    result = subprocess.run([ROOT / 'tools' / 'demo'], cwd=tmp_path, env=environment, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=120, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == 'Demonstration complete.'
    assert 'UNEXPECTED' not in result.stdout
