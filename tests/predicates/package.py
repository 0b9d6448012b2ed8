"""A package with predicates, as pip would install it: modules and the metadata that names their entry points."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path

CODE = """\
import os, re, sys, time
from policykit.predicates import TextPredicate

def words(text, args, context):
    print("something on standard output")
    return [m.span() for w in args.get("words", ["iamb"]) for m in re.finditer(re.escape(w), text)]

def hang(text, args, context):
    while "hang" in text:
        time.sleep(0.01)
    return True

spans = TextPredicate(words, "", finds_spans=True)
shouts = TextPredicate(lambda text, args, context: text.isupper(), "")
raises = TextPredicate(lambda text, args, context: 1 // 0, "")
hangs = TextPredicate(hang, "")
# Backtracks exponentially and holds the interpreter lock all the while.
holds = TextPredicate(lambda text, args, context: bool(re.match("(a+)+$", text)), "")
exits = TextPredicate(lambda text, args, context: os._exit(3) if "exit" in text else True, "")
says = TextPredicate(lambda text, args, context: args["say"], "")
says_spans = TextPredicate(lambda text, args, context: args["say"], "", finds_spans=True)
profile = TextPredicate(lambda text, args, context: context.get("profile") == "answer", "")
function = len
"""
NAMES = ("spans", "shouts", "raises", "hangs", "holds", "exits", "says", "says_spans", "profile", "function", "missing")


def write_package(folder: Path, version: str = "1.0.0", name: str = "verses") -> None:
    """The package in a folder that is to be on the path."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    (folder / f"{name}_predicates.py").write_text(CODE)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    entries = "".join(f"{entry} = {name}_predicates:{entry}\n" for entry in NAMES)
    (info / "entry_points.txt").write_text(f"[policykit.predicates]\n{entries}unimportable = nowhere_at_all:x\n")


@contextmanager
def installed_package(folder: Path) -> Iterator[Path]:
    write_package(folder)
    sys.path.insert(0, str(folder))
    invalidate_caches()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        invalidate_caches()
