"""Disks that fail, for real: full at each allocation, read-only, broken, gone. What the client is
told, what is logged and alerted, that it takes mail again, and that nothing that had its 250 is
lost."""
import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import pytest

from postern_lab import LONG, POSTERN
from postern_lab.disk import Disk, ThinDisk
from postern_lab.ledger import Ledger
from postern_lab.process import wait_until
from postern_lab.traffic import Traffic

MIB = 1 << 20
SEGMENT = 64 * MIB
PAGE = 4096
NO_ROOM = r'Critical: Spool: log 0: no new segment could be prepared; is the disk full\?'
SEGMENTS_ALERT = r'Critical: Alert spool: Spool: log 0: no new segment could be prepared'
SEGMENTS_WELL = r'Info: Alert spool: Recovered: Spool: log 0: no new segment could be prepared'


def put_off(hop):
    hop.replies = {'RCPT': lambda *_: '450 4.2.1 later'}


def take_all(hop):
    hop.replies = {}


@contextlib.contextmanager
def session(gateway):
    with gateway.connect() as client:
        client.hello()
        yield client


def send(gateway, ledger, body='hello', size=None):
    """One message; returns (the verb that was answered last, its Reply)."""
    ident, data = ledger.message(body)
    declared = '' if size is None else f' SIZE={size or len(data)}'
    with session(gateway) as client:
        for verb, what in (('MAIL', f'MAIL FROM:<a@lab.test>{declared}'),
                           ('RCPT', 'RCPT TO:<b@example.com>'), ('DATA', 'DATA'),
                           ('BODY', data + b'.\r\n')):
            reply = client.say(what)
            if reply.code >= 400:
                ledger.rejected(ident)
                return verb, reply
    ledger.accepted(ident)
    return 'BODY', reply


def assert_refused(answer, verb, code, text):
    assert answer[0] == verb and answer[1].code == code and answer[1].text.startswith(text), answer


def assert_accepted(answer):
    assert answer[0] == 'BODY' and answer[1].code == 250, answer


def assert_all_delivered(ledger, hop, gateway):
    """All that had its 250 came, once, and nothing that was refused."""
    wait_until(lambda: not ledger.compare(hop.bodies()).lost, 20, 'all arrive')
    gateway.stop()
    account = ledger.compare(hop.bodies())
    print(account)
    assert account.lost == account.doubled == account.unknown == []


@pytest.fixture(name='make_disk')
def fixture_make_disk(make_gateway, next_hop):
    """make_disk(kind, options, ...): a Disk with a gateway of one worker, not started."""
    with contextlib.ExitStack() as stack:
        def make(kind='tmpfs', options='size=1g', **sections):
            sections.setdefault('spool_more', 'min_free = "0";')
            gateway = make_gateway(next_hop, workers=1, **sections)
            return stack.enter_context(Disk(gateway, kind, options))
        yield make


def try_start(gateway):
    """Starts it; False when it could not, with the reason in its log."""
    try:
        gateway.start()
        return True
    except AssertionError:
        assert not gateway.running(), gateway.tail()
        assert gateway.process.returncode == 1, gateway.tail()
        gateway.kill()
        return False


@pytest.mark.full
def test_a_start_without_room_says_so_and_takes_mail_when_there_is(make_disk, ledger, next_hop):
    """Each file that a start makes, and each block of them, is once the one for which there is no
    room. It ends and says where it stood, or runs and refuses mail."""
    disk = make_disk()
    gateway = disk.gateway
    said = []
    for options in (*(f'size=1g,nr_inodes={count}' for count in range(2, 10)),
                    *(f'size={size}' for size in (PAGE, 2 * PAGE, SEGMENT, 2 * SEGMENT))):
        disk.unmount()
        disk.options = options
        disk.mount()
        gateway.log_path.unlink(missing_ok=True)
        runs = try_start(gateway)
        is_full = runs and not re.search('log 0: ready for mail', gateway.log())
        if is_full:
            gateway.wait_log(NO_ROOM)
            gateway.wait_log(SEGMENTS_ALERT)
            assert_refused(send(gateway, ledger), 'MAIL', 452, '4.3.1 Mail system full')
            said.append('MAIL')
        elif not runs:
            said.append(re.search(r'^postern: .*?([^:/]+): no space$', gateway.log(), re.M)[1])
        disk.remount('size=1g,nr_inodes=1000')
        if not runs:
            gateway.start()
        gateway.wait_log('log 0: ready for mail')
        if is_full:
            gateway.wait_log(SEGMENTS_WELL)
        assert_accepted(send(gateway, ledger))
        wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'it arrives')
        gateway.stop()
    assert [word.strip() for word in said] == [
        'lock', 'open segments of', 'open bodies of', 'read the format of', 'identifiers',
        'mta-sts', 'MAIL', 'MAIL', 'identifiers', 'MAIL', 'MAIL', 'MAIL']


