"""Tables of AsyncOS, imported into a configuration that `postern explain` can be asked about.

    tables = ImportedTables(folder, hat='...', rat='...')
    tables.hat_report                     # what the import said on standard error
    tables.row_for('192.0.2.1', host='mail.example.com')
"""
import collections
import json

from postern_lab.gateway import run_postern

CONFIGURATION = '''hostname = "mx.lab.test";
spool = { path = "spool"; };
certificates = { mail = { chain = "mail.pem"; key = "mail.key"; }; };
tls = { client_ca_file = "ca.pem"; };
listeners = ( { name = "Inbound"; type = "public"; address = "127.0.0.1"; port = 2525;
                certificate = "mail"; hat = "inbound"; rat = "inbound"; } );
routes = ( { domain = "ALL"; to = [ "127.0.0.1:2526" ]; } );
@include "hat.conf"
@include "rat.conf"
'''

Row = collections.namedtuple('Row', 'group policy access tls')


def run_import(table, path, *arguments, code=0):
    """Runs `postern import TABLE PATH`, and expects its exit code."""
    result = run_postern('import', table, path.name, *arguments, cwd=path.parent)
    assert result.returncode == code, result.stdout + result.stderr
    return result


class ImportedTables:
    def __init__(self, folder, hat, rat='example.com ACCEPT\nALL REJECT\n'):
        self.folder = folder
        self.hat_report = self.add('hat', hat)
        self.rat_report = self.add('rat', rat)
        (folder / 'postern.conf').write_text(CONFIGURATION)

    def add(self, table, text):
        path = self.folder / f'{table}.txt'
        path.write_text(text, encoding='utf-8')
        result = run_import(table, path)
        (self.folder / f'{table}.conf').write_text(result.stdout, encoding='utf-8')
        return result.stderr

    def row_for(self, address, host=None):
        """The row that decides about a host, and its policy."""
        name = ['--host', host] if host else []
        result = run_postern('explain', 'sender', address, *name, '--json', '-c', 'postern.conf',
                             cwd=self.folder)
        assert result.returncode == 0, result.stdout + result.stderr
        verdict, = json.loads(result.stdout)
        policy = verdict['policy']
        return Row(verdict['group'], policy['name'], policy['access'], policy['tls'])
