"""ECDSA over P-256 with SHA-256 (FIPS 186-5), to sign hundreds of small things without a process
for each. Of no use outside a test: nothing here is done in constant time."""
import hashlib

P = 2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def double(x, y):
    slope = (3 * x * x - 3) * pow(2 * y, -1, P) % P
    after = (slope * slope - 2 * x) % P
    return after, (slope * (x - after) - y) % P


def doubles():
    """G, 2G, 4G, 8G...: what a multiple of G is the sum of."""
    found = [G]
    for _ in range(255):
        found.append(double(*found[-1]))
    return found


DOUBLES = doubles()


def multiple(factor):
    """factor times G. Added up in Jacobian coordinates; an addend that equals the sum does not
    occur: it would be a multiple of G that is larger than all before it together."""
    total = None
    for bit, (x, y) in enumerate(DOUBLES):
        if not factor >> bit & 1:
            continue
        if total is None:
            total = (x, y, 1)
            continue
        a, b, z = total
        square = z * z % P
        h, r = (x * square - a) % P, (y * square * z - b) % P
        h2 = h * h % P
        h3, v = h * h2 % P, a * h2 % P
        a = (r * r - h3 - 2 * v) % P
        total = (a, (r * (v - a) - b * h3) % P, z * h % P)
    a, b, z = total
    inverse = pow(z, -1, P)
    return a * inverse ** 2 % P, b * inverse ** 3 % P


def digest(*parts):
    return int.from_bytes(hashlib.sha256(b''.join(parts)).digest(), 'big')


class Key:
    """The same seed makes the same key."""

    def __init__(self, seed):
        self.secret = digest(b'key', seed.encode()) % (N - 1) + 1
        self.public = b''.join(part.to_bytes(32, 'big') for part in multiple(self.secret))

    def sign(self, data):
        """r and s, 32 bytes each."""
        nonce = digest(b'nonce', self.secret.to_bytes(32, 'big'), data) % (N - 1) + 1
        r = multiple(nonce)[0] % N
        s = pow(nonce, -1, N) * (digest(data) + r * self.secret) % N
        return r.to_bytes(32, 'big') + s.to_bytes(32, 'big')
