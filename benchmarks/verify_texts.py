"""Texts to measure verifiers on: harmless ones, in ASCII and in mixed scripts, and hostile ones.

Hostile texts are made to take long: what almost matches everywhere, what matches everywhere, what starts every
automaton and ends none, what a view erases or expands, what is deep, and what is many.
"""

import json
import random
from collections.abc import Callable, Sequence

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from policykit.embedded.corpus.chat import reply, situation

SENTENCES = (
    "Wir prüfen Ihre Anfrage und melden uns spätestens übermorgen bei Ihnen.",
    "Die Gebühr für außerplanmäßige Überweisungen beträgt fünf Euro im Monat.",
    "Votre dossier a été transmis à l'équipe chargée des réclamations à Genève.",
    "L'échéance est fixée au premier février; le délai peut être prolongé.",
    "Su solicitud fue aprobada ayer; recibirá la confirmación por correo mañana.",
    "Zgłoszenie zostało przyjęte, a odpowiedź wyślemy w ciągu tygodnia.",
    "Ваш запрос принят, ответ придёт в течение трёх рабочих дней.",
    "Комиссия за перевод составляет половину процента от суммы.",
    "Η αίτησή σας εγκρίθηκε και θα λάβετε επιβεβαίωση σύντομα.",
    "お問い合わせありがとうございます。担当者より三営業日以内にご連絡いたします。",
    "口座の開設には本人確認書類と住所の確認が必要です。",
    "您的申请已收到，我们会在三个工作日内回复。",
    "고객님의 요청이 접수되었으며 곧 답변드리겠습니다.",
    "تم استلام طلبك وسنرد عليك خلال ثلاثة أيام عمل.",
    "आपका अनुरोध प्राप्त हो गया है, हम जल्द ही उत्तर देंगे।",
    "Thanks a lot 😊 the refund has arrived 🎉 — see you soon!",
)


def replies(n: int) -> list[str]:
    """Customer-service replies of the bundled corpus."""
    rng = random.Random(5)
    return [reply(situation(rng)) for _ in range(n)]


def filled(parts: Callable[[], str], size: int) -> str:
    """Parts one behind the other up to ``size`` bytes of UTF-8."""
    out: list[str] = []
    length = 0
    while length < size:
        part = parts()
        out.append(part)
        length += len(part.encode("utf-8"))
    return "".join(out).encode("utf-8")[:size].decode("utf-8", "ignore")


def ascii_texts(pool: Sequence[str], n: int, size: int) -> list[str]:
    rng = random.Random(11)
    chosen = [text for text in pool if text.isascii()]
    return [filled(lambda: rng.choice(chosen) + "\n", size) for _ in range(n)]


def mixed_texts(pool: Sequence[str], n: int, size: int) -> list[str]:
    """Half the lines in ASCII, half in a dozen languages, with their words in another order each time."""
    rng = random.Random(12)
    chosen = [text for text in pool if text.isascii()]

    def line() -> str:
        if rng.random() < 0.5:
            return rng.choice(chosen) + "\n"
        words = rng.choice(SENTENCES).split(" ")
        return " ".join(rng.sample(words, len(words))) + "\n"

    return [filled(line, size) for _ in range(n)]


