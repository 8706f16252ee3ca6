"""A small authority and the certificates of the lab, made once a session with openssl."""
import subprocess

DAYS = '400'  # so far away that no gateway warns of it


def openssl(*arguments):
    subprocess.run(['openssl', *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def new_key(path, kind):
    if kind == 'ec':
        openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path)
    else:
        openssl('genrsa', '-out', path, '2048')


class Certificate:
    def __init__(self, chain, key):
        self.chain = chain
        self.key = key


class Authority:
    """Signs certificates below its folder; ca.chain is what a client trusts."""

    def __init__(self, folder, name='Postern Lab CA'):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.chain = folder / 'ca.pem'
        self.key = folder / 'ca.key'
        new_key(self.key, 'ec')
        openssl('req', '-x509', '-new', '-key', self.key, '-days', DAYS, '-out', self.chain,
                '-subj', f'/CN={name}', '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    def issue(self, name, kind='ec', names=None, days=DAYS, client=False):
        """A certificate with the common name, and the subject alternative names, given."""
        key, request, chain, extensions = (
            self.folder / f'{name}-{kind}{end}' for end in ('.key', '.csr', '.pem', '.ext'))
        new_key(key, kind)
        openssl('req', '-new', '-key', key, '-subj', f'/CN={name}', '-out', request)
        extensions.write_text(
            'basicConstraints=CA:FALSE\n'
            f'extendedKeyUsage={"clientAuth" if client else "serverAuth"}\n'
            f'subjectAltName={",".join(f"DNS:{dns}" for dns in names or [name])}\n')
        openssl('x509', '-req', '-in', request, '-CA', self.chain, '-CAkey', self.key,
                '-CAcreateserial', '-days', days, '-extfile', extensions, '-out', chain)
        return Certificate(chain, key)
