"""What a transport was told when it was made: who sends, with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from weighbridge.core.hosts import provider_at
from weighbridge.core.model import Principal
from weighbridge.core.tags import tagged
from weighbridge.settings import Settings, load


@dataclass(frozen=True, slots=True)
class Terms:
    """Identity and settings of everything a transport sends."""

    principal: Principal
    settings: Settings

    @classmethod
    def of(
        cls,
        guard: object | None = None,
        *,
        store: str | None = None,
        config: str | None = None,
        org: str | None = None,
        team: str | None = None,
        user: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Terms:
        """From a transport's arguments.  Raises ConfigError for settings that cannot be."""
        if guard is not None and (store or config):
            raise TypeError("give either a guard or the store/config to build one from, not both")
        return cls(Principal(org, team, user, key, dict(tags or {})), load(config, store=store))

    def who(self, tags: str) -> Principal:
        """The sender, with the tags of one request.  Raises Refused("malformed")."""
        return tagged(self.principal, tags)

    def provider(self, url: Any, dialect: str) -> str:
        """The configured provider at a URL; where none is, whoever is known to stand behind its host."""
        for provider in self.settings.providers.values():
            base = urlsplit(provider.base_url)
            if dialect in provider.dialects and (base.hostname, base.port) == (url.host, url.port):
                return provider.name
        return provider_at(url.host)

    @property
    def drain_seconds(self) -> float:
        """How long to read on when an answer is left early."""
        streams = self.settings.streams
        return streams.drain_seconds if streams.on_disconnect == "drain" else 0.0

    @property
    def drain_tokens(self) -> int:
        """How many output tokens to read on for, at most."""
        return self.settings.streams.drain_tokens
