"""How somebody is reached: email, telephone, network addresses."""

from ipaddress import AddressValueError, IPv6Address

import numpy as np

from policykit.entities.checks import PHONE, plain
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import DASH, SPACE, WORD, EntityType, Guard
from policykit.entities.numbers import Decided

_EMAIL = Guard(r"(?:\A|[^0-9A-Za-z_.%+\-])", WORD.right, r"(?<![0-9A-Za-z_.%+\-])", WORD.ahead)
_LABEL = r"[0-9\pL](?:[0-9\pL\pM\-]*[0-9\pL\pM])?"

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_V4 = Guard(
    r"(?:\A|[^0-9A-Za-z.])", r"(?:\z|[^0-9A-Za-z.]|\.(?:\z|[^0-9]))", r"(?<![0-9A-Za-z.])", r"(?![0-9A-Za-z]|\.[0-9])"
)  # fmt: skip
_V6 = Guard(
    r"(?:\A|[^0-9A-Za-z.:])", r"(?:\z|[^0-9A-Za-z:]|:(?:\z|[^0-9A-Fa-f:]))",
    r"(?<![0-9A-Za-z.:])", r"(?![0-9A-Za-z]|:[0-9A-Fa-f:])",
)  # fmt: skip


def _is_ipv6(text: str) -> bool:
    """RFC 4291, section 2.2. With a digit, since `a::b` is more often a name in a program."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return any(char.isdigit() for char in text)


_GROUPS, _SKIPPED = 8, 7
"""Groups of an address, and the most that are written where some are left out."""


def _are_ipv6(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`_is_ipv6` of many that have the form: groups between colons, perhaps an IPv4 address last."""
    colons, doubles = text.counts(":").within(starts, ends), text.pairs(":").within(starts, ends - 1)
    begins, stops = text.at(starts) == ord(":"), text.at(ends - 1) == ord(":")
    is_v4 = text.counts(".").within(starts, ends) > 0
    groups = colons + 1 - begins - stops - (doubles == 1) + is_v4
    is_whole = (doubles == 0) & ~begins & ~stops & (groups == _GROUPS)
    begins_well, stops_well = (~begins | (text.at(starts + 1) == ord(":")), ~stops | (text.at(ends - 2) == ord(":")))
    is_short = (doubles == 1) & begins_well & stops_well & (groups <= _SKIPPED)
    has_digit = text.counts("0123456789").within(starts, ends) > 0
    return ((is_whole | is_short) & has_digit).astype(np.int8)


_BETWEEN = rf"(?:[{SPACE}]?[{DASH}./()][{DASH}()]?[{SPACE}]?|[{SPACE}])"
_PHONE = Guard(
    r"(?:\A[.,]?|[^0-9A-Za-z+.,]|[^0-9][.,])", WORD.right, r"(?<![0-9A-Za-z+])(?<![0-9][.,])", WORD.ahead
)  # fmt: skip

TYPES = (
    EntityType(
        name="email",
        about="email address with an ASCII local part",
        body=rf"[0-9A-Za-z_%+\-](?:[0-9A-Za-z_.%+\-]{{0,62}}[0-9A-Za-z_%+\-])?@(?:{_LABEL}\.)+(?:xn--[0-9a-z\-]+|[a-z]{{2,24}})",
        guard=_EMAIL,
    ),
    EntityType(
        name="phone",
        about="telephone number, international (`+`, `00`) or as dialled in `region`",
        body=rf"(?:\+|00)[{SPACE}(]?[0-9](?:{_BETWEEN}?[0-9]){{6,16}}",
        regional=rf"(?:(?:\+|00)[{SPACE}(]?|\(?)[0-9](?:{_BETWEEN}?[0-9]){{5,16}}",
        guard=_PHONE,
        check=PHONE,
        as_seen=True,
        punctuated=True,
        words=("phone", "tel", "telephone", "mobile", "cell", "call", "fax", "telefon", "handy", "téléphone", "電話"),
        options=("region",),
    ),
    EntityType(name="ipv4", about="IPv4 address", body=_IPV4, guard=_V4, words=("ip", "address", "host", "server")),
    EntityType(
        name="ipv6",
        about="IPv6 address that has a digit",
        body=rf"(?:[0-9a-f]{{0,4}}:){{2,7}}(?:[0-9a-f]{{0,4}}|{_IPV4})",
        guard=_V6,
        check=plain("IPv6Address, a digit; 1", _is_ipv6, decide=_are_ipv6),
        as_seen=True,
        words=("ip", "address", "host", "server"),
    ),
)
