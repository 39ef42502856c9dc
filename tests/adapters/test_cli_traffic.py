"""`accuracy` and `calibrate`, on traffic written here."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.commands import CHAT, CHAT_TOKENS, Run, answer, one_line

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
HOST = "api.groq.com"
MODEL = "llama-3.3-70b-versatile"


def row(number: int, words: int, **more: Any) -> dict[str, Any]:
    """A chat of so many words, billed 700 above what it would be by its words alone."""
    request = {"model": MODEL, "messages": [{"role": "user", "content": "weigh " * words}]}
    return {
        "id": f"row-{number}", "source": f"tape-{number}#0", "host": HOST, "dialect": "openai-chat", "model": MODEL,
        "request": request, "input_tokens": words + 700, "features": ["text"], **more,
    }  # fmt: skip


def recorded(*rows: Any) -> str:
    return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in rows)


EXACT = {"id": "exact", "dialect": "openai-chat", "model": "gpt-4o", "request": CHAT, "input_tokens": CHAT_TOKENS}
MIXED = recorded(
    EXACT,
    {**EXACT, "id": "half", "input_tokens": 2 * CHAT_TOKENS, "features": ["tools"]},
    {**EXACT, "id": "flagged", "flags": ["handwritten"]},
    {**EXACT, "id": "unbilled", "input_tokens": None},
    {**EXACT, "id": "elsewhere", "features": ["file_reference"]},
    {**EXACT, "id": "morse", "dialect": "morse"},
    {**EXACT, "id": "empty", "request": {"model": "gpt-4o"}},
    "{not json",
    "",
)


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_accuracy_json(run: Run, tmp_path: Path, ending: str) -> None:
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[ending]
    path = tmp_path / f"traffic.jsonl{ending}"
    path.write_bytes(pack(MIXED.encode()))
    found = answer(run("accuracy", str(path), "--json"))
    assert (found["rows"], found["scored"]) == (8, 2)
    assert found["left_out"] == {"flagged": 1, "no bill": 1, "file reference": 1}
    assert sum(found["failed"].values()) == 3
    lines = {(line["group"], line["kind"]): line for line in found["table"]}
    assert lines["openai", "text"]["exact"] == 1 and lines["openai", "tools"]["median"] == 0.5
    assert lines["all", "all"]["n"] == 2


def test_accuracy_writes_every_row(run: Run, tmp_path: Path, file: Callable[..., str]) -> None:
    out = tmp_path / "rows.jsonl"
    answer(run("accuracy", file(MIXED, "t.jsonl"), "--rows", str(out), "--json"))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(list(found) == ["id", "estimate", "upper", "method", "error"] for found in rows)
    known = {found["id"]: found for found in rows}
    assert len(known) == 8
    assert known["exact"]["estimate"] == known["elsewhere"]["estimate"] == CHAT_TOKENS
    assert "morse" in known["morse"]["error"] and known["morse"]["estimate"] is None
    assert "messages" in known["empty"]["error"] and "not JSON" in known["line 8"]["error"]


def test_accuracy_reads_well(run: Run, file: Callable[..., str]) -> None:
    said = run("accuracy", file(MIXED, "t.jsonl")).stdout
    for words in ("2 of 8 rows scored", "flagged (1)", "openai", "50.0%", "covered"):
        assert words in said


def test_accuracy_by_provider(run: Run, file: Callable[..., str]) -> None:
    found = answer(run("accuracy", file(recorded(EXACT, row(1, 5)), "t.jsonl"), "--by", "provider", "--json"))
    assert {line["group"] for line in found["table"]} == {"openai", "groq", "all"}


def test_traffic_that_is_none(run: Run, tmp_path: Path, file: Callable[..., str]) -> None:
    one_line(run("accuracy", str(tmp_path / "absent.jsonl")), "absent.jsonl")
    one_line(run("accuracy", file("", "t.jsonl")), "no rows")
    one_line(run("accuracy", file("{}\n", "t.jsonl")), "request")
    one_line(run("accuracy", file("plain", "t.jsonl.xz")), "t.jsonl.xz")
    one_line(run("accuracy", file("plain", "t.jsonl.gz")), "t.jsonl.gz")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(MIXED.encode() * 100)[:80])
    one_line(run("accuracy", str(cut)), "cut.jsonl.gz")
    one_line(run("calibrate", file("", "t.jsonl"), "-o", str(tmp_path / "c.json")), "no exchange")


@pytest.fixture
def calibrated(run: Run, tmp_path: Path, file: Callable[..., str]) -> tuple[str, Path]:
    """Traffic that bills 700 more than its words, and what was fitted to it."""
    traffic = file(recorded(*(row(n, 10 * n) for n in range(1, 40))), "t.jsonl")
    out = tmp_path / "calibration.json"
    run("calibrate", traffic, "-o", str(out))
    return traffic, out


def test_calibrate_finds_what_a_host_adds(calibrated: tuple[str, Path]) -> None:
    made = json.loads(calibrated[1].read_text())
    assert made["format"].startswith("weighbridge calibration") and made["traffic"]["bills"] == 39
    (line,) = made["lines"]
    assert (line["provider"], line["model"], line["tools"], line["rows"]) == ("groq", MODEL, False, 39)
    assert 600 < line["add"] < 720 and line["factor"] == pytest.approx(1.0, abs=0.02)
    assert made["held_out"]["after"]["median"] < 0.02 < made["held_out"]["before"]["median"]


def test_accuracy_with_a_calibration(run: Run, calibrated: tuple[str, Path]) -> None:
    traffic, calibration = calibrated
    before, after = (
        answer(run("accuracy", traffic, "--json", *more))["table"][-1]
        for more in ((), ("--calibration", str(calibration)))
    )
    assert after["median"] < 0.02 < before["median"]
    assert after["coverage"] == 1


def test_settings_use_a_calibration(run: Run, calibrated: tuple[str, Path], tmp_path: Path) -> None:
    provider = {"dialects": ["openai-chat"], "base_url": f"https://{HOST}/openai", "models": ["llama-*"]}
    config = tmp_path / "weighbridge.yaml"
    # Found beside the file, and under the host's name whatever the provider is called.
    config.write_text(json.dumps({"counting": {"calibration": "calibration.json"}, "providers": {"mine": provider}}))
    body = json.dumps(row(0, 50)["request"])
    plain, found = (answer(run("count", "--json", *more, stdin=body)) for more in ((), ("--config", str(config))))
    assert abs(found["tokens"] - 750) <= 15 and found["tokens"] == sum(found["parts"].values())
    assert plain["tokens"] < 200 and found["method"].startswith("calibrated ")
    config.write_text("counting: {calibration: absent.json}")
    one_line(run("count", "--config", str(config), stdin=body), "absent.json")
    (tmp_path / "absent.json").write_text("[]")
    one_line(run("count", "--config", str(config), stdin=body), "absent.json", "weighbridge calibrate")


def test_recorded_traffic_is_read_whole(run: Run, tmp_path: Path) -> None:
    if not (CORPUS / "traffic.jsonl.xz").is_file():
        pytest.skip("the corpus of recorded traffic is not here: set WEIGHBRIDGE_CORPUS")
    found = answer(run("accuracy", str(CORPUS / "traffic.jsonl.xz"), "--json"))
    assert found["failed"] == {}
    assert found["scored"] > 1600 and sum(found["left_out"].values()) == found["rows"] - found["scored"]
    whole = found["table"][-1]
    assert whole["coverage"] >= 0.99 and 0.95 < whole["sum"] < 1.05
