"""postern spool verify, list, show, quarantine, selftest: against spools that a gateway has
filled, whole and damaged byte by byte."""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import threading

import pytest

from postern_lab import LONG, POSTERN
from postern_lab.client import Client
from postern_lab.gateway import run_postern
from postern_lab.next_hop import NextHop
from postern_lab.process import wait_until
from postern_lab.traffic import Traffic

BLOCK = 4096
SEGMENT_MIN = 16 * BLOCK
HEADER = 80
MESSAGE, RESULT, DONE, PAD = 1, 2, 3, 4
LARGE = b'X-Lab-Id: large\r\nSubject: large\r\n\r\n' + b'.line of a large body\r\n' * 60000


class Record:
    """Where a record of a segment lies; docs/SPOOL.md."""

    def __init__(self, path, offset, head):
        self.path, self.offset = path, offset
        self.kind = head[4]
        self.payload_bytes, = struct.unpack_from('<I', head, 8)
        self.mid, = struct.unpack_from('<Q', head, 48)
        self.bytes = (HEADER + self.payload_bytes + 7) // 8 * 8

    @property
    def number(self):
        return int(self.path.stem)


def records_of(spool):
    """All records with a header that looks like one, PAD left out."""
    found = []
    for path in sorted((spool / 'segments').iterdir()):
        data = path.read_bytes()
        at = data.find(b'PSR1', BLOCK)
        while at >= 0:
            if at % 8 == 0 and data[at + 4] in (MESSAGE, RESULT, DONE):
                found.append(Record(path, at, data[at:at + HEADER]))
            at = data.find(b'PSR1', at + 4)
    return found


def record_of(spool, mid, kind=MESSAGE):
    return next(r for r in records_of(spool) if r.mid == mid and r.kind == kind)


def flip(path, offset):
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def spool(*arguments, code=0):
    result = run_postern('spool', *arguments)
    assert result.returncode == code, (f'postern spool {arguments}: exit {result.returncode}\n'
                                       f'{result.stdout}{result.stderr}')
    return result


def spool_json(*arguments, code=0):
    return json.loads(spool(*arguments, '--json', code=code).stdout)