@pytest.mark.full
@pytest.mark.parametrize('leave', [0, SEGMENT - PAGE, SEGMENT + PAGE] if LONG else [0])
def test_a_log_that_is_full_refuses_mail_until_some_has_left(make_disk, ledger, next_hop, leave):
    """Also over a crash, after which nothing at all can be written, not even results."""
    put_off(next_hop)
    disk = make_disk()
    gateway = disk.gateway.start()
    disk.wait_spare()
    disk.leave(leave)
    count, body = 0, ('y' * 70 + '\n') * 13000
    while (answer := send(gateway, ledger, body, size=0))[1].code == 250:
        count += 1
    assert count > 50
    assert_refused(answer, answer[0] if answer[0] == 'MAIL' else 'DATA', 452,
                   '4.3.1 Mail system full')
    gateway.wait_log(NO_ROOM)
    gateway.wait_log(SEGMENTS_ALERT)
    gateway.kill()
    disk.leave(0)
    since = len(gateway.log())
    gateway.start()
    gateway.wait_log(f'recovered {count} messages', since=since)
    gateway.wait_log('written with O_DIRECT and RWF_DSYNC', since=since)
    assert_refused(send(gateway, ledger), 'MAIL', 452, '4.3.1 Mail system full')
    if LONG:  # it takes ten seconds
        gateway.stop()
        gateway.wait_log('log 0: the last results could not be recorded')
        gateway.start()
    take_all(next_hop)
    wait_until(lambda: send(gateway, ledger)[1].code == 250, 20, 'mail is taken again')
    gateway.wait_log(SEGMENTS_WELL, since=since)
    assert_all_delivered(ledger, next_hop, gateway)


@pytest.mark.parametrize('declared', [True, False])
def test_a_body_without_room_is_refused_and_leaves_nothing(make_disk, ledger, next_hop, declared):
    disk = make_disk()
    gateway = disk.gateway.start()
    disk.wait_spare()
    body = ('z' * 70 + '\n') * (2 * MIB // 71)
    whole = (len(body) + 13 * 71) // PAGE * PAGE
    answers = []
    for leave in (*range(0, 4 * PAGE, PAGE), MIB // 4 - PAGE, MIB // 4, MIB // 2, MIB,
                  whole - 16 * PAGE, whole + 64 * PAGE):
        disk.leave(leave)
        answer = send(gateway, ledger, body, size=0 if declared else None)
        answers.append(answer[1].code)
        if answer[1].code != 250:
            assert_refused(answer, 'BODY', 452, '4.3.1 Mail system full')
            wait_until(lambda: not list((disk.path / 'bodies').iterdir()), 5, 'it is unlinked')
        else:
            wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'it arrives')
    print(answers)
    assert answers[-1] == 250 and 250 not in answers[:-1]
    assert_accepted(send(gateway, ledger))
    assert_all_delivered(ledger, next_hop, gateway)


def flood(gateway, ledger, count=10):
    """Replies to so many messages, as a set of (verb, code)."""
    return {(verb, reply.code) for verb, reply in (send(gateway, ledger) for _ in range(count))}


REFUSED = {('MAIL', 451)}


