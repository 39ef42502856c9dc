from __future__ import annotations

import pytest

from weighbridge.core.dialects import DIALECTS, ROUTES, Route, added, route
from weighbridge.core.dialects.routes import renamed

GEMINI = "gemini-generate"
PATHS = [
    ("POST", "/v1/chat/completions", Route("openai-chat", "generate")),
    ("POST", "/v1/responses", Route("openai-responses", "generate")),
    ("POST", "/v1/responses/input_tokens", Route("openai-responses", "count")),
    ("POST", "/v1/completions", Route("openai-completions", "generate")),
    ("POST", "/v1/embeddings", Route("openai-embeddings", "generate")),
    ("POST", "/v1/messages", Route("anthropic-messages", "generate")),
    ("POST", "/v1/messages/count_tokens", Route("anthropic-messages", "count")),
    ("POST", "/v1beta/models/gemini-x:generateContent", Route(GEMINI, "generate", "gemini-x", False)),
    ("POST", "/v1/models/gemini-x:generateContent", Route(GEMINI, "generate", "gemini-x", False)),
    ("POST", "/v1beta/models/gemini-x:streamGenerateContent", Route(GEMINI, "generate", "gemini-x", True)),
    ("POST", "/v1beta/models/gemini-x:countTokens", Route(GEMINI, "count", "gemini-x", False)),
    ("POST", "/v1beta/models/models%2Fgemini-x:countTokens", Route(GEMINI, "count", "gemini-x", False)),
    ("POST", "/v1beta/tunedModels/mine:generateContent", Route(GEMINI, "generate", "tunedModels/mine", False)),
    ("POST", "/v1beta/models/tunedModels/mine:generateContent", Route(GEMINI, "generate", "tunedModels/mine", False)),
    ("POST", "/v1/p-1/deployments/d-1/chat/completions", Route("pangu-chat", "generate", "d-1")),
    ("POST", "/v1/p-1/deployments/d-1/caltokens", Route("pangu-chat", "count", "d-1")),
    ("GET", "/v1/models", Route("openai-chat", "models")),
    ("GET", "/v1/models/openai/gpt-x", Route("openai-chat", "models")),
    ("GET", "/v1beta/models", Route(GEMINI, "models")),
    ("GET", "/v1beta/models/gemini-x", Route(GEMINI, "models")),
    ("GET", "/v1/models/ft:gpt-4o:org::1", Route("openai-chat", "models")),
    ("GET", "/v1beta/models/gemini-x:generateContent", None),
    ("GET", "/v1/chat/completions", None),
    ("POST", "/v1/models", None),
    ("POST", "/v1/chat/completions/x", None),
    ("POST", "/x/v1/chat/completions", None),
    ("POST", "/v1/chat/completions\n", None),
    ("POST", "/v1/images/generations", None),
    ("POST", "/v1beta/models/gemini-x:embedContent", None),
    ("POST", "/v1beta/models/:generateContent", None),
    ("GET", "/", None),
]


@pytest.mark.parametrize(("method", "path", "expected"), PATHS, ids=[f"{m} {p}" for m, p, _ in PATHS])
def test_a_path_says_which_format_it_speaks(method: str, path: str, expected: Route | None) -> None:
    assert route(method, path, "alt=sse") == expected


def test_every_route_has_its_dialect() -> None:
    assert {row[2] for row in ROUTES} | {"bedrock-converse"} == set(DIALECTS), "Bedrock's requests are signed"
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


def test_routes_of_one_s_own_come_before_the_usual_ones():
    find = added({"/ask/{model}/now": "openai-chat", "/v1/messages": "openai-responses", "/a.b": "gemini-generate"})
    assert find("POST", "/ask/gpt-4o/now") == Route("openai-chat", "generate", "gpt-4o")
    assert find("POST", "/v1/messages") == Route("openai-responses", "generate")
    assert find("POST", "/a.b") == Route("gemini-generate", "generate") and find("POST", "/aXb") is None
    assert find("GET", "/a.b") is None
    assert find("POST", "/v1/chat/completions") == Route("openai-chat", "generate")
    assert renamed("/ask/gpt-4o/now", "gpt-4o", "o3") == "/ask/o3/now"
    assert renamed("/v1/a/deployments/a/chat/completions", "a", "b") == "/v1/a/deployments/b/chat/completions"


OWN = {
    "literal": ("/ask", "/ask", None),
    "of a model": ("/ask/{model}", "/ask/gpt-4o", "gpt-4o"),
    "of a model, encoded": ("/ask/{model}", "/ask/meta%2Fllama", "meta/llama"),
    "of a tenant": ("/{tenant}/v1/chat/completions", "/acme/v1/chat/completions", None),
    "of a tenant and a model": ("/{tenant}/ask/{model}/now", "/acme/ask/gpt-4o/now", "gpt-4o"),
    "with slashes": ("/ask/{model:path}", "/ask/meta/llama", "meta/llama"),
    "typed": ("/{id:int}/ask", "/7/ask", None),
    "of several kinds": ("/{models}/{model}", "/a/b", "b"),
    "with a dot": ("/ask.json", "/ask.json", None),
}


@pytest.mark.parametrize(("pattern", "path", "model"), OWN.values(), ids=OWN)
def test_routes_of_one_s_own(pattern: str, path: str, model: str | None) -> None:
    find = added({pattern: "openai-chat"})
    assert find("POST", path) == Route("openai-chat", "generate", model)
    assert find("GET", path) is None and find("POST", "/more" + path) is None


@pytest.mark.parametrize("pattern", ["ask", "/ask/<model>", "/ask/{model", "/{model}/{model}", ""])
def test_routes_that_could_never_match_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="route"):
        added({pattern: "openai-chat"})
