"""A kernel without TLS: it is said once, with the remedy, and OpenSSL makes the records.

Left out where the kernel has it. There, in a guest: tests/vm/guest run --no-module --
/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/system -m no_ktls
"""
import re

import pytest

from postern_lab.next_hop import NextHop

SAID = (r'kernel TLS: no module, .*"modprobe tls".* a line "tls" in '
        r'/etc/modules-load\.d/tls\.conf .*reload')
RECORDS = 'TLS records: send OpenSSL (no module), receive OpenSSL (no module)'


@pytest.mark.no_ktls
@pytest.mark.parametrize('word, level', [('auto', None), ('both', 'Warning')])
def test_without_the_module_the_remedy_is_said_once_and_mail_passes(make_gateway, hop_certificate,
                                                                    word, level):
    with NextHop(certificate=hop_certificate) as hop:
        gateway = make_gateway(hop, tls=f'ktls = "{word}";').start()
        gateway.wait_log('is in force', since=gateway.reload())
        with gateway.connect() as client:
            client.hello()
            client.starttls()
            client.ehlo()
            assert client.transaction('a@lab.test', ['b@example.com'], b'x\r\n').code == 250
            client.quit()
        hop.wait_messages(1)
        gateway.stop()
    log = gateway.log()
    assert re.search(SAID, log) and log.count('kernel TLS:') == 1, log
    assert re.search(rf'ICID \d+ {re.escape(RECORDS)}', log)
    assert re.search(rf'DCID \d+ {re.escape(RECORDS)}', log)
