"""What is on documents and in records anywhere: passports, birth dates, record numbers."""

import re
from datetime import date

import numpy as np

from policykit.entities.check_digits import Codes, Flags, Values, is_day, values_of, weighted
from policykit.entities.checks import icao_digit, plain
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import ASK, MARKED, NUMBER, WORD, YES, EntityType, Guard
from policykit.entities.forms import Form
from policykit.entities.numbers import Decided

_MRZ = Guard(r"(?:\A|[^0-9A-Za-z<])", r"(?:\z|[^0-9A-Za-z<])", r"(?<![0-9A-Za-z<])", r"(?![0-9A-Za-z<])")


def _is_passport_line(seen: str) -> bool:
    """The second line of a TD3 document (ICAO Doc 9303-4, section 4.2.2): all check digits hold."""
    line = seen.upper()
    number, birth, expiry, personal = line[:10], line[13:20], line[21:28], line[28:43]
    parts = all(part[-1] == str(icao_digit(part[:-1])) for part in (number, birth, expiry))
    optional = personal[-1] == str(icao_digit(personal[:-1])) or set(personal) == {"<"}
    return parts and optional and line[43] == str(icao_digit(number + birth + line[21:43]))


def _are_passport_lines(codes: Codes) -> Flags:
    """:func:`_is_passport_line` of many."""
    v = values_of(codes)
    number, birth, expiry, personal, whole = v[:10], v[13:20], v[21:28], v[28:43], np.delete(v, (10, 11, 12, 20), 0)
    has_none = (codes[28:43] == ord("<")).all(0)
    are_right = [_have_icao_digit(part) for part in (number, birth, expiry, whole)]
    return np.logical_and.reduce(are_right) & ((_have_icao_digit(personal) & (codes[42] != ord("<"))) | has_none)


def _have_icao_digit(v: Values) -> Flags:
    weights = tuple((7, 3, 1)[i % 3] for i in range(len(v) - 1))
    return weighted(v, *weights) % 10 == v[-1]


def _have_digits(text: Compact, starts: Places, ends: Places) -> Decided:
    return (text.counts("0123456789").within(starts, ends) > 0).astype(np.int8)


_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec januar jänner februar märz maerz mai juni juli oktober dezember janvier février fevrier "
    "mars avril juin juillet août aout septembre octobre novembre décembre decembre enero febrero marzo abril mayo "
    "junio julio agosto septiembre setiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno luglio "
    "settembre ottobre dicembre januari februari maart mei augustus janeiro fevereiro março maio junho julho setembro "
    "outubro dezembro"
)
_MRZ_FORM = Form(
    ("[0-9A-Z<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[0-9A-Z<]{14}[0-9<][0-9]",), _are_passport_lines, as_seen=True
)
_NAMED = "|".join(dict.fromkeys(_MONTHS.split()))
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0?[1-9]|1[0-2])"
_YEAR = "(?:19|20)[0-9]{2}"
_ANY_YEAR = f"(?:{_YEAR}|[0-9]{{2}})"
_TIME = r"(?:[t ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:z|[+\-][0-9]{2}:?[0-9]{2})?)?"
_NTH = r"(?:st|nd|rd|th|er|o|\.)?"
_BESIDE_NAME = r"(?:[ \-/.]|[.,] )?"
_ERA = "(?:明治|大正|昭和|平成|令和)(?:元|[0-9]{1,2})"


