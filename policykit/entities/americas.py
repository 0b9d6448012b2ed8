"""Identity, tax and health numbers of the Americas."""

import numpy as np

from policykit.entities import numbers
from policykit.entities.checks import luhn, plain, stdnum
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import MARKED, NUMBER, WORD, EntityType, digits

# With letters (Instrução Normativa RFB 2.229/2024) only as they are punctuated, or in one run: words are no groups.
_LETTERED = r"[0-9a-z]{2}\.[0-9a-z]{3}\.[0-9a-z]{3}/[0-9a-z]{4}\-[0-9]{2}"
_MBI = "[ac-hjkmnp-rt-y]"


def _are_npis(text: Compact, starts: Places, ends: Places) -> numbers.Decided:
    """:func:`luhn` of many numbers of ten digits behind 80840, of which the sum is 24."""
    return text.luhn(*text.places(starts, ends), more=24).astype(np.int8)


TYPES = (
    EntityType(
        name="us_ssn",
        about="US social security number, near a word for it",
        body=digits(3, 2, 4, gap=MARKED),
        guard=NUMBER,
        check=stdnum("us.ssn", decide=numbers.us_ssn),
        words=("ssn", "social security", "social security number", "soc sec", "ss#", "ssn#"),
        needs_context=True,
        regions=("US",),
    ),
    EntityType(
        name="us_itin",
        about="US individual taxpayer identification number, near a word for it",
        body=digits("9[0-9]{2}", 2, 4, gap=MARKED),
        guard=NUMBER,
        check=stdnum("us.itin"),
        words=("itin", "taxpayer", "taxpayer id", "tax id", "tin"),
        needs_context=True,
        regions=("US",),
    ),
    EntityType(
        name="us_ein",
        about="US employer identification number, near a word for it",
        body=digits(2, 7),
        guard=NUMBER,
        check=stdnum("us.ein"),
        words=("ein", "fein", "employer identification", "employer id", "tax id", "tin"),
        needs_context=True,
        regions=("US",),
    ),
    EntityType(
        name="us_npi",
        about="US national provider identifier",
        body="[12][0-9]{9}",
        guard=NUMBER,
        check=plain("Luhn after 80840; 1", lambda number: luhn(f"80840{number}"), decide=_are_npis),
        words=("npi", "provider", "national provider"),
        regions=("US",),
    ),
    EntityType(
        name="us_mbi",
        about="US Medicare beneficiary identifier",
        body=digits(f"[1-9]{_MBI}(?:[0-9]|{_MBI})[0-9]", f"{_MBI}(?:[0-9]|{_MBI})[0-9]", f"{_MBI}{{2}}[0-9]{{2}}"),
        guard=WORD,
        words=("mbi", "medicare", "beneficiary"),
        regions=("US",),
    ),
    EntityType(
        name="ca_sin",
        about="Canadian social insurance number",
        body=digits(3, 3, 3),
        guard=NUMBER,
        check=stdnum("ca.sin"),
        words=("sin", "social insurance", "nas", "assurance sociale"),
        regions=("CA",),
    ),
    EntityType(
        name="br_cpf",
        about="Brazilian taxpayer number (CPF)",
        body=digits(3, 3, 3, 2, gap=MARKED),
        guard=NUMBER,
        check=stdnum("br.cpf"),
        words=("cpf",),
        regions=("BR",),
    ),
    EntityType(
        name="br_cnpj",
        about="Brazilian company number (CNPJ)",
        body=rf"{digits(2, 3, 3, 4, 2, gap=MARKED)}|[0-9a-z]{{12}}[0-9]{{2}}|{_LETTERED}",
        guard=NUMBER,
        check=stdnum("br.cnpj"),
        words=("cnpj",),
        regions=("BR",),
    ),
    EntityType(
        name="mx_curp",
        about="Mexican population registry code (CURP)",
        body="[a-z]{4}[0-9]{6}[hmx][a-z]{5}[0-9a-z][0-9]",
        check=stdnum("mx.curp"),
        words=("curp",),
        regions=("MX",),
    ),
)
