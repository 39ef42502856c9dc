"""Pangu: `POST /v1/{project_id}/deployments/{deployment_id}/caltokens`.

Text only, and turn about: `data` is user, assistant, ..., user, so its length is odd.  `with_prompt`
asks for the prompt alone.  The answer holds every token as text (`tokens`) and their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from weighbridge.core.dialects.body import compact, decode
from weighbridge.core.model import Call, Json, Message, RawCall, Text
from weighbridge.counters.question import Api, Question, Uncountable, Unreadable, number

DEPLOYMENT = re.compile(r"(/v1/[^/]+/deployments/)([^/]+)/(?:chat/completions|caltokens)")
"""The routes of a deployment: only the path names the project."""


def question(raw: RawCall, call: Call) -> Question:
    """The conversation as `data`; system prompts go before what the user says first."""
    found = DEPLOYMENT.fullmatch(raw.path)
    if found is None:
        raise Uncountable("the path does not name project and deployment")
    if call.tools:
        raise Uncountable("tools are not counted there")
    # A request to count says itself whether the answer's tokens are meant too.
    prompt_only = decode(raw.body).get("with_prompt", True) is not False if raw.counts else True
    asked = {"data": data(call.messages), "with_prompt": prompt_only}
    return Question(f"{found[1]}{quote(raw.model or found[2], safe='')}/caltokens", compact(asked).encode())


def data(messages: tuple[Message, ...]) -> list[str]:
    """The texts of the turns, user first and last.  Raises Uncountable."""
    turns: list[tuple[str, str]] = []
    for role, text in _told(messages):
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n{text}")
        else:
            turns.append((role, text))
    if not turns or turns[0][0] != "user" or len(turns) % 2 == 0:
        raise Uncountable("the conversation does not begin and end with the user, as it must there")
    return [text for _, text in turns]


def _told(messages: tuple[Message, ...]) -> Iterator[tuple[str, str]]:
    """(role, text) of each message, the system's words in the user's mouth."""
    for message in messages:
        if message.role == "tool" or not all(isinstance(part, Text) for part in message.parts):
            raise Uncountable("only text is counted there")
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        yield "assistant" if message.role == "assistant" else "user", text


def tokens(document: Json) -> int:
    """`{"tokens": ["Hello", "."], "token_number": 2}`; the number, else as many as there are."""
    if isinstance(document, dict) and document.get("token_number") is not None:
        return number(document, "token_number")
    told = document.get("tokens") if isinstance(document, dict) else None
    if not isinstance(told, list):
        raise Unreadable("neither token_number nor tokens")
    return len(told)


API = Api(
    name="pangu",
    method="pangu caltokens",
    dialects=frozenset({"pangu-chat"}),
    key=("x-auth-token", "{}"),
    question=question,
    tokens=tokens,
)
