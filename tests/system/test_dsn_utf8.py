"""Reports about mail that is not ASCII, RFC 6533."""
import re

import pytest

from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.returned import judge_addresses, send

UTF8_TEXT = 'Subject: почта\r\nMessage-ID: <utf8@lab.test>\r\n\r\nпривет\r\n'.encode()


def typed_parts(message):
    """(type, transfer encoding, bytes) of each part, as they stand there: few readers know all of
    these types."""
    boundary = re.search(rb'boundary="([^"]+)"', message.data)[1]
    parts = message.data.split(b'\r\n--' + boundary)[1:-1]
    split = [part.lstrip(b'\r\n').partition(b'\r\n\r\n') for part in parts]
    return [(re.search(rb'Content-Type: ([^;\r]+)', head)[1].decode(),
             b'Content-Transfer-Encoding: 8bit' in head, text) for head, _, text in split]


@pytest.mark.parametrize('ret, returned', [('FULL', 'message/global'),
                                           ('HDRS', 'message/global-headers')])
@pytest.mark.parametrize('sender', ['a@lab.test', 'jürgen@lab.test'])
@pytest.mark.parametrize('extensions', [['SMTPUTF8'], []], ids=['SMTPUTF8', 'without'])
def test_a_report_about_utf8_mail_speaks_utf8(make_gateway, ret, returned, sender, extensions):
    with NextHop(replies={'RCPT': judge_addresses('пользователь@example.com')},
                 extensions=extensions) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<пользователь@example.com> ORCPT=utf-8;прежний@example.com'],
             sender=sender, mail=f'SMTPUTF8 RET={ret}', data=UTF8_TEXT)
        if not extensions and not sender.isascii():
            # There is no way back to him, and nothing that could be said instead of his address.
            gateway.wait_log(r"Double bounce: MID \d+ to RID 0 - 5.6.7")
            return
        wait_until(lambda: hop.messages, 20, 'the report')
        message, = hop.messages
        assert message.recipients == [sender]
        assert ('SMTPUTF8' in message.parameters) == (not sender.isascii())
        human, status, original = typed_parts(message)
        assert human[:2] == ('text/plain', True)
        assert 'message to <пользователь@example.com> was'.encode() in human[2]
        assert status[:2] == ('message/global-delivery-status', True)
        assert ('\r\nOriginal-Recipient: utf-8;прежний@example.com\r\n'
                'Final-Recipient: utf-8; пользователь@example.com\r\n').encode() in status[2]
        assert original[:2] == (returned, True)
        assert 'Subject: почта\r\n'.encode() in original[2]
        assert ('привет'.encode() in original[2]) == (ret == 'FULL')


def test_smtputf8_that_was_said_and_not_needed_changes_no_report(make_gateway):
    with NextHop(replies={'RCPT': judge_addresses('b@example.com')}) as hop:
        gateway = make_gateway(hop).start()
        send(gateway, ['<b@example.com>'], mail='SMTPUTF8')
        wait_until(lambda: hop.messages, 20, 'the report')
        message, = hop.messages
        assert [part[:2] for part in typed_parts(message)] == [
            ('text/plain', False), ('message/delivery-status', False), ('message/rfc822', False)]
        assert message.data.isascii()
