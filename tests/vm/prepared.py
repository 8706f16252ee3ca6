"""What `tests/vm/guest prepare` makes below build/vm/, and where it lies.

build/vm/kernel-NAME/ holds root/ (the kernel, a program, with the libc of its own suite),
initramfs (busybox and modules, as an archive that the kernel unpacks) and VERSION;
build/vm/openssl-VERSION/ holds root/ (the files that differ from this machine's) and VERSION.
A folder appears in one step when all of it is there.
"""
import contextlib
import fcntl
import gzip
import lzma
import pathlib
import platform
import shutil
import tempfile

import packages
from packages import CannotBeHad

ROOT = pathlib.Path(__file__).resolve().parents[2]
VM = ROOT / 'build' / 'vm'

# Names, and the suites of Debian that they come from. What "newest" is, moves with its suite.
KERNELS = {'6.1': 'bookworm', '6.12': 'trixie', 'newest': 'forky'}
LIBRARIES = {'3.5': 'trixie'}

KERNEL_PACKAGES = ['user-mode-linux', 'libc6', 'libgcc-s1', 'busybox-static']
MODULES = ['crypto', 'arch/x86/crypto', 'lib', 'net/tls', 'net/ipv6/ipv6.ko', 'fs/overlayfs']
LIBRARY_PACKAGES = ['libssl3t64', 'openssl-provider-legacy', 'openssl', 'libc6', 'zlib1g',
                    'libzstd1']
LIBRARY_KEPT = ['usr/bin/openssl', 'usr/lib', 'usr/lib64']


def kernel_folder(kernel):
    return VM / f'kernel-{kernel}'


def openssl_folder(version):
    return VM / f'openssl-{version}'


def version_in(folder):
    """What was made there, for people; None when nothing was."""
    path = folder / 'VERSION'
    return path.read_text(encoding='utf-8').strip() if path.exists() else None


def host_openssl():
    """That of this machine: '3.0' on a Debian 12, '3.5' on a 13."""
    import ssl  # costs too much to be loaded always
    return '.'.join(map(str, ssl.OPENSSL_VERSION_INFO[:2]))


def openssls():
    """Those that programs of this machine can run with: its own, and newer ones, there or not."""
    def number(version):
        return tuple(map(int, version.split('.')))
    own = host_openssl()
    return [own] + [version for version in LIBRARIES if number(version) > number(own)]


def kernel_root(kernel):
    """Raises CannotBeHad when it is not there yet."""
    if version_in(kernel_folder(kernel)) is None:
        raise CannotBeHad(f'kernel {kernel} is not there: tests/vm/guest prepare')
    return kernel_folder(kernel) / 'root'


def openssl_root(version):
    """The files of an OpenSSL; None for this machine's own, which None stands for as well. Raises
    CannotBeHad."""
    own, *newer = openssls()
    if version in (None, own):
        return None
    if version not in newer:
        raise CannotBeHad(f'programs of this machine run with OpenSSL {" or ".join([own, *newer])}')
    if version_in(openssl_folder(version)) is None:
        raise CannotBeHad(f'OpenSSL {version} is not there: tests/vm/guest prepare')
    return openssl_folder(version) / 'root'


# The archive that a kernel unpacks as its first root: cpio, of the "newc" kind.

def archive_member(name, mode, data=b''):
    encoded = name.encode() + b'\0'
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    head = b'070701' + b''.join(b'%08x' % field for field in fields) + encoded
    return head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4)


def archive(files):
    """files: {path: bytes}, all executable; the folders above them are made. Archives can be put
    one behind another."""
    folders = {str(parent) for path in files for parent in pathlib.PurePath(path).parents}
    parts = [archive_member(name, 0o040755) for name in sorted(folders - {'.'})]
    parts += [archive_member(name, 0o100755, data) for name, data in files.items()]
    return b''.join(parts) + archive_member('TRAILER!!!', 0)


def first_of(folder, *names):
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise CannotBeHad(f'there is no {names[0]} in the package {folder.name}')


