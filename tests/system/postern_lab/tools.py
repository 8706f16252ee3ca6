"""Clients that nobody here wrote: swaks and openssl s_client."""
import subprocess

from postern_lab import PATIENCE


def run(command, text_in=None, seconds=30):
    """Runs it to its end; both outputs in one text."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT, timeout=seconds * PATIENCE, check=False,
                            errors='replace',
                            **({'input': text_in} if text_in is not None
                               else {'stdin': subprocess.DEVNULL}))
    return result


def swaks(port, *arguments, sender='a@lab.test', recipient='b@example.com', address='127.0.0.1'):
    return run(['swaks', '--server', f'{address}:{port}', '--from', sender, '--to', recipient,
                *arguments])


def s_client(port, *arguments, commands='QUIT\n'):
    """openssl s_client behind STARTTLS; commands are said when the handshake is done."""
    return run(['openssl', 's_client', '-starttls', 'smtp', '-crlf', '-connect',
                f'127.0.0.1:{port}', '-ign_eof', *arguments],
               text_in=commands)
