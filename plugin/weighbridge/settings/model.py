"""The settings themselves: frozen, validated, each with its default and an example for the error message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from weighbridge.core.policy.reading import PolicyError, nano_usd

SERVERS = ("redis://", "rediss://", "unix://")
FLEETS = ("redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://")
STORES = ("embedded:", "memory://", *SERVERS, *FLEETS)
"""How a store's URL may begin."""
OPENAI = ("openai-chat", "openai-responses", "openai-completions", "openai-embeddings")
DIALECTS = (*OPENAI, "anthropic-messages", "gemini-generate", "pangu-chat")
"""Wire formats the gateway forwards."""
Network = IPv4Network | IPv6Network


def split_listen(listen: str) -> tuple[str, int]:
    """("127.0.0.1", 4040) from "127.0.0.1:4040"; IPv6 in brackets.  Raises ValueError."""
    host, colon, port = listen.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("must be an address and a port from 0 to 65535")
    if "/" in host or (":" in bare and host != f"[{bare}]"):
        raise ValueError("must be an address and a port, an IPv6 address in brackets as in `[::1]:4040`")
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(value: str) -> str:
    split_listen(value)
    return value


def _store(value: str) -> str:
    if not value.startswith(STORES):
        raise ValueError(f"must begin with {', '.join(STORES)}")
    return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be an address only; a key belongs in api_key")
    path = parts.path.rstrip("/")
    if path.endswith(("/v1", "/v1beta")):
        raise ValueError(f"must not end in {path[path.rindex('/') :]}, which the route's own path begins with; drop it")
    return value.rstrip("/")


def _secret(value: SecretStr) -> SecretStr:
    bare = value.get_secret_value().strip()
    if not bare or not bare.isprintable():
        raise ValueError("must be one line of text that is not empty")
    return SecretStr(bare)


def _listed(value: Any) -> Any:
    """A list; from the environment also as `a,b` or JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _switch(value: Any) -> Any:
    """YAML reads a bare `on` as true."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _dialect(value: str) -> str:
    if value not in DIALECTS:
        raise ValueError(f"must be one of {', '.join(DIALECTS)}")
    return value


def _network(value: Any) -> Network:
    try:
        return ip_network(value)
    except (ValueError, TypeError):
        raise ValueError("must be an IP address or a network whose host bits are zero, as in `10.0.0.0/8`") from None


def _price(value: Any) -> Any:
    try:
        nano_usd(value, ("price",))
    except PolicyError as error:
        raise ValueError(error.fix.partition(";")[0]) from None
    return value


Listen = Annotated[str, AfterValidator(_listen)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]
Dialects = Annotated[
    tuple[Annotated[str, AfterValidator(_dialect)], ...], BeforeValidator(_listed), Field(min_length=1)
]
Proxies = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_listed)]
Live = Annotated[Literal["on", "frozen", "off"], BeforeValidator(_switch)]
Tokens = Annotated[int, Field(gt=0, lt=10**9)]
Usd = Annotated[float, BeforeValidator(_price), Field(le=100_000)]
"""Dollars as written; at most nine decimals, so that its shortest form is what was written."""


class Block(BaseModel):
    """What all blocks have in common: nothing unknown, nothing changed later, no value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Provider(Block):
    """Where requests go; base_url + the route's own path is what is called."""

    name: str
    """Its key in the `providers:` block."""
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(examples=["base_url: https://api.groq.com/openai"])
    api_key: Secret | None = Field(default=None, examples=["api_key: ${GROQ_API_KEY}"])
    """None for a provider that asks for none."""
    dialects: Dialects = Field(examples=["dialects: [openai-chat]"])
    models: Names = Field(default=(), examples=['models: ["llama-*"]'])
    """Shell globs: it is chosen for these models, and for no other."""

    counter: Literal["none", "openai", "anthropic", "gemini", "pangu"] = Field(
        default="none", examples=["counter: anthropic"]
    )
    """In whose way it can be asked for a count; a provider of these names is asked in its own."""

    def serves(self, model: str) -> bool:
        """Whether its `models` globs fit."""
        return any(fnmatchcase(model, glob) for glob in self.models)


class ModelOverride(Block):
    """What is laid over the built-in table for one model; None leaves what the table says."""

    max_input_tokens: Tokens | None = Field(default=None, examples=["max_input_tokens: 32000"])
    max_output_tokens: Tokens | None = Field(default=None, examples=["max_output_tokens: 4096"])
    input_usd_per_mtok: Usd | None = Field(default=None, examples=["input_usd_per_mtok: 1.2"])
    output_usd_per_mtok: Usd | None = Field(default=None, examples=["output_usd_per_mtok: 4.8"])
    cache_read_usd_per_mtok: Usd | None = Field(default=None, examples=["cache_read_usd_per_mtok: 0.12"])
    cache_write_usd_per_mtok: Usd | None = Field(default=None, examples=["cache_write_usd_per_mtok: 1.5"])
    tokenizer: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=["tokenizer: o200k_base"])
    family: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=["family: openai"])
    """Whose counting rules hold."""

    @model_validator(mode="after")
    def _priced(self) -> ModelOverride:
        prices = {name: price for name, price in self if name.endswith("_usd_per_mtok") and price is not None}
        if prices and not {"input_usd_per_mtok", "output_usd_per_mtok"} <= prices.keys():
            raise ValueError("prices need both input_usd_per_mtok and output_usd_per_mtok; write 0 for what is free")
        return self