def test_a_spool_that_is_moved_takes_no_mail_until_it_is_back(make_disk, ledger, next_hop):
    put_off(next_hop)
    disk = make_disk()
    gateway = disk.gateway.start()
    assert flood(gateway, ledger) == {('BODY', 250)}

    for away, back in ((('spool',), ('away',)), (('spool', 'bodies'), ('away',))):
        away, back = disk.place.joinpath(*away), disk.place.joinpath(*back)
        since = len(gateway.log())
        disk.run('mv', away, back)
        gateway.wait_log(r'Critical: spool: its folder is not in its place any more', since=since)
        assert flood(gateway, ledger) == REFUSED
        assert 'its folder is gone: MAIL gets 451' in gateway.command('status')
        disk.run('mv', back, away)
        gateway.wait_log(r'Info: spool: its folder is in its place again', since=since)
        assert flood(gateway, ledger) == {('BODY', 250)}
    # The second time is held back, as alerts are.
    gateway.wait_log(r'Critical: Alert spool: spool: its folder is not in its place any more')
    gateway.wait_log(r'Info: Alert spool: Recovered: spool: its folder is not in its place')
    gateway.kill()
    gateway.start()
    take_all(next_hop)
    assert_all_delivered(ledger, next_hop, gateway)


def test_nothing_is_promised_to_a_spool_that_was_deleted(make_disk, ledger, next_hop):
    """What was promised before is in memory, and is delivered as long as the gateway runs."""
    put_off(next_hop)
    disk = make_disk()
    gateway = disk.gateway.start()
    disk.wait_spare()
    assert flood(gateway, ledger) == {('BODY', 250)}
    disk.run('rm', '-r', disk.place / 'spool')
    # At once, and from the next look at the folder on already at MAIL; 452 when results of others
    # were what could not be written first.
    assert flood(gateway, ledger, 1) <= {('BODY', 451), ('MAIL', 451), ('MAIL', 452)}
    gateway.wait_log('its folder is not in its place any more')
    assert flood(gateway, ledger) <= REFUSED
    take_all(next_hop)
    assert_all_delivered(ledger, next_hop, gateway)
    assert not try_start(gateway)
    assert 'cannot use the spool folder' in gateway.log()


def test_a_segment_that_is_deleted_costs_no_promise(make_disk, ledger, next_hop):
    put_off(next_hop)
    disk = make_disk()
    gateway = disk.gateway.start()
    disk.wait_spare()
    assert flood(gateway, ledger) == {('BODY', 250)}
    disk.run('rm', disk.place / 'spool/segments/00000001.seg')
    # What is written first may be results.
    assert flood(gateway, ledger, 1) <= {('BODY', 451), ('BODY', 250)}
    gateway.wait_log(r'Critical: Spool: log 0: a segment that is in use was deleted; the messages')
    gateway.wait_log(r'Critical: Alert spool: Spool: log 0: a segment that is in use was deleted')
    # MAIL gets 452 while the one that is left is the one for results.
    wait_until(lambda: flood(gateway, ledger, 1) == {('BODY', 250)}, 10, 'mail is taken again')
    assert flood(gateway, ledger) == {('BODY', 250)}
    gateway.wait_log(r'Info: Alert spool: Recovered: Spool: log 0: a segment that is in use')
    take_all(next_hop)
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'all arrive')
    # The place it had in the log is given up, and what comes behind it is freed.
    assert_all_delivered(ledger, next_hop, gateway)
    assert 'could not be freed' not in gateway.log()


def has_kernel(kind):
    if shutil.which('modprobe'):
        subprocess.run(['modprobe', '-q', kind], check=False)
    return kind in pathlib.Path('/proc/filesystems').read_text().split()


@pytest.mark.full
@pytest.mark.parametrize('kind,options,failure', [
    ('ext4', 'loop,errors=remount-ro', 'find_error'), ('ext4', 'loop', 'shut_down'),
    ('xfs', 'loop', 'shut_down')])
