from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.errors import ConfigError
from weighbridge.settings import Provider, Settings, load, load_policies, read_policies
from weighbridge.settings.environment import user_data_dir

CONFIG = Path(__file__).parents[1] / "config"
HOME = {"HOME": "/home/u"}
KEYS = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GEMINI_API_KEY": "sk-g"}
GROQ = """
providers:
  groq:
    base_url: https://api.groq.com/openai/
    api_key: ${GROQ_API_KEY}
    dialects: [openai-chat]
    models: ["llama-*"]
  openai:
"""


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "weighbridge.yaml"
        path.write_text(text)
        return path

    return write


def test_with_no_file_the_providers_whose_keys_are_set() -> None:
    settings = load(None, {**HOME, "ANTHROPIC_API_KEY": "sk-a", "GOOGLE_API_KEY": "sk-g"})
    assert list(settings.providers) == ["anthropic", "gemini"]
    assert (settings.store, settings.host, settings.port, settings.auth) == ("embedded:", "127.0.0.1", 4040, "keys")
    assert settings.data_dir == Path("/home/u/.local/share/weighbridge")
    assert settings.notes == ("provider openai is left out: OPENAI_API_KEY is not set; export OPENAI_API_KEY=...",)
    assert settings.providers["gemini"].dialects == ("gemini-generate",)


def test_the_files_in_config_load_as_they_are() -> None:
    bare = load(CONFIG / "weighbridge.yaml", HOME)
    assert bare.providers == {} and bare.admin_key is None and bare.policies == CONFIG / "policies.yaml"
    settings = load(CONFIG / "weighbridge.yaml", {**HOME, **KEYS, "WEIGHBRIDGE_ADMIN_KEY": "admin"})
    assert list(settings.providers) == ["openai", "anthropic", "gemini"]
    assert settings.admin_key is not None and settings.admin_key.get_secret_value() == "admin"
    assert settings.policies is not None
    policies, defaults = load_policies(settings.policies)
    assert [policy.name for policy in policies] == [
        "research-month", "team-pace", "research-runs", "interns-pace", "short-prompts", "cheap-models",
    ]  # fmt: skip
    assert defaults.on_store_error == "reject"


def test_the_file_in_config_says_the_defaults() -> None:
    said, default = (load(path, {**HOME, **KEYS}) for path in (CONFIG / "weighbridge.yaml", None))
    assert said.model_copy(update={"policies": None}) == default


def test_precedence(file: Any) -> None:
    path = file("listen: 127.0.0.1:1\ncounting: {remote: never}")
    env = {**HOME, "WEIGHBRIDGE_LISTEN": "127.0.0.1:2", "WEIGHBRIDGE_COUNTING__REMOTE": "always"}
    assert load(path, HOME).port == 1
    assert load(path, env).port == 2
    assert load(path, env, listen="127.0.0.1:3").port == 3
    assert load(path, env, port=4, host=None).listen == "127.0.0.1:4"
    assert load(path, env, host="::1").listen == "[::1]:2"
    assert load(path, HOME).counting.remote == "never"
    assert load(path, env).counting.remote == "always"
    assert load(path, env, counting={"remote": "undecided"}).counting.remote == "undecided"
    assert load(None, {**env, "WEIGHBRIDGE_CONFIG": str(path)}).port == 2


def test_who_may_be_asked_for_a_count_and_how_often(file: Any) -> None:
    settings = load(file(GROQ), {**HOME, **KEYS, "GROQ_API_KEY": "gsk"})
    assert {name: p.counter for name, p in settings.providers.items()} == {"groq": "none", "openai": "openai"}
    assert settings.counting.requests_per_minute == {"anthropic": 100}
    tiered = load(None, {**HOME, "WEIGHBRIDGE_COUNTING__REQUESTS_PER_MINUTE__ANTHROPIC": "4000"})
    assert tiered.counting.requests_per_minute == {"anthropic": 4000}


