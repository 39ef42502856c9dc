"""Which provider stands behind a host: the same model is billed differently from host to host."""

from __future__ import annotations

import re
from functools import lru_cache

from weighbridge.core.catalogue import bare, family

HOSTS = (
    (r"openai\.azure\.com", "azure"),
    (r"(services|models)\.ai\.azure\.com|models\.inference\.ai\.azure\.com", "azure_ai"),
    (r"api\.openai\.com", "openai"),
    (r"api\.anthropic\.com", "anthropic"),
    (r"generativelanguage\.googleapis\.com", "gemini"),
    (r"([\w-]+-)?aiplatform\.googleapis\.com", "vertex_ai"),
    (r"bedrock(-runtime|-mantle)?(-fips)?\.[\w-]+\.(amazonaws\.com(\.cn)?|api\.aws)", "bedrock"),
    (r"openrouter\.ai", "openrouter"),
    (r"api\.groq\.com", "groq"),
    (r"api\.x\.ai", "xai"),
    (r"(api|codestral)\.mistral\.ai", "mistral"),
    (r"api\.cohere\.(com|ai)", "cohere"),
    (r"api\.deepseek\.com", "deepseek"),
    (r"(router|api-inference)\.huggingface\.co", "huggingface"),
    (r"snowflakecomputing\.com", "snowflake"),
    (r"api\.cerebras\.ai", "cerebras"),
    (r"api\.writer\.com", "writer"),
    (r"api\.z\.ai|open\.bigmodel\.cn", "zai"),
    (r"api\.voyageai\.com", "voyage"),
    (r"api\.together\.(xyz|ai)", "together_ai"),
    (r"crusoecloud\.com", "crusoe"),
    (r"api\.portkey\.ai", "portkey"),
    (r"ollama\.com", "ollama"),
    (r"api\.fireworks\.ai", "fireworks_ai"),
    (r"api\.perplexity\.ai", "perplexity"),
    (r"api\.moonshot\.(ai|cn)", "moonshot"),
    (r"integrate\.api\.nvidia\.com", "nvidia_nim"),
    (r"api\.sambanova\.ai", "sambanova"),
    (r"dashscope(-intl)?\.aliyuncs\.com", "dashscope"),
    (r"pangu[\w.-]*\.myhuaweicloud\.com", "pangu"),
)
"""Host (or the end of one) -> provider, under its name in litellm's model table where it has one there."""
_PATTERNS = tuple((re.compile(rf"(?:^|\.|-){pattern}$"), name) for pattern, name in HOSTS)
MAKERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini"}
"""Counting family -> the provider that most likely serves it, where no host is known."""


@lru_cache(maxsize=256)
def provider_at(host: str) -> str:
    """The provider behind a host; the host itself (without its port) where it is none of the table's."""
    name = host.strip().lower().rpartition("@")[2]
    name = re.sub(r":\d+$", "", name).rstrip(".")
    return next((provider for pattern, provider in _PATTERNS if pattern.search(name)), name)


def provider_for(model: str) -> str:
    """The provider a model's name points to: its prefix, else who makes it; "" where neither is known."""
    prefix, slash, _ = model.partition("/")
    if slash:
        return prefix
    return MAKERS.get(family(model), "") if bare(model) == model else "bedrock"
