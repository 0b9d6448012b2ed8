"""What the views see through: named evasion techniques on the shipped phrases, beside plain casefold matching.

    python benchmarks/evasion.py [--locales /usr/share/locale] [--out benchmarks/results/evasion.json]

Every phrase of `policies/` is put on all views that take it, spelled by each technique inside a sentence, and judged
by the verifier. Harmless text is what the translated programs of this machine say (compiled gettext catalogues), in
five languages. A phrase of several words that is found there is a false positive, unless the text says just that:
then the choice of the phrase is in question, not the view.
"""

import argparse
import base64
import gettext
import json
import platform
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import policykit as pk
from policykit.compile.resolve import leaves
from policykit.ir.document import Phrases, PolicySet
from policykit.text import UNICODE_VERSION

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "de", "fr", "es", "ja")
BYTES_PER_LANGUAGE = 1_200_000
UNCLAIMED = "not claimed"
CYRILLIC = str.maketrans("aceopxyijs", "асеорхуіјѕ")
CAPITALS = str.maketrans("ABCEHKMOPTXYIJS", "АВСЕНКМОРТХУІЈЅ")
GREEK = str.maketrans("aopviu", "αορνιυ")
ARMENIAN = str.maketrans("nouhgs", "ոօսհցտ")
SMALL_CAPITALS = str.maketrans("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ")
TURNED = str.maketrans("aehrvwmt", "ɐǝɥɹʌʍɯʇ")
FAUX_CYRILLIC = str.maketrans("NRnr", "ИЯия")
SUBSCRIPTS = str.maketrans("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
SUPERSCRIPTS = str.maketrans("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")


@dataclass(frozen=True, slots=True)
class Technique:
    """``claim``: the view or rule that sees through it, or that nothing claims it."""

    name: str
    claim: str
    spell: Callable[[str], str]


def alphabet(first: int) -> dict[int, int]:
    """Small letters to a run of 26 code points."""
    return {ord("a") + i: first + i for i in range(26)}


def between(put: str) -> Callable[[str], str]:
    """Something behind every letter."""
    return lambda text: "".join(c + put if c.isalnum() else c for c in text)


def mapped(*tables: dict[int, int], upper: bool = False) -> Callable[[str], str]:
    def spell(text: str) -> str:
        text = text.upper() if upper else text.lower()
        for table in tables:
            text = text.translate(table)
        return text

    return spell


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.lower().replace(old, new)


TECHNIQUES = (
    Technique("capitals", "compat", str.upper),
    Technique("mixed case", "compat", lambda t: "".join(c.upper() if i % 2 else c for i, c in enumerate(t))),
    Technique("full-width letters", "compat", mapped(alphabet(0xFF41))),
    Technique("mathematical bold", "compat", mapped(alphabet(0x1D41A))),
    Technique("mathematical sans-serif", "compat", mapped(alphabet(0x1D5BA))),
    Technique("mathematical monospace", "compat", mapped(alphabet(0x1D68A))),
    Technique("letters in circles", "compat", mapped(alphabet(0x24D0))),
    Technique("letters in squares", "compat", lambda t: t.upper().translate({65 + i: 0x1F130 + i for i in range(26)})),
    Technique("superscript letters", "compat", mapped(SUPERSCRIPTS)),
    Technique("subscript letters", "compat", mapped(SUBSCRIPTS)),
    Technique("ligatures", "compat", lambda t: t.replace("fi", "ﬁ").replace("st", "ﬆ").replace("ff", "ﬀ")),
    Technique("zero width spaces", "compat", between("\u200b")),
    Technique("soft hyphens", "compat", between("\u00ad")),
    Technique("word joiners", "compat", between("\u2060")),
    Technique("variation selectors", "compat", between("\ufe0f")),
    Technique("tag characters", "compat", between("\U000e0041")),
    Technique("bidirectional marks", "compat", between("\u200f")),
    Technique("no-break spaces", "separators", replaced(" ", "\u00a0")),
    Technique("line breaks", "separators", replaced(" ", " \n ")),
    Technique("hyphens for spaces", "separators", replaced(" ", "-")),
    Technique("em dashes for spaces", "separators", replaced(" ", "\u2014")),
    Technique("spacing accents for spaces", "separators", replaced(" ", "\u00b4")),
    Technique("Hangul fillers for spaces", "separators", replaced(" ", "\u3164")),
    Technique("halfwidth Hangul fillers for spaces", "separators", replaced(" ", "\uffa0")),
    Technique("underscores for spaces", "separators", replaced(" ", "_")),
    Technique("words in bold (Markdown)", "separators", lambda t: " ".join(f"**{w}**" for w in t.split(" "))),
    Technique("precomposed accents", "unmarked", mapped(str.maketrans("aeiounrs", "áëïõüñřš"))),
    Technique("combining accents", "unmarked", between("\u0301")),
    Technique("many combining marks", "unmarked", between("\u0300\u0323\u0334\u0360\u0489")),
    Technique("spacing accents between letters", "unmarked", between("\u00b4")),
    Technique("Braille blanks for spaces", "separators", replaced(" ", "\u2800")),
    Technique("Hangul fillers between letters", "unmarked", between("\u3164")),
    Technique("strike-through overlay", "unmarked", between("\u0336")),
    Technique("slash overlay", "skeleton", between("\u0338")),
    Technique("stroked letters", "skeleton", mapped(str.maketrans("odlthb", "øđłŧħƀ"))),
    Technique("Cyrillic letters", "skeleton", mapped(CYRILLIC)),
    Technique("Cyrillic capitals", "skeleton", mapped(CAPITALS, upper=True)),
    Technique("Greek letters", "skeleton", mapped(GREEK)),
    Technique("Armenian letters", "skeleton", mapped(ARMENIAN)),
    Technique("small capitals", "skeleton", mapped(SMALL_CAPITALS)),
    Technique("letters in black circles", "skeleton", mapped(alphabet(0x1F150))),
    Technique("letters in black squares", "skeleton", mapped(alphabet(0x1F170))),
    Technique("capital I for l", "skeleton", replaced("l", "I")),
    Technique("1 for i and l", "skeleton", mapped(str.maketrans("il", "11"))),
    Technique("bar for i and l", "skeleton", mapped(str.maketrans("il", "||"))),
    Technique("0 for o", "skeleton", replaced("o", "0")),
    Technique("rn for m", "skeleton", replaced("m", "rn")),
    Technique("leet: digits", "leet", mapped(str.maketrans("aeiost", "431057"))),
    Technique("leet: signs", "leet", mapped(str.maketrans("as", "@$"))),
    Technique("leet over Cyrillic", "leet", mapped(str.maketrans("as", "4$"), CYRILLIC)),
    Technique("turned letters", UNCLAIMED, mapped(TURNED)),
    Technique("faux Cyrillic (И, Я)", UNCLAIMED, mapped(FAUX_CYRILLIC)),
    Technique("regional indicators", UNCLAIMED, mapped(alphabet(0x1F1E6))),
    Technique("capital Greek nu, eta, upsilon", UNCLAIMED, mapped(str.maketrans("NHY", "ΝΗΥ"), upper=True)),
    Technique("vv for w", UNCLAIMED, replaced("w", "vv")),
    Technique("a letter doubled", UNCLAIMED, lambda t: t[:2] + t[1] + t[2:]),
    Technique("a letter left out", UNCLAIMED, lambda t: t[:2] + t[3:]),
    Technique("letters set apart", UNCLAIMED, lambda t: "  ".join(" ".join(w) for w in t.split(" "))),
    Technique("dots between letters", UNCLAIMED, lambda t: " ".join(".".join(w) for w in t.split(" "))),
    Technique("bold inside a word (Markdown)", UNCLAIMED, lambda t: f"{t[:2]}**{t[2:4]}**{t[4:]}"),
    Technique("Indic marks on Latin letters", UNCLAIMED, between("\u0902")),
    Technique("written backwards", UNCLAIMED, lambda t: f"\u202e{t[::-1]}\u202c"),
    Technique("HTML references, decimal", "unescape", lambda t: "".join(f"&#{ord(c)};" for c in t)),
    Technique("HTML references, hexadecimal", "unescape", lambda t: "".join(f"&#x{ord(c):X};" for c in t)),
    Technique("HTML references, no semicolon", "unescape", lambda t: "".join(f"&#{ord(c):07}" for c in t)),
    Technique("HTML names", "unescape", lambda t: t.replace(" ", "&nbsp;").replace("i", "&shy;i")),
    Technique("percent-encoding", "unescape", lambda t: "".join(f"%{b:02x}" for b in t.encode())),
    Technique("JSON escapes outside JSON", "unescape", lambda t: "".join(f"\\u{ord(c):04x}" for c in t)),
    Technique("escaped twice", UNCLAIMED, lambda t: "".join(f"&amp;#{ord(c)};" for c in t)),
    Technique("escaped by two kinds", UNCLAIMED, lambda t: "".join(f"%26%23{ord(c)};" for c in t)),
    Technique("JavaScript \\x escapes", UNCLAIMED, lambda t: "".join(f"\\x{ord(c):02x}" for c in t)),
    Technique("base64", UNCLAIMED, lambda t: base64.b64encode(t.encode()).decode()),
    Technique("rot13", UNCLAIMED, mapped(str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm"))),
)  # fmt: skip


def shipped_phrases() -> list[str]:
    """Every phrase of the shipped policies, each once."""
    documents = pk.load_policies(ROOT / "policies").documents
    found = [leaf for d in documents for rule in d.rules for leaf in leaves(rule.matcher) if isinstance(leaf, Phrases)]
    return list(dict.fromkeys(phrase.text for leaf in found for phrase in leaf.phrases))


def n_letters(phrase: str) -> int:
    return sum(c.isalnum() for c in phrase)


def claimed_for(technique: Technique, phrase: str) -> bool:
    """Whether the phrase may stand on the view that sees through the technique."""
    words = len(phrase.replace("-", " ").split())
    match technique.claim:
        case "leet":
            return words >= 2 and n_letters(phrase) >= 10
        case "skeleton" | "separators":
            return words >= 2
        case _:
            return True


def plan_of(phrases: Sequence[str]) -> pk.Plan:
    """All phrases, each on every view that takes it."""
    on_all = [p for p in phrases if len(p.replace("-", " ").split()) >= 2 and n_letters(p) >= 10]
    on_skeleton = [p for p in phrases if len(p.replace("-", " ").split()) >= 2 and p not in on_all]
    rest = [p for p in phrases if p not in on_all and p not in on_skeleton]
    parts = ((on_all, ["skeleton", "leet"]), (on_skeleton, ["skeleton"]), (rest, []))
    views = [(some, ["compat", "unmarked", *more]) for some, more in parts if some]
    found = [{"phrases": some, "views": names, "unescape": ["html", "url", "json"]} for some, names in views]
    rule = {"id": "phrases", "match": {"any": found}, "action": {"block": {}}}
    metadata = {"name": "bench/evasion", "version": "1.0.0", "owner": "bench@example.org", "why": "to be measured"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule]}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "evasion.policy.yaml"),)))


