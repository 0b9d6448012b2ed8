"""What is on documents and in records anywhere: passports, birth dates, record numbers."""

import re
from datetime import date

from policykit.entities.checks import icao_digit, plain
from policykit.entities.entity import NUMBER, WORD, EntityType, Guard

_MRZ = Guard(r"(?:\A|[^0-9A-Za-z<])", r"(?:\z|[^0-9A-Za-z<])", r"(?<![0-9A-Za-z<])", r"(?![0-9A-Za-z<])")


def _is_passport_line(seen: str) -> bool:
    """The second line of a TD3 document (ICAO Doc 9303-4, section 4.2.2): all check digits hold."""
    line = seen.upper()
    number, birth, expiry, personal = line[:10], line[13:20], line[21:28], line[28:43]
    parts = all(part[-1] == str(icao_digit(part[:-1])) for part in (number, birth, expiry))
    optional = personal[-1] == str(icao_digit(personal[:-1])) or set(personal) == {"<"}
    return parts and optional and line[43] == str(icao_digit(number + birth + line[21:43]))


_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin "
    "juillet août septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre "
    "octubre noviembre diciembre"
)
_NAMED = "|".join(dict.fromkeys(_MONTHS.split()))
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0?[1-9]|1[0-2])"
_YEAR = "(?:19|20)[0-9]{2}"
_MARK = r"[./\- ]"


def _is_day(seen: str) -> bool:
    """A day of the calendar where the year has four digits and the month is a number, in one of the usual orders."""
    parts = [int(part) for part in re.findall(r"\d+", seen)]
    if len(parts) < 3 or not any(part >= 1000 for part in parts):
        return True
    orders = (parts, [parts[2], parts[1], parts[0]], [parts[2], parts[0], parts[1]])
    return any(_exists(*order) for order in orders)


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
        check=plain("ICAO 9303 TD3; 1", _is_passport_line),
        as_seen=True,
    ),
    EntityType(
        name="passport",
        about="passport number, near a word for it",
        body="[a-z]{1,2}[0-9]{6,8}|[0-9]{8,9}|[0-9]{2}[a-z]{2}[0-9]{5}|[cfghjklmnprtvwxyz][0-9cfghjklmnprtvwxyz]{8}",
        check=plain("a digit; 1", lambda number: any(char.isdigit() for char in number)),
        guard=WORD,
        words=("passport", "reisepass", "passeport", "pasaporte", "passaporto", "paspoort", "旅券", "パスポート"),
        needs_context=True,
    ),
    EntityType(
        name="date_of_birth",
        about="date, near a word for birth",
        body=(
            rf"{_DAY}{_MARK}{_MONTH}{_MARK}(?:{_YEAR}|[0-9]{{2}})|{_MONTH}{_MARK}{_DAY}{_MARK}(?:{_YEAR}|[0-9]{{2}})"
            rf"|{_YEAR}{_MARK}{_MONTH}{_MARK}{_DAY}|{_DAY}(?:st|nd|rd|th|\.)? ?(?:of )?(?:{_NAMED})\.?,? {_YEAR}"
            rf"|(?:{_NAMED})\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}|{_YEAR}年{_MONTH}月{_DAY}日"
        ),
        guard=NUMBER,
        check=plain("a day of the calendar; 1", _is_day),
        as_seen=True,
        words=(
            "dob", "d.o.b", "date of birth", "birth date", "birthdate", "birthday", "born", "born on", "geburtsdatum",
            "geboren", "geb", "date de naissance", "né le", "née le", "fecha de nacimiento", "nacido", "nacida",
            "data di nascita", "nato il", "nata il", "生年月日",
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
            "hospital number", "health record", "patientennummer", "fallnummer",
        ),
        needs_context=True,
        options=("pattern",),
    ),
)  # fmt: skip
