"""A disk that does not answer: nobody waits for it who need not."""
import pathlib
import subprocess

import pytest

SHIM = pathlib.Path(__file__).with_name('hanging_disk.c')


@pytest.mark.full
def test_a_disk_that_hangs_holds_neither_reload_nor_stop(make_gateway, next_hop, folder):
    shim, hanging = folder / 'hanging_disk.so', folder / 'hangs'
    subprocess.run(['cc', '-D_GNU_SOURCE', '-shared', '-fPIC', '-o', shim, SHIM, '-ldl'],
                   check=True)
    gateway = make_gateway(next_hop, env={'LD_PRELOAD': str(shim), 'HANGING_DISK': str(hanging)})
    gateway.start()
    hanging.touch()
    gateway.wait_log(r'Critical: spool: its disk has not answered for ten seconds', seconds=20)
    gateway.wait_log(r'Critical: Alert spool: spool: its disk has not answered', seconds=5)
    assert 'its disk does not answer' in gateway.command('status')
    gateway.wait_log(r'configuration generation 2 is in force', since=gateway.reload(), seconds=5)

    hanging.unlink()
    gateway.wait_log(r'Info: spool: its disk answers again', seconds=5)
    assert 'its disk does not answer' not in gateway.command('status')
    hanging.touch()
    gateway.stop(seconds=15)
