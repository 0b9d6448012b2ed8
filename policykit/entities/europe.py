"""Identity, tax, health and company numbers of Europe."""

from datetime import date

import numpy as np

from policykit.entities.check_digits import (
    Codes,
    Flags,
    Values,
    is_short_day,
    luhn as luhns,
    number as number_of,
    values_of,
    weighted,
)
from policykit.entities.checks import icao_digit, luhn, plain, stdnum
from policykit.entities.entity import GAP, MARKED, NUMBER, WORD, EntityType, digits
from policykit.entities.forms import Form

_NINO_SECOND = "abceghjklmnprstwxyz"


def _nino_prefix() -> str:
    """Two letters that HMRC allocates (National Insurance Manual NIM39110)."""
    never = {"b": "g", "g": "b", "k": "n", "n": "kt", "t": "n", "z": "z"}
    usual = f"[acehjlmoprswxy][{_NINO_SECOND}]"
    return "|".join(
        [usual, *(f"{one}[{_NINO_SECOND.translate(dict.fromkeys(map(ord, no)))}]" for one, no in never.items())]
    )


def _is_rentenversicherung(number: str) -> bool:
    """The check digit of German pension insurance numbers (VKVV, section 4): area, birth date, letter, serial."""
    day, month = int(number[2:4]), int(number[4:6])
    if not 1 <= month <= 12 or not 1 <= (day - 50 if day > 50 else day) <= 31:
        return False
    plain_digits = f"{number[:8]}{ord(number[8]) - 64:02d}{number[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = (int(digit) * weight for digit, weight in zip(plain_digits, weights, strict=True))
    return sum(p // 10 + p % 10 for p in products) % 10 == int(number[11])


_LONGEST_MONTH = 31


def _in_month(day: Values) -> Flags:
    return (day >= 1) & (day <= _LONGEST_MONTH)


def _are_rentenversicherung(codes: Codes) -> Flags:
    v = values_of(codes)
    day, month, letter = number_of(v[2:4]), number_of(v[4:6]), codes[8].astype(np.int64) - 64
    is_born = (month >= 1) & (month <= 12) & _in_month(day - 50 * (day > 50))
    read = [*v[:8], letter // 10, letter % 10, *v[9:11]]
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = np.stack([value * weight for value, weight in zip(read, weights, strict=True)])
    return is_born & ((products // 10 + products % 10).sum(0) % 10 == v[11])


def _is_personalausweis(number: str) -> bool:
    """Nine characters and the check digit of ICAO Doc 9303-3, section 4.9; a digit among the nine."""
    return any(char.isdigit() for char in number[:9]) and icao_digit(number[:9]) == int(number[9])


def _are_personalausweis(codes: Codes) -> Flags:
    v = values_of(codes)
    has_digit = (codes[:9] <= ord("9")).any(0)
    return has_digit & (weighted(v, 7, 3, 1, 7, 3, 1, 7, 3, 1) % 10 == v[9])


def _is_short_day(year: str, month: str, day: str) -> bool:
    """Whether a day with a year of two digits is in the calendar of some century."""
    for century in (1900, 2000):
        try:
            date(century + int(year), int(month), int(day))
            return True
        except ValueError:
            continue
    return False


def _is_personnummer(number: str) -> bool:
    """Ten digits: a day (60 more for a coordination number) and Luhn (Skatteverket, SKV 704)."""
    day = int(number[4:6])
    return _is_short_day(number[:2], number[2:4], str(day - 60 if day > 60 else day)) and luhn(number)


def _are_personnummer(codes: Codes) -> Flags:
    v = values_of(codes[-10:])
    day = number_of(v[4:6])
    return is_short_day(number_of(v[:2]), number_of(v[2:4]), day - 60 * (day > 60)) & luhns(v)


def _are_cpr(codes: Codes) -> Flags:
    v = values_of(codes)
    return is_short_day(number_of(v[4:6]), number_of(v[2:4]), number_of(v[:2]))


_ID = "[cfghjklmnprtvwxyz]"
_CF = "[0-9lmnp-v]"
_RVNR, _AUSWEIS = "[0-9]{8}[A-Z][0-9]{3}", "[0-9A-Z]{9}[0-9]"

TYPES = (
    EntityType(
        name="uk_nhs",
        about="NHS number of England and Wales",
        body=digits(3, 3, 4),
        guard=NUMBER,
        check=stdnum("gb.nhs"),
        words=("nhs", "nhs number", "nhs no", "patient"),
        regions=("GB",),
        label="NHS",
    ),
    EntityType(
        name="uk_nino",
        about="UK national insurance number",
        body=digits(f"(?:{_nino_prefix()})", 2, 2, 2, "[abcd]"),
        guard=WORD,
        words=("nino", "national insurance", "ni number", "ni no"),
        regions=("GB",),
        label="NINO",
    ),
    EntityType(
        name="uk_utr",
        about="UK unique taxpayer reference",
        body=digits(5, 5),
        guard=NUMBER,
        check=stdnum("gb.utr"),
        words=("utr", "taxpayer reference", "unique taxpayer reference"),
        regions=("GB",),
        label="UTR",
    ),
    EntityType(
        name="de_steuer_id",
        about="German tax identification number",
        body=digits(2, 3, 3, 3),
        guard=NUMBER,
        check=stdnum("de.idnr"),
        words=("steuer-id", "steuer id", "steueridentifikationsnummer", "idnr", "tax id", "tin"),
        regions=("DE",),
        label="STEUER_ID",
    ),
    EntityType(
        name="de_rentenversicherung",
        about="German pension insurance number",
        body=digits(2, 6, "[a-z]", 3),
        guard=WORD,
        check=plain("VKVV section 4; 1", _is_rentenversicherung, decide=Form((_RVNR,), _are_rentenversicherung).decide),
        words=("rentenversicherungsnummer", "versicherungsnummer", "sozialversicherungsnummer", "rvnr", "svnr"),
        regions=("DE",),
        label="RVNR",
    ),
    EntityType(
        name="de_personalausweis",
        about="German identity card number with its check digit",
        body=rf"{_ID}(?:[0-9]|{_ID}){{8}}{GAP}?[0-9]",
        guard=WORD,
        check=plain(
            "ICAO 9303 check digit; 1", _is_personalausweis, decide=Form((_AUSWEIS,), _are_personalausweis).decide
        ),
        words=("personalausweis", "ausweisnummer", "ausweis", "id card"),
        regions=("DE",),
        label="AUSWEIS",
    ),
    EntityType(
        name="fr_nir",
        about="French social security number (NIR)",
        body=digits("[1-478]", 2, 2, "[0-9][0-9ab]", 3, 3, 2, gap=MARKED),
        guard=NUMBER,
        check=stdnum("fr.nir"),
        words=("nir", "insee", "sécurité sociale", "numéro de sécu"),
        regions=("FR",),
    ),
    EntityType(
        name="fr_siren",
        about="French company number (SIREN)",
        body=digits(3, 3, 3),
        guard=NUMBER,
        check=stdnum("fr.siren"),
        words=("siren", "rcs"),
        regions=("FR",),
    ),
    EntityType(
        name="fr_siret",
        about="French establishment number (SIRET)",
        body=digits(3, 3, 3, 5),
        guard=NUMBER,
        check=stdnum("fr.siret"),
        words=("siret",),
        regions=("FR",),
    ),
    EntityType(
        name="es_dni",
        about="Spanish identity number (DNI)",
        body=digits("[0-9]{2}", 3, 3, "[a-z]", gap=MARKED),
        guard=NUMBER,
        check=stdnum("es.dni"),
        words=("dni", "nif", "documento nacional"),
        regions=("ES",),
    ),
    EntityType(
        name="es_nie",
        about="Spanish foreigner's number (NIE)",
        body=digits("[xyz]", 7, "[a-z]"),
        guard=WORD,
        check=stdnum("es.nie"),
        words=("nie", "extranjero"),
        regions=("ES",),
    ),
    EntityType(
        name="it_codice_fiscale",
        about="Italian tax code (codice fiscale) of a person",
        body=digits("[a-z]{3}", "[a-z]{3}", f"{_CF}{{2}}[abcdehlmprst]{_CF}{{2}}", f"[a-z]{_CF}{{3}}[a-z]"),
        guard=WORD,
        check=stdnum("it.codicefiscale"),
        words=("codice fiscale", "cf", "c.f"),
        regions=("IT",),
        label="CODICE_FISCALE",
    ),
    EntityType(
        name="nl_bsn",
        about="Dutch citizen service number (BSN), near a word for it",
        body=f"{digits(4, 2, 3, gap=MARKED)}|{digits(3, 3, 3, gap=MARKED)}",
        guard=NUMBER,
        check=stdnum("nl.bsn"),
        words=("bsn", "burgerservicenummer", "sofinummer", "citizen service number"),
        needs_context=True,
        regions=("NL",),
    ),
    EntityType(
        name="be_national_number",
        about="Belgian national register number",
        body=digits(2, 2, 2, 3, 2, gap=MARKED),
        guard=NUMBER,
        check=stdnum("be.nn"),
        words=("rijksregisternummer", "registre national", "national number", "insz", "niss"),
        regions=("BE",),
        label="BE_NN",
    ),
    EntityType(
        name="se_personnummer",
        about="Swedish personal identity number",
        body=r"(?:(?:19|20)[0-9]{2}|[0-9]{2})[01][0-9][0-9]{2}[+\-\x{2010}-\x{2015} ]?[0-9]{4}",
        guard=NUMBER,
        check=plain(
            "Luhn, a day; 1",
            lambda number: _is_personnummer(number[-10:]),
            decide=Form(("[0-9]{10}", "[0-9]{12}"), _are_personnummer).decide,
        ),
        words=("personnummer", "personal identity", "samordningsnummer"),
        regions=("SE",),
    ),
    EntityType(
        name="pl_pesel",
        about="Polish national identification number (PESEL)",
        body="[0-9]{11}",
        guard=NUMBER,
        check=stdnum("pl.pesel"),
        words=("pesel",),
        regions=("PL",),
    ),
    EntityType(
        name="ch_ahv",
        about="Swiss social security number (AHV, AVS)",
        body=digits("756", 4, 4, 2, gap=MARKED),
        guard=NUMBER,
        check=stdnum("ch.ssn"),
        words=("ahv", "avs", "ahvn13", "sozialversicherungsnummer"),
        regions=("CH",),
        label="AHV",
    ),
    EntityType(
        name="dk_cpr",
        about="Danish personal number (CPR), near a word for it",
        body=digits(6, 4),
        guard=NUMBER,
        check=plain(
            "a day; 1",
            lambda number: _is_short_day(number[4:6], number[2:4], number[:2]),
            decide=Form(("[0-9]{10}",), _are_cpr).decide,
        ),
        words=("cpr", "personnummer", "cpr-nummer"),
        needs_context=True,
        regions=("DK",),
    ),
    EntityType(
        name="fi_hetu",
        about="Finnish personal identity code",
        body=r"[0-9]{6}[+\-yxwvuabcdef][0-9]{3}[0-9a-y]",
        guard=WORD,
        check=stdnum("fi.hetu"),
        as_seen=True,
        words=("hetu", "henkilötunnus"),
        regions=("FI",),
    ),
    EntityType(
        name="no_fodselsnummer",
        about="Norwegian birth number",
        body=digits(6, 5),
        guard=NUMBER,
        check=stdnum("no.fodselsnummer"),
        words=("fødselsnummer", "fodselsnummer", "personnummer"),
        regions=("NO",),
    ),
)
