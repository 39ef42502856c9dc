from __future__ import annotations

import json

import pytest

from adapters.commands import Run, answer, one_line
from weighbridge.core import keys
from weighbridge.core.model import Principal
from weighbridge.core.shelves import Fetch
from weighbridge.ledger import Store
from weighbridge.wiring import clock


def test_create_shows_the_key_once(run: Run, store: Store) -> None:
    words = ("--team", "research", "--org", "acme", "--user", "ann", "--alias", "bot", "--tag", "env=prod")
    made = answer(run("key", "create", *words, "--expires", "90d", "--json"))
    assert made.keys() == {"id", "key", "org", "team", "user", "tags", "expires_at", "alias"}
    assert made["key"].startswith("wb-") and len(made["key"]) == 3 + 43
    assert (made["tags"], made["alias"]) == ({"env": "prod"}, "bot")
    [(name, document)] = store.run(Fetch("keys")).items()
    assert name == keys.digest(made["key"])
    assert made["key"] not in json.dumps(document)
    assert keys.principal(document) == Principal("acme", "research", "ann", "bot", {"env": "prod"})
    assert not keys.expired(document, clock()) and keys.expired(document, clock() + 91 * 86_400_000)
    listed = run("key", "list", "--json")
    assert made["key"] not in listed.stdout and name not in listed.stdout
    assert [row["id"] for row in answer(listed)] == [made["id"]]


def test_aliases_are_unique(run: Run) -> None:
    run("key", "create", "--team", "a", "--alias", "bot")
    one_line(run("key", "create", "--team", "b", "--alias", "bot"), "bot", "revoke")


@pytest.mark.parametrize("by", ["id", "alias"])
def test_revoke_by(run: Run, by: str) -> None:
    made = answer(run("key", "create", "--team", "a", "--alias", "bot", "--json"))
    answer(run("key", "create", "--team", "a", "--json"))
    assert run("key", "revoke", made[by]).exit_code == 0
    assert made["id"] not in [row["id"] for row in answer(run("key", "list", "--json"))]
    one_line(run("key", "revoke", made[by]))
