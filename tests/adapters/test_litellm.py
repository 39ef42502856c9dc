"""What the LiteLLM plugin reads out of LiteLLM's words; none of it needs LiteLLM itself."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from weighbridge.adapters.litellm import usage
from weighbridge.adapters.litellm.request import CALLS, amended, asked, encoded, principal, spoken
from weighbridge.adapters.litellm.unmetered import call_passes, hooks_weigh, path_passes, unseen_of_a_client
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import CutOff, RawCall, Reported, Usage

TOLD: dict[str, tuple[dict[str, Any], Usage | None]] = {
    "plain": ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2)),
    "noughts are no report": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "OpenAI's details": (
        {
            "prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": None},
            "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 1},
        },
        Usage(30, 20, cache_read=8, reasoning=12, audio_output=1),
    ),
    "Anthropic's cache": (
        {
            "prompt_tokens": 1250, "completion_tokens": 20, "total_tokens": 1270,
            "cache_creation_input_tokens": 50, "cache_read_input_tokens": 200,
            "prompt_tokens_details": {
                "cached_tokens": 200, "cache_creation_tokens": 50,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 30},
            },
        },
        Usage(1250, 20, cache_read=200, cache_write=20, cache_write_1h=30),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), TOLD.values(), ids=TOLD)
def test_usage(told: dict[str, Any], expected: Usage | None) -> None:
    assert usage.in_litellm(told) == expected
    assert usage.in_answer({"usage": told}, "openai-chat") == expected


def test_usage_in_a_providers_own_words() -> None:
    answer = {"usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 6}}
    assert usage.in_answer(answer, "anthropic-messages") == Usage(10, 2, cache_read=6)
    assert usage.in_answer("no answer at all", "anthropic-messages") is None


def test_noughts_in_a_providers_words_are_no_report() -> None:
    """LiteLLM translates into them what nobody reported: a whole answer was free."""
    noughts = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    assert usage.in_answer({"usageMetadata": noughts}, "gemini-generate") is None


@pytest.mark.parametrize(("reported", "expected"), [((11, 7), Reported(Usage(11, 7))), ((0, 0), None)])
def test_noughts_at_the_end_of_a_stream_are_no_report(reported: tuple[int, int], expected: Reported | None) -> None:
    counts = dict(zip(("promptTokenCount", "candidatesTokenCount"), reported, strict=True))
    said = {"candidates": [{"content": {"parts": [{"text": "weighs 7 t."}]}, "finishReason": "STOP"}]}
    call = DIALECTS["gemini-generate"].parse(
        RawCall("gemini-generate", b'{"contents": [{"parts": [{"text": "hi"}]}]}', model="g", stream=True)
    )
    meter = DIALECTS["gemini-generate"].meter(call, {"content-type": "text/event-stream"})
    meter.feed(b"data: " + json.dumps({**said, "usageMetadata": counts}).encode() + b"\n\n")
    ended = usage.ending(meter, "")
    assert ended == expected if expected else isinstance(ended, CutOff) and ended.seen_bytes == len("weighs 7 t.")


PATHS = {
    "/anthropic/v1/messages": "anthropic-messages",
    "/gemini/v1beta/models/gemini-2.5-flash:generateContent": "gemini-generate",
    "/there/and/beyond/v1/responses": "openai-responses",
    "/mistral/chat/completions": "openai-chat",
    "/rerank": None,
    "/openai/v1/threads/t_1/messages": None,
}


@pytest.mark.parametrize(("path", "dialect"), PATHS.items(), ids=PATHS)
def test_what_passes_through_is_known_by_its_path(path: str, dialect: str | None) -> None:
    found = spoken(path)
    assert (found and found.dialect) == dialect


def test_the_body_is_the_clients_as_the_hooks_before_us_left_it() -> None:
    sent = {"model": "alias", "messages": [1], "temperature": 1, "metadata": {"a": "b"}}
    data = {**sent, "messages": [2], "litellm_call_id": "x", "proxy_server_request": {"body": sent, "headers": {}}}
    found = asked(data, "acompletion", "/v1/chat/completions")
    assert found is not None
    body = json.loads(encoded(found, "real"))
    assert body == {"model": "real", "messages": [2], "temperature": 1}


def test_what_hooks_before_us_added_weighs_too() -> None:
    sent = {"model": "alias", "messages": [1]}
    data = {**sent, "tools": [2], "proxy_server_request": {"body": sent}}
    found = asked(data, "acompletion", "")
    assert found is not None and found.body == {**sent, "tools": [2]}


def test_gemini_is_named_by_its_path() -> None:
    data = {"model": "gem", "stream": True, "contents": [], "proxy_server_request": {"body": {"contents": []}}}
    found = asked(data, "agenerate_content_stream", "")
    assert found is not None and (found.model, found.stream) == ("gem", True)
    assert json.loads(encoded(found, "real")) == {"contents": []}


RUN = """
    aimage_generation image_generation aimage_edit atranscription transcription aspeech arerank rerank aocr asearch
    avideo_generation avideo_remix avideo_edit avideo_extension avideo_create_character create_video
    acreate_batch acreate_fine_tuning_job acreate_run acreate_interaction acreate_agent acreate_container
    acreate_realtime_client_secret acreate_realtime_transcription_session arealtime_calls _arealtime
    _aresponses_websocket acompact_responses asend_message aquery aingest avector_store_search adecisions asystemone
    allm_passthrough_route pass_through_endpoint apply_guardrail something_new