def test_a_file_system_that_fails_loses_no_promise(make_disk, ledger, next_hop, kind, options,
                                                   failure):
    """It turns read-only because of an error in it (EROFS), or answers all calls with EIO."""
    if not has_kernel(kind):
        pytest.skip(f'this kernel has no {kind}')
    put_off(next_hop)
    disk = make_disk(kind, options)
    gateway = disk.gateway.start()
    disk.wait_spare()
    with Traffic(gateway, ledger, threads=4) as traffic:
        wait_until(lambda: traffic.accepted > 50, 20, 'mail')
        getattr(disk, failure)()
        wait_until(lambda: traffic.refused > 20, 20, 'refusals')
    for line in ('a write failed, its segment is sealed; the messages in it were answered 451',
                 'writes failed twice in a row, no more mail is accepted until a reload'):
        gateway.wait_log(f'Critical: Spool: log 0: {line}')
    gateway.wait_log('Critical: Alert spool: Spool: log 0: writes failed twice in a row')
    # An xfs that is shut down answers even a look at a folder with EIO: that is 451.
    stopped = {('MAIL', 452)} | ({('MAIL', 451)} if kind == 'xfs' else set())
    assert flood(gateway, ledger) <= stopped
    gateway.reload()  # before anything is mended: it tries, and stops again
    gateway.wait_log('configuration generation 2 is in force')
    assert flood(gateway, ledger) <= stopped | {('BODY', 451)}
    gateway.kill()
    disk.unmount()
    if kind == 'ext4':
        disk.run('e2fsck', '-fy', gateway.folder / 'disk.img', check=False)
    disk.mount()
    gateway.start()
    gateway.wait_log('written with O_DIRECT and RWF_DSYNC')
    assert flood(gateway, ledger) == {('BODY', 250)}
    take_all(next_hop)
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'all arrive')
    gateway.stop()
    account = ledger.compare(next_hop.bodies())
    print(account)
    # A record may have arrived whole although the write failed; nobody could strike it out.
    assert account.lost == account.doubled == [] and set(account.unknown) <= ledger.refused


def test_a_body_file_that_is_deleted_is_told_and_holds_up_nothing_else(make_disk, ledger, next_hop):
    put_off(next_hop)
    disk = make_disk()
    gateway = disk.gateway.start()
    large = ('x' * 70 + '\n') * 30000
    assert_accepted(send(gateway, Ledger('deleted'), large))
    assert_accepted(send(gateway, ledger, large))
    deleted, kept = sorted((disk.path / 'bodies').iterdir())
    mid = int(deleted.name, 16)
    deleted.unlink()
    take_all(next_hop)
    gateway.wait_log(rf'Critical: Spool: MID {mid} has a body file that cannot be read: not found')
    gateway.wait_log(rf'Critical: Alert spool: Spool: MID {mid} has a body file that cannot be')
    assert_accepted(send(gateway, ledger))
    wait_until(lambda: not kept.exists(), 20, 'the other one is delivered')
    assert f'"mid": {mid}' in gateway.command('queue', 'list', '--json')  # it stays
    gateway.kill()
    since = len(gateway.log())
    gateway.start()
    gateway.wait_log('Critical: Spool: recovery found 1 of: body file missing or too short',
                     since=since)
    gateway.wait_log('Critical: Alert spool: Spool: recovery found 1 of: body file missing',
                     since=since)
    assert_accepted(send(gateway, ledger))
    gateway.command('queue', 'delete', str(mid))
    assert_all_delivered(ledger, next_hop, gateway)


