"""A file system for a spool, small enough to be filled: ext4 on a loop device, which wants root.

    disk = SmallDisk(folder, 1 << 30)     # folder/spool; is_mounted says whether there is one
    disk.fill(left=0); ...; disk.empty(); ...; disk.remove()
"""
import contextlib
import os
import subprocess


class SmallDisk:
    def __init__(self, folder, size, may_mount=True):
        self.path = folder / 'spool'
        self.path.mkdir(parents=True)
        self.image = folder / 'disk.img'
        self.ballast = self.path / 'ballast'
        self.is_mounted = may_mount and os.geteuid() == 0 and self.mount(size)

    def mount(self, size):
        with open(self.image, 'wb') as file:
            file.truncate(size)
        for command in (['mkfs.ext4', '-q', '-m', '0', self.image],
                        ['mount', '-o', 'loop', self.image, self.path]):
            try:
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError):
                return False
        return True

    def free(self):
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def fill(self, left):
        """All but so many bytes, as far as nobody takes them meanwhile."""
        with open(self.ballast, 'wb', buffering=0) as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(self.free() - left, 1))
        # And what was not given to a file in one piece.
        with open(self.ballast, 'ab', buffering=0) as file, contextlib.suppress(OSError):
            while left == 0:
                file.write(bytes(4096))

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def remove(self):
        if self.is_mounted:
            subprocess.run(['umount', '-l', self.path], check=False)
        self.image.unlink(missing_ok=True)
