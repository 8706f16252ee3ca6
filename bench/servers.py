"""The servers that bench/relay measures, each set up as a durable relay to one sink on loopback.

    server = SERVERS['exim'](folder, sink_port, certificate).start()
    server.port
    server.end()

All take mail from loopback for any address, offer STARTTLS with the same certificate, log, look up
no names, and hand everything to 127.0.0.1:SINK in the clear. Each is set up by what its own guide
says of many messages, which is named with the settings; what a guide leaves alone stays as it is.
"""
import os
import pathlib
import shutil
import subprocess

from postern_lab import PEERS, ports
from postern_lab.certificates import openssl
from postern_lab.gateway import Gateway
from postern_lab.peers import Postfix as LabPostfix
from postern_lab.process import Process

START_SECONDS_MAX = 90  # node reads much before it listens

# Postfix's TUNING_README: "default_process_limit" for the number of sessions, no in_flow_delay, no
# address rewriting that a relay does not need (receive_override_options), connection caching for a
# busy destination, more parallel deliveries to it, a queue manager that holds more in memory.
# QSHAPE_README: initial_destination_concurrency, where the next hop is known to bear it.
POSTFIX_MAIN_CF = '''
default_transport = smtp:[127.0.0.1]:{sink}
in_flow_delay = 0
default_process_limit = 250
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
default_destination_concurrency_limit = 100
initial_destination_concurrency = 50
smtp_connection_cache_destinations = [127.0.0.1]:{sink}
smtp_connection_reuse_time_limit = 300s
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_peername_lookup = no
receive_override_options = no_unknown_recipient_checks, no_address_mappings
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {chain}
smtp_tls_security_level = none
'''

# Exim's specification: message_logs ("reduces the amount of disk I/O"), split_spool_directory (for
# a long queue), deliver_drop_privilege (a relay needs no root to deliver, and without it each
# delivery runs the program anew), smtp_accept_queue_per_connection = 0 (by default all messages of
# a connection after the tenth are left to a queue runner), no reverse and ident look-ups.
# connection_max_messages = 1, because all are delivered at once, and with it no delivery waits for
# the lock of the hints on what else might go to that host.
EXIM_CONFIG = '''
primary_hostname = exim.test
exim_path = /mnt/usr/sbin/exim4
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
pid_file_path = /run/exim4/exim.pid
message_logs = false
split_spool_directory = true
deliver_drop_privilege = true
smtp_accept_max = 500
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 1000
rfc1413_query_timeout = 0s
host_lookup =
helo_try_verify_hosts =
dns_ipv4_lookup = *
tls_advertise_hosts = *
tls_certificate = /etc/exim4/chain.pem
tls_privatekey = /etc/exim4/key.pem
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin acl
begin routers
sink:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = sink
begin transports
sink:
  driver = smtp
  port = {sink}
  allow_localhost
  connection_max_messages = 1
  hosts_avoid_tls = *
  hosts_try_dane =
begin retry
* * F,1h,1m
'''

# smtpd.conf(5): the limits of a session (100 messages by default) and of what may be deferred. None
# of its pages is about many messages, and there is no more to tune.
OPENSMTPD_CONF = '''
pki mx.lab.test cert "/etc/opensmtpd/chain.pem"
pki mx.lab.test key "/etc/opensmtpd/key.pem"
smtp limit max-mails 1000
mta max-deferred 100000
listen on 127.0.0.1 port {port} tls pki mx.lab.test hostname opensmtpd.test
action "sink" relay host smtp+notls://127.0.0.1:{sink}
match from any for any action "sink"
'''

# Haraka's wiki, Performance-Tuning: a process for each CPU (nodes), no plugin that is not needed,
# no more log than notices. It logs to its standard output, which goes to a file.
HARAKA_FILES = {
    'smtp.ini': 'listen=127.0.0.1:{port}\nnodes={cpus}\n',
    'me': 'haraka.test\n',
    'log.ini': '[main]\nlevel=notice\n',
    'plugins': 'tls\nrelay\n',
    'relay.ini': '[relay]\nacl=true\nforce_routing=true\n',
    'relay_acl_allow': '127.0.0.0/8\n',
    'relay_dest_domains.ini':
        '[domains]\nany={{"action":"accept","nexthop":"127.0.0.1:{sink}"}}\n',
    'outbound.ini': 'enable_tls=false\nlocal_mx_ok=true\nconcurrency_max=100\ninet_prefer=v4\n',
    'tls.ini': '[main]\nkey={key}\ncert={chain}\ndhparam=dhparams.pem\n',
}

