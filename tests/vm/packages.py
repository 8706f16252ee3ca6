"""Debian packages of other suites than the machine's, for the guest: fetched, verified, unpacked.

They come by way of an apt state of their own, in a folder that is deleted afterwards: the machine's
sources, lists and package database are neither changed nor used, except that the mirror is taken
from its sources. apt verifies the signatures with Debian's archive keys. Nothing is installed.
"""
import os
import pathlib
import re
import signal
import subprocess

KEYRING = pathlib.Path('/usr/share/keyrings/debian-archive-keyring.gpg')

# Read after the machine's own configuration, of which only a proxy is of use. Its hooks are not.
APT_CONF = '''
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir "{work}/";
Dir::Etc "{work}/etc";
Dir::State "{work}";
Dir::State::Status "{work}/status";
Dir::Cache "{work}";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "2";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
APT::Default-Release "{suite}";
'''


class CannotBeHad(Exception):
    """What was asked for cannot be had on this machine, and why."""


def output_of(*command, cwd=None):
    """Standard output; the last line of standard error becomes the reason of a CannotBeHad. When
    this process is asked to end meanwhile, the command ends too, with all that it started."""
    try:
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
    except FileNotFoundError as error:
        raise CannotBeHad(f'{error.filename} is not installed') from None
    try:
        output, errors = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or [f'exit {process.returncode}']
        raise CannotBeHad(f'{command[0]}: {last[0]}')
    return output


def mirror():
    """Where this machine gets Debian itself from."""
    lines = output_of('apt-get', 'indextargets', '--format', '$(LABEL) $(REPO_URI)',
                      'Created-By: Packages').splitlines()
    found = [line.split(' ', 1)[1] for line in lines if line.startswith('Debian ')]
    # Without lists there are no labels yet; then the first source that looks like Debian's.
    found += [line.split()[-1] for line in lines if re.search(r'/debian/?$', line)]
    if not found:
        raise CannotBeHad('the package sources of this machine name no mirror of Debian')
    return found[0]


def write_state(work, suite):
    """The apt state, empty; returns the beginning of every apt-get command."""
    for name in ('etc/preferences.d', 'etc/apt.conf.d', 'lists/partial', 'archives/partial'):
        (work / name).mkdir(parents=True)
    (work / 'status').touch()
    (work / 'apt.conf').write_text(APT_CONF.format(work=work, suite=suite))
    (work / 'etc/sources.list').write_text(f'deb [signed-by={KEYRING}] {mirror()} {suite} main\n')
    return ['apt-get', '-qq', '-c', work / 'apt.conf']


def unpack(work, suite, names):
    """Fetches and unpacks packages of a suite. work: an empty folder of the caller's, absolute.

    Returns {name: (version, folder)}, each package in a folder of its own below work. Raises
    CannotBeHad.
    """
    if not KEYRING.exists():
        raise CannotBeHad(f'{KEYRING} is missing (package debian-archive-keyring)')
    apt = write_state(work, suite)
    output_of(*apt, 'update')
    output_of(*apt, 'download', *names, cwd=work)
    unpacked = {}
    for name in names:
        archives = list(work.glob(f'{name}_*.deb'))
        if not archives:
            raise CannotBeHad(f'apt-get did not download {name} of {suite}')
        folder = work / 'unpacked' / name
        folder.mkdir(parents=True)
        output_of('dpkg-deb', '-x', archives[0], folder)
        version = output_of('dpkg-deb', '-f', archives[0], 'Version').strip()
        unpacked[name] = (version, folder)
    return unpacked
