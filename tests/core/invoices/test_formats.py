"""Exports as providers write them: OpenAI, Anthropic and Google, CSV and JSON."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.errors import ConfigError
from weighbridge.core.invoices import ALL, FORMATS, fold, read

DAY = 86_400_000
OCT_1 = 1_790_812_800_000
"""2026-10-01, UTC."""
PACIFIC_OCT_1 = OCT_1 + 7 * 3_600_000

OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,\
service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens
1790812800,1790899200,2026-10-01T00:00:00+00:00,2026-10-02T00:00:00+00:00,proj_a,3.0,,key_1,gpt-4o-2024-08-06,\
False,default,1000,50,800,200
1790899200,1790985600,2026-10-02T00:00:00+00:00,2026-10-03T00:00:00+00:00,,,,,,,,,,,
"""
OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item,project_id
1790812800,1790899200,2026-10-01T00:00:00,2026-10-02T00:00:00,0.003835980000000000,usd,,"gpt-5-nano, input_tokens",p
1790812800,1790899200,2026-10-01T00:00:00,2026-10-02T00:00:00,0.06,usd,,,p
1790812800,1790899200,2026-10-01T00:00:00,2026-10-02T00:00:00,0.01,usd,,web search tool calls,p
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
usage_output_tokens,web_search_count,inference_geo,speed
2026-10-01,claude-haiku-4-5-20251001,"a, b",Default,standard,≤ 200k,100,20,3,4000,50,0,global,
"""
ANTHROPIC_COST = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type
2026-10-01,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,1.25,1.25,token
2026-10-01,,Default,k,,,,0.30,0.30,web_search
"""
GOOGLE_REPORT = """\
Date,Service description,Service ID,SKU description,SKU ID,Usage amount,Usage unit,List cost ($),\
Negotiated savings ($),Savings programs ($),Other savings ($),Unrounded subtotal ($),Subtotal ($)
2026-10-01,Gemini API,A,Generate content output token count gemini 2.5 flash short output text,B,"622,403",count,1.56,\
0.00,0.00,0.00,1.555990,1.56
2026-10-01,Gemini API,A,Generate content cached input token count gemini 2.5 flash short input text,B,"1,000",count,\
0,0,0,0,0.00003,0.00
2026-10-01,Gemini API,A,Grounding with Google Search,B,3,count,0.1,0,0,0,0.105,0.11
2026-10-01,Compute Engine,A,N2 Core,B,3,hour,0.1,0,0,0,0.105,0.11
Total,,,,,,,,,,,,1.56
"""
GOOGLE_TABLE = """\
Invoice number,1234
Currency,AUD
Currency exchange rate,1.5

Billing account name,Service description,SKU description,SKU ID,Credit type,Cost type,Usage start date,\
Usage end date,Usage amount,Usage unit,Unrounded Cost ($),Cost ($)
acct,Gemini API,Generate content input token count Gemini 2.5 Pro short input text,X,,Usage,2026-10-01,2026-10-31,\
"2,000,000",count,3.75,3.75
acct,Gemini API,Generate content input token count Gemini 2.5 Pro short input text,X,PROMOTION,Usage,2026-10-01,\
2026-10-31,,count,-3.75,-3.75
"""


def page(bucket: dict[str, object], *results: dict[str, object], **more: object) -> str:
    return json.dumps({"object": "page", "data": [{**bucket, "results": list(results)}], "has_more": False, **more})