def show_raw(*arguments, code=0):
    """The bytes themselves, which run_postern() would take for text with other line ends."""
    result = subprocess.run([str(POSTERN), 'spool', 'show', *map(str, arguments)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert result.returncode == code, result.stderr
    return result.stdout


def put_off(next_hop):
    next_hop.replies = {'RCPT': lambda *_: '450 4.2.1 later'}


def fill(gateway):
    """Starts it, in front of a hop that puts everything off, and sends three messages. Returns
    their MIDs, by subject."""
    gateway.start()
    mids = {}
    with gateway.connect() as client:
        client.hello()
        for name, sender, recipients, data in (
                ('small', 'a@lab.test', ['one@example.com'],
                 b'Subject: small\r\n\r\n.dot\r\n..\r\nend\r\n'),
                ('many', '', ['one@example.com', 'two@sub.example.com', 'three@example.com'],
                 b'Subject: many\r\n\r\nhello\r\n'),
                ('large', 'b@other.test', ['big@example.com'], LARGE)):
            assert client.transaction(sender, recipients, data).code == 250
            # With its 250 the record is there.
            mids[name] = max(r.mid for r in records_of(gateway.spool_path) if r.kind == MESSAGE)
        client.quit()
    wait_until(lambda: {r.mid for r in records_of(gateway.spool_path) if r.kind == RESULT} ==
               set(mids.values()), 20, 'that every message was put off')
    return mids


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def shortened(segment, size):
    """A segment of which only the beginning is left, with a header that says so."""
    head = segment[:36] + struct.pack('<I', size) + segment[40:60]
    head += struct.pack('<I', crc32c(head))
    return head + segment[len(head):size].ljust(size - len(head), b'\0')


def copy_spool(source, target, whole=False):
    """Without the segments that are not used, and only what is written of the others, unless they
    are to be whole: one run then takes no time."""
    shutil.rmtree(target, ignore_errors=True)
    (target / 'segments').mkdir(parents=True)
    shutil.copytree(source / 'bodies', target / 'bodies')
    for name in ('format', 'ids'):
        shutil.copy(source / name, target)
    for name in {r.path.name for r in records_of(source)}:
        path = source / 'segments' / name
        with open(target / 'segments' / name, 'wb') as file:
            data = path.read_bytes().rstrip(b'\0')
            size = max(len(data) // BLOCK * BLOCK + BLOCK, SEGMENT_MIN)
            file.write(data if whole else shortened(data, size))
            file.truncate(path.stat().st_size if whole else size)


@pytest.fixture(name='original', scope='module')
def fixture_original(make_shared_gateway):
    """(spool of a gateway that was killed with mail, MIDs)."""
    with NextHop() as hop:
        put_off(hop)
        gateway = make_shared_gateway(hop, workers=1)
        mids = fill(gateway)
        gateway.kill()
    return gateway.spool_path, mids


@dataclasses.dataclass
class Dead:
    path: pathlib.Path
    mids: dict


@pytest.fixture(name='dead')
def fixture_dead(original, folder):
    """A copy of it, to be damaged."""
    copy_spool(original[0], folder / 'spool')
    return Dead(folder / 'spool', original[1])


@pytest.fixture(name='gateway')
def fixture_gateway(original, make_gateway, next_hop):
    """A gateway that is to find such a copy in its place; it is not started."""
    gateway = make_gateway(next_hop, workers=1)
    copy_spool(original[0], gateway.spool_path, whole=True)
    gateway.mids = original[1]
    return gateway


def test_verify_says_what_each_segment_holds(dead):
    report = spool_json('verify', dead.path)
    assert report['damaged'] == 0 and report['snapshot'] is False
    assert report['messages_living'] == 3 and report['messages_over'] == 0
    living = [s for s in report['segments'] if s['messages']]
    assert len(living) == 1 and living[0]['state'] == 'living'
    sizes = {r.mid: r.bytes for r in records_of(dead.path) if r.kind == MESSAGE}
    assert living[0]['living_bytes'] == sum(sizes.values()) == report['living_bytes']
    assert living[0]['fill_bytes'] % BLOCK == 0
    text = spool('verify', dead.path).stdout
    assert 'no damage' in text and '3 messages to be delivered' in text


def test_a_reader_changes_nothing_and_needs_no_lock(make_gateway, next_hop):
    put_off(next_hop)
    gateway = make_gateway(next_hop, workers=1)
    mids = fill(gateway)

    def state():
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size)
                for p in gateway.spool_path.rglob('*') if p.parent.name != 'segments'}
    before = state()
    result = spool('verify', gateway.spool_path)
    assert 'a gateway is using it: this is a snapshot' in result.stderr
    assert 'no damage' in gateway.command('spool', 'verify')
    assert 'large' not in gateway.command('spool', 'list')
    assert spool_json('list', gateway.spool_path)['snapshot'] is True
    spool('show', mids['small'], gateway.spool_path)
    assert state() == before
    gateway.kill()
    assert spool('verify', gateway.spool_path).stderr == ''
    assert not (gateway.spool_path / 'quarantine').exists()


@pytest.mark.full
def test_mail_that_comes_and_goes_meanwhile_is_no_damage(make_gateway, next_hop, ledger):
    gateway = make_gateway(next_hop)
    gateway.start()
    with Traffic(gateway, ledger, threads=4) as traffic:
        for number in range(30 if LONG else 6):
            before = traffic.accepted
            wait_until(lambda b=before: traffic.accepted > b + 20, 20, f'mail in round {number}')
            assert spool_json('verify', gateway.spool_path)['damaged'] == 0
            spool('list', gateway.spool_path)
    gateway.stop()


def test_list_shows_and_filters(dead):
    everything = spool_json('list', dead.path)['messages']
    mids = dead.mids
    assert [m['mid'] for m in everything] == sorted(mids.values())
    by_mid = {m['mid']: m for m in everything}
    assert by_mid[mids['many']]['sender'] == ''
    assert by_mid[mids['many']]['recipients'] == [
        'one@example.com', 'two@sub.example.com', 'three@example.com']
    assert by_mid[mids['large']]['size'] > len(LARGE)
    assert all(m['waiting'] + m['deferred'] == len(m['recipients']) for m in everything)
    for arguments, wanted in (
            (['--sender', 'a@lab.test'], ['small']), (['--sender', 'A@LAB.TEST'], ['small']),
            (['--sender', '@other.test'], ['large']), (['--sender', '<>'], ['many']),
            (['--recipient', 'one@example.com'], ['small', 'many']),
            (['--recipient', '@sub.example.com'], ['many']),
            (['--domain', 'sub.example.com'], ['many']),
            (['--domain', 'example.com', '--sender', ''], ['many']),
            (['--older', '1h'], []), (['--domain', 'nowhere.test'], [])):
        found = spool_json('list', *arguments, dead.path)['messages']
        assert [m['mid'] for m in found] == [mids[name] for name in wanted], arguments
    text = spool('list', dead.path).stdout
    assert len(text.splitlines()) == 4 and '<> -> <one@example.com> and 2 more' in text


def test_show_gives_the_message_back(dead):
    mids = dead.mids
    text = spool('show', mids['many'], dead.path).stdout
    for wanted in ('sender        <>', 'two@sub.example.com', 'sender_group  ALL', 'segments/'):
        assert wanted in text
    shown = spool_json('show', mids['large'], dead.path)
    assert shown['body_in_file'] is True and shown['is_changed'] is False
    assert show_raw(mids['large'], dead.path, '--body') == LARGE
    assert show_raw(mids['small'], dead.path, '--body').endswith(b'\r\n.dot\r\n..\r\nend\r\n')
    raw = show_raw(mids['small'], dead.path, '--raw')
    assert raw.startswith(b'Received: from client.lab.test')
    assert raw.endswith(show_raw(mids['small'], dead.path, '--body'))
    assert 'there is no message 999' in spool('show', 999, dead.path, code=1).stderr


@pytest.mark.parametrize('replies', [{}, {'RCPT': ['450 4.2.1 later']}], ids=['once', 'twice'])
def test_nobody_waits_for_a_message_that_is_over(make_gateway, replies):
    with NextHop(replies=replies) as hop:
        gateway = make_gateway(hop, workers=1).start()
        with gateway.connect() as client:
            client.hello()
            assert client.transaction('a@lab.test', ['one@example.com'],
                                      b'Subject: over\r\n\r\nx\r\n').code == 250
        hop.wait_messages(1)
        gateway.settle()
        gateway.kill()
    mid = next(r.mid for r in records_of(gateway.spool_path) if r.kind == MESSAGE)
    text = spool('show', mid, gateway.spool_path).stdout
    assert 'state         over: nothing of it is to be delivered' in text
    assert re.search(r'^ +0  (over|delivered) .*<one@example\.com>$', text, re.M), text
    recipient, = spool_json('show', mid, gateway.spool_path)['recipients']
    assert recipient['state'] in ('over', 'delivered') and 'next_attempt' not in recipient
    assert recipient['held'] is False


def test_what_show_writes_can_be_sent_again(dead, next_hop):
    raw = show_raw(dead.mids['small'], dead.path, '--body')
    with Client(next_hop.port) as client:
        client.hello()
        client.transaction('a@lab.test', ['one@example.com'], raw)
    assert next_hop.messages[-1].data == b'Subject: small\r\n\r\n.dot\r\n..\r\nend\r\n'


def test_each_byte_of_a_record_is_missed(dead):
    """Whatever byte is wrong, verify finds it, says where, and whose; show gets the message back
    unless its form is gone, and never calls it whole when it is not."""
    target = dead.path
    record = record_of(target, dead.mids['small'])
    assert spool_json('verify', target)['damaged'] == 0
    whole = show_raw(dead.mids['small'], target, '--raw')
    got_back = 0
    offsets = range(0, HEADER + record.payload_bytes, 1 if LONG else 23)
    for at in offsets:
        flip(record.path, record.offset + at)
        report = spool_json('verify', target, code=1)
        damage = [f for f in report['findings'] if f['is_damage']]
        assert len(damage) == 1, (at, report['findings'])
        assert damage[0]['segment'] == record.number
        assert damage[0]['offset'] == record.offset
        assert damage[0]['length'] >= record.bytes
        assert report['messages_living'] == 2
        if damage[0]['messages_left'] == 1:
            assert damage[0]['mid'] in (dead.mids['small'], 0) or 80 <= at < 88
        in_header, in_salt, in_crc = at < HEADER, 24 <= at < 32, 12 <= at < 16
        result = run_postern('spool', 'show', dead.mids['small'], target, '--json')
        assert result.returncode == int(not in_header or in_salt or in_crc), (at, result.stderr)
        if result.stdout:
            shown = json.loads(result.stdout)
            assert shown['state'] == 'DAMAGED: the gateway does not deliver it'
            assert shown['is_changed'] == (not in_header or in_crc)
            got_back += 1
        if in_header and not in_salt:
            assert show_raw(dead.mids['small'], target, '--raw', code=int(in_crc)) == whole
        flip(record.path, record.offset + at)
    assert got_back > 0.7 * len(offsets), got_back
    assert spool_json('verify', target)['damaged'] == 0


def test_a_body_file_that_is_not_what_was_committed_is_found(dead):
    body = next((dead.path / 'bodies').iterdir())
    flip(body, 777)
    report = spool_json('verify', dead.path, code=1)
    assert [(f['what'], f['mid']) for f in report['findings']] == [
        ('body file is not what was committed', dead.mids['large'])]
    assert len(show_raw(dead.mids['large'], dead.path, '--raw', code=1)) > len(LARGE)
    flip(body, 777)
    os.truncate(body, 5000)
    report = spool_json('verify', dead.path, code=1)
    assert report['findings'][0]['what'] == 'body file missing or too short'
    show_raw(dead.mids['large'], dead.path, '--raw', code=1)
    body.rename(body.with_name('core'))
    report = spool_json('verify', dead.path, code=1)
    assert sorted(f['what'] for f in report['findings']) == [
        'body file missing or too short', 'foreign file']


def test_a_torn_end_is_a_note_and_no_damage(dead):
    target = dead.path
    last = max(records_of(target), key=lambda r: r.offset)
    flip(last.path, last.offset + HEADER)  # behind a header, which may be the first of its batch
    report = spool_json('verify', target)
    assert report['damaged'] == 0
    assert [f['what'] for f in report['findings']] == ['torn batch, never acknowledged']


def test_mail_does_not_stay_at_the_end_where_damage_would_pass_for_a_torn_write(
        make_gateway, next_hop):
    """Nothing is heard of it, so no result comes behind it: a batch of padding does."""
    over = threading.Event()
    next_hop.replies = {'EHLO': lambda *_: over.wait(30) and None}
    gateway = make_gateway(next_hop, workers=1).start()
    with gateway.connect() as client:
        client.hello()
        assert client.transaction('a@lab.test', ['one@example.com'], b'hello\r\n').code == 250
    spool_path = gateway.spool_path
    record, = (r for r in records_of(spool_path) if r.kind == MESSAGE)
    end = record.offset // BLOCK * BLOCK + -(-record.bytes // BLOCK) * BLOCK
    wait_until(lambda: record.path.read_bytes()[end:end + 5] == b'PSR1' + bytes([PAD]), 10,
               'a batch behind it')
    gateway.kill()
    over.set()
    assert [r.kind for r in records_of(spool_path)] == [MESSAGE]
    for at in (0, 24, HEADER, HEADER + 200):  # its magic, its salt, what it says
        flip(record.path, record.offset + at)
        report = spool_json('verify', spool_path, code=1)
        assert [f['what'] for f in report['findings']] == ['damaged record'], at
        flip(record.path, record.offset + at)
    with open(record.path, 'r+b') as file:  # and where nothing is left of it
        file.seek(record.offset)
        file.write(bytes(end - record.offset))
    report = spool_json('verify', spool_path, code=1)
    assert [(f['what'], f['offset']) for f in report['findings']] == [
        ('damaged record', record.offset)]


def test_a_segment_without_header_is_read_and_one_of_which_nothing_is_known_is_searched(dead):
    target = dead.path
    record = record_of(target, dead.mids['small'])
    flip(record.path, 20)
    report = spool_json('verify', target, code=1)
    assert [f['what'] for f in report['findings']] == ['damaged segment header']
    assert report['messages_living'] == 3
    flip(record.path, BLOCK + 20)  # and its first record
    report = spool_json('verify', target, code=1)
    assert report['messages_living'] == 0 and report['findings'][0]['messages_left'] >= 2
    assert show_raw(dead.mids['many'], target, '--body') == b'Subject: many\r\n\r\nhello\r\n'


def test_a_damaged_segment_goes_to_quarantine_when_its_mail_has_gone(gateway, next_hop):
    mids, path = gateway.mids, gateway.spool_path
    record = record_of(path, mids['small'])
    whole = show_raw(mids['small'], path, '--raw')
    flip(record.path, record.offset + 8)
    assert 'no segment is in quarantine' in spool('quarantine', 'list', path).stdout
    gateway.start()
    next_hop.wait_messages(2)
    gateway.wait_log('damaged segments are in quarantine', seconds=20)
    status = json.loads(gateway.command('status', '--json'))
    assert status['spool_quarantined'] == 1
    assert 'postern spool quarantine' in gateway.command('status')
    assert 'damaged segments are in quarantine' in gateway.command('alerts')
    gateway.stop()

    name = f'{record.number:08}.seg'
    assert not (path / 'segments' / name).exists() and (path / 'quarantine' / name).exists()
    listed = spool_json('quarantine', 'list', path)['segments']
    assert [s['segment'] for s in listed] == [record.number]
    found = spool_json('quarantine', 'show', record.number, path)['messages']
    assert mids['small'] in [m['mid'] for m in found]
    assert show_raw(mids['small'], path, '--raw') == whole
    assert 'in quarantine' in spool('show', mids['small'], path).stdout
    assert spool_json('verify', path)['quarantined'] == 1

    spool('quarantine', 'remove', record.number, path)
    spool('quarantine', 'remove', record.number, path, code=1)
    assert spool_json('quarantine', 'list', path)['segments'] == []
    spool('show', mids['small'], path, code=1)


def test_the_alert_ends_when_the_quarantine_is_emptied(gateway):
    record = record_of(gateway.spool_path, gateway.mids['small'])
    flip(record.path, record.offset + 100)
    gateway.start()
    gateway.wait_log('damaged segments are in quarantine', seconds=20)
    spool('quarantine', 'remove', 'all', gateway.spool_path)
    gateway.wait_log('the quarantine is empty again', seconds=20)
    gateway.stop()


def test_selftest_measures_and_leaves_nothing(folder):
    report = spool_json('selftest', folder, '--seconds', 1)
    assert report['verdict'] in ('good', 'doubtful') and report['options']
    assert [w['bytes'] for w in report['writes']] == [4096, 4096, 65536, 1 << 20]
    assert all(w['count'] > 0 and w['p50_us'] <= w['p99_us'] for w in report['writes'])
    assert list(folder.iterdir()) == []
    text = spool('selftest', folder, '--seconds', 1).stdout
    assert 'COMMITS' in text and re.search('^(GOOD|DOUBTFUL): ', text, re.M)


@pytest.mark.skipif(not os.access('/dev/shm', os.W_OK), reason='there is no tmpfs')
def test_selftest_warns_of_a_disk_that_is_memory():
    assert spool_json('selftest', '/dev/shm', '--seconds', 1, code=1)['verdict'] == 'bad'
    assert 'BAD: put no spool here' in spool('selftest', '/dev/shm', '--seconds', 1, code=1).stdout


def test_a_spool_that_lacks_a_folder_is_told_from_what_is_none(dead):
    (dead.path / 'segments').rename(dead.path / 'else')
    assert 'cannot open segments of it: not found' in spool('verify', dead.path, code=1).stderr
    (dead.path / 'else').rename(dead.path / 'segments')
    (dead.path / 'format').unlink()
    assert 'there is no file format in it' in spool('verify', dead.path, code=1).stderr


def test_help_names_commands_that_there_are():
    """Among them those of `postern --help`."""
    there = set(re.findall(r'^  ([a-z][a-z-]+) ', run_postern('--help').stdout, re.M))
    assert {'spool', 'queue', 'flush'} <= there
    for command in there:
        text = run_postern(command, '--help').stdout
        for word in re.findall(r'(?<=[ |])([a-z]+)(?=\|)|(?<=\|)([a-z]+)', text.splitlines()[0]):
            text += run_postern(command, ''.join(word), '--help').stdout
        assert set(re.findall(r'(?<![\w/.])postern ([a-z][a-z-]+)', text)) <= there, command


@pytest.mark.parametrize('arguments, code, wanted', [
    (['selftest'], 2, 'DIR is missing'),
    (['selftest', '/nonexistent'], 1, 'No such file'),
    (['selftest', '.', '--seconds', '0'], 2, 'not a number'),
    (['selftest', '/proc', '--seconds', '1'], 1, 'cannot be written to'),
    (['verify', '/nonexistent'], 1, 'cannot open it'),
    (['list', '.'], 1, 'it is no spool: there is no file format in it'),
    (['verify', '.'], 1, 'it is no spool: there is no file format in it'),
    (['show'], 2, 'is missing'),
    (['show', '0'], 2, 'not a MID'),
    (['show', 'x'], 2, 'not a MID'),
    (['show', '1', '--raw', '--json', '.'], 2, 'exclude each other'),
    (['list', '--older', 'ever', '.'], 2, 'not a time'),
    (['quarantine', 'show', '.'], 2, 'not the number'),
    (['quarantine', 'remove'], 2, 'which segment is missing'),
    (['quarantine', 'burn'], 2, 'neither list, show nor remove'),
    (['burn'], 2, 'none of verify, list, show, quarantine, selftest'),
])
def test_misuse_is_told(folder, arguments, code, wanted):
    arguments = [str(folder) if a == '.' else a for a in arguments]
    result = spool(*arguments, code=code)
    assert wanted in result.stderr and result.stdout == ''
    for command in ('verify', 'list', 'show', 'quarantine', 'selftest'):
        assert 'Exit status' in spool(command, '--help').stdout
