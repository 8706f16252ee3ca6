"""What is wrong with the configuration or the machine is said in lines, and the exit is 1."""
import ctypes
import json
import os
import re
import struct

import pytest

from postern_lab.bad_certificates import Issuer
from postern_lab.certificates import Certificate
from postern_lab.gateway import run_postern

BROKEN = {
    'hat': '''
    { group = "TLS"; senders = [ "127.0.0.2/32" ]; policy = "TLS_REQUIRD"; },
    { group = "NET"; senders = [ "10.0.0.0/33" ]; policy = "ACCEPTED"; },
    { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }''',
    'rat': '{ recipients = [ "example.com" ]; acton = "accept"; }',
    'bounce': 'default = { initial_retry = "1 parsec"; };',
    'extra': 'memroy = { messages = "1G"; };',
}


def output_of(gateway, *command):
    return run_postern(*command, '-c', gateway.config_path.name, cwd=gateway.folder)


@pytest.mark.parametrize('command', ['check', 'run'])
def test_all_problems_are_told_with_their_lines(make_gateway, next_hop, command):
    gateway = make_gateway(next_hop, **BROKEN)
    result = output_of(gateway, command)
    text = result.stdout + result.stderr
    assert result.returncode == 1, text
    lines = gateway.config_path.read_text().splitlines()
    for word, hint in [('TLS_REQUIRD', 'TLS_REQUIRED'), ('10.0.0.0/33', ''), ('acton', 'action'),
                       ('initial_retry', 'duration'), ('memroy', 'memory')]:
        said = re.search(rf'^\S*postern\.conf:(\d+): .*{re.escape(word)}.*{hint}', text, re.M)
        assert said, (word, text)
        assert word in lines[int(said.group(1)) - 1], (word, text)


def test_a_good_configuration_checks_with_exit_0(make_gateway, next_hop):
    assert output_of(make_gateway(next_hop), 'check').returncode == 0


def test_a_syntax_error_and_a_missing_file_are_one_line_each(make_gateway, next_hop):
    gateway = make_gateway(next_hop, extra='memory = = 1;')
    result = output_of(gateway, 'run')
    assert result.returncode == 1
    assert re.match(r'\S*postern\.conf:\d+: syntax error at "=": a value has to stand here\n$',
                    result.stderr), result.stderr
    gateway.config_path.unlink()
    result = output_of(gateway, 'run')
    assert result.returncode == 1 and 'No such file' in result.stderr, result.stderr


def refused(gateway, pattern, **options):
    """The gateway does not start, says one line that matches, and leaves with 1."""
    # What a start that fails has taken is given back by the exit; that is no leak to be told.
    result = run_postern('run', '-c', gateway.config_path.name, cwd=gateway.folder,
                         env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}, **options)
    assert result.returncode == 1, result.stderr
    assert len(re.findall(pattern, result.stderr, re.M)) == 1, result.stderr
    assert result.stderr.count('\n') <= 3, result.stderr
    return result.stderr


