"""A small file system of its own for the spool of one gateway, to be filled, broken and mended.

    with Disk(gateway, 'tmpfs', 'size=300m') as disk:
        gateway.start(); ...; disk.leave(4096); ...; disk.leave(1 << 30)

It is mounted in a mount namespace that only the gateway enters: nothing else of the machine sees
it, and it goes when the test ends, however that is. disk.path is the place of the spool, as this
process sees it. Needs root. Where it cannot be had, the test is skipped by name; with CI=true that
is a failure.
"""
import ctypes
import fcntl
import os
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

from postern_lab import CI
from postern_lab.process import wait_until

CLONE_NEWNS = 0x20000
IOC_SHUTDOWN, SHUTDOWN_AT_ONCE = 0x8004587d, 2  # nothing is written any more, no log either
IMAGE_BYTES = 1 << 30  # it has holes
THIN_BYTES = 320 << 20
TOOLS = ['unshare', 'nsenter', 'findmnt', 'fallocate', 'mkfs.ext4', 'e2fsck', 'filefrag',
         'mkfs.xfs']
MAKERS = {'ext4': ['mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,nodiscard'],
          'xfs': ['mkfs.xfs', '-q', '-K']}
_libc = ctypes.CDLL(None, use_errno=True)
_setns = _libc.setns  # looked up here: a child of a process with threads must take no lock


class Disk:
    def __init__(self, gateway, kind, options):
        self.gateway = gateway
        self.kind = kind
        self.options = options
        self.place = gateway.folder / 'disk'
        self.keeper = None
        self.root = None  # of the file system, as this process reaches it
        self.path = None  # of the spool on it

    def __enter__(self):
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            self.cannot(f'no {" and ".join(missing)}')
        self.place.mkdir(exist_ok=True)
        self.keeper = subprocess.Popen(['unshare', '--mount', '--propagation', 'private', 'cat'],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        try:
            self.keeper.stdin.write(b'\n')
            self.keeper.stdin.flush()
            is_there = self.keeper.stdout.readline() != b''
        except BrokenPipeError:
            is_there = False
        if not is_there:
            self.cannot(self.keeper.stderr.read().decode())
        self.root = pathlib.Path(f'/proc/{self.keeper.pid}/root{self.place}')
        self.path = self.root / 'spool'
        self.mount()
        self.gateway.before_start = self.enter
        self.gateway.spool_path = self.path
        self.gateway.configure(spool=self.place / 'spool')
        return self

    def __exit__(self, *_):
        self.gateway.kill()
        self.keeper.stdin.close()
        self.keeper.wait()

    def cannot(self, why):
        text = f'file systems cannot be mounted here: {why.strip()}'
        pytest.fail(text) if CI else pytest.skip(text)

    def enter(self, _):
        """In the child that becomes the gateway."""
        fd = os.open(f'/proc/{self.keeper.pid}/ns/mnt', os.O_RDONLY)
        if _setns(fd, CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), 'setns')
        os.close(fd)
        os.chdir(self.gateway.folder)

    def run(self, *command, check=True):
        """Runs it where the disk is seen; returns the CompletedProcess, output as text."""
        return subprocess.run(['nsenter', f'--mount=/proc/{self.keeper.pid}/ns/mnt',
                               *map(str, command)], check=check, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def mount(self):
        """A tmpfs, or a file with an ext4 or xfs in it that is made when it is mounted first."""
        image = self.gateway.folder / 'disk.img'
        if self.kind in MAKERS and not image.exists():
            with open(image, 'wb') as file:
                file.truncate(IMAGE_BYTES)
            self.run(*MAKERS[self.kind], image)
        source = image if self.kind in MAKERS else 'postern-lab'
        result = self.run('mount', '-t', self.kind, '-o', self.options, source, self.place,
                          check=False)
        if result.returncode != 0:
            self.cannot(result.stderr)
        self.path.mkdir(exist_ok=True)

    def unmount(self):
        """Nobody may use it any more."""
        self.run('umount', self.place)

    def remount(self, options):
        self.run('mount', '-o', f'remount,{options}', self.place)

    def leave(self, free_bytes):
        """A tmpfs only: as much room as that, and no more, is free from now on."""
        now = os.statvfs(self.root)
        used = (now.f_blocks - now.f_bfree) * now.f_frsize
        self.remount(f'size={used + free_bytes}')

    def shut_down(self):
        """An ext4 or xfs: whatever is asked of it fails with EIO until it is mounted anew."""
        fd = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, IOC_SHUTDOWN, struct.pack('I', SHUTDOWN_AT_ONCE))
        finally:
            os.close(fd)

    def find_error(self):
        """An ext4 only: it finds an error in itself, and does with it as its options say."""
        device = self.run('findmnt', '-n', '-o', 'SOURCE', self.place).stdout.strip()
        pathlib.Path(f'/sys/fs/ext4/{device.rpartition("/")[2]}/trigger_fs_error').write_text('1')

    def wait_spare(self):
        """Until the one worker has the segments it wants without mail: one in use, two ahead."""
        segments = self.path / 'segments'
        wait_until(lambda: len(list(segments.iterdir())) >= 2, 10, 'a segment to spare')


class ThinDisk(Disk):
    """An ext4 on a device that has not all of the blocks that it says it has, like a thin volume
    whose pool is full: a loop device on a file in a tmpfs without room. A write to a block that was
    taken away fails, and no other does: with ENOSPC, or EIO where the kernel does not tell.

    A loop device calls a write complete of which a part has found room. So what is taken away has
    to begin where the next write does, and the pool may not have a single page left."""

    def __init__(self, gateway):
        super().__init__(gateway, 'ext4', 'loop,errors=remount-ro')
        self.pool = gateway.folder / 'pool'
        self.image = self.pool / 'disk.img'

    def mount(self):
        self.pool.mkdir(exist_ok=True)
        self.run('mount', '-t', 'tmpfs', '-o', 'size=1g', 'postern-lab', self.pool)
        self.run('fallocate', '-l', THIN_BYTES, self.image)
        self.run('mkfs.ext4', '-q', '-E', 'nodiscard,lazy_itable_init=0', self.image)
        self.run('fallocate', '-l', THIN_BYTES, self.image)  # what it has punched into it
        self.run('mount', '-o', self.options, self.image, self.place)
        self.path.mkdir()

    def take_away(self, name, offset=0):
        """The blocks of a file of the spool, from offset on: they read as zeros, and writes fail.
        The gateway has to be quiet."""
        found = self.run('filefrag', '-s', '-v', '-b4096', self.place / 'spool' / name).stdout
        for first, last, place in re.findall(r'^ *\d+: +(\d+)\.\. +(\d+): +(\d+)\.\.', found, re.M):
            first, last, place = int(first), int(last), int(place)
            skipped = max(offset // 4096 - first, 0)
            if skipped <= last - first:
                self.run('fallocate', '--punch-hole', '-o', (place + skipped) * 4096, '-l',
                         (last - first + 1 - skipped) * 4096, self.image)
        now = os.statvfs(f'/proc/{self.keeper.pid}/root{self.pool}')
        self.run('mount', '-o', f'remount,size={(now.f_blocks - now.f_bfree) * now.f_frsize}',
                 self.pool)

    def give_back(self):
        self.run('mount', '-o', 'remount,size=1g', self.pool)
