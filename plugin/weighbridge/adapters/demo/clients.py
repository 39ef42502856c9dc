"""The official SDKs, with nothing changed but base URL and key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

from weighbridge.core.tags import HEADER

NO_PROXY: Any = {"all://127.0.0.1": None}
"""The anthropic SDK mounts the environment's proxies itself, whatever `trust_env` says."""


@dataclass(frozen=True, slots=True)
class Clients:
    """One team's three SDKs.  This machine's proxies are left out: the gateway is on loopback."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    google: genai.Client

    @classmethod
    def at(cls, url: str, key: str, **openai_options: Any) -> Clients:
        """Clients of the gateway at `url`."""
        return cls(
            openai.OpenAI(
                base_url=f"{url}/v1",
                api_key=key,
                http_client=openai.DefaultHttpxClient(trust_env=False),
                **openai_options,
            ),
            anthropic.Anthropic(
                base_url=url, api_key=key, http_client=anthropic.DefaultHttpxClient(trust_env=False, mounts=NO_PROXY)
            ),
            genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, client_args={"trust_env": False})),
        )

    def close(self) -> None:
        """Let go of connections."""
        self.openai.close()
        self.anthropic.close()
        self.google.close()


def tag(number: int) -> dict[str, str]:
    """The header that marks a request, so that its line in the journal can be found."""
    return {HEADER: f"call={number}"}