def collect_modules(source, target):
    """The modules that the guest may want, in the clear, below target/lib/modules; returns the
    kernel's version."""
    modules = next(first_of(source, 'usr/lib/uml/modules', 'lib/modules').iterdir())
    home = target / 'lib/modules' / modules.name
    for name in MODULES:
        found = modules / 'kernel' / name
        for path in found.parent.glob(found.name + '*') if found.suffix else found.rglob('*.ko*'):
            place = home / path.relative_to(modules)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == '.xz':
                place.with_suffix('').write_bytes(lzma.decompress(path.read_bytes()))
            else:
                shutil.copyfile(path, place)
    return modules.name


def make_kernel(unpacked, work):
    """Returns what VERSION is to say."""
    root, first = work / 'root', work / 'first'
    for name in ('host', 'dev', 'proc', 'tmp'):
        (root / name).mkdir(parents=True)
    for name in ('libc6', 'libgcc-s1'):
        shutil.copytree(unpacked[name][1], root, symlinks=True, dirs_exist_ok=True)
    for name in ('lib', 'lib64'):
        if not (root / name).exists():
            (root / name).symlink_to(f'usr/{name}')
    uml_version, uml = unpacked['user-mode-linux']
    shutil.copy2(first_of(uml, 'usr/bin/linux.uml'), root / 'linux')
    busybox = first_of(unpacked['busybox-static'][1], 'usr/bin/busybox', 'bin/busybox')
    version = collect_modules(uml, first)
    packages.output_of(busybox, 'depmod', '-b', first, version)
    files = {str(path.relative_to(first)): path.read_bytes()
             for path in sorted(first.rglob('*')) if path.is_file()}
    files['bin/busybox'] = busybox.read_bytes()
    (work / 'initramfs').write_bytes(gzip.compress(archive(files), 1, mtime=0))
    shutil.rmtree(first)
    return f'Linux {version}, user-mode-linux {uml_version}'


def make_library(unpacked, work):
    """Returns what VERSION is to say."""
    for package in LIBRARY_PACKAGES:
        for name in LIBRARY_KEPT:
            source, place = unpacked[package][1] / name, work / 'root' / name
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)
    return f'OpenSSL {unpacked["libssl3t64"][0]}, libc {unpacked["libc6"][0]}'


@contextlib.contextmanager
def locked():
    """One at a time; what one that was killed has left behind goes."""
    VM.mkdir(parents=True, exist_ok=True)
    with open(VM / 'lock', 'wb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in VM.glob('fetch-*'):
            shutil.rmtree(path, ignore_errors=True)
        yield


def missing_of(suite, kernels, libraries):
    """What is to come from a suite and is not there yet: (folder, packages, make)."""
    things = [(kernel_folder(kernel), KERNEL_PACKAGES, make_kernel)
              for kernel in kernels if KERNELS[kernel] == suite]
    things += [(openssl_folder(version), LIBRARY_PACKAGES, make_library)
               for version, its_suite in LIBRARIES.items()
               if its_suite == suite and suite in libraries and version in openssls()[1:]]
    return [thing for thing in things if version_in(thing[0]) is None]


def fetch(suite, things):
    if platform.machine() != 'x86_64':
        raise CannotBeHad(f'there is no user-mode-linux for {platform.machine()}')
    with tempfile.TemporaryDirectory(prefix='fetch-', dir=VM,
                                     ignore_cleanup_errors=True) as name:
        work = pathlib.Path(name)
        (work / 'apt').mkdir()
        names = sorted({package for thing in things for package in thing[1]})
        unpacked = packages.unpack(work / 'apt', suite, names)
        for folder, _, make in things:
            made = work / folder.name
            made.mkdir()
            version = make(unpacked, made)
            (made / 'VERSION').write_text(version + '\n', encoding='utf-8')
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
            print(f'{folder.name}: {version}', flush=True)


def prepare(kernels, libraries):
    """Makes what is missing; libraries: suites. Returns the reasons why something cannot be had."""
    reasons = []
    for suite in dict.fromkeys([*KERNELS.values(), *LIBRARIES.values()]):
        if not missing_of(suite, kernels, libraries):
            continue
        with locked():
            things = missing_of(suite, kernels, libraries)
            try:
                if things:
                    fetch(suite, things)
            except CannotBeHad as why:
                reasons.append(f'{", ".join(thing[0].name for thing in things)}: {why}')
    return reasons