def hostile_texts(phrases: Sequence[str], matching: Sequence[str], size: int) -> dict[str, str]:
    """By name. ``phrases`` are those of the plan, ``matching`` are texts that its expressions match."""
    rng = random.Random(13)
    every = [*phrases, *matching]
    alphabet = sorted({c for text in every for c in text})
    shortest = min(phrases, key=len)
    makers: dict[str, Callable[[], str]] = {
        "phrases but for their last letter": lambda: rng.choice(phrases)[:-1] + " ",
        "phrases inside words": lambda: rng.choice(phrases) + "x",
        "phrases set apart by ten spaces": lambda: rng.choice(phrases).replace(" ", " " * 10) + "!",
        "the shortest phrase": lambda: shortest + " ",
        "phrases": lambda: rng.choice(phrases) + ". ",
        "matches of expressions": lambda: rng.choice(matching) + " ",
        "the shortest match": lambda: min(matching, key=len) + " ",
        "matches but for their last character": lambda: rng.choice(matching)[:-1] + " ",
        "pieces of matches": lambda: (text := rng.choice(matching))[: rng.randrange(len(text))],
        "phrases and matches cut anywhere": lambda: (t := rng.choice(every))[rng.randrange(len(t)) :],
        "the characters of all rules": lambda: rng.choice(alphabet),
        "digits": lambda: rng.choice("0123456789"),
        "digits in groups of four": lambda: f"{rng.randrange(10000):04d}-",
        "capitals and digits": lambda: rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789"),
        "one letter": lambda: "a" * 64,
        "words without an end": lambda: "".join(rng.choices("abcdefgh.-+", k=64)),
        "dots": lambda: "." * 64,
        "at signs": lambda: "a@",
        "separators": lambda: rng.choice(" -_*~`\t\n"),
        "spaces": lambda: " " * 64,
        "line feeds": lambda: "\n" * 64,
        "control characters": lambda: chr(rng.randrange(32)),
        "ignorable characters": lambda: "\u200b\u00ad",
        "letters with ignorables between": lambda: "\u200b".join(rng.choice(phrases)),
        "combining marks": lambda: "a" + "\u0301" * 30,
        "characters that expand": lambda: "\ufdfa",
        "ligatures": lambda: "ﬁﬃß",
        "confusable spellings": lambda: rng.choice(phrases).translate(str.maketrans("aeiop", "аеіор")) + " ",
        "full width": lambda: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in rng.choice(every)) + " ",
        "any characters": lambda: chr(rng.choice((rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x20000)))),
        "email addresses": lambda: "a@b.cc,",
        "network addresses": lambda: "1.1.1.1 ",
        "telephone numbers nobody has": lambda: "+1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 ,",
        "telephone numbers": lambda: f"+49 170 {rng.randrange(10**6, 10**7)} ",
        "telephone numbers of any country": lambda: f"+{rng.randrange(10**10, 10**12)} ",
        "telephone numbers as dialled within Argentina": lambda: f"+54 0 11 15 {rng.randrange(10**7, 10**8)} ",
        "social security numbers": lambda: "123-45-6789 ",
        "social security numbers with a word": lambda: "ssn 123-45-6789 ",
        "social security numbers with nearly a word": lambda: "xssnx 123-45-6789 ",
        "words for social security numbers, and some numbers": lambda: "ssn " * 40 + "123-45-6789 ",
        "account numbers": lambda: _account(rng) + " ",
        "payment cards": lambda: _card(rng) + " ",
        "keys and tokens": lambda: (
            "AKIA" + "".join(rng.choices("ABCDEFGHIJ234567", k=16)) + " eyJhbGciOiJI.eyJzdWIiOiIx. "
        ),
        "account numbers of no country": lambda: "ab12 ",
        "beginnings of web tokens": lambda: "-eyJaaaaaaaa",
        "beginnings of other tokens": lambda: "ghp_",
        "beginnings of keys": lambda: "-----BEGIN PRIVATE KEY-----",
        "ideographs": lambda: chr(rng.randrange(0x4E00, 0x9FFF)),
        "telephone numbers with other spaces and dashes": lambda: f"+49\xa0170\u2010{rng.randrange(10**6, 10**7)} ",
        "telephone numbers of any country and length": lambda: _phone(rng) + " ",
        "zeros that may begin telephone numbers": lambda: rng.choice(("00", "0 0", "00 1", "1")),
        "digits one by one": lambda: f"{rng.randrange(10)} ",
        "addresses without an end": lambda: "a." * 8 + "a@",
        "account numbers of all countries": lambda: _account_of(rng) + " ",
        "phrases that share words": lambda: _linked(rng, phrases) + " ",
        "numbers of all kinds": lambda: _number(rng) + rng.choice(" ,;"),
        "everything": lambda: _anything(rng, phrases, matching) + rng.choice(" .,;"),
        "everything, not in ASCII": lambda: _anything(rng, phrases, matching) + rng.choice((" ", ".", ",", "\xe9 ")),
    }
    made = {name: filled(maker, size) for name, maker in makers.items()}
    return {**made, **_json_texts(rng, phrases, size), **_more_texts(rng, phrases, matching, size)}