def sentence(phrase: str, rng: random.Random) -> str:
    return f"{rng.choice(('We offer', 'Read this:', 'Yes,'))} {phrase} {rng.choice(('to you.', '- now!', 'and more.'))}"


def measure(plan: pk.Plan, phrases: Sequence[str]) -> list[dict[str, object]]:
    """One row per technique: spellings that differ from the phrase, and how many of them each matching finds."""
    rows: list[dict[str, object]] = []
    for technique in TECHNIQUES:
        rng = random.Random(technique.name)
        spelled = [(p, technique.spell(p)) for p in phrases if claimed_for(technique, p)]
        texts = [(p, sentence(s, rng)) for p, s in spelled if s != p]
        found = [p for p, text in texts if plan.verify(text).decision == "block"]
        plain = sum(p.casefold() in text.casefold() for p, text in texts)
        missed = sorted({p for p, _ in texts} - set(found))
        rows.append(
            {"technique": technique.name, "claim": technique.claim, "spellings": len(texts), "found": len(found),
             "casefold": plain, "missed": missed[:5] if technique.claim != UNCLAIMED else []}
        )  # fmt: skip
    return rows


def harmless(locales: Sequence[Path], language: str) -> str:
    """Distinct messages of all catalogues in a language (English: the untranslated side), in a fixed order."""
    wanted = "de" if language == "en" else language
    paths = sorted({p for root in locales for p in root.glob(f"**/{wanted}/LC_MESSAGES/*.mo")})
    messages: dict[str, None] = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeDecodeError):
            continue
        for key, value in catalogue.items():
            source = key[0] if isinstance(key, tuple) else key
            text = source if language == "en" else value
            if source and isinstance(text, str):
                messages.setdefault(text.strip())
    joined: list[str] = []
    size = 0
    for text in messages:
        joined.append(text)
        size += len(text.encode()) + 1
        if size >= BYTES_PER_LANGUAGE:
            break
    return "\n".join(joined)


