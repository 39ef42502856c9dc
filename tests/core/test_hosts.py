from __future__ import annotations

import pytest

from weighbridge.core.hosts import provider_at, provider_for

AT = {
    "api.openai.com": "openai",
    "API.OpenAI.com:443": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "vertex_ai",
    "europe-west4-aiplatform.googleapis.com": "vertex_ai",
    "bedrock-runtime.us-east-1.amazonaws.com": "bedrock",
    "bedrock-mantle.us-east-1.api.aws": "bedrock",
    "my-endpoint.openai.azure.com": "azure",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.together.xyz": "together_ai",
    "org-account.snowflakecomputing.com": "snowflake",
    "localhost:11434": "localhost",
    "evilapi.openai.com.example.org": "evilapi.openai.com.example.org",
    "notapi.openai.comx": "notapi.openai.comx",
}


@pytest.mark.parametrize(("host", "provider"), AT.items(), ids=AT)
def test_hosts(host: str, provider: str) -> None:
    assert provider_at(host) == provider


FOR = {
    "gpt-4o": "openai",
    "claude-haiku-4-5": "anthropic",
    "gemini-2.5-flash": "gemini",
    "groq/llama-3.3-70b": "groq",
    "us.anthropic.claude-sonnet-4-6": "bedrock",
    "llama3": "",
    "": "",
}


@pytest.mark.parametrize(("model", "provider"), FOR.items(), ids=FOR)
def test_models(model: str, provider: str) -> None:
    assert provider_for(model) == provider