@pytest.mark.parametrize(("text", "live"), [("on", "on"), ("off", "off"), ('"off"', "off"), ("frozen", "frozen")])
def test_a_bare_on_is_no_boolean(file: Any, text: str, live: str) -> None:
    assert load(file(f"counting: {{live: {text}}}"), HOME).counting.live == live


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("STORE", "memory://", lambda s: s.store == "memory://"),
        ("WORKERS", "3", lambda s: s.workers == 3),
        ("DATA_DIR", "/d", lambda s: s.data_dir == Path("/d")),
        ("STORE_TIMEOUT_SECONDS", "0.5", lambda s: s.store_timeout_seconds == 0.5),
        ("LIMITS__MAX_BODY_MB", "1", lambda s: s.limits.max_body_bytes == 1024 * 1024),
        ("STREAMS__ON_DISCONNECT", "count", lambda s: s.streams.on_disconnect == "count"),
        ("STREAMS__DRAIN_TOKENS", "7", lambda s: s.streams.drain_tokens == 7),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 10.1.1.1", lambda s: [str(p) for p in s.trusted_proxies][1] == "10.1.1.1/32"),
        ("TRUSTED_PROXIES", '["10.0.0.0/8"]', lambda s: len(s.trusted_proxies) == 1),
        ("MODELS", '{"x": {"max_input_tokens": 5}}', lambda s: s.models["x"].max_input_tokens == 5),
        ("PROVIDERS__OPENAI__BASE_URL", "http://o", lambda s: s.providers["openai"].base_url == "http://o"),
        ("UNMETERED_ROUTES", "", lambda s: s.unmetered_routes == "refuse"),
    ],
)
def test_every_value_is_also_a_variable(variable: str, value: str, read: Any) -> None:
    assert read(load(None, {**HOME, **KEYS, f"WEIGHBRIDGE_{variable}": value}))


def test_a_variable_reaches_a_provider_whatever_its_spelling(file: Any) -> None:
    path = file("providers: {my-groq: {base_url: http://g, api_key: '${UNSET}', dialects: [openai-chat]}}")
    assert load(path, HOME).providers == {}
    settings = load(path, {**HOME, "WEIGHBRIDGE_PROVIDERS__MY_GROQ__API_KEY": "sk"})
    assert list(settings.providers) == ["my-groq"]


def test_variables_of_others_are_let_alone_and_slips_noted() -> None:
    env = {"WEIGHBRIDGE_SERVICE_HOST": "10.0.0.1", "WEIGHBRIDGE_PORT": "tcp://10.0.0.1:80", "WEIGHBRIDGE_STOER": "x"}
    notes = load(None, {**HOME, **KEYS, **env}).notes
    assert notes == ("WEIGHBRIDGE_STOER is not a setting and is ignored; did you mean WEIGHBRIDGE_STORE?",)


def test_names_in_values_come_from_the_environment(file: Any) -> None:
    path = file("listen: ${HOST:-127.0.0.1}:${PORT}\nworkers: ${N:-2}")
    assert load(path, {**HOME, "PORT": "7"}).listen == "127.0.0.1:7"
    assert load(path, {**HOME, "PORT": "7", "HOST": "::1", "N": "3"}, listen="[::1]:7").workers == 3
    with pytest.raises(ConfigError, match=r"weighbridge.yaml:1: listen: PORT is not set; export PORT="):
        load(path, HOME)


def test_a_provider_whose_key_is_not_set_is_left_out_with_a_note(file: Any) -> None:
    settings = load(file(GROQ), {**HOME, "OPENAI_API_KEY": "sk"})
    assert list(settings.providers) == ["openai"]
    assert settings.notes == ("provider groq is left out: GROQ_API_KEY is not set; export GROQ_API_KEY=...",)


def test_which_provider_a_request_goes_to(file: Any) -> None:
    settings = load(file(GROQ), {**HOME, "OPENAI_API_KEY": "sk", "GROQ_API_KEY": "gsk"})

    def name(dialect: str, model: str) -> str:
        provider = settings.provider_for(dialect, model)
        return provider.name if provider else ""

    assert settings.providers["groq"].base_url == "https://api.groq.com/openai"
    assert name("openai-chat", "llama-4") == "groq"
    assert name("openai-chat", "gpt-5") == "openai"
    assert name("openai-responses", "llama-4") == "openai"
    assert name("anthropic-messages", "claude") == ""


