"""What a machine would relay, from what one message costs: no input or output, only the model.

The costs are those of one worker (bench/scaling measures them), the machine is given. Each part of
a machine allows so many messages a second, and the least of them is what saturates first.

What is assumed, beside the figures of the machine:

  * one worker for each core; cores are as fast as the one that was measured, and share no cache and
    no memory bandwidth that would run out. A core that is one of two hardware threads is less;
  * the CPU time of a message is what it is with one worker and the sessions that were measured (a
    busier worker has more messages in a turn, and each costs less), and `spread` more for the share
    of messages that change worker, 1 - 1/N (measured with two workers, as far as that can be told);
  * loopback stands for the network card: what the kernel does to receive is done by the sender's
    process there, and the gateway is both. Interrupts and drivers of a card are not in it, nor is
    what a card does itself (checksums, segments);
  * an Ethernet frame takes 1448 bytes of TCP, and 90 for headers, preamble and gap; as many bytes
    come in as go out, and each direction has the whole rate;
  * each worker's log has one write in flight, of at most BATCH_BYTES, with the messages of the
    sessions that wait meanwhile: SESSIONS, in equal parts. A write takes its latency; what its
    bytes take is the disk's other limit, and no machine is to be run at both;
  * bodies in files of their own are written and read once each at the disk's rate, and synced one
    by one: what is read again does not come from the page cache;
  * half of MEMORY_PER_CORE holds mail for MEMORY_SECONDS, the time in which a next hop takes it.
    Above that the gateway reads mail from the disk again, which is slower and no stop;
  * mail for one destination is delivered by one worker, which takes its share of sessions besides.
"""
import collections

Machine = collections.namedtuple('Machine', 'cores network_bits disk')
# read and write bytes a second each; seconds of a small synced write; synced writes a second in all
Disk = collections.namedtuple('Disk', 'name bytes sync_seconds syncs')

BATCH_BYTES = 1 << 20  # SPOOL_BATCH_BYTES
BODY_INLINE_MAX = 1 << 20  # SPOOL_BODY_INLINE_MAX: larger ones have a file of their own
SESSIONS = 2000
MEMORY_PER_CORE = 4 << 30
MEMORY_SECONDS = 1
SEGMENT_PAYLOAD = 1448
FRAME_OVERHEAD = 90

CORES = (16, 64)
NETWORKS = (10e9, 25e9, 100e9)
# Of their kind, and no product's: `postern spool selftest DIR` tells what a disk of yours does.
DISKS = (Disk('cloud disk', 250e6, 1e-3, 5000),
         Disk('NVMe, no power-loss protection', 2e9, 1e-3, 2000),
         Disk('NVMe with power-loss protection', 3e9, 25e-6, 200000))

LIMITS = ('cores', 'network', 'disk, bytes', 'disk, commits', 'log writer', 'memory')
OWNER = 'one owner'


def frame_bytes(payload):
    return payload * (1 + FRAME_OVERHEAD / SEGMENT_PAYLOAD)


def elsewhere(workers):
    """The share of messages whose destination another worker owns."""
    return 1 - 1 / workers


def enter_us(busy, idle):
    """CPU of a ring enter and what goes with it, from a run with many sessions and one with few."""
    more = idle['ring enters'] - busy['ring enters']
    return max((idle['worker us'] - busy['worker us']) / more, 0) if more > 0 else 0


def cpu_us(cost, workers, spread):
    """Of a message, over all threads: only what workers do is more with more of them."""
    return cost['worker us'] * (1 + spread * elsewhere(workers)) + cost['log us'] + cost['rest us']


def messages_per_commit(cost, cores):
    return max(1, min(BATCH_BYTES / cost['disk bytes'], SESSIONS / cores))


def commits_allow(cost, machine):
    """Messages a second that synced writes allow."""
    disk = machine.disk
    if cost['body files'] > 0:  # each is synced for itself, and so is what names it
        return disk.syncs / (1 + 1 / messages_per_commit(cost, machine.cores))
    return (min(disk.syncs, machine.cores / disk.sync_seconds)
            * messages_per_commit(cost, machine.cores))


def limits(machine, cost, spread):
    """{part: messages a second that it allows}, without those of one destination."""
    memory = machine.cores * MEMORY_PER_CORE / 2
    return dict(zip(LIMITS, (
        machine.cores * 1e6 / cpu_us(cost, machine.cores, spread),
        machine.network_bits / 8 / (frame_bytes(cost['wire bytes']) / 2),
        machine.disk.bytes / cost['disk bytes'],
        commits_allow(cost, machine),
        1e6 / cost['log us'],
        memory / cost['memory bytes'] / MEMORY_SECONDS)))


def owner_allows(cost, receive_share, cores):
    """Messages a second when all mail is for one destination; receive_share: of a worker's time."""
    return 1e6 / (cost['worker us'] * (1 - receive_share + receive_share / cores))


def owner_share(receive_share, workers):
    """Of all workers' time, the owner's when all mail is for one destination."""
    return 1 - receive_share + receive_share / workers


def first_of(allowed):
    return min(allowed, key=allowed.get)


def between(small, large, size):
    """Costs of a size between two others: a fixed part, and one that grows with the bytes."""
    share = (size - small['size']) / (large['size'] - small['size'])
    return {name: small[name] + share * (large[name] - small[name]) for name in small}
