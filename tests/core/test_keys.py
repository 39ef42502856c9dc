from __future__ import annotations

from hashlib import sha256

from weighbridge.core import keys
from weighbridge.core.model import Principal

SECRET = keys.PREFIX + "a" * 43


def test_a_document_says_who_and_never_the_secret() -> None:
    document = keys.new_document(id="key_1", team="t", org="o", user="u", alias="bot", tags={"a": "b"}, now=5)
    assert keys.principal(document) == Principal("o", "t", "u", "bot", {"a": "b"})
    assert document.keys() == {"id", "alias", "org", "team", "user", "tags", "expires_at", "created_at"}
    assert SECRET not in repr(document)


def test_a_key_without_an_alias_is_called_by_its_id() -> None:
    assert keys.principal(keys.new_document(id="key_1", team="t", now=5)).key == "key_1"


def test_a_key_expires_at_its_moment() -> None:
    document = keys.new_document(id="key_1", team="t", now=5, expires_at=10)
    assert [keys.expired(document, now) for now in (9, 10, 11)] == [False, True, True]
    assert not keys.expired(keys.new_document(id="key_1", team="t", now=5), 2**52)


def test_the_digest_takes_whatever_a_client_sends() -> None:
    assert keys.digest("wb-x") == sha256(b"wb-x").hexdigest()
    assert keys.digest(SECRET) != keys.digest(SECRET[:-1])
    assert len(keys.digest("\udcff\x00é")) == 64
