"""Verify waits for the PTR name of a host, but not for ever: its zone may be anybody's."""
import pytest

from postern_lab.bad_certificates import Issuer
from postern_lab.name_servers import NameServer
from postern_lab.process import wait_until
from postern_lab.rogue_hop import RogueHop, Say, Script
from postern_lab.sections import dns_section

JUDGE_SECONDS = 10  # GATEWAY_HOP_JUDGE_MS
CASES = [('preferred-verify', 'other.test', 'TLS deferring: verify error: tried slow.test'),
         ('preferred-verify', 'slow.test', 'verified by table: matched slow.test'),
         ('required-verify', 'slow.test', 'verified by table: matched slow.test')]


@pytest.mark.full
@pytest.mark.parametrize('tls, name, said', CASES)
def test_what_comes_without_the_ptr_name_is_judged_by_the_others(make_gateway, folder, tls, name,
                                                                 said):
    (folder / 'issuer').mkdir()
    issuer = Issuer(folder / 'issuer')
    # The connection is still there when the resolver gives up, two seconds later.
    script = Script({'END': Say('250 2.0.0 Ok', delay=5.0)})
    with NameServer(lambda *_: None) as silent, \
            RogueHop([script], certificate=issuer.certify(name, [name]),
                     extensions=('STARTTLS', 'PIPELINING')) as hop:
        gateway = make_gateway(
            hop, ca=issuer.chain, workers=1,
            destinations=f'default = {{ tls = "{tls}"; }};',
            extra=dns_section({'127.in-addr.arpa': silent.port},
                              timeout=f'{JUDGE_SECONDS + 1}s')).start()
        with gateway.connect(source='127.0.0.3') as client:
            client.hello()
            client.transaction('', ['b@slow.test'], b'Subject: slow\r\n\r\nx\r\n')
            client.quit()
        wait_until(hop.mails, JUDGE_SECONDS + 20, 'the mail')
        assert hop.mails()[0].secure
        gateway.wait_log(said)