OPENAI_BUCKET = {"object": "bucket", "start_time": 1790812800, "end_time": 1790899200}
ANTHROPIC_BUCKET = {"starting_at": "2026-10-01T00:00:00Z", "ending_at": "2026-10-02T00:00:00Z"}
OPENAI_RESULT = {
    "object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 50,
    "input_cached_tokens": 800, "num_model_requests": 3, "project_id": None, "model": "gpt-4o-2024-08-06",
}  # fmt: skip
OPENAI_EMBEDDINGS = {"input_tokens": 40, "num_model_requests": 2, "model": "text-embedding-3-small"}
OPENAI_COST = {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": None}
ANTHROPIC_RESULT = {
    "uncached_input_tokens": 100, "cache_read_input_tokens": 4000, "output_tokens": 50, "model": "claude-haiku-4-5",
    "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 20},
    "server_tool_use": {"web_search_requests": 1}, "service_tier": "standard",
}  # fmt: skip
ANTHROPIC_AMOUNT = {"amount": "123.45", "currency": "USD", "model": None, "cost_type": None, "description": None}
BIGQUERY = {
    "usage_start_time": "2026-10-01 07:00:00 UTC", "usage_end_time": "2026-10-01 08:00:00 UTC",
    "service": {"description": "Gemini API"},
    "sku": {"description": "Gemini 2.5 Pro Thinking Text Output - Predictions"},
    "usage": {"amount": 500, "unit": "count"}, "cost": 0.005, "currency": "USD", "credits": [],
}  # fmt: skip

GOOD = {
    "openai csv": (OPENAI_USAGE, "OpenAI usage", [(OCT_1, "gpt-4o-2024-08-06", 3, 1000, 50, 800, None)]),
    "openai costs csv": (
        OPENAI_COSTS,
        "OpenAI costs",
        [
            (OCT_1, "gpt-5-nano", None, None, None, None, 3_835_980),
            (OCT_1, ALL, None, None, None, None, 60_000_000),
            (OCT_1, "(web search tool calls)", None, None, None, None, 10_000_000),
        ],
    ),
    "openai json": (
        page(OPENAI_BUCKET, OPENAI_RESULT, OPENAI_EMBEDDINGS),
        "OpenAI usage",
        [
            (OCT_1, "gpt-4o-2024-08-06", 3, 1000, 50, 800, None),
            (OCT_1, "text-embedding-3-small", 2, 40, 0, 0, None),
        ],
    ),
    "openai costs json": (
        page(OPENAI_BUCKET, OPENAI_COST),
        "OpenAI costs",
        [(OCT_1, ALL, None, None, None, None, 60_000_000)],
    ),
    "anthropic csv": (
        ANTHROPIC_USAGE,
        "Anthropic Console usage",
        [(OCT_1, "claude-haiku-4-5-20251001", None, 4123, 50, 4000, None)],
    ),
    "anthropic cost csv": (
        ANTHROPIC_COST,
        "Anthropic Console cost",
        [
            (OCT_1, "Claude Haiku 4.5", None, None, None, None, 1_250_000_000),
            (OCT_1, "(web_search)", None, None, None, None, 300_000_000),
        ],
    ),
    "anthropic json": (
        page(ANTHROPIC_BUCKET, ANTHROPIC_RESULT),
        "Anthropic usage report",
        [(OCT_1, "claude-haiku-4-5", None, 4123, 50, 4000, None)],
    ),
    "anthropic cost json, in cents": (
        page(ANTHROPIC_BUCKET, ANTHROPIC_AMOUNT),
        "Anthropic cost report",
        [(OCT_1, ALL, None, None, None, None, 1_234_500_000)],
    ),
    "google report": (
        GOOGLE_REPORT,
        "Google Cloud Billing report or cost table",
        [
            (PACIFIC_OCT_1, "gemini-2.5-flash", None, 0, 622_403, 0, 1_555_990_000),
            (PACIFIC_OCT_1, "gemini-2.5-flash", None, 1000, 0, 1000, 30_000),
            (PACIFIC_OCT_1, "(Grounding with Google Search)", None, None, None, None, 105_000_000),
        ],
    ),
    "google cost table, in another currency": (
        GOOGLE_TABLE,
        "Google Cloud Billing report or cost table",
        [(PACIFIC_OCT_1, "gemini-2.5-pro", None, 2_000_000, 0, 0, 2_500_000_000)],
    ),
    "google bigquery, a row a line": (
        json.dumps(BIGQUERY) + "\n" + json.dumps(BIGQUERY),
        "Google Cloud Billing in BigQuery",
        [(PACIFIC_OCT_1, "gemini-2.5-pro", None, 0, 500, 0, 5_000_000)] * 2,
    ),
}


@pytest.mark.parametrize(("text", "name", "lines"), GOOD.values(), ids=GOOD)
def test_exports_are_read(text: str, name: str, lines: list[tuple[object, ...]]) -> None:
    found = read(text)
    assert found.format.name == name
    said = [(l.start, l.model, l.requests, l.input, l.output, l.cached, l.nano_usd) for l in found.lines]  # noqa: E741
    assert said == lines


def test_days_in_which_nothing_was_used_belong_to_the_invoice() -> None:
    assert (read(OPENAI_USAGE).start, read(OPENAI_USAGE).end) == (OCT_1, OCT_1 + 2 * DAY)
    empty = "start_time,end_time,start_time_iso,end_time_iso\n1790812800,1790899200,a,b\n"
    assert (read(empty).lines, read(empty).end) == ((), OCT_1 + DAY)
    assert read(page(ANTHROPIC_BUCKET, {"uncached_input_tokens": None})).start == OCT_1


def test_several_days_are_one_line_and_days_are_the_provider_s() -> None:
    line = read(GOOGLE_TABLE).lines[0]
    past = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/Los_Angeles"))
    assert line.end == past.timestamp() * 1000
    assert read(GOOGLE_REPORT, "UTC").lines[0].start == OCT_1


def test_rounding_is_known() -> None:
    assert [line.slack for line in read(ANTHROPIC_COST).lines] == [5_000_000, 5_000_000]
    assert read(page(ANTHROPIC_BUCKET, ANTHROPIC_AMOUNT)).lines[0].slack == 50_000


BAD = {
    "nothing": ("", "no export that is understood"),
    "another table": ("a,b\n1,2\n", "expected is one of: OpenAI usage"),
    "another document": ('{"choices": []}', "found: nothing"),
    "a list of numbers": ("[1]", "int where a row was expected"),
    "broken JSON": ('{"data": [', "begins like JSON"),
    "one page of several": (page(OPENAI_BUCKET, OPENAI_RESULT, has_more=True), "put all pages into one list"),
    "tokens that are none": (OPENAI_USAGE.replace(",1000,", ",many,"), "row 1: input_tokens is 'many'"),
    "half a token": (OPENAI_USAGE.replace(",1000,", ",1000.5,"), "no number of tokens"),
    "fewer than none": (OPENAI_USAGE.replace(",1000,", ",-1000,"), "no number of tokens"),
    "more than any": (OPENAI_USAGE.replace(",1000,", ",1e999,"), "no number of tokens"),
    "a bill beyond belief": (OPENAI_COSTS.replace("0.06", "1e30"), "more than any bill"),
    "another currency": (OPENAI_COSTS.replace("usd", "eur"), "in eur"),
    "a report in another currency": (GOOGLE_REPORT.replace("($)", "(NT$)"), "exchange rate"),
    "a day that is none": (ANTHROPIC_USAGE.replace("2026-10-01", "October"), "'October' is no date"),
    "a report without days": (GOOGLE_REPORT.replace("Date,", "Month,"), "group the report by date"),
    "a field that is not closed": ('a,"b\n' + "x" * 200_000, "no CSV"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_is_no_export_is_refused_with_what_is_expected(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert words in str(error.value)


FOLDED = {
    "gpt-4o-2024-08-06": "gpt-4o",
    "openai/gpt-4o": "gpt-4o",
    "gpt-4-0613": "gpt-4",
    "gpt-35-turbo": "gpt-3.5-turbo",
    "ft:gpt-4o-mini-2024-07-18:org::id": "ft:gpt-4o-mini",
    "Claude Haiku 4.5": "claude-haiku-4-5",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
    "Claude 3.5 Sonnet 2024-10-22": "claude-3-5-sonnet",
    "claude-3-5-sonnet@20241022": "claude-3-5-sonnet",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0": "claude-haiku-4-5",
    "models/gemini-2.5-flash-preview-05-20": "gemini-2.5-flash",
    "gemini-2.0-flash-001": "gemini-2.0-flash",
}


@pytest.mark.parametrize(("name", "folded"), FOLDED.items(), ids=list(FOLDED))
def test_names_of_one_model_fold(name: str, folded: str) -> None:
    assert fold(name) == folded


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_any_name_folds_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    try:
        read(text)
    except ConfigError as error:
        assert str(error)


def test_every_format_says_where_it_is_described() -> None:
    assert all(format.source.startswith("https://") for format in FORMATS)