def test_a_segment_that_is_cut_short_costs_what_was_cut(make_disk, ledger, next_hop):
    """And it is said, and what is left is delivered, and what is left of it is kept."""
    put_off(next_hop)
    disk = make_disk(bounce='default = { initial_retry = "1h"; max_age = "5h"; };')
    gateway = disk.gateway.start()
    before, behind = Ledger('before'), Ledger('behind')
    assert flood(gateway, before) == {('BODY', 250)}
    wait_until(lambda: gateway.log().count('pending till') == 10, 10, 'it is put off')
    assert flood(gateway, behind, 5) == {('BODY', 250)}
    gateway.kill()
    segment = disk.path / 'segments/00000001.seg'
    os.truncate(segment, segment.read_bytes().index(b'X-Lab-Id: behind-3') // PAGE * PAGE)
    verify = disk.run(POSTERN, 'spool', 'verify', disk.place / 'spool', check=False)
    assert verify.returncode == 1 and 'damaged record' in verify.stdout
    take_all(next_hop)
    gateway.start()
    gateway.wait_log(r'Critical: Spool: recovery found 1 of: damaged record')
    gateway.wait_log(r'Critical: Alert spool: Spool: recovery found 1 of: damaged record')
    gateway.wait_log('recovered 12 messages')
    assert_accepted(send(gateway, ledger))
    gateway.command('flush', 'example.com')
    gateway.wait_log(r'Critical: Alert spool: spool: damaged segments are in quarantine')
    assert before.compare(next_hop.bodies()).lost == []
    assert behind.compare(next_hop.bodies()).lost == ['behind-3', 'behind-4', 'behind-5']
    wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'it arrives')
    assert [path.name for path in (disk.path / 'quarantine').iterdir()] == ['00000001.seg']


def spoil(path, chance):
    """A byte, or a block, of what was written of a segment, or of another file of the spool."""
    data = path.read_bytes().rstrip(b'\0')
    size = chance.choice([1, 1, 512, PAGE])
    at = chance.randrange(len(data)) // size * size
    with open(path, 'r+b') as file:
        file.seek(at)
        file.write(bytes(byte ^ chance.randrange(1, 256) for byte in data[at:at + size]))
    return f'{path.name}: {size} at {at}'


@pytest.mark.full
def test_damage_anywhere_is_told_and_costs_no_other_message(make_disk, next_hop):
    """tests/spool/corruption_test.c has thousands; these go through the program."""
    put_off(next_hop)
    disk, ledger = make_disk(), Ledger('damage')
    gateway = disk.gateway.start()
    assert flood(gateway, ledger, 20) == {('BODY', 250)}
    wait_until(lambda: gateway.log().count('pending till') >= 20, 10, 'all are put off')
    gateway.kill()
    disk.run('cp', '-a', '--sparse=always', disk.place / 'spool', disk.place / 'kept')
    take_all(next_hop)
    chance = random.Random(11)
    for number in range(60 if LONG else 4):
        path = disk.path / ('ids' if number == 2 else 'segments/00000001.seg')
        what = spoil(path, chance)
        verify = disk.run(POSTERN, 'spool', 'verify', disk.place / 'spool', check=False)
        assert verify.returncode in (0, 1) and not verify.stderr, (what, verify)
        next_hop.messages.clear()
        since = len(gateway.log())
        gateway.start()
        told = re.findall(r'Critical: Spool: (.*)|Info: Spool: (recovery found .* of: torn.*)',
                          gateway.log()[since:])
        match = gateway.wait_log(r'recovered (\d+) messages', since=since)
        wait_until(lambda n=int(match[1]): len(next_hop.messages) >= n, 20, 'it is delivered')
        gateway.stop()
        lost = ledger.compare(next_hop.bodies()).lost
        print(what, told, lost)
        assert told or not lost, what
        assert len(lost) <= 1 or ': 4096 at' in what or ': 512 at' in what, (what, lost)
        disk.run('rm', '-r', disk.place / 'spool')
        disk.run('cp', '-a', '--sparse=always', disk.place / 'kept', disk.place / 'spool')


THIN_REFUSED = {('BODY', 451), ('BODY', 452)}  # by what the kernel says of it


