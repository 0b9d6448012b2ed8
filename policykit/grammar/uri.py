"""URI references, resolved as RFC 3986, section 5.2 has it, for every scheme and for relative bases too."""

import re
from typing import Final

_PARTS: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)


def resolve(base: str, reference: str) -> str:
    """The URI that a reference means where ``base`` is in force.

    (The standard library's ``urljoin`` knows a list of schemes only, and `urn` is not one of them.) Where the base is
    relative, so is the result, and it may begin with `..`.

    >>> resolve("http://a/b/c/d;p?q", "../g"), resolve("urn:example:a", "#x"), resolve("common/a.json", "../b.json")
    ('http://a/b/g', 'urn:example:a#x', 'b.json')
    """
    scheme, authority, path, query, fragment = _split(reference)
    if scheme:
        return _joined(scheme, authority, _without_dots(path), query, fragment)
    scheme, base_authority, base_path, base_query, _ = _split(base)
    if authority:
        return _joined(scheme, authority, _without_dots(path), query, fragment)
    if not path:
        return _joined(scheme, base_authority, base_path, query or base_query, fragment)
    if not path.startswith("/"):
        is_bare = bool(base_authority) and not base_path
        path = "/" + path if is_bare else base_path[: base_path.rfind("/") + 1] + path
    return _joined(scheme, base_authority, _without_dots(path), query, fragment)


def defragment(uri: str) -> tuple[str, str]:
    """A URI without its fragment, and the fragment without its `#`."""
    bare, _, fragment = uri.partition("#")
    return bare, fragment


def _split(uri: str) -> tuple[str, str, str, str, str]:
    found = _PARTS.fullmatch(uri)
    assert found is not None  # every text is a reference
    scheme, authority, path, query, fragment = (part or "" for part in found.groups())
    return scheme, authority, path, query, fragment


def _joined(scheme: str, authority: str, path: str, query: str, fragment: str) -> str:
    return f"{scheme}:{authority}{path}{query}{fragment}" if scheme else f"{authority}{path}{query}{fragment}"


def _without_dots(path: str) -> str:
    """The path without `.` and `..` (section 5.2.4), but for those at the beginning of a relative one."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        is_root = kept == [""]
        if segment == "..":
            if kept and kept[-1] != ".." and not is_root:
                kept.pop()
            elif not is_root:
                kept.append(segment)
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", "..") and (not kept or kept[-1] not in ("", "..")):
        kept.append("")
    return "/" if kept == [""] and path.startswith("/") else "/".join(kept)
