"""Accounts of a study: codes with hashed passwords, and invitations by which a password is set."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from models.files import atomic_path
from pipeline.errors import StudyError
from pipeline.reviews.record import reader_code

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200
LOCK_SECONDS = 10
_hasher = PasswordHasher()
_NO_PASSWORD = _hasher.hash(secrets.token_hex(16))
"""Compared with where there is no account, so that the answer takes as long."""


class Role(StrEnum):
    """What an account may do."""

    READER = "reader"
    COORDINATOR = "coordinator"


class Account(BaseModel):
    """One account. Neither password nor invitation is kept, only their hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    role: Role
    invitation_sha256: str = ""
    """Hash of an invitation that was not used yet."""
    password_hash: str = ""
    """Argon2id; empty before the invitation was used."""

    @property
    def fingerprint(self) -> str:
        """Changes with the password, so that it ends the sessions of the old one."""
        return hashlib.sha256(self.password_hash.encode()).hexdigest()[:16]


class _Book(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str
    """Key of the cookies, hexadecimal."""
    accounts: tuple[Account, ...] = ()


class Accounts:
    """``accounts.json``, read anew at every call: commands and the page may both write it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def secret(self) -> str:
        """Key for signing; made with the file. Raises: StudyError: as ``all``."""
        return self._read().secret

    def all(self) -> tuple[Account, ...]:
        """Raises:
        StudyError: the file is missing or damaged.
        """
        return self._read().accounts

    def find(self, code: str) -> Account | None:
        """The account of a code in any case of letters. Raises as ``all``."""
        return next((one for one in self.all() if one.code == reader_code(code)), None)

    def update(self, people: Iterable[tuple[str, Role]]) -> dict[str, str]:
        """Make these the accounts, and return an invitation for each that is new; the file is made if need be.

        Who has an account with the same role keeps it; accounts of others are deleted.

        Raises:
            StudyError: the file is damaged or cannot be written.
        """
        made: dict[str, str] = {}
        accounts: list[Account] = []
        with self._changing() as book:
            known = {(account.code, account.role): account for account in book.accounts}
            for code, role in people:
                if (code, role) in known:
                    accounts.append(known[code, role])
                else:
                    made[code] = secrets.token_urlsafe(24)
                    accounts.append(Account(code=code, role=role, invitation_sha256=_sha256(made[code])))
            self._write(book.model_copy(update={"accounts": tuple(accounts)}))
        return made

    def invite(self, code: str) -> str:
        """A new invitation; the old one and the password are void.

        Raises:
            StudyError: there is no such account, or as ``update``.
        """
        token = secrets.token_urlsafe(24)
        account = self.find(code)
        if account is None:
            raise StudyError("There is no account of this code.")
        self._replace(Account(code=account.code, role=account.role, invitation_sha256=_sha256(token)))
        return token

    def set_password(self, token: str, password: str) -> Account:
        """Set the password of the account that the invitation is for; the invitation is used up.

        Raises:
            StudyError: the invitation is not valid, or the password is too short or too long.
        """
        found = _sha256(token)
        account = next((one for one in self.all() if hmac.compare_digest(one.invitation_sha256, found)), None)
        if account is None:
            raise StudyError("This invitation was used already or is not valid; ask your coordinator for a new one.")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise StudyError(f"Choose a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
        updated = account.model_copy(update={"invitation_sha256": "", "password_hash": _hasher.hash(password)})
        self._replace(updated, unused=found)
        return updated

    def check_password(self, code: str, password: str) -> Account | None:
        """The account if the password is right. Takes as long for unknown codes. Raises as ``all``."""
        account = self.find(code)
        known = account.password_hash if account and account.password_hash else _NO_PASSWORD
        try:
            _hasher.verify(known, password[: LONGEST_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return None
        return account

    def _replace(self, account: Account, *, unused: str | None = None) -> None:
        """Write one account. ``unused``: hash of the invitation that must still be open."""
        with self._changing() as book:
            others = {one.code: one for one in book.accounts}
            if unused is not None and others[account.code].invitation_sha256 != unused:
                raise StudyError("This invitation was used already; log in with your password.")
            self._write(book.model_copy(update={"accounts": tuple((others | {account.code: account}).values())}))

    def _read(self) -> _Book:
        try:
            return _Book.model_validate_json(self.file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise StudyError(
                f"{self.file.name} is missing or damaged; write it with `python -m pipeline study init`."
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[_Book]:
        """The present content while no other process changes it."""
        try:
            with FileLock(self.file.with_suffix(".lock"), timeout=LOCK_SECONDS):
                yield self._read() if self.file.exists() else _Book(secret=secrets.token_hex(32))
        except (OSError, Timeout) as error:
            raise StudyError("The accounts cannot be written; check the rights and the room of the folder.") from error

    def _write(self, book: _Book) -> None:
        with atomic_path(self.file) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(book.model_dump_json(indent=1) + "\n")


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
