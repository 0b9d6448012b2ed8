"""Keys and tokens that open something. Their forms are regular, so a rule on them can be in the mask."""

from policykit.entities.entity import FREE, TOKEN, EntityType, Guard

_BASE64 = Guard(
    r"(?:\A|[^0-9A-Za-z/+])", r"(?:\z|[^0-9A-Za-z/+=])", r"(?<![0-9A-Za-z/+])", r"(?![0-9A-Za-z/+=])"
)  # fmt: skip
_SAFE = r"[0-9A-Za-z_\-]"
_BREAK = r"(?:[ \t\r\n>|+*#\-\",']|\\[nrt])"
"""What stands between lines: what is before indented and quoted ones too."""
_BREAKS = f"{_BREAK}{{0,24}}"
_LINE = "[0-9A-Za-z+/=]"
_EDGE = r"(?:[0-9A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_FIELD = r"(?:Proc-Type|DEK-Info|Version|Comment): ?[^\x00-\x1f\\]{0,120}"

TYPES = (
    EntityType("aws_access_key", "AWS access key id", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", TOKEN, label="AWS_KEY"),
    EntityType(
        "aws_secret_key",
        "AWS secret access key, near a word for it",
        "[0-9A-Za-z/+]{40}",
        _BASE64,
        words=("aws secret access key", "secret access key", "secretaccesskey", "aws secret", "aws secret key"),
        needs_context=True,
        label="AWS_SECRET",
    ),
    EntityType("gcp_api_key", "Google API key", rf"AIza{_SAFE}{{35}}", TOKEN, label="GCP_KEY"),
    EntityType(
        "gcp_oauth_secret",
        "Google OAuth client secret or access token",
        rf"GOCSPX-{_SAFE}{{28}}|ya29\.{_SAFE}{{20,}}",
        TOKEN,
        label="GCP_SECRET",
    ),
    EntityType(
        "azure_storage_key",
        "Azure storage account key in a connection string",
        "AccountKey=[0-9A-Za-z+/]{86}==",
        _BASE64,
        label="AZURE_KEY",
    ),
    EntityType(
        "azure_client_secret",
        "Azure (Entra) client secret",
        r"[0-9A-Za-z_~.\-]{3}[78]Q~[0-9A-Za-z_~.\-]{31,34}",
        TOKEN,
        label="AZURE_SECRET",
    ),
    EntityType(
        "github_token",
        "GitHub token",
        r"gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}",
        TOKEN,
    ),
    EntityType(
        "slack_token",
        "Slack token or webhook",
        r"xox[abeoprs]-[0-9A-Za-z\-]{10,}|xapp-[0-9]-[0-9A-Za-z\-]{10,}"
        r"|hooks\.slack\.com/services/T[0-9A-Z]+/B[0-9A-Z]+/[0-9A-Za-z]{20,}",
        TOKEN,
    ),
    EntityType("stripe_key", "Stripe secret key", "(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}", TOKEN),
    EntityType(
        "jwt",
        "JSON web token (RFC 7519), or another compact signature or encryption (RFC 7515, 7516)",
        rf"ey[AJ]{_SAFE}{{8,}}\.(?:ey[AJ]{_SAFE}{{8,}}\.(?:{_SAFE}{{10,}})?"
        rf"|{_SAFE}*\.{_SAFE}{{10,}}(?:\.{_SAFE}+\.{_SAFE}+)?)",
        TOKEN,
    ),
    EntityType(
        "private_key",
        "private key block (RFC 7468), whole or cut off",
        rf"-----BEGIN {_EDGE}(?:{_BREAK}{_BREAKS}{_FIELD}){{0,4}}(?:{_BREAKS}{_LINE}{{16,}})*"
        rf"(?:{_BREAKS}{_LINE}{{0,15}}{_BREAKS}-----END {_EDGE})?",
        FREE,
    ),
)
