from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from weighbridge.adapters.cli import COMMANDS, cli
from weighbridge.core import keys
from weighbridge.core.ledger import Charge, Counter, Entry, Fetch, Hold, Put, Reserve, Settle
from weighbridge.core.model import Principal
from weighbridge.core.policy import shelf
from weighbridge.core.policy.window import bounds
from weighbridge.ledger import Store
from weighbridge.settings import load, read_policies
from weighbridge.wiring import clock
from weighbridge.wiring import store as open_store

POLICIES = """\
policies:
  - name: research-month
    match: {team: research}
    limit: {usd: 1}
    window: month
  - name: tight
    match: {team: support}
    limit: {usd: 0.00001}
    window: lifetime
  - name: at-once
    match: {team: "*"}
    limit: {concurrent: 9}
  - name: minis
    match: {team: interns}
    models: {allow: ["*-mini"]}
"""
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What does the lorry weigh?"}], "max_tokens": 100}
CHAT_TOKENS = 7 + 3 + 1 + 3
"""Words, the message's frame, its role, the reply's priming."""
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded store that stays up for the module's tests."""
    found = f"embedded:{tmp_path_factory.mktemp('store')}"
    kept = open_store(load(store=found))
    yield found
    kept.close()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store, with its shelves empty."""
    opened = open_store(load(store=url))
    for name in ("policies", "keys"):
        opened.run(Put(name, {}, drop=tuple(opened.run(Fetch(name)))))  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the store."""
    for name in ("WEIGHBRIDGE_CONFIG", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIGHBRIDGE_STORE", url)

    def of(*words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)

    return of


@pytest.fixture
def policies(store: Store) -> None:
    store.run(Put("policies", shelf.write(*read_policies(POLICIES, "test"))))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a file; its path."""

    def of(text: str, name: str = "policies.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return of


def answer(result: Result, status: int = 0) -> Any:
    """The one JSON document on standard output."""
    assert result.exit_code == status, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def one_line(result: Result, *words: str, status: int = 2) -> None:
    """An error: one line on standard error with these words in it, nothing on standard output."""
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("weighbridge: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_help_names_every_command(run: Run) -> None:
    text = run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--store" in result.stdout or "Commands:" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from weighbridge.adapters.cli import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    heavy = "print([m for m in ('redis', 'pydantic', 'tiktoken', 'rich', 'yaml', 'litellm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nosuch",), "nosuch"),
        (("key", "create"), "--team"),
        (("count", "/nowhere/at/all"), "/nowhere/at/all"),
        (("policy", "apply"), "--file"),
        (("policy", "apply", "-f", "/nowhere"), "/nowhere"),
        (("usage", "--by", "colour"), "colour"),
        (("usage", "--since", "yesterday-ish"), "--since"),
        (("usage", "--format", "xml"), "xml"),
        (("key", "create", "--team", "t", "--expires", "2001-01-01"), "--expires"),
        (("key", "create", "--team", "t", "--tag", "notag"), "--tag"),
        (("key", "revoke", "nobody"), "key list"),
        (("budget", "show", "nothing"), "nothing"),
        (("policy", "show", "nothing"), "nothing"),
        (("policy", "delete", "nothing"), "nothing"),
        (("demo", "--store", "redis://localhost"), "--store"),
        (("key", "list", "--store", "mysql://localhost"), "redis://"),
        (("key", "list", "--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_one_line_with_the_fix(run: Run, words: tuple[str, ...], told: str) -> None:
    one_line(run(*words), told)


def test_a_store_that_does_not_answer_is_one_line(run: Run) -> None:
    one_line(run("budget", "list", "--store", "redis://:secret@127.0.0.1:1/0"), "--store")
    assert "secret" not in run("budget", "list", "--store", "redis://:secret@127.0.0.1:1/0").stderr


@pytest.mark.parametrize("words", [("--store", "URL", "key", "list"), ("key", "list", "--store", "URL")])
def test_store_before_and_after_the_command(run: Run, store: Store, url: str, monkeypatch: Any, words: Any) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STORE", "redis://127.0.0.1:1")
    assert run(*(url if word == "URL" else word for word in words)).exit_code == 0


def test_a_bug_is_one_line_and_debug_shows_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.wiring.store", lambda settings: 1 / 0)
    one_line(run("key", "list"), "ZeroDivisionError", "--debug")
    with pytest.raises(ZeroDivisionError):
        run("--debug", "key", "list")


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "weighbridge.adapters.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("weighbridge")


def test_count_json_has_the_shape(run: Run) -> None:
    found = answer(run("count", "--json", stdin=json.dumps(CHAT)))
    assert list(found) == ["tokens", "upper", "method", "model", "dialect", "parts"]
    assert list(found["parts"]) == ["messages", "system", "tools", "media", "schema", "frame"]
    assert found["dialect"] == "openai-chat" and found["model"] == "gpt-4o"
    assert found["tokens"] == sum(found["parts"].values()) == CHAT_TOKENS
    assert found["upper"] >= found["tokens"]


def test_count_reads_a_file_a_dialect_and_a_model(run: Run, file: Callable[..., str]) -> None:
    body = file(json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}), "body.json")
    found = answer(run("count", body, "--model", "gemini-2.5-flash", "--json"))
    assert (found["dialect"], found["model"]) == ("gemini-generate", "gemini-2.5-flash")
    assert f"{CHAT_TOKENS} tokens" in run("count", "--dialect", "openai-chat", stdin=json.dumps(CHAT)).stdout


def test_count_needs_no_store(run: Run) -> None:
    assert run("count", "--store", "redis://127.0.0.1:1", stdin=json.dumps(CHAT)).exit_code == 0


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", "nonsense", '{"model":"gpt-4o","messages":3}', '{"contents":[]}', b"\xff\xfe", "[" * 9999],
)
def test_count_of_a_bad_body_is_one_line(run: Run, body: str | bytes) -> None:
    one_line(run("count", "--json", stdin=body))


def test_count_of_an_unknown_dialect_names_the_known(run: Run) -> None:
    one_line(run("count", "--dialect", "morse", stdin=json.dumps(CHAT)), "morse", "openai-chat", "--dialect")


VERDICT = {"decision", "reason", "estimate", "nano_usd", "scopes", "would_fit"}


def check(run: Run, body: dict[str, Any], *words: str) -> Result:
    return run("check", *words, "--json", stdin=json.dumps(body))


def test_check_admits_and_holds_nothing(run: Run, policies: None) -> None:
    found = answer(check(run, CHAT, "--team", "research"))
    assert found.keys() >= VERDICT
    assert (found["decision"], found["reason"]) == ("admit", None)
    assert found["estimate"]["tokens"] == CHAT_TOKENS
    assert {scope["policy"] for scope in found["scopes"]} == {"research-month", "at-once"}
    assert all(not budget["counters"] for budget in answer(run("budget", "list", "--json")))


def test_check_refuses_with_status_one(run: Run, policies: None) -> None:
    found = answer(check(run, CHAT, "--team", "support"), status=1)
    assert found.keys() >= VERDICT
    assert (found["decision"], found["reason"]) == ("refuse", "budget")
    assert found["scopes"][0]["policy"] == "tight"
    assert found["estimate"]["tokens"] == CHAT_TOKENS


def test_check_refuses_a_model_and_a_malformed_body(run: Run, policies: None) -> None:
    assert answer(check(run, CHAT, "--team", "interns"), status=1)["reason"] == "model_not_allowed"
    malformed = answer(check(run, {"model": "gpt-4o", "messages": 3}, "--dialect", "openai-chat"), status=1)
    assert (malformed["reason"], malformed["estimate"]) == ("malformed", None)


def test_check_clamps(run: Run, policies: None) -> None:
    found = answer(check(run, {**CHAT, "max_tokens": 200_000}, "--team", "research"))
    assert found["decision"] == "clamp"
    assert 0 < found["would_fit"]["max_tokens"] < 200_000


def test_check_takes_the_identity_of_a_key(run: Run, policies: None) -> None:
    run("key", "create", "--team", "support", "--alias", "bot")
    assert check(run, CHAT, "--key", "bot").exit_code == 1
    assert check(run, CHAT, "--key", "bot", "--team", "research").exit_code == 0


def test_check_reads_well(run: Run, policies: None) -> None:
    refused = run("check", "--team", "support", stdin=json.dumps(CHAT))
    assert refused.exit_code == 1
    assert "refused: budget" in refused.stdout and "tight" in refused.stdout
    assert "admitted" in run("check", "--team", "research", stdin=json.dumps(CHAT)).stdout


def test_apply_creates_changes_and_leaves_alone(run: Run, file: Callable[..., str]) -> None:
    path = file(POLICIES)
    first = answer(run("policy", "apply", "-f", path, "--json"))
    assert {change["name"]: change["result"] for change in first} == dict.fromkeys(
        ("research-month", "tight", "at-once", "minis"), "created"
    )
    again = answer(run("policy", "apply", "-f", path, "--json"))
    assert {change["result"] for change in again} == {"unchanged"}
    less = file("policies:\n  - {name: tight, match: {team: support}, limit: {usd: 2}, window: lifetime}\n")
    assert answer(run("policy", "apply", "-f", less, "--json")) == [{"name": "tight", "result": "configured"}]
    names = [policy["name"] for policy in answer(run("policy", "list", "--json"))]
    assert names == ["at-once", "minis", "research-month", "tight"]


def test_apply_from_standard_input_and_dry_run(run: Run) -> None:
    dry = run("policy", "apply", "-f", "-", "--dry-run", stdin=POLICIES)
    assert dry.exit_code == 0 and "created (dry run)" in dry.stdout
    assert answer(run("policy", "list", "--json")) == []
    run("policy", "apply", "-f", "-", stdin=POLICIES)
    assert len(answer(run("policy", "list", "--json"))) == 4


def test_a_file_silent_about_defaults_does_not_reset_them(run: Run, file: Callable[..., str]) -> None:
    run("policy", "apply", "-f", file(POLICIES + "defaults: {clamp_output: false}\n"))
    run("policy", "apply", "-f", file(POLICIES))
    assert answer(run("policy", "show", "defaults", "--json"))["clamp_output"] is False


def test_diff_says_one_when_different(run: Run, file: Callable[..., str]) -> None:
    path = file(POLICIES)
    assert run("policy", "diff", "-f", path).exit_code == 1
    run("policy", "apply", "-f", path)
    same = run("policy", "diff", "-f", path)
    assert (same.exit_code, same.stdout) == (0, "")
    changed = run("policy", "diff", "-f", file(POLICIES.replace("usd: 1", "usd: 7")))
    assert changed.exit_code == 1
    assert "-limit: {usd: 1}" in changed.stdout and "+limit: {usd: 7}" in changed.stdout


def test_a_wrong_file_names_its_line(run: Run, file: Callable[..., str]) -> None:
    path = file("policies:\n  - name: a\n    limit: {usd: -3}\n    window: month\n")
    for command in ("apply", "diff"):
        one_line(run("policy", command, "-f", path), f"{path}:3")
    assert answer(run("policy", "list", "--json")) == []


def test_show_and_delete(run: Run, policies: None) -> None:
    assert "usd: 1" in run("policy", "show", "research-month").stdout
    assert run("policy", "delete", "tight", "minis").exit_code == 0
    one_line(run("policy", "show", "tight"), "research-month")
    assert len(answer(run("policy", "list", "--json"))) == 2


def test_shown_yaml_can_be_applied(run: Run, policies: None) -> None:
    shown = run("policy", "show", "research-month").stdout
    body = "".join(f"    {line}\n" for line in shown.splitlines())
    again = run("policy", "apply", "-f", "-", "--json", stdin=f"policies:\n  -\n{body}")
    assert answer(again) == [{"name": "research-month", "result": "unchanged"}]


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


@pytest.fixture
def traffic(run: Run, store: Store, policies: None) -> Counter:
    """One settled call, one that is under way."""
    found, _ = shelf.read(store.run(Fetch("policies")))
    month = next(policy for policy in found if policy.name == "research-month")
    counter = Counter(month.name, "nano_usd", "month", (("team", "research"),), *bounds(month.window, clock()))
    id = f"call{clock()}"
    entry = Entry(
        id, team="research", model="gpt-4o", provider="openai", tags={"run": id}, ending="reported",
        input=20, output=5, cached=4, reasoning=2, nano_usd=70, overrun_nano_usd=10,
    )  # fmt: skip
    store.run(Reserve(id, (Hold(counter, 10**9, 60),)))
    store.run(Settle(id, (Charge(counter, 70),), entry))
    store.run(Reserve(f"{id}-open", (Hold(counter, 10**9, 1000),)))
    return counter


def test_budget_shows_spent_held_and_left(run: Run, traffic: Counter) -> None:
    found = answer(run("budget", "show", "research-month", "--json"))
    assert list(found) == ["policy", "mode", "unit", "limit", "counters"]
    assert (found["policy"], found["mode"], found["unit"], found["limit"]) == (
        "research-month", "enforce", "nano_usd", 10**9,
    )  # fmt: skip
    [counter] = found["counters"]
    assert list(counter) == ["scope", "window_start", "resets_at", "limit", "spent", "held", "remaining"]
    assert counter["scope"] == {"team": "research"}
    assert counter["spent"] >= 70 and counter["held"] >= 1000
    assert counter["remaining"] == 10**9 - counter["spent"] - counter["held"]
    assert counter["window_start"].endswith("-01T00:00:00Z") and counter["resets_at"].endswith("-01T00:00:00Z")


def test_budget_list_has_one_a_limit(run: Run, traffic: Counter) -> None:
    found = {budget["policy"]: budget for budget in answer(run("budget", "list", "--json"))}
    assert found.keys() == {"research-month", "tight", "at-once"}
    assert found["at-once"]["unit"] == "calls" and found["at-once"]["counters"] == []
    assert "team research" in run("budget", "list").stdout


def test_a_changed_window_starts_its_own_counters(run: Run, traffic: Counter, file: Callable[..., str]) -> None:
    run("policy", "apply", "-f", file(POLICIES.replace("window: month", "window: day")))
    assert answer(run("budget", "show", "research-month", "--json"))["counters"] == []


def test_usage_adds_up_the_journal(run: Run, store: Store, traffic: Counter) -> None:
    id = f"cut{clock()}"
    for n in range(3):
        store.run(
            Settle(f"{id}-{n}", (), Entry(f"{id}-{n}", model="m", tags={"run": id}, ending="cut off: x", nano_usd=1))
        )
    rows = [row for row in answer(run("usage", "--by", "tag.run,model", "--json")) if row["tag.run"] == id]
    assert rows == [
        {
            "tag.run": id, "model": "m", "requests": 3, "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0,
            "reasoning_tokens": 0, "nano_usd": 3, "overrun_nano_usd": 0, "estimated_requests": 3,
        }
    ]  # fmt: skip
    by_team = {row["team"]: row for row in answer(run("usage", "--by", "team", "--format", "json"))}
    research = by_team["research"]
    calls = research["requests"]
    assert (research["input_tokens"], research["output_tokens"]) == (20 * calls, 5 * calls)
    assert (research["cached_tokens"], research["reasoning_tokens"]) == (4 * calls, 2 * calls)
    assert (research["nano_usd"], research["overrun_nano_usd"]) == (70 * calls, 10 * calls)
    assert research["estimated_requests"] == 0


def test_usage_pages_through_the_journal(run: Run, store: Store) -> None:
    id = f"many{clock()}"
    for n in range(1203):
        store.run(Settle(f"{id}-{n}", (), Entry(f"{id}-{n}", user=id, ending="reported", nano_usd=1)))
    rows = answer(run("usage", "--by", "user", "--json"))
    assert next(row for row in rows if row["user"] == id)["requests"] == 1203


def test_usage_as_csv_and_table(run: Run, traffic: Counter) -> None:
    rows = list(csv.DictReader(io.StringIO(run("usage", "--by", "day,model", "--format", "csv").stdout)))
    assert {"day", "model", "requests", "estimated_requests"} <= rows[0].keys()
    assert "total" in run("usage").stdout


def test_usage_since(run: Run, traffic: Counter) -> None:
    assert answer(run("usage", "--since", "2100-01-01", "--json")) == []
    assert answer(run("usage", "--since", "2020-01-01", "--json"))


def test_doctor_finds_a_sound_store(run: Run) -> None:
    found = answer(run("doctor", "--json"))
    assert found["ok"] is True
    checks = {finding["check"]: finding["status"] for finding in found["findings"]}
    assert checks["store"] == checks["redis"] == checks["models"] == checks["vocabulary o200k_base"] == "ok"


@pytest.mark.parametrize(
    ("words", "check"),
    [(("--store", "redis://:secret@127.0.0.1:1"), "store"), (("--config", "/nowhere.yaml"), "settings")],
    ids=["dead store", "no such file"],
)
def test_doctor_says_what_is_wrong(run: Run, words: tuple[str, ...], check: str) -> None:
    result = run("doctor", *words, "--json")
    found = answer(result, status=1)
    assert found["ok"] is False
    assert [finding["check"] for finding in found["findings"] if finding["status"] == "wrong"] == [check]
    assert "secret" not in result.stdout
    assert "Something is wrong" in run("doctor", *words).stdout


def test_serve_hands_its_settings_to_the_gateway(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = pytest.importorskip("weighbridge.adapters.gateway")
    served: list[Any] = []
    monkeypatch.setattr(gateway, "serve", lambda settings, workers: served.append((settings.listen, workers)))
    assert run("serve", "--port", "4999", "--workers", "2").exit_code == 0
    assert run("serve", "--host", "::1").exit_code == 0
    assert served == [("127.0.0.1:4999", 2), ("[::1]:4040", 1)]


def test_serve_refuses_what_cannot_be(run: Run) -> None:
    one_line(run("serve", "--workers", "2", "--store", "memory://"), "memory://")
    one_line(run("serve", "--port", "99999"), "99999")