WRONG = [
    ("stor: x", ":1: stor: unknown setting: did you mean 'store'?"),
    ("\nlisten: 1\nlisten: 2", ":3: 'listen' is written twice (first in line 2); drop one"),
    ("store: [", "is not YAML"),
    ("\tstore: x", ":1: is not YAML"),
    ("- store", "must be a mapping of settings"),
    ("store: !!python/object:os.system {}", "is not YAML"),
    ("store: &a [*a]", "nested too deeply"),
    ("workers: 2026-99-99", "is not YAML"),
    ("1: 2", "should be strings"),
    ("store: mongodb://u:SECRET@h", "store: must begin with embedded:"),
    ("listen: 4040", "listen: must be text, not 4040; write e.g. `listen: 127.0.0.1:4040`"),
    ("listen: ':4040'", "must be an address and a port"),
    ("listen: 127.0.0.1:99999", "0 to 65535"),
    ("listen: '::1:4040'", "in brackets"),
    ("listen: http://127.0.0.1:4040", "must be an address"),
    ("workers: 0", "workers: must be 1 or more, not 0"),
    ("workers: 4\nstore: memory://", ":1: workers: they cannot share memory://"),
    ("auth: nobody", "must be 'none', 'keys' or 'header', not 'nobody'"),
    ("listen: 0.0.0.0:4040\nauth: none", ":2: auth: none lets anyone who reaches 0.0.0.0:4040 spend"),
    ("auth: header", "write e.g. `trusted_proxies: [10.0.0.0/8]`"),
    ("trusted_proxies: [10.0.0.1/8]", "host bits are zero"),
    ("admin_key: ''", "admin_key: must be one line of text"),
    ('admin_key: "SECRET\\nSECRET"', "admin_key: must be one line of text"),
    ("admin_key: [SECRET]", "admin_key: must be text"),
    ("providers: SECRET", "providers: must be a block"),
    ("providers:\n  groq: SECRET", ":2: providers.groq: must be a block of settings; write"),
    ("providers: {g: {base_url: http://g}}", "providers.g.dialects: is missing; write e.g. `dialects: [openai-chat]`"),
    ("providers: {g: {dialects: [openai-chat]}}", "providers.g.base_url: is missing"),
    ("providers: {g: {base_url: http://g, dialects: [openai]}}", "must be one of openai-chat"),
    ("providers: {g: {base_url: http://g, dialects: []}}", "a list of at least one"),
    ("providers:\n  openai:\n    api_key: x\n    base_url: a.com", ":4: providers.openai.base_url: must start"),
    ("providers: {openai: {api_key: x, base_url: 'https://a/v1'}}", "must not end in /v1"),
    ("providers: {openai: {api_key: x, base_url: 'https://u:SECRET@a'}}", "a key belongs in api_key"),
    ("providers: {openai: {api_key: x, apikey: SECRET}}", "did you mean 'api_key'?"),
    ("providers: {openai: {api_key: x, name: y}}", "a provider's name is its key"),
    ("models: {m: {max_input_tokens: 0}}", "must be above 0"),
    ("models: {m: {max_inputs: 0}}", "unknown setting: did you mean 'max_input_tokens'?"),
    ("models: {m: {input_usd_per_mtok: 1}}", "need both input_usd_per_mtok and output_usd_per_mtok"),
    ("models: {m: {input_usd_per_mtok: .nan, output_usd_per_mtok: 1}}", "must be a number"),
    ("counting: {remote: maybe}", "counting.remote: must be 'never', 'undecided' or 'always', not 'maybe'"),
    ("counting: always", "counting: must be a block of settings, not 'always'"),
    ("streams: {drain_seconds: -1}", "must be 0.0 or more"),
    ("limits: {lease_seconds: 1.5}", "must be a whole number, not 1.5"),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_one_line_with_place_and_fix(file: Any, text: str, words: str) -> None:
    path = file(text)
    with pytest.raises(ConfigError) as caught:
        load(path, HOME)
    line = str(caught.value)
    assert line.startswith(str(path)) and words in line
    assert "\n" not in line and "SECRET" not in line
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("environ", "given", "words"),
    [
        ({"WEIGHBRIDGE_COUNTING__REMOTE": "x"}, {}, "WEIGHBRIDGE_COUNTING__REMOTE: counting.remote: must be"),
        ({"WEIGHBRIDGE_COUNTING__REMOT": "x"}, {}, "WEIGHBRIDGE_COUNTING__REMOT: counting.remot: unknown setting"),
        ({"WEIGHBRIDGE_STORE__URL": "x"}, {}, "store has no settings inside it"),
        ({"WEIGHBRIDGE_PROVIDERS": "sk-SECRET"}, {}, "must be a JSON object"),
        ({"WEIGHBRIDGE_TRUSTED_PROXIES": "[x"}, {}, "WEIGHBRIDGE_TRUSTED_PROXIES: trusted_proxies:"),
        ({}, {"port": 99999}, "--port: listen: must be"),
        ({}, {"stor": "x"}, "--stor: stor: unknown setting"),
        ({}, {"host": "0.0.0.0", "auth": "none"}, "--auth: auth: none lets anyone"),
    ],
)
def test_the_place_of_a_fault_outside_the_file(environ: dict[str, str], given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {**HOME, **environ}, **given)
    assert words in str(caught.value) and "SECRET" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(path, HOME)
    (tmp_path / "latin").write_bytes(b"store: \xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "latin", HOME)


def test_secrets_do_not_show() -> None:
    settings = load(None, {**HOME, **KEYS}, store="redis://u:SECRET@h:1/0", admin_key="SECRET")
    assert "SECRET" not in repr(settings) + str(settings) and "sk-o" not in repr(settings)
    assert settings.store_shown == "redis://h:1/0"
    key = settings.providers["openai"].api_key
    assert key is not None and key.get_secret_value() == "sk-o"


def test_settings_do_not_change() -> None:
    settings = load(None, HOME)
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "0.0.0.0:1"  # type: ignore[misc]
    assert isinstance(settings, Settings) and Provider.model_config["frozen"]


def test_paths_in_a_file_are_relative_to_it(file: Any, tmp_path: Path) -> None:
    settings = load(file("policies: p.yaml\ndata_dir: data"), HOME)
    assert (settings.policies, settings.data_dir) == (tmp_path / "p.yaml", tmp_path / "data")


def test_policies_are_refused_with_file_and_line() -> None:
    text = "policies:\n  - name: a\n    limit:\n      usd: abc\n    window: day\n"
    with pytest.raises(ConfigError, match=r"^p.yaml:4: policies\[0\].limit.usd: must be a number"):
        read_policies(text, "p.yaml")
    assert len(read_policies(text.replace("abc", "1"), "p.yaml")[0]) == 1


def test_anchors_and_merges_are_yaml_too() -> None:
    text = "policies:\n  - &a {name: a, limit: {usd: 1}, window: day}\n  - {<<: *a, name: b, window: fortnight}\n"
    with pytest.raises(ConfigError, match=r"^p.yaml:3: policies\[1\].window"):
        read_policies(text, "p.yaml")
    assert [p.name for p in read_policies(text.replace("fortnight", "week"), "p.yaml")[0]] == ["a", "b"]


@pytest.mark.parametrize(
    ("environ", "platform", "place"),
    [
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "linux", "/x/weighbridge"),
        ({"HOME": "/h"}, "linux", "/h/.local/share/weighbridge"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Application Support/weighbridge"),
    ],
)
def test_where_data_is_kept(environ: dict[str, str], platform: str, place: str) -> None:
    assert user_data_dir(environ, platform) == Path(place)