class Counting(Block):
    """How prompts are counted."""

    remote: Literal["never", "undecided", "always"] = Field(default="undecided", examples=["remote: undecided"])
    """When the provider may be asked: "undecided" only where a limit lies inside the uncertainty."""
    calibration: Path | None = Field(default=None, examples=["calibration: calibration.json"])
    """What `weighbridge calibrate` fitted to your own traffic."""
    live: Live = Field(default="on", examples=["live: on"])
    """Whether settlements correct the estimates: frozen, they are corrected by what was learnt so far."""
    timeout_seconds: float = Field(default=2.0, ge=0.05, le=60, examples=["timeout_seconds: 2"])
    """Longest a request waits for the provider's count, all attempts together."""
    requests_per_minute: Mapping[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        default={"anthropic": 100}, examples=["requests_per_minute: {anthropic: 2000}"]
    )
    """Most counts asked of a provider, all workers of this gateway together; unnamed ones have no limit."""


class Streams(Block):
    """What happens to streams."""

    on_disconnect: Literal["drain", "count"] = Field(default="drain", examples=["on_disconnect: drain"])
    """The client left: read on for what the provider reports, or count what was seen."""
    drain_seconds: float = Field(default=30.0, ge=0, le=3600, examples=["drain_seconds: 30"])
    drain_tokens: int = Field(default=20_000, ge=0, examples=["drain_tokens: 20000"])
    """Most output tokens that are read on for; what is beyond is not worth generating for nobody."""


class Limits(Block):
    """Bounds of the gateway itself."""

    max_body_mb: float = Field(default=32.0, gt=0, le=1024, examples=["max_body_mb: 32"])
    lease_seconds: int = Field(default=120, ge=5, le=86_400, examples=["lease_seconds: 120"])
    """A hold whose call shows no sign of life this long is given back."""
    shutdown_seconds: float = Field(default=20.0, ge=0, le=3600, examples=["shutdown_seconds: 20"])
    """Asked to stop, the gateway lets open calls end for this long; then it cuts them off."""

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, decompressed."""
        return int(self.max_body_mb * 1024 * 1024)


class Settings(Block):
    """CONTRACT section 8, validated."""

    store: Annotated[str, AfterValidator(_store)] = Field(
        default="embedded:", repr=False, examples=["store: redis://localhost:6379/0"]
    )
    """May hold a password; show `store_shown`."""
    data_dir: Path = Field(examples=["data_dir: /var/lib/weighbridge"])
    """Where `embedded:` without a path keeps its data, and any gateway the calls not settled yet."""
    store_timeout_seconds: float = Field(default=3.0, ge=0.01, le=60, examples=["store_timeout_seconds: 3"])
    """Longest wait for one answer of the store."""
    journal_entries: int = Field(default=1_000_000, ge=1000, le=10**9, examples=["journal_entries: 1000000"])
    """Settlements kept for reports and audits."""
    listen: Listen = Field(default="127.0.0.1:4040", examples=["listen: 127.0.0.1:4040"])
    workers: int = Field(default=1, ge=1, le=256, examples=["workers: 4"])
    auth: Literal["none", "keys", "header"] = Field(default="keys", examples=["auth: keys"])
    admin_key: Secret | None = Field(default=None, examples=["admin_key: ${WEIGHBRIDGE_ADMIN_KEY}"])
    trusted_proxies: Proxies = Field(default=(), examples=["trusted_proxies: [10.0.0.0/8]"])
    """Addresses whose identity headers are believed (auth: header)."""
    policies: Path | None = Field(default=None, examples=["policies: policies.yaml"])
    """Applied at start where the store has none yet."""
    providers: Mapping[str, Provider] = Field(default={}, examples=["providers: {openai: {api_key: ${MY_KEY}}}"])
    models: Mapping[str, ModelOverride] = Field(default={}, examples=["models: {mine: {max_input_tokens: 32000}}"])
    counting: Counting = Field(default=Counting(), examples=["counting: {remote: undecided}"])
    streams: Streams = Field(default=Streams(), examples=["streams: {on_disconnect: drain}"])
    limits: Limits = Field(default=Limits(), examples=["limits: {max_body_mb: 32}"])
    unmetered_routes: Literal["refuse", "forward"] = Field(default="refuse", examples=["unmetered_routes: refuse"])

    _notes: tuple[str, ...] = PrivateAttr(())

    def model_post_init(self, context: Any) -> None:
        """Keep what the loader noticed."""
        self._notes = tuple((context or {}).get("notes", ()))

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.auth == "none" and not is_loopback(self.host):
            raise ValueError(
                f"auth: none lets anyone who reaches {self.listen} spend; write `auth: keys`, or listen on 127.0.0.1"
            )
        if self.auth == "header" and not self.trusted_proxies:
            raise ValueError("auth: header needs to know whom to believe; write e.g. `trusted_proxies: [10.0.0.0/8]`")
        if self.store.startswith("memory:") and self.workers > 1:
            raise ValueError("workers: they cannot share memory://; write `workers: 1` or `store: embedded:`")
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not wrong and yet worth knowing: providers left out, variables that look misspelt."""
        return self._notes

    @property
    def host(self) -> str:
        """The address of `listen`."""
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`."""
        return split_listen(self.listen)[1]

    @property
    def store_shown(self) -> str:
        """The store's URL without user, password and options."""
        scheme, separator, rest = self.store.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}" if separator else self.store

    def provider_for(self, dialect: str, model: str) -> Provider | None:
        """The first provider of that dialect whose `models` fit, else the first one that takes any model."""
        speaking = [provider for provider in self.providers.values() if dialect in provider.dialects]
        fitting = (provider for provider in speaking if provider.serves(model))
        return next(fitting, None) or next((provider for provider in speaking if not provider.models), None)
