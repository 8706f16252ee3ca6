"""What the judge of duplicates lets pass: tests/system/postern_lab/ledger.py."""
import collections
import email.utils
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'system'))

from postern_lab.ledger import repeated_without_cause  # noqa: E402 (needs the path above)

Message = collections.namedtuple('Message', 'sender recipients data received')


def mail(received):
    return Message('s@lab.test', ['b@lab.test'], b'X-Lab-Id: m-1\n\n', received)


def bounce(made, received):
    date = email.utils.formatdate(made + time.time() - time.monotonic())
    data = f'Subject: x\r\nDate: {date}\r\n\r\nX-Lab-Id: m-1\r\n'.encode()
    return Message('', ['s@lab.test'], data, received)


@pytest.mark.parametrize('kills, messages, is_explained', [
    ([], [mail(100)], True),
    ([], [mail(100), mail(101)], False),
    ([101], [mail(100), mail(105)], True),  # it had come, and that was forgotten
    ([104], [mail(100), mail(105)], False),  # too long before the kill
    ([101], [mail(104.5), mail(106)], False),  # the kill came first
    ([106], [mail(100), mail(105)], False),  # the kill came last
    ([101], [mail(100), mail(105), mail(106)], False),  # one kill explains one copy
    # Bounces: the first was written, the kill took the note of it, and both waited for the host.
    ([51], [bounce(50, 100), bounce(53, 100)], True),
    ([51], [bounce(53, 100), bounce(50, 100)], True),  # in whatever order they came
    ([58], [bounce(50, 100), bounce(59, 100)], False),
    ([], [bounce(50, 100), bounce(53, 100)], False),
    ([70], [bounce(50, 100), bounce(53, 100)], False),
    ([101], [bounce(50, 100), bounce(50, 105)], True),  # the same one twice
])
def test_a_duplicate_needs_a_kill_behind_it(kills, messages, is_explained):
    assert (repeated_without_cause(messages, kills) == []) == is_explained
