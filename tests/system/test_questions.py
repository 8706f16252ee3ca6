"""What MAIL waits for: the answer of the DNS about its sender."""
import threading

from postern_lab.name_servers import TYPES, NameServer, record, response
from postern_lab.process import wait_until

BUFFERS = 1024  # that a worker receives into, in turn


def test_what_others_say_meanwhile_does_not_change_the_sender(make_gateway, next_hop):
    release = threading.Event()

    def answer(packet, name, kind):
        release.wait(20)
        return response(packet, 0, [record(name, 'A', bytes([192, 0, 2, 1]))]
                        if kind == TYPES['A'] else [])
    with NameServer(answer) as server:
        gateway = make_gateway(
            next_hop, workers=1, hat='{ group = "ALL"; senders = [ "ALL" ]; policy = "CHECKED"; }',
            policies='CHECKED = { access = "accept"; verify_sender = true; };',
            extra=f'dns = {{ stub_zones = ( {{ zone = "slow.test"; '
                  f'servers = [ "127.0.0.1:{server.port}" ]; }} ); }};').start()
        with gateway.connect() as client, gateway.connect() as other:
            client.hello()
            client.send('MAIL FROM:<ann@mail.slow.test>')
            wait_until(lambda: server.asked, 10, 'a question to the DNS')
            other.hello()
            for _ in range(BUFFERS + 100):
                other.expect(250, 'NOOP <bob@example.com> <bob@example.com>')
            release.set()
            client.expect(250)
            client.expect(250, 'RCPT TO:<carl@example.com>')
            client.expect(354, 'DATA')
            client.expect(250, b'x\r\n.\r\n')
        message, = next_hop.wait_messages(1)
        assert message.sender == 'ann@mail.slow.test'
