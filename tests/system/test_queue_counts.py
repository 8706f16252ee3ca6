"""What `postern status` counts of mail that waits."""
import pytest

from postern_lab.process import wait_until
from postern_lab.rogue_hop import RogueHop, Say, Script
from test_queue import RELAY, SLOWLY, accept, counters, the_entry


@pytest.mark.parametrize('step', ['MAIL', 'RCPT', 'DATA', 'BODY'])
def test_a_host_that_breaks_off_has_deferred_the_recipients(make_gateway, step):
    with RogueHop([Script({step: Say('', then='close')})]) as hop:
        gateway = make_gateway(
            routes=f'{{ domain = "ALL"; to = [ "{hop.address}:{hop.port}" ]; }}',
            bounce=SLOWLY, **RELAY).start()
        accept(gateway, 'b@one.test', 'c@one.test')
        wait_until(lambda: the_entry(gateway)['attempts'] == 1, 15, 'it was tried')
        wait_until(lambda: counters(gateway)['recipients_deferred'] == 2, 5,
                   f'both count ({counters(gateway)["recipients_deferred"]})')
        gateway.stop()