def _is_day(seen: str) -> bool:
    """A day of the calendar where the year has four digits and the month is a number, in one of the usual orders."""
    parts = [int(part) for part in re.findall(r"\d+", seen)]
    if len(parts) == 1 and parts[0] >= 10**7:  # eight digits
        parts = [parts[0] // 10_000, parts[0] // 100 % 100, parts[0] % 100]
    if len(parts) < 3 or not any(part >= 1000 for part in parts[:3]):
        return True
    year, month, day = parts[:3]
    return any(_exists(*order) for order in ((year, month, day), (day, month, year), (day, year, month)))


def _are_days(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`_is_day` of many, ASK of those whose digits go on beside them or are too many for a number."""
    begins, stops = text.digit_runs
    if not len(begins):
        return np.full(len(starts), YES, np.int8)
    first, behind = np.searchsorted(begins, starts), np.searchsorted(stops, ends, "right")
    n, numbers = behind - first, text.digit_run_numbers
    parts = np.stack([numbers.take(first + i, mode="clip") * (n > i) for i in range(3)])
    is_run = (n == 1) & (parts[0] >= _EIGHT_DIGITS)
    whole = parts[0]
    parts = np.where(is_run, np.stack([whole // 10_000, whole // 100 % 100, whole % 100]), parts)
    is_asked = (is_run | (n >= _PARTS)) & (parts >= _FOUR_DIGITS).any(0)
    one, two, three = parts
    exists = _exist(one, two, three) | _exist(three, two, one) | _exist(three, one, two)
    is_cut = (np.searchsorted(stops, starts, "right") < first) | (np.searchsorted(begins, ends) > behind)
    is_long = (n > 0) & ((stops - begins).max() >= _TOO_LONG)
    return np.where(is_cut | is_long, ASK, ~is_asked | exists).astype(np.int8)


_EIGHT_DIGITS, _FOUR_DIGITS, _PARTS, _TOO_LONG = 10**7, 1000, 3, 19
_YEARS = 1900, 9999


def _exist(year: Values, month: Values, day: Values) -> Flags:
    return (year >= _YEARS[0]) & (year <= _YEARS[1]) & is_day(year, month, day)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        return date(year, month, day).year >= 1900
    except ValueError:
        return False


TYPES = (
    EntityType(
        name="passport_mrz",
        about="machine-readable line of a passport (ICAO 9303 TD3, second line)",
        body="[0-9a-z<]{9}[0-9][a-z<]{3}[0-9]{7}[mfx<][0-9]{7}[0-9a-z<]{14}[0-9<][0-9]",
        guard=_MRZ,
        check=plain("ICAO 9303 TD3; 1", _is_passport_line, decide=_MRZ_FORM.decide),
        as_seen=True,
    ),
    EntityType(
        name="passport",
        about="passport number, near a word for it",
        body="[a-z]{1,2}[0-9]{6,8}|[0-9]{8,9}|[0-9]{2}[a-z]{2}[0-9]{5}|[cfghjklmnprtvwxyz][0-9cfghjklmnprtvwxyz]{8}[0-9]?",
        check=plain("a digit; 1", lambda number: any(char.isdigit() for char in number), decide=_have_digits),
        guard=WORD,
        words=("passport", "reisepass", "passeport", "pasaporte", "passaporto", "paspoort", "旅券", "パスポート"),
        needs_context=True,
    ),
    EntityType(
        name="date_of_birth",
        about="date, near a word for birth",
        body=(
            rf"{_DAY}{MARKED}{_MONTH}{MARKED}{_ANY_YEAR}|{_MONTH}{MARKED}{_DAY}{MARKED}{_ANY_YEAR}"
            rf"|{_YEAR}{MARKED}{_MONTH}{MARKED}{_DAY}{_TIME}|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
            rf"|{_DAY}{_NTH}{_BESIDE_NAME}(?:of |de )?(?:{_NAMED}){_BESIDE_NAME}(?:de |del )?{_ANY_YEAR}"
            rf"|(?:{_NAMED})\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"
            rf"|(?:{_YEAR}|{_ERA})年 ?{_MONTH}月 ?{_DAY}日|{_YEAR}년 ?{_MONTH}월 ?{_DAY}일"
        ),
        guard=NUMBER,
        check=plain("a day of the calendar; 2", _is_day, decide=_are_days),
        as_seen=True,
        words=(
            "dob", "d.o.b", "birth", "date of birth", "birth date", "birthdate", "birthday", "born", "born on",
            "geburtsdatum", "geburtstag", "geboren", "geb", "naissance", "date de naissance", "né le", "née le",
            "né(e) le", "nacimiento", "fecha de nacimiento", "nacido", "nacida", "data di nascita", "nascita",
            "nato il", "nata il", "geboortedatum", "nascimento", "data de nascimento", "nascido", "nascida",
            "data urodzenia", "urodzony", "urodzona", "födelsedatum", "född", "fødselsdato", "født", "syntymäaika",
            "syntynyt",
            "生年月日", "誕生日", "出生", "출생", "생년월일",
        ),
        needs_context=True,
        label="DOB",
    ),
    EntityType(
        name="mrn",
        about="medical record number, near a word for it; `pattern` says how the institution writes it",
        body=r"[a-z]{0,3}\-?[0-9]{5,10}",
        words=(
            "mrn", "medical record", "medical record number", "patient id", "patient number", "patient no", "chart",
            "hospital number", "health record", "patientennummer", "fallnummer", "患者番号", "診察券番号", "カルテ番号",
        ),
        needs_context=True,
        options=("pattern",),
    ),
)  # fmt: skip