def false_positives(plan: pk.Plan, locales: Sequence[Path]) -> dict[str, dict[str, object]]:
    out: dict[str, dict[str, object]] = {}
    for language in LANGUAGES:
        text = harmless(locales, language)
        found = plan.verify(text).violations
        literal = [v for v in found if text[v.start : v.end].casefold() == v.matched.casefold()]
        several = [v for v in found if v not in literal and len(v.matched.replace("-", " ").split()) >= 2]
        shown = [f"{v.matched} on {v.view}: {text[max(0, (v.start or 0) - 30) : (v.end or 0) + 30]!r}" for v in found]
        out[language] = {
            "bytes": len(text.encode()), "found": len(found), "literally": len(literal),
            "otherwise, of several words": len(several), "examples": shown[:10],
        }  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locales", type=Path, nargs="+", default=[Path("/usr/share/locale"), Path(sys.prefix)])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    phrases = shipped_phrases()
    plan = plan_of(phrases)
    rows = measure(plan, phrases)
    claimed = [row for row in rows if row["claim"] != UNCLAIMED]
    totals = {key: sum(int(str(row[key])) for row in claimed) for key in ("spellings", "found", "casefold")}
    benign = false_positives(plan, options.locales)
    result = {
        "command": "python " + " ".join(["benchmarks/evasion.py", *sys.argv[1:]]),
        "version": version("policykit"), "python": platform.python_version(), "machine": platform.platform(),
        "unicode": UNICODE_VERSION, "plan": plan.digest, "phrases": len(phrases),
        "claimed": {"techniques": len(claimed), **totals, "share": round(totals["found"] / totals["spellings"], 4)},
        "techniques": rows, "harmless": benign,
    }  # fmt: skip
    report(rows)
    print(json.dumps(result["claimed"]), json.dumps(benign, ensure_ascii=False, indent=1), sep="\n")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def report(rows: Sequence[dict[str, object]]) -> None:
    """The rows as a table: found by the views, and by plain casefold matching."""
    for row in rows:
        n = int(str(row["spellings"])) or 1
        ours, plain = int(str(row["found"])) / n, int(str(row["casefold"])) / n
        print(
            f"{row['technique']:34}{row['claim']:12}{row['spellings']:>5}{ours:8.1%}{plain:8.1%}  {row['missed'] or ''}"
        )


if __name__ == "__main__":
    main()
