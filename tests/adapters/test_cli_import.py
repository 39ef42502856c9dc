"""`weighbridge import litellm`: a config, and a database as LiteLLM keeps it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from adapters import postgres
from adapters.commands import Run, answer, one_line
from weighbridge.settings import read_policies

HERE = Path(__file__).parent
CONFIG = """\
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY}
litellm_settings: {max_budget: 100, budget_duration: 30d, fallbacks: [{fast: [slow]}]}
general_settings: {master_key: sk-a-secret, database_url: os.environ/DATABASE_URL}
"""


def limits(policies: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["name"]: (row.get("match"), row["limit"], row.get("window")) for row in policies if "limit" in row}


def test_a_config_is_written_as_policies_that_load(run: Run, file: Callable[..., str], tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    told = run("import", "litellm", file(CONFIG, "config.yaml"), "-o", str(made))
    assert told.exit_code == 0 and "1 policies in" in told.stdout and "litellm_settings.fallbacks" in told.stdout
    (policy,), defaults = read_policies(made.read_text(), "made")
    assert (policy.limit, policy.window.text, policy.per) == (100 * 10**9, "month", ())
    assert (defaults.unpriced_model, defaults.on_store_error) == ("allow", "slice")
    assert "#   litellm_settings.fallbacks: another model when one fails" in made.read_text()
    assert "sk-a-secret" not in made.read_text() + told.stdout
    plain = run("import", "litellm", file(CONFIG, "config.yaml"))
    assert plain.stdout == made.read_text()
    assert answer(run("policy", "apply", "-f", str(made), "--dry-run", "--json"))


FROM_ENVIRONMENT = """\
litellm_settings: {max_budget: os.environ/MOST, budget_duration: os.environ/HOW_LONG}
general_settings: {master_key: os.environ/MASTER, custom_auth: os.environ/MASTER}
"""


def test_amounts_of_the_environment_are_read_and_secrets_are_not_told(
    run: Run, file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MOST": "100", "HOW_LONG": "30d", "MASTER": "sk-a-secret"}.items():
        monkeypatch.setenv(name, value)
    told = run("import", "litellm", file(FROM_ENVIRONMENT, "config.yaml"), "--json")
    (policy,) = answer(told)["policies"]
    assert (policy["limit"], policy["window"]) == ({"usd": 100}, "month")
    assert "sk-a-secret" not in told.stdout
    monkeypatch.delenv("MOST")
    unset = answer(run("import", "litellm", file(FROM_ENVIRONMENT, "config.yaml"), "--json"))
    assert not unset["policies"] and any("os.environ/MOST" in note["what"] for note in unset["notes"])


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wbp") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder)) as url:
            place, _, port = url.rpartition("@")[2].partition("/")[0].rpartition(":")
            to = {
                "host": place,
                "port": int(port),
                "user": "llm",
                "password": postgres.PASSWORD,
                "database": "postgres",
            }
            connection = pg8000.native.Connection(**to)
            connection.run((HERE / "litellm_tables.sql").read_text())
            connection.close()
            yield url


def test_a_database_s_keys_teams_and_users_are_policies(run: Run, file: Callable[..., str], database: str) -> None:
    found = answer(run("import", "litellm", file(CONFIG, "config.yaml"), "--database", database, "--json"))
    assert limits(found["policies"]) == {
        "proxy-usd": (None, {"usd": 100}, "month"),
        "org-acme-usd": ({"org": "acme"}, {"usd": 900.0}, "month"),
        "team-research-usd": ({"team": "research"}, {"usd": 10.1}, "day"),
        "team-research-tokens": ({"team": "research"}, {"tokens": 20000}, "rolling 60s"),
        "member-ann-of-research-usd": ({"team": "research", "user": "ann"}, {"usd": 3.5}, "day"),
        "member-ann-of-research-requests": ({"team": "research", "user": "ann"}, {"requests": 7}, "rolling 60s"),
        "user-ann-usd": ({"user": "ann"}, {"usd": 50.0}, "month"),
        "key-ci-usd": ({"key": "ci"}, {"usd": 0.1}, "hour"),
        "key-ci-requests": ({"key": "ci"}, {"requests": 3}, "rolling 60s"),
        "key-ci-concurrent": ({"key": "ci"}, {"concurrent": 2}, None),
        "key-ci-on-fast-usd": ({"key": "ci", "model": "gpt-4o-mini"}, {"usd": 0.5}, "rolling 1d"),
        "end-user-customer-7-usd": ({"tag.end_user": "customer 7"}, {"usd": 0.25}, "lifetime"),
        "tag-feature:search-usd": ({"tag.feature": "search"}, {"usd": 12.0}, "week"),
    }
    models = {row["name"]: row["models"] for row in found["policies"] if "models" in row}
    assert models == {"team-research-models": {"allow": ["gpt-4o-mini"]}}
    assert found["keys"] == [
        "weighbridge key create --alias ci --team research --user ann --org acme --expires 2030-01-01T00:00:00"
    ]
    notes = {note["setting"] for note in found["notes"]}
    assert {"spend", "user ann"} <= notes and "general_settings.database_url" not in notes
    assert "ann@example.com" not in str(found) and "a hash" not in str(found)


def test_a_database_that_is_not_there_or_not_litellm_s(run: Run, file: Callable[..., str], database: str) -> None:
    config = file(CONFIG, "config.yaml")
    one_line(run("import", "litellm", config, "--database", f"{database}?schema=other"), "none of its tables")
    wrong = database.replace("secret%20word", "hunter2")
    said = run("import", "litellm", config, "--database", wrong)
    one_line(said, "does not answer: password authentication failed")
    assert "hunter2" not in said.stderr
    gone = f"postgresql://llm:hunter2@127.0.0.1:{postgres.free_port()}/x"
    one_line(run("import", "litellm", config, "--database", gone), "does not answer")


WRONG = {
    "no YAML": ("a: [", [], "is not YAML"),
    "no text": ("\udcff", [], "not text"),
    "no config": ("a: 1\n", [], "no LiteLLM config: it has none of model_list"),
    "a list": ("- 1\n", [], "no LiteLLM config"),
    "a block that is none": ("litellm_settings: [1]\n", [], "litellm_settings must be a mapping"),
    "no Postgres": (CONFIG, ["--database", "mysql://x/y"], "must be Postgres"),
    "no database": (CONFIG, ["--database", "postgresql://localhost"], "must be Postgres"),
    "no port": (CONFIG, ["--database", "postgresql://localhost:much/x"], "cannot be read"),
}


@pytest.mark.parametrize(("text", "words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(run: Run, tmp_path: Path, text: str, words: list[str], said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    one_line(run("import", "litellm", str(path), *words), said)