def _more_texts(rng: random.Random, phrases: Sequence[str], matching: Sequence[str], size: int) -> dict[str, str]:
    """Mixtures that are joined and written in other ways, numbers whose parts may be numbers, and what has no end."""

    def anything() -> str:
        return _anything(rng, phrases, matching)

    def gap(char: str) -> str:
        return char + rng.choice(("", "", " ", "-", "."))

    makers: dict[str, Callable[[], str]] = {
        "everything, a line each": lambda: anything() + "\n",
        "everything, in capitals": lambda: anything().upper() + " ",
        "everything, with nothing between": anything,
        "everything but for the last character": lambda: anything()[:-1] + " ",
        "everything, an ideograph between": lambda: anything() + chr(rng.randrange(0x4E00, 0x9FFF)),
        "everything, any character between": lambda: anything() + chr(rng.randrange(0x80, 0xD7FF)),
        "everything, a combining mark between": lambda: anything() + "\u0301 ",
        "matches with nothing between": lambda: rng.choice(matching),
        "matches in a table": lambda: f"<td>{rng.choice(matching)}</td>",
        "email addresses one in the other": lambda: "a@a.aa@a.aa",
        "email addresses that are long": lambda: "a.b" * 21 + "@c.dd ",
        "addresses of many labels": lambda: "a@" + "b." * 30,
        "network addresses one in the other": lambda: "1.2.3.4.5.6.7.8.9.",
        "telephone numbers of America, written in any way": lambda: (
            "+1" + "".join(gap(rng.choice("0123456789")) for _ in range(11)) + " "
        ),
        "digits that may be of many telephone numbers": lambda: "00 1 2 ",
        "digits that may be of many payment cards": lambda: " 2",
        "parts of many numbers": lambda: rng.choice(
            ("123-45-", "6789-", "4111 1111 ", "+1 ", "212 555 0123 ", "10.0.")
        ),
        "beginnings of account numbers": lambda: "de12 ",
        "keys of random lines": lambda: _key(rng, 25) + "-----END RSA PRIVATE KEY-----\n",
        "keys of many random lines": lambda: _key(rng, 150) + "!\n",
    }
    return {
        **{name: filled(maker, size) for name, maker in makers.items()},
        "a key without an end": _key(rng, size // 60)[:size],
        "a key in quotes without an end": ("-----BEGIN PRIVATE KEY-----" + "> aaaaaaaaaaaaaaaa\\n" * (size // 20))[
            :size
        ],
        "a key with a field without an end": "-----BEGIN PRIVATE KEY-----\nComment: ".ljust(size, "a"),
        "a token without an end": "ghp_".ljust(size, "a"),
    }


def _key(rng: random.Random, n_lines: int) -> str:
    """The beginning of one, of lines that are not all of the same length."""
    lines = ("".join(rng.choices("ABCDEFGHabcdefgh0123+/", k=rng.randrange(50, 70))) + "\n" for _ in range(n_lines))
    return "-----BEGIN RSA PRIVATE KEY-----\n" + "".join(lines)


def _account(rng: random.Random) -> str:
    """A valid German one."""
    account = f"{rng.randrange(10**18):018d}"
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


def _account_of(rng: random.Random) -> str:
    """One of some country that has account numbers of digits alone, with valid check digits."""
    country, length = rng.choice(tuple({"BE": 12, "CZ": 20, "DE": 18, "DK": 14, "ES": 20, "FI": 14, "HU": 24}.items()))
    account = f"{rng.randrange(10**length):0{length}d}"
    check = 98 - int("".join(str(int(c, 36)) for c in account + country + "00")) % 97
    return f"{country}{check:02d}{account}"


def _phone(rng: random.Random) -> str:
    return f"+{rng.choice(tuple(COUNTRY_CODE_TO_REGION_CODE))}{rng.randrange(10 ** rng.randrange(4, 12), 10**12)}"


def _number(rng: random.Random) -> str:
    fixed = ("123-45-6789", "ssn", "10.0.0.1", "01/02/2003", "12345-6789")
    return rng.choice((_phone(rng), _card(rng), str(rng.randrange(10**12)), *fixed))


def _linked(rng: random.Random, phrases: Sequence[str]) -> str:
    """A phrase, and behind it others, each of which begins with the last word of the one before."""
    words = rng.choice(phrases).split()
    while len(words) < 40:
        following = [phrase.split()[1:] for phrase in phrases if phrase.startswith(words[-1] + " ")]
        if not following:
            break
        words += rng.choice(following)
    return " ".join(words)


def _anything(rng: random.Random, phrases: Sequence[str], matching: Sequence[str]) -> str:
    return rng.choice((rng.choice(phrases), rng.choice(matching), _phone(rng), _card(rng), _account(rng), "a@b.cc"))


def _card(rng: random.Random) -> str:
    """A valid one of Visa's."""
    digits = f"4{rng.randrange(10**14):014d}"
    total = sum(int(d) if i % 2 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(digits))
    return digits + str(-total % 10)


def _json_texts(rng: random.Random, phrases: Sequence[str], size: int) -> dict[str, str]:
    deep = size // 2
    escaped = "".join(f"\\u{ord(c):04x}" for c in phrases[0])
    pairs = {f"k{i}": i for i in range(size // 16)}
    return {
        "brackets as deep as it gets": "[" * deep + "]" * deep,
        "an object with many members": json.dumps(pairs)[:-1] + ', "k0": 1}',
        "an array of short strings": "[" + ",".join(['"a"'] * (size // 4)) + "]",
        "an array of phrases": json.dumps([rng.choice(phrases) for _ in range(size // 24)]),
        "phrases in escapes": '["' + (escaped + " ") * (size // (len(escaped) + 1)) + '"]',
        "quotes": '"' * size,
        "backslashes": '["' + "\\" * size,
    }