POSTERN_SECTIONS = {
    'policies': '''
    ACCEPTED = { access = "accept"; tls = "preferred"; max_connections_per_ip = 1000;
                 max_messages_per_connection = 1000; max_recipients_per_message = 1000; };''',
    'hat': '{ group = "ALL"; senders = [ "ALL" ]; policy = "ACCEPTED"; }',
    'rat': '{ recipients = [ "ALL" ]; action = "accept"; }',
    'destinations': '''default = { tls = "off"; max_connections = 100;
                             max_messages_per_connection = 1000; };''',
    'listener': 'max_connections = 2000; backlog = 1024;',
}


def copy_pair(certificate, folder):
    """Where the view of a peer has them."""
    folder.mkdir(parents=True)
    shutil.copy(certificate.chain, folder / 'chain.pem')
    shutil.copy(certificate.key, folder / 'key.pem')


class Server:
    """What they have in common."""
    peer = None  # its name for tools/peers

    def end(self):
        self.stop()


class Postern(Gateway, Server):
    def __init__(self, folder, sink_port, certificate):
        super().__init__(folder, certificate, next_hop_port=sink_port, workers=0,
                         **POSTERN_SECTIONS)

    def end(self):
        self.kill()  # loses nothing, and needs no grace


class Postfix(LabPostfix, Server):
    peer = 'postfix'

    def __init__(self, folder, sink_port, certificate):
        super().__init__(folder, main_cf=POSTFIX_MAIN_CF.format(
            sink=sink_port, key=certificate.key, chain=certificate.chain))


class InView(Process, Server):
    """A peer that has its paths and accounts compiled in."""

    def run_in_view(self, folder, accounts, command):
        self.home = folder / 'view'
        words = [PEERS, 'run-in-view']
        for account in accounts:
            words += ['--account', account]
        Process.__init__(self, self.peer, [*words, self.peer, self.home, *command], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port, seconds=START_SECONDS_MAX)


class Exim(InView):
    peer = 'exim'

    def __init__(self, folder, sink_port, certificate):
        self.port = ports.free_port()
        self.run_in_view(folder, ['Debian-exim'], [
            'sh', '-c', 'cd /var/spool && mkdir -p exim4 ../log/exim4 /run/exim4 && chown -R '
            'Debian-exim: exim4 ../log/exim4 /run/exim4 /etc/exim4/key.pem '
            '&& exec /mnt/usr/sbin/exim4 -bdf'])
        copy_pair(certificate, self.home / 'etc/exim4')
        (self.home / 'etc/exim4/exim4.conf').write_text(
            EXIM_CONFIG.format(port=self.port, sink=sink_port))


class OpenSmtpd(InView):
    peer = 'opensmtpd'

    def __init__(self, folder, sink_port, certificate):
        self.port = ports.free_port()
        self.run_in_view(folder, ['opensmtpd', 'opensmtpq'], [
            'sh', '-c', 'cd /var && mkdir -p lib/opensmtpd/empty spool/smtpd && ln -s /run run '
            '&& chmod 711 spool/smtpd && chown 0:0 /etc/opensmtpd/* '
            '&& chmod 600 /etc/opensmtpd/key.pem && ulimit -n 8192 '
            '&& exec /mnt/usr/sbin/smtpd -d -f /etc/opensmtpd/smtpd.conf'])
        copy_pair(certificate, self.home / 'etc/opensmtpd')
        (self.home / 'etc/opensmtpd/smtpd.conf').write_text(
            OPENSMTPD_CONF.format(port=self.port, sink=sink_port))


class Haraka(Process, Server):
    peer = 'haraka'

    def __init__(self, folder, sink_port, certificate):
        self.port = ports.free_port()
        home = folder / 'haraka'
        package = fetched('haraka') / 'node_modules/haraka'
        shutil.copytree(package / 'config', home / 'config')  # as `haraka --install` does
        (home / 'queue').mkdir()
        values = {'port': self.port, 'sink': sink_port, 'cpus': os.cpu_count(),
                  'key': certificate.key, 'chain': certificate.chain}
        for name, text in HARAKA_FILES.items():
            (home / 'config' / name).write_text(text.format(**values))
        # Without a file it makes parameters of its own, for half a minute of each start.
        openssl('genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048',
                '-out', home / 'config/dhparams.pem')
        super().__init__('haraka', ['node', package / 'bin/haraka', '-c', home], folder)

    def start(self):
        super().start()
        return self.wait_listening(self.port, seconds=START_SECONDS_MAX)


SERVERS = {'postern': Postern, 'postfix': Postfix, 'exim': Exim, 'opensmtpd': OpenSmtpd,
           'haraka': Haraka}


def fetched(peer):
    return pathlib.Path(subprocess.run([PEERS, 'fetch', peer], stdin=subprocess.DEVNULL, check=True,
                                       stdout=subprocess.PIPE, text=True).stdout.strip())
