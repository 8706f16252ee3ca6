"""Sections of a configuration that tests write again and again.

    make_gateway(hop, hat=hat_rows(('CRES', ['.res.cisco.com'], 'TLS_REQUIRED'), ...),
                 extra=dns_section({'lab.test': nsd.port}, timeout='1s'))
"""


def strings(values):
    return ', '.join(f'"{value}"' for value in values)


def hat_rows(*rows):
    """(group, senders, policy) each; a group of None has no name."""
    texts = []
    for group, senders, policy in rows:
        name = f'group = "{group}"; ' if group else ''
        texts.append(f'{{ {name}senders = [ {strings(senders)} ]; policy = "{policy}"; }}')
    return ',\n    '.join(texts)


def dns_section(stubs, timeout='20s', servers=(), validated=(), more=''):
    """stubs: zone -> port of its server on loopback; those in validated are not taken for
    unsigned. Whatever is in none of them is asked of the servers (ports, too), and without those
    of nobody: port 1 is closed."""
    zones = ', '.join(f'{{ zone = "{zone}"; servers = [ "127.0.0.1:{port}" ]; '
                      f'validate = {str(zone in validated).lower()}; }}'
                      for zone, port in stubs.items())
    ports = [f'127.0.0.1:{port}' for port in servers or (1,)]
    return (f'dns = {{ servers = [ {strings(ports)} ]; stub_zones = ( {zones} ); '
            f'sender_timeout = "{timeout}"; {more} }};\n')