def test_a_port_in_use_is_told(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    other = make_gateway(next_hop)
    other.port = gateway.port
    other.configure(port=gateway.port)
    other.start()
    refused(gateway, rf'^postern: listener Inbound: cannot listen on 127\.0\.0\.1:{gateway.port}: '
                     r'Address already in use$')


def test_a_missing_key_is_told(make_gateway, next_hop, authority):
    lost = authority.issue('lost.lab.test')
    lost.key.unlink()
    refused(make_gateway(next_hop, certificate=lost),
            rf'^postern\.conf:\d+: certificate "mail": cannot read the key file {lost.key}: '
            'No such')


def test_a_key_of_another_certificate_is_told(make_gateway, next_hop, authority):
    odd, other = authority.issue('odd.lab.test'), authority.issue('other.lab.test')
    odd.key = other.key
    refused(make_gateway(next_hop, certificate=odd),
            r'^postern\.conf:5: certificate "mail": .*the key belongs to another')


def test_a_spool_in_use_is_told(make_gateway, next_hop):
    first = make_gateway(next_hop).start()
    second = make_gateway(next_hop)
    second.configure(spool=first.spool_path)
    refused(second, rf'^postern: spool {first.spool_path}: lock: another instance is using it$')


def test_a_spool_that_is_not_there_or_no_folder_is_told(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    gateway.spool_path.rmdir()
    gateway.spool_path.write_text('a file')
    refused(gateway, rf'^postern\.conf:4: cannot use the spool folder {gateway.spool_path}: Not a')
    gateway.configure(spool=gateway.folder / 'nowhere' / 'spool')
    refused(gateway, r'^postern\.conf:4: cannot use the spool folder \S*/nowhere/spool: No such')


@pytest.mark.skipif(os.geteuid() != 0, reason='changes its user')
def test_an_unreadable_spool_is_told(make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    gateway.spool_path.chmod(0o700)

    def as_nobody():
        os.setgid(65534)
        os.setuid(65534)
    refused(gateway, rf'^postern\.conf:4: cannot use the spool folder {gateway.spool_path}: Permis',
            preexec_fn=as_nobody)


IO_URING_SETUP = 425
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, DENY_EPERM = 0x7fff0000, 0x00050001


def forbid_io_uring():
    """In the child: a seccomp filter by which io_uring_setup fails with EPERM."""
    rules = b''.join(struct.pack('HBBI', *rule) for rule in [
        (0x20, 0, 0, 0),                     # load the number of the system call
        (0x15, 0, 1, IO_URING_SETUP),        # jump if equal
        (0x06, 0, 0, DENY_EPERM), (0x06, 0, 0, ALLOW)])
    code = ctypes.create_string_buffer(rules)
    program = struct.pack('HxxxxxxQ', 4, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                      ctypes.create_string_buffer(program, len(program)), 0, 0) == 0


def test_a_forbidden_io_uring_is_told(make_gateway, next_hop):
    said = refused(make_gateway(next_hop), r'^postern: .*io_uring', preexec_fn=forbid_io_uring)
    assert re.search('seccomp|not permitted|forbid', said, re.I), said
    result = run_postern('run', '--probe', preexec_fn=forbid_io_uring)
    assert result.returncode == 1 and 'io_uring' in result.stderr


def test_probe_prints_every_decision():
    result = run_postern('run', '--probe')
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) >= 5 and ' yes ' in result.stdout


@pytest.mark.parametrize('arguments', [['run', '--nonsense'], ['nonsense'],
                                       ['check', 'a', 'b', 'c'],
                                       ['explain', 'sender'], ['explain', 'sender', 'no-address']])
def test_misuse_exits_2(arguments, make_gateway, next_hop):
    gateway = make_gateway(next_hop)
    result = output_of(gateway, *arguments)
    assert result.returncode == 2 and result.stderr.startswith('postern: '), result.stderr


def names_in(help_text):
    """The commands that a help lists, a line each."""
    return re.findall(r'^  ([a-z]\S*) +\S', help_text, re.M)


def test_every_command_has_help():
    """Also behind -h; that of a group lists what it has, and so does a misuse without a word."""
    groups = []
    for command in names_in(run_postern('--help').stdout):
        result = run_postern(command, '--help')
        first = result.stdout.splitlines()[0]
        parts = names_in(result.stdout) if first.endswith(' ...') else []
        for words in [[command]] + [[command, part] for part in parts]:
            helps = [run_postern(*words, option) for option in ('--help', '-h')]
            for told in helps:
                assert (told.returncode, told.stderr) == (0, ''), words
                assert told.stdout.startswith(f'usage: postern {" ".join(words)}'), words
            assert helps[0].stdout == helps[1].stdout, words
        if not parts:
            continue
        groups.append(command)
        assert first == f'usage: postern {command} {"|".join(parts)} ...'
        bare = run_postern(command)
        assert (bare.returncode, bare.stdout, names_in(bare.stderr)) == (2, '', parts)
        assert bare.stderr.startswith(f'postern: {command}: {"|".join(parts)} is missing; see ')
        assert run_postern(command, 'nonsense').returncode == 2
    assert groups == ['destinations', 'explain', 'import', 'export', 'queue', 'spool']


def test_the_spool_s_lock_goes_with_its_process(make_gateway, next_hop):
    gateway = make_gateway(next_hop).start()
    gateway.kill()
    gateway.start()


def test_a_demonstration_certificate_is_warned_of(make_gateway, next_hop, authority):
    """Self-signed: CRES and everybody else who verifies refuses it."""
    for certificate, is_warned in [(authority.issue('mx.lab.test'), False),
                                   (Certificate(authority.chain, authority.key), True)]:
        gateway = make_gateway(next_hop, certificate=certificate)
        result = run_postern('check', '-c', gateway.config_path.name, cwd=gateway.folder)
        assert result.returncode == 0
        assert ('is self-signed, a demonstration certificate' in result.stderr) == is_warned


def test_dates_of_certificates_are_warned_of_with_file_and_line(make_gateway, next_hop, tmp_path):
    """30 days before the end; a gateway that runs has the alerts for that."""
    issuer = Issuer(tmp_path / 'issuer')
    for days, text in [((-9, -1), r'{}: the certificate has expired, on \w{{3}} .*'),
                       ((3, 300), r'{}: the certificate is not valid yet, only from \w{{3}} .*'),
                       ((3, 30), r'{0}: the certificate is not valid yet, .*; '
                                 r'{0} expires in 30 days, on .*'),
                       ((-1, .5), r'{} expires in 1 day, on \w{{3}} .*'),
                       ((-1, 12), r'{} expires in 12 days, on \w{{3}} .*'),
                       ((-1, 29), r'{} expires in 29 days, on \w{{3}} .*'),
                       ((-1, 31), None)]:
        certificate = issuer.certify('mx.lab.test', ['mx.lab.test'], days)
        gateway = make_gateway(next_hop, certificate=certificate)
        result = output_of(gateway, 'check')
        said = re.findall(r'^\S*postern\.conf:(\d+): warning: certificate "mail": (.*)',
                          result.stderr, re.M)
        found = [p for p in json.loads(output_of(gateway, 'check', '--json').stdout)['problems']
                 if 'certificate' in p['reason']]
        assert result.returncode == 0
        if text is None:
            assert (said, found) == ([], []), days
            continue
        (line, reason), = said
        assert re.fullmatch(text.format(re.escape(str(certificate.chain))), reason), (days, reason)
        assert 'mail =' in gateway.config_path.read_text().splitlines()[int(line) - 1]
        (problem,) = found
        assert (problem['line'], problem['severity']) == (int(line), 'warning')
        assert problem['reason'] == f'certificate "mail": {reason}'


def test_policies_that_lock_mail_out_are_warned_of_where_they_are_used(make_gateway, next_hop,
                                                                       authority):
    gateway = make_gateway(
        next_hop, tls=f'client_ca_file = "{authority.chain}";', policies='''
        ACCEPTED = { access = "accept"; client_names = [ "a.lab.test" ]; };
        STRICT = { access = "accept"; verify_client = "required"; };''',
        hat='''{ group = "S"; senders = [ "192.0.2.1" ]; policy = "STRICT"; },
               { group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }''',
        listener='defaults = { verify_client = "optional"; tls = "preferred"; };',
        listeners_more=''', { name = "Plain"; type = "public"; address = "127.0.0.1"; port = 1;
            certificate = "mail"; hat = "inbound"; rat = "inbound";
            xclient_from = [ "0.0.0.0/0" ]; }''')
    said = output_of(gateway, 'check').stderr
    assert 'at listener "Inbound"' not in said
    assert 'policy "ACCEPTED" at listener "Plain": client_names says nothing' in said
    assert 'policy "STRICT" at listener "Plain": verify_client = "required" with tls' in said
    assert 'xclient_from has everybody in it' in said
