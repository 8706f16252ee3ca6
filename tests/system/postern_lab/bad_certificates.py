"""An authority that also issues what no client should take: expired, revoked, wrongly named.

All certificates of one have the same key, so that a TLSA record of the key fits each of them.
"""
import hashlib
import subprocess
import time

from postern_lab.certificates import Authority, Certificate, new_key, openssl

DAY_SECONDS = 86400
CONFIG = '''
[ca]
default_ca = lab
[lab]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = optional
'''


def stamp(days):
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + days * DAY_SECONDS))


class Issuer(Authority):
    def __init__(self, folder, name='Postern Lab Issuer'):
        super().__init__(folder, name)
        self.config = folder / 'ca.conf'
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / 'index.txt').write_text('')
        self.leaf_key, self.request = folder / 'leaf.key', folder / 'leaf.csr'
        new_key(self.leaf_key, 'ec')
        openssl('req', '-new', '-key', self.leaf_key, '-subj', '/CN=any', '-out', self.request)
        self.count = 0

    def certify(self, common_name, names=(), days=(-1, 30), revoked=False, with_root=False):
        """names: dNSNames, none for a certificate without them; days: valid from, to, from now."""
        self.count += 1
        chain, extensions = (self.folder / f'leaf{self.count}{end}' for end in ('.pem', '.ext'))
        lines = ['basicConstraints=CA:FALSE', 'extendedKeyUsage=serverAuth,clientAuth']
        if names:
            lines.append('subjectAltName=' + ','.join(f'DNS:{name}' for name in names))
        extensions.write_text('\n'.join(lines) + '\n')
        openssl('ca', '-batch', '-notext', '-config', self.config, '-in', self.request, '-subj',
                f'/CN={common_name}', '-startdate', stamp(days[0]), '-enddate', stamp(days[1]),
                '-extfile', extensions, '-out', chain)
        if revoked:
            openssl('ca', '-config', self.config, '-revoke', chain)
        if with_root:
            chain.write_text(chain.read_text() + self.chain.read_text())
        return Certificate(chain, self.leaf_key)

    def self_signed(self, common_name, names):
        self.count += 1
        chain = self.folder / f'self{self.count}.pem'
        openssl('req', '-x509', '-new', '-key', self.leaf_key, '-days', '30', '-out', chain,
                '-subj', f'/CN={common_name}', '-addext',
                'subjectAltName=' + ','.join(f'DNS:{name}' for name in names))
        return Certificate(chain, self.leaf_key)

    def crl(self):
        """A file with the list of what has been revoked so far."""
        path = self.folder / 'crl.pem'
        openssl('ca', '-config', self.config, '-gencrl', '-out', path)
        return path

    def key_digest(self):
        """SHA-256 of the SubjectPublicKeyInfo of all leaves: TLSA selector 1, matching type 1."""
        return hashlib.sha256(subprocess.run(
            ['openssl', 'pkey', '-in', self.leaf_key, '-pubout', '-outform', 'DER'], check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout).digest()

    def root_digest(self):
        """SHA-256 of the authority's certificate: selector 0, matching type 1."""
        return hashlib.sha256(subprocess.run(
            ['openssl', 'x509', '-in', self.chain, '-outform', 'DER'], check=True,
            stdout=subprocess.PIPE).stdout).digest()
