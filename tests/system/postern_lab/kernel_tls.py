"""Kernel TLS, seen from outside: whether this kernel has it, how a peer is told to use it, and what
the kernel counts."""
import functools
import pathlib
import socket
import subprocess

TCP_ULP = 31  # of linux/tcp.h
OP_ENABLE_KTLS = 8  # of openssl/ssl.h; Python's ssl has a name for it since 3.12
COUNTERS = pathlib.Path('/proc/net/tls_stat')

CONFIGURATION = '''openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = system
[system]
Options = KTLS
'''


def is_there():
    """Asks as a program would, on a connection; the kernel may load its module for that."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            try:
                client.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b'tls')
            except OSError:
                return False
            return True


def counters():
    """The kernel's, by name: TlsTxSw, TlsCurrTxSw, TlsDecryptError... Empty without its module."""
    text = COUNTERS.read_text(encoding='ascii') if COUNTERS.exists() else ''
    return {name: int(value) for name, value in map(str.split, text.splitlines())}


def current():
    """Directions of sockets, of all processes, that the kernel encrypts or decrypts now."""
    return sum(value for name, value in counters().items() if name.startswith('TlsCurr'))


@functools.cache
def openssl_has_option():
    """Whether its programs know -ktls; older ones want it said in a configuration."""
    text = subprocess.run(['openssl', 's_client', '-help'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    return b'-ktls' in text


def for_openssl(folder):
    """(arguments, environment) that make a program of OpenSSL use kernel TLS."""
    if openssl_has_option():
        return ['-ktls'], {}
    path = folder / 'ktls.cnf'
    path.write_text(CONFIGURATION, encoding='ascii')
    return [], {'OPENSSL_CONF': str(path)}