"""
FREE = """
    aget_responses adelete_responses acancel_responses alist_input_items afile_content afile_retrieve afile_delete
    acreate_file aretrieve_batch alist_batches acancel_batch avideo_status avideo_content avideo_list
    avideo_get_character avector_store_create avector_store_retrieve avector_store_list avector_store_update
    avector_store_delete avector_store_file_create avector_store_file_list avector_store_file_content
    avector_store_file_update aretrieve_container aretrieve_container_file_content alist_containers adelete_container
    aretrieve_fine_tuning_job alist_fine_tuning_jobs acancel_fine_tuning_job acreate_eval aupdate_eval alist_evals
    aget_run acancel_run acreate_skill alist_skills adelete_skill aget_interaction acancel_interaction alist_agents
    alist_agent_versions moderation amoderation call_mcp_tool list_mcp_tools acreate_assistants adelete_assistant
    acreate_thread aget_thread a_add_message aget_messages
"""


@pytest.mark.parametrize("call", RUN.split())
def test_a_call_that_may_run_a_model_is_weighed_or_does_not_pass(call: str) -> None:
    assert asked({"model": "m"}, call, "/v1/images/generations") is None
    assert not call_passes(call)


@pytest.mark.parametrize("call", FREE.split())
def test_a_call_that_runs_no_model_passes(call: str) -> None:
    assert asked({"model": "m"}, call, "") is None
    assert call_passes(call)


def test_no_weighed_call_passes_unweighed() -> None:
    assert not any(call_passes(call) for call in CALLS)


PASSES: dict[tuple[str, str], bool] = {
    ("POST", "/v1/images/generations"): False,
    ("POST", "/v1/chat/completions"): False,
    ("GET", "/v1/chat/completions"): True,
    ("POST", "/v1/threads/t/runs"): False,
    ("POST", "/v1/threads/t/messages"): True,
    ("POST", "/v1/files"): True,
    ("POST", "/v1/responses/resp_1/cancel"): True,
    ("POST", "/v1/responses/compact"): False,
    ("POST", "/v1/messages/count_tokens"): True,
    ("POST", "/anthropic/v1/messages/batches"): False,
    ("POST", "/gemini/v1beta/models/g:countTokens"): True,
    ("POST", "/gemini/v1beta/models/g:embedContent"): False,
    ("POST", "/vertex_ai/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict"): False,
    ("POST", "/bedrock/model/claude/converse"): False,
    ("POST", "/mcp/"): True,
    ("POST", "/a2a/agent/message/send"): False,
    ("POST", "/rag/query"): False,
    ("POST", "/openai/v1/files/../images/generations"): False,
    ("POST", "/openai/v1/files/%2e%2e/images/generations"): False,
    ("GET", "/openai/v1/batches"): True,
    ("", "/openai/v1/batches"): False,
    ("", "/openai/v1/batches/batch_1"): True,
    ("", "/openai/v1/responses/resp_1"): True,
    ("", "/openai/v1/responses/compact"): False,
    ("", "/openai/v1/models/gpt-4o"): True,
    ("", "/hf/models/gpt2"): False,
    ("", "/openai/v1/images/generations"): False,
}


@pytest.mark.parametrize(("asked_for", "passes"), PASSES.items(), ids=map(" ".join, PASSES))
def test_what_passes_by_its_path(asked_for: tuple[str, str], passes: bool) -> None:
    assert path_passes(*asked_for) is passes


def test_hooks_weigh_what_they_see() -> None:
    assert hooks_weigh("/v1/chat/completions") and hooks_weigh("/anthropic/v1/messages")
    assert not any(map(hooks_weigh, ("/queue/chat/completions", "/rerank", "/openai/v1/../chat/completions")))


def sent(call: str, url: str = "http://h/queue/chat/completions") -> dict[str, Any]:
    request = {"method": "POST", "url": url} if url else None
    return {"litellm_logging_obj": SimpleNamespace(call_type=call), "proxy_server_request": request}


def test_the_last_door_knows_a_clients_call_from_litellms_own() -> None:
    assert unseen_of_a_client(sent("acompletion")) == ("POST", "/queue/chat/completions")
    assert unseen_of_a_client(sent("allm_passthrough_route", "")) == ("", "What passes through to a deployment")
    assert unseen_of_a_client(sent("acompletion", "")) is None, "a health check"
    assert unseen_of_a_client(sent("acreate_thread")) is None
    bent = sent("acompletion", "http://h/v1/files?/queue/chat/completions")
    assert unseen_of_a_client(bent) == ("POST", "/v1/files")


def test_what_passes_through_is_weighed_as_it_is_sent() -> None:
    body = {"model": "m", "input": "long", "n": 9, "proxy_server_request": {"body": {"model": "m", "input": "x"}}}
    found = asked({**body, "litellm_logging_obj": object()}, "pass_through_endpoint", "/there/v1/responses")
    assert found is not None and found.body == {"model": "m", "input": "long", "n": 9}


def test_what_passes_through_a_socket_has_nothing_to_weigh() -> None:
    assert asked({"stream": True}, "pass_through_endpoint", "/openai/v1/responses") is None


def test_a_change_reaches_litellms_copy() -> None:
    data = {"model": "alias", "max_tokens": 500, "messages": []}
    found = asked(data, "acompletion", "")
    assert found is not None
    amended(data, found, b'{"model":"real","max_tokens":50,"messages":[]}')
    assert data == {"model": "alias", "max_tokens": 50, "messages": []}


FIELDS = ("org_id", "team_id", "team_alias", "user_id", "key_alias", "token", "api_key", "end_user_id", "metadata")


def user(**known: Any) -> Any:
    return SimpleNamespace(**{**dict.fromkeys(FIELDS), **known})


def test_names_before_ids() -> None:
    who = principal(user(org_id="o", team_id="t", team_alias="research", user_id="u", key_alias="laptop"), {})
    assert (who.org, who.team, who.user, who.key) == ("o", "research", "u", "laptop")


def test_a_key_without_a_name_is_never_shown() -> None:
    who = principal(user(api_key="sk-secret"), {})
    assert who.key is not None and "secret" not in who.key and len(who.key) == 16
    assert principal(user(), {}).key is None
    assert principal(user(token="ab" * 32, api_key="ab" * 32), {}).key == "ab" * 8


def test_tags_of_the_key_win() -> None:
    data = {
        "metadata": {"user_id": "somebody"},
        "litellm_metadata": {"tags": ["plan=bronze", "run:42", "nightly"]},
        "proxy_server_request": {"headers": {"x-weighbridge-tags": "feature=search,run=41"}},
    }
    who = principal(user(end_user_id="eve", metadata={"tags": ["plan=gold"]}), data)
    assert dict(who.tags) == {"plan": "gold", "run": "42", "nightly": "true", "feature": "search", "end_user": "eve"}
