"""Published or hand-computed examples of every entity type, and what is nearly one.

``valid`` are texts whose whole is found; ``invalid`` are texts in which nothing is. The examples are those of the
issuing bodies, of standards, or computed by hand; none is anybody's.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    type: str
    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    words: str = ""  # stands before each of them
    region: str | None = None


_MRZ = "L898902C36UTO7408122F1204159ZE184226B<<<<<10"  # ICAO 9303-4, appendix B
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
_SIGNED = f"eyJhbGciOiJIUzI1NiJ9.UGF5IG5vYm9keS4.{'x' * 43}"  # RFC 7515 with a payload that is not JSON
_ENCRYPTED = f"eyJhbGciOiJkaXIifQ..{'i' * 16}.c2VjcmV0.{'t' * 22}"  # RFC 7516 without an encrypted key
_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo\n4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onL\n"
    "Rnrq0/IzW7yWR7QkrmBL7jTKEn5u\nabcd=\n-----END RSA PRIVATE KEY-----"
)

SAMPLES = (
    Sample(
        "payment_card",
        (
            "4111111111111111",
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "3782 822463 10005",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "2223003122003222",
        ),
        ("4111111111111112", "1111111111111117", "411111111111111", "4111  1111  1111  1111"),
    ),
    Sample(
        "iban",
        ("GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR1420041010050500013M02606", "BE68539007547034"),
        ("GB82 WEST 1234 5698 7654 33", "XX82WEST12345698765432", "GB82WEST123456987654"),
    ),
    Sample("bic", ("DEUTDEFF", "DEUTDEFF500"), ("DEUTXXFF", "DEUTDEFF5"), "BIC: "),
    Sample("lei", ("213800KUD8LAJWSQ9D15",), ("213800KUD8LAJWSQ9D16", "213800KUD8LAJWSQ9D1")),
    Sample("isin", ("US0378331005", "GB0002634946"), ("US0378331006", "ZZ0378331005")),
    Sample(
        "vat",
        ("DE136695976", "ATU13585627", "NL004495445B01", "IE6433435F", "GB980780684"),
        ("DE136695977", "ATU13585628", "GB980780685"),
    ),
    Sample("us_routing", ("111000025",), ("111000026", "99999999", "1110 0002 5", "111-000-025")),
    Sample(
        "email",
        ("ada.lovelace+x@mail.example.org", "a@b.co", "x_y%z@xn--bcher-kva.example", "a@müller.de"),
        ("ada@localhost", "@example.org", "ada.example.org", "a@b.c"),
    ),
    Sample(
        "phone",
        ("+44 20 7946 0958", "+1 (415) 555-2671", "+49 30 123456", "0044 20 7946 0958"),
        ("+44 20 7946", "020 7946 0958", "+999 123456789"),
    ),
    Sample("phone", ("020 7946 0958", "(020) 7946-0958"), ("020 794", "12345"), region="GB"),
    Sample("ipv4", ("192.168.0.1", "8.8.8.8", "255.255.255.255"), ("256.1.1.1", "1.2.3", "1.2.3.4.5", "v1.2.3.4")),
    Sample(
        "ipv6",
        ("2001:db8::8a2e:370:7334", "::1", "fe80::1", "::ffff:192.0.2.128"),
        ("2001:db8::8a2e::7334", "a::b", "12:30:45", "1:2:3:4:5:6:7:8:9"),
    ),
    Sample("passport_mrz", (_MRZ,), (_MRZ[:-1] + "1", _MRZ.replace("740812", "740813"))),
    Sample("passport", ("C01X00T47", "C01X00T478", "123456789", "AB1234567"), ("1234", "ABCDEFGHI"), "passport no. "),
    Sample(
        "date_of_birth",
        (
            "03/02/1980",
            "1980-02-03",
            "3 February 1980",
            "March 12, 1985",
            "31.12.99",
            "12-Mar-1980",
            "12MAR1980",
            "12 / 03 / 1980",
            "12 de marzo de 1980",
            "1º de março de 1980",
            "1er mars 1980",
            "5 gennaio 1971",
            "3. Jänner 1980",
            "19800312",
            "1980-03-12T00:00:00Z",
            "昭和55年3月12日",
            "1980년 3월 12일",
        ),
        ("45/45/1980", "1980-02-31", "19801312", "19800231"),
        "born ",
    ),
    Sample("mrn", ("1234567", "H-1234567"), ("12", "MRN"), "MRN: "),
    Sample(
        "aws_access_key",
        ("AKIAIOSFODNN7EXAMPLE",),
        ("AKIAIOSFODNN7EXAMPL", "XAKIAIOSFODNN7EXAMPLE", "BKIAIOSFODNN7EXAMPLE"),
    ),
    Sample(
        "aws_secret_key",
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE",),
        "aws_secret_access_key = ",
    ),
    Sample("gcp_api_key", ("AIza" + "Sy_D-" * 7,), ("AIzaSyD-9tSrke72", "AIzb" + "x" * 35)),
    Sample("gcp_oauth_secret", ("GOCSPX-" + "a1B2" * 7, "ya29." + "x" * 30), ("GOCSPX-abc", "ya29.x")),
    Sample("azure_storage_key", ("AccountKey=" + "Ab1+" * 21 + "Ab==",), ("AccountKey=abc==",)),
    Sample("azure_client_secret", ("abc8Q~" + "x" * 34,), ("abc6Q~" + "x" * 34,)),
    Sample(
        "github_token", ("ghp_" + "a1B2" * 9, "github_pat_" + "A" * 22 + "_" + "b" * 59), ("ghp_abc", "gha_" + "a" * 36)
    ),
    Sample(
        "slack_token",
        ("xoxb-" + "1234567890-abcdef", "hooks.slack.com/services/T0/B0/" + "x" * 24),
        ("xoxz-1234567890", "xoxb-1"),
    ),
    Sample(
        "stripe_key",
        ("sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc",),
        ("sk_live_short", "pk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ),
    Sample("jwt", (_JWT, _SIGNED, _ENCRYPTED), (_JWT[:30], _JWT.replace(".", "-"), "eyJhbGciOiJIUzI1NiJ9.example.org")),
    Sample(
        "private_key",
        (
            _KEY,
            _KEY.replace("\n", "\n          "),
            _KEY.replace("\n", "\n> > "),
            _KEY.replace("\n", '\\n" +\n    "'),
            "-----BEGIN PRIVATE KEY-----",
        ),
        ("-----BEGIN PUBLIC KEY-----",),
    ),
    Sample(
        "us_ssn",
        ("123-45-6789", "536904399", "123.45.6789"),
        ("000-45-6789", "666-45-6789", "123-00-6789", "123-45-0000"),
        "SSN: ",
    ),
    Sample("us_itin", ("912-90-3456",), ("812-90-3456", "912-00-3456"), "ITIN "),
    Sample("us_ein", ("91-1144442",), ("07-1144442",), "EIN "),
    Sample("us_npi", ("1234567893",), ("1234567894", "3234567893")),
    Sample("us_mbi", ("1EG4-TE5-MK73", "1EG4TE5MK73"), ("1SG4TE5MK73", "0EG4TE5MK73")),
    Sample("ca_sin", ("123-456-782",), ("123-456-783",)),
    Sample("br_cpf", ("390.533.447-05", "39053344705"), ("390.533.447-06",)),
    Sample(
        "br_cnpj",
        ("16.727.230/0001-97", "12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("16.727.230/0001-98", "12.ABC.345/01DE-36", "12 ABC 345 01DE 35"),
    ),
    Sample("mx_curp", ("BOXW310820HNERXN09",), ("BOXW310820HNERXN08",)),
    Sample("uk_nhs", ("943 476 5870", "9434765919"), ("943 476 5871", "943476591")),
    Sample("uk_nino", ("AB 12 34 56 C", "JG103759A"), ("QQ123456C", "AB123456E", "GB123456A", "DA123456A")),
    Sample("uk_utr", ("1955839661",), ("2955839661",)),
    Sample("de_steuer_id", ("36 574 261 809", "36574261809"), ("36574261890",)),
    Sample("de_rentenversicherung", ("65 170839 J 003",), ("65 170839 J 004", "65 991399 J 003")),
    Sample("de_personalausweis", ("T220001293",), ("T220001294",)),
    Sample("fr_nir", ("2 95 10 99 126 111 93", "2.95.10.99.126.111.93"), ("2 95 10 99 126 111 94",)),
    Sample("fr_siren", ("552 008 443",), ("552 008 444",)),
    Sample("fr_siret", ("732 829 320 00074",), ("732 829 320 00075",)),
    Sample("es_dni", ("54362315K", "54.362.315-K"), ("54362315Z",)),
    Sample("es_nie", ("X-2482300-W",), ("X-2482300-A",)),
    Sample("it_codice_fiscale", ("RCCMNL83S18D969H", "RCC MNL 83S18 D969H"), ("RCCMNL83S18D969I",)),
    Sample("nl_bsn", ("1112.22.333", "111222333"), ("111222334",), "BSN "),
    Sample("be_national_number", ("85.07.30-033.28",), ("85.07.30-033.29",)),
    Sample("se_personnummer", ("880320-0016", "19880320-0016"), ("880320-0018", "881320-0016")),
    Sample("pl_pesel", ("44051401359",), ("44051401358",)),
    Sample("ch_ahv", ("756.9217.0769.85",), ("756.9217.0769.84",)),
    Sample("dk_cpr", ("211062-5629",), ("321062-5629",), "CPR "),
    Sample("fi_hetu", ("131052-308T",), ("131052-308U",)),
    Sample("no_fodselsnummer", ("151086 95088",), ("151086 95077",)),
    Sample("in_aadhaar", ("2341 2341 2346",), ("2341 2341 2347",)),
    Sample("in_pan", ("ACUPA7085R",), ("ACUXA7085R",)),
    Sample("jp_my_number", ("6214 9832 0257",), ("6214 9832 0258",)),
    # The second was born before the county was that the code is of.
    Sample(
        "cn_resident_id", ("360426199101010071", "440106197609230234"), ("360426199101010072", "440106197613230237")
    ),
    Sample("kr_rrn", ("971013-9019902", "201001-3000001"), ("971013-9019903", "200930-3000001")),
    Sample("au_tfn", ("123 456 782",), ("123 456 783",), "TFN: "),
    Sample("au_medicare", ("2123 45670 1",), ("2123 45671 1",)),
    Sample("za_id", ("7503305044089",), ("7503305044088",)),
)
