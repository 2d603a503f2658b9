"""What must not be published: keys and tokens by their form, and files that may hold patients or passwords by name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

TOKENS = {
    "a Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,}|\bhf_oauth_[\w.-]{20,}|\bapi_org_[A-Za-z0-9]{30,}",
    "a GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}",
    "a GitLab token": rb"\bglpat-[\w-]{20,}",
    "a private key": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "an AWS key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|aws_secret_access_key\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}",
    "a Google key": rb"\bAIza[\w-]{35}|\bya29\.[\w-]{30,}|\bGOCSPX-[\w-]{20,}",
    "an API key": rb"\bsk-(?:[a-z]+-){0,3}[A-Za-z0-9_-]{32,}|\bxox[abeprs]-[\w-]{20,}|\bwandb_v1_\w{30,}",
    "a package registry's token": rb"\bpypi-AgE[\w-]{30,}|\bnpm_[A-Za-z0-9]{36}\b",
    "a signed token": rb"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{15,}",
    "a password in an address": rb"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'{}<>$]{1,60}:[^\s/@\"'{}<>$]{4,}@[\w-]",
    # With a digit: without, it is mostly the name of a variable.
    "a password": rb"(?i:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*"
    rb"[\"'](?=[^\"']*\d)[^\s\"'{}<>$]{12,}[\"']",
}
"""Forms of secrets, each with what it is; matched on bytes."""
_FORMS = {what: re.compile(form, re.ASCII) for what, form in TOKENS.items()}
EXAMPLES = "assets/examples/"
"""Folder whose images are published on purpose."""
_NAMES = (
    (
        "may hold passwords or keys",
        r"\.env(?:\..*)?|\.netrc|\.npmrc|\.pypirc|\.htpasswd|id_(?:rsa|dsa|ecdsa|ed25519)|.*\.env",
    ),
    (
        "may hold passwords or keys",
        r"(?:.*\.)?(?:credentials|secrets?)(?:\..*)?|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk)",
    ),
    ("may hold a patient's images", r".*\.(?:dcm|dicom|ima|nii|nii\.gz|nrrd|nhdr|mha|mhd|mgh|mgz|par|rec)|dicomdir"),
    ("may hold reviews", r"reviews?[\w.-]*\.(?:csv|jsonl?|xlsx?|parquet|sqlite3?|db)"),
)
_SUSPICIOUS = tuple((what, re.compile(form, re.IGNORECASE)) for what, form in _NAMES)
TEXT_SUFFIXES = frozenset({".py", ".j2", ".md", ".css", ".js", ".html"})
"""Source and its templates: a name such as ``secrets.py`` says nothing about their content."""
DICOM_AT, DICOM = 128, b"DICM"
TEXT_AT_START = 65_536
"""Bytes of a binary file, such as weights, that are searched: its header may hold text."""


def secret_in(content: bytes, own_token: str | None = None) -> str | None:
    """What secret a file holds, in words; None if none was found.

    Args:
        own_token: the token of whoever deploys, searched for as it is.
    """
    if own_token and own_token.encode() in content:
        return "your own token of the Hub"
    if b"\0" in content[:TEXT_AT_START]:
        content = content[:TEXT_AT_START]
    return next((what for what, form in _FORMS.items() if form.search(content)), None)


def suspicious_name(path: str) -> str | None:
    """Why a file should not be in a published folder, by its name alone; None for most.

    Args:
        path: relative to the app's folder, with ``/``.
    """
    name = PurePosixPath(path)
    if path.startswith(EXAMPLES) or name.suffix in TEXT_SUFFIXES:
        return None
    if "reviews" in name.parts[:-1]:
        return "may hold reviews"
    return next((what for what, form in _SUSPICIOUS if form.fullmatch(name.name)), None)


def is_dicom(content: bytes) -> bool:
    """Whether a file is DICOM, whatever its name."""
    return content[DICOM_AT : DICOM_AT + len(DICOM)] == DICOM
