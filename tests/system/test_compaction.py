"""One message that waits for long does not keep the segments of all that came after it."""
import pytest

from postern_lab.process import wait_until
from postern_lab.rogue_hop import RogueHop, Script

SEGMENT = 64 << 20
BODY = ('x' * 76 + '\n') * 12000  # 924 KB
TRAFFIC = 13 * SEGMENT // 2 // len(BODY)


def send(client, ledger, recipients, body=BODY):
    ident, data = ledger.message(body=body)
    assert client.transaction('a@lab.test', recipients, data).code == 250
    ledger.accepted(ident, len(recipients))


@pytest.mark.full
def test_old_mail_that_waits_does_not_keep_segments(make_gateway, next_hop, ledger):
    """Of one message a recipient has its mail, another waits; of the others all wait. They move,
    what is known of them too, and a crash does not bring back what was delivered."""
    later = {'RCPT': '450 4.2.1 later'}
    with RogueHop([Script({'RCPT:1': '250 2.1.5 ok', **later}), Script(later)]) as slow:
        routes = (f'{{ domain = "slow.example.com"; to = [ "127.0.0.1:{slow.port}" ]; }}, '
                  f'{{ domain = "ALL"; to = [ "127.0.0.1:{next_hop.port}" ]; }}')
        gateway = make_gateway(next_hop, routes=routes, workers=1).start()
        with gateway.connect() as client:
            client.hello()
            send(client, ledger, ['b@slow.example.com', 'c@slow.example.com'], 'half')
            wait_until(lambda: len(slow.mails()) == 1, 10, 'one recipient has it')
            for _ in range(20):
                send(client, ledger, ['d@slow.example.com'], 'all wait')
            for _ in range(TRAFFIC):
                send(client, ledger, ['b@example.com'])
        next_hop.wait_messages(TRAFFIC, 60)
        wait_until(lambda: gateway.status()['counters']['messages_compacted'] >= 21, 20,
                   'all that wait have moved')
        wait_until(lambda: gateway.status()['spool_segment_bytes'] <= 6 * SEGMENT, 20,
                   'segments are free again')
        gateway.settle(messages=21)
        gateway.kill()
        gateway.start()
        gateway.wait_log('recovered 21 messages')
        slow.scripts = [Script()]
        wait_until(lambda: len(slow.mails()) == 22, 90, 'the rest arrives')
        assert slow.mails()[-1].recipients != ['b@slow.example.com', 'c@slow.example.com']
        gateway.stop()
        halves = [m for m in slow.mails() if b'half' in m.data]
        assert sorted(r for m in halves for r in m.recipients) == ['b@slow.example.com',
                                                                   'c@slow.example.com']