@pytest.mark.parametrize('count', [1, 2])
def test_writes_that_fail_cost_no_promise(make_gateway, ledger, next_hop, count):
    """The device fails them in the segment in use and in no other, or in the next one as well."""
    put_off(next_hop)
    gateway = make_gateway(next_hop, workers=1, spool_more='min_free = "0";',
                           bounce='default = { initial_retry = "1h"; max_age = "5h"; };')
    with ThinDisk(gateway) as disk:
        gateway.start()
        disk.wait_spare()
        assert flood(gateway, ledger) == {('BODY', 250)}
        wait_until(lambda: gateway.log().count('pending till') == 10, 10, 'they are put off')
        time.sleep(1)  # that is recorded after 0.2 s
        written = (disk.path / 'segments/00000001.seg').read_bytes().rstrip(b'\0')
        disk.take_away('segments/00000001.seg', -(-len(written) // PAGE) * PAGE)
        if count == 2:
            disk.take_away('segments/00000002.seg', PAGE)
        replies = [send(gateway, ledger) for _ in range(4)]
        gateway.wait_log('Critical: Spool: log 0: a write failed, its segment is sealed')
        gateway.wait_log('Critical: Alert spool: Spool: log 0: a write failed')
        assert {(verb, reply.code) for verb, reply in replies} & THIN_REFUSED, replies
        if count == 2:
            gateway.wait_log('Critical: Alert spool: Spool: log 0: writes failed twice in a row')
            assert flood(gateway, ledger) == {('MAIL', 452)}
            disk.give_back()
            gateway.reload()
            gateway.wait_log('Recovered: Spool: log 0: writes failed twice in a row')
        wait_until(lambda: flood(gateway, ledger, 1) == {('BODY', 250)}, 10, 'mail is taken again')
        disk.give_back()
        gateway.wait_log('Recovered: Spool: log 0: a write failed')
        gateway.kill()
        take_all(next_hop)
        gateway.start()
        gateway.command('flush', 'example.com')
        wait_until(lambda: not ledger.compare(next_hop.bodies()).lost, 20, 'all arrive')
        gateway.stop()
    account = ledger.compare(next_hop.bodies())
    print(account)
    assert account.lost == account.doubled == account.unknown == []


def test_a_body_whose_sync_fails_is_not_promised(make_gateway, ledger, next_hop):
    """It was written to the page cache; what is below has no place for it."""
    gateway = make_gateway(next_hop, workers=1, spool_more='min_free = "0";')
    with ThinDisk(gateway) as disk:
        gateway.start()
        disk.wait_spare()
        body = ('y' * 70 + '\r\n') * 40000
        with session(gateway) as client:
            client.expect(250, f'MAIL FROM:<a@lab.test> SIZE={len(body)}')
            client.expect(250, 'RCPT TO:<b@example.com>')
            client.expect(354, 'DATA')
            half = len(body) // 144 * 72
            client.send(body[:half].encode())
            wait_until(lambda: list((disk.path / 'bodies').iterdir()), 10, 'its file')
            file, = (disk.path / 'bodies').iterdir()
            disk.take_away(f'bodies/{file.name}')
            client.send(body[half:].encode() + b'.\r\n')
            reply = client.read()
        assert ('BODY', reply.code) in THIN_REFUSED, reply
        wait_until(lambda: not list((disk.path / 'bodies').iterdir()), 10, 'it is unlinked')
        disk.give_back()
        assert_accepted(send(gateway, ledger, ('x' * 70 + '\n') * 30000))
        assert_all_delivered(ledger, next_hop, gateway)


def test_a_spool_at_its_size_takes_no_mail_until_some_has_left(make_gateway, ledger, next_hop):
    """Bodies that are under way count: here some that never end."""
    gateway = make_gateway(next_hop, workers=1, spool_more='max_size = "256M";').start()
    assert_accepted(send(gateway, ledger))
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(gateway.connect()) for _ in range(16)]
        other = stack.enter_context(gateway.connect())
        other.hello()
        for client in slow:
            client.hello()
            client.expect(250, 'MAIL FROM:<a@lab.test>')
            client.expect(250, 'RCPT TO:<b@example.com>')
            client.expect(354, 'DATA')
        for client in slow:
            client.send((b'x' * 76 + b'\r\n') * 200000)  # 16 MB
        gateway.wait_log(r'spool: no room \(spool.max_size')
        other.expect(452, 'MAIL FROM:<c@lab.test>')
        for client in slow:
            client.close()
        gateway.wait_log('spool: there is room again')
        other.expect(250, 'MAIL FROM:<c@lab.test>')
    wait_until(lambda: not list((gateway.spool_path / 'bodies').iterdir()), 10, 'no body stays')
    assert_accepted(send(gateway, ledger))
    assert_all_delivered(ledger, next_hop, gateway)
