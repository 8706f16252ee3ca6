"""Mail for which this gateway is itself one of the hosts of the MX (RFC 5321 5.1)."""
import struct

import pytest

from postern_lab.name_servers import (NXDOMAIN, SERVFAIL, NameServer, record, response,
                                      wire_name)
from postern_lab.sections import dns_section

OURS = 'mx.lab.test'  # hostname of the template
SOFT = r'DNS Temporary Failure {domain} MX - ServFail: A: '
LOOP = r'Bounced: DCID 0 MID \d+ to RID 0 - 5\.4\.6 .*its best host is this one'


def exchange(domain, preference, host):
    return record(domain, 'MX', struct.pack('>H', preference) + wire_name(host))


def answer(packet, name, kind):
    better = {'backup.lab.test': 'sick.lab.test', 'gone.lab.test': 'none.lab.test'}
    if name == 'sick.lab.test':
        return response(packet, SERVFAIL)
    if name == OURS:
        return response(packet, answers=[record(name, 'A', bytes([127, 0, 0, 1]))]
                        if kind == 1 else [])
    if name not in better and name != 'first.lab.test':
        return response(packet, NXDOMAIN)
    hosts = [(20, OURS)] + ([(10, better[name])] if name in better else [])
    return response(packet, answers=[exchange(name, *host) for host in hosts]
                    if kind == 15 else [])


@pytest.mark.parametrize('domain, said', [
    ('first.lab.test', LOOP),
    ('gone.lab.test', LOOP),
    # What cannot be asked for now may be there later: RFC 5321 5.1, and a backup has to wait.
    ('backup.lab.test', SOFT),
])
def test_mail_waits_for_a_better_host_that_cannot_be_looked_up(make_gateway, domain, said):
    with NameServer(answer) as names:
        gateway = make_gateway(
            workers=1, extra=dns_section({'lab.test': names.port}),
            rat='{ recipients = [ "nobody.test" ]; action = "reject"; }').start()
        with gateway.connect(source='127.0.0.3') as client:
            client.hello()
            client.transaction('', [f'b@{domain}'], b'Subject: loop\r\n\r\nx\r\n')
            client.quit()
        gateway.wait_log(said.format(domain=domain))
