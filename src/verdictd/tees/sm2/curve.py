"""The curve of SM2, and the one sum of points that a verification needs.

Points are on y² = x³ - 3x + b over a prime field. Sums are made in Jacobian coordinates, x = X/Z² and y = Y/Z³, which
spare a division for each step. The time taken depends on the numbers: use no secret here.

Spec: GB/T 32918.5-2017, the recommended curve; GB/T 32918.1-2016, annex A (also ISO/IEC 14888-3:2018 and
RFC 8998, 3.2.1).
"""

from typing import Final, NamedTuple

FIELD: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
"""The prime of the field."""
A: Final = FIELD - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
"""How many multiples of the generator there are; a prime. The cofactor is 1."""
COORDINATE_BYTES: Final = 32


class Point(NamedTuple):
    """A point of the curve other than the one at infinity, by its affine coordinates."""

    x: int
    y: int

    @property
    def is_on_curve(self) -> bool:
        """Whether both coordinates are in the field and fulfil the curve's equation."""
        in_field = 0 <= self.x < FIELD and 0 <= self.y < FIELD
        return in_field and (self.y * self.y - (self.x * self.x + A) * self.x - B) % FIELD == 0


GENERATOR: Final = Point(
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

_Jacobian = tuple[int, int, int]
_INFINITY: Final[_Jacobian] = (1, 1, 0)


def add_multiples(g: int, q: int, point: Point) -> Point | None:
    """Return g times the generator plus q times `point`; ``None`` for the point at infinity.

    Args:
        g: from 0 to the order of the curve, exclusive.
        q: the same.
        point: a point of the curve.
    """
    generator, other = _lift(GENERATOR), _lift(point)
    addends = {1: generator, 2: other, 3: _add(generator, other)}
    total = _INFINITY
    for bit in range(max(g.bit_length(), q.bit_length()) - 1, -1, -1):
        total = _double(total)
        which = (g >> bit & 1) | (q >> bit & 1) << 1
        if which:
            total = _add(total, addends[which])
    return _lower(total)


def _lift(point: Point) -> _Jacobian:
    return point.x, point.y, 1


def _lower(point: _Jacobian) -> Point | None:
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, -1, FIELD)
    square = inverse * inverse % FIELD
    return Point(x * square % FIELD, y * square * inverse % FIELD)


def _double(point: _Jacobian) -> _Jacobian:
    """Double a point. Infinity stays where it is, and nothing else comes there: the order is odd."""
    x, y, z = point
    delta, gamma = z * z % FIELD, y * y % FIELD
    beta = x * gamma % FIELD
    alpha = 3 * (x - delta) * (x + delta) % FIELD
    doubled_x = (alpha * alpha - 8 * beta) % FIELD
    doubled_z = 2 * y * z % FIELD
    return doubled_x, (alpha * (4 * beta - doubled_x) - 8 * gamma * gamma) % FIELD, doubled_z


def _add(first: _Jacobian, second: _Jacobian) -> _Jacobian:
    x1, y1, z1 = first
    x2, y2, z2 = second
    if z1 == 0:
        return second
    if z2 == 0:
        return first
    square1, square2 = z1 * z1 % FIELD, z2 * z2 % FIELD
    u1, u2 = x1 * square2 % FIELD, x2 * square1 % FIELD
    s1, s2 = y1 * square2 * z2 % FIELD, y2 * square1 * z1 % FIELD
    if u1 == u2:
        return _double(first) if s1 == s2 else _INFINITY
    h, r = u2 - u1, s2 - s1
    h_square = h * h % FIELD
    h_cube = h_square * h % FIELD
    v = u1 * h_square % FIELD
    x = (r * r - h_cube - 2 * v) % FIELD
    return x, (r * (v - x) - s1 * h_cube) % FIELD, h * z1 * z2 % FIELD
