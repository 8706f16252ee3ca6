"""Mail that is to come back: sent with what RFC 3461 lets a sender say, and refused."""

TEXT = b'Subject: the original\r\n\r\nthe body\r\n'


def send(gateway, recipients, mail='', sender='a@lab.test', data=TEXT, tls=False):
    """recipients: texts behind RCPT TO:, as "<b@example.com> NOTIFY=NEVER"."""
    with gateway.connect(source='127.0.0.3') as client:
        client.hello()
        if tls:
            client.starttls()
            client.ehlo()
        client.expect(250, f'MAIL FROM:<{sender}> {mail}'.rstrip())
        for recipient in recipients:
            client.expect(250, f'RCPT TO:{recipient}')
        client.expect(354, 'DATA')
        client.send(data + b'.\r\n')
        client.expect(250)
        client.quit()


def judge_addresses(*refused):
    return lambda line, _: '550 5.1.1 no such user' if any(
        f'<{address}>' in line for address in refused) else None
