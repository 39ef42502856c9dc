"""`weighbridge reconcile`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.commands import Run, answer, kept_store, one_line
from weighbridge.core.ledger import Entry, Settle
from weighbridge.ledger import Store

OCT_1 = 1_601_510_400_000
"""2020-10-01: no other test settles anything then."""
HEADER = "start_time,end_time,start_time_iso,end_time_iso,num_model_requests,model,input_tokens,output_tokens,"
AGREED = (
    HEADER
    + "input_cached_tokens\n1601510400,1601596800,2020-10-01T00:00:00Z,2020-10-02T00:00:00Z,2,gpt-4o-2024-08-06,"
    + "200,20,80\n"
)
COSTS = """\
start_time,end_time,amount_value,amount_currency,line_item
1601510400,1601596800,0.001,usd,"gpt-4o-2024-08-06, input"
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that no other test writes to."""
    with kept_store() as found:
        yield found


@pytest.fixture
def settled(store: Store) -> None:
    for n in range(2):
        entry = Entry(
            f"reconciled {n}", model="gpt-4o", provider="openai", dialect="openai-chat", ending="reported",
            input=100, output=10, cached=40, nano_usd=500_000,
        )  # fmt: skip
        store.run(Settle(entry.id, (), entry, now=OCT_1 + n))


def test_an_invoice_that_agrees(run: Run, settled: None, file: Callable[..., str]) -> None:
    usage, costs = file(AGREED, "usage.csv"), file(COSTS, "costs.csv")
    found = answer(run("reconcile", usage, costs, "--tolerance", "0%", "--json"))
    assert found["ok"] and found["from"] == "2020-10-01T00:00:00Z" and found["until"] == "2020-10-02T00:00:00Z"
    (row,) = found["rows"]
    assert (row["day"], row["model"], row["differs"]) == ("2020-10-01", "gpt-4o", [])
    assert row["invoice"] == row["journal"] == {
        "requests": 2, "input_tokens": 200, "output_tokens": 20, "cached_tokens": 80, "nano_usd": 1_000_000,
    }  # fmt: skip
    assert run("reconcile", usage).stdout == "All 1 rows, one a day and model, agree within 1 %.\n"


def test_one_that_does_not(run: Run, settled: None, file: Callable[..., str]) -> None:
    usage = file(AGREED.replace("200,20", "260,20"), "usage.csv")
    row = answer(run("reconcile", usage, "--json"), 1)["rows"][0]
    assert (row["differs"], row["difference"]["input_tokens"]) == (["input_tokens"], 60)
    told = run("reconcile", usage)
    assert told.exit_code == 1
    assert "1 of 1 rows, one a day and model, differ by more than 1 %." in told.stdout and "260 (+60)" in told.stdout
    assert run("reconcile", usage, "--tolerance", "25%").exit_code == 0


def test_a_model_by_two_names_and_a_day_of_the_wrong_zone(run: Run, settled: None, file: Callable[..., str]) -> None:
    other = file(AGREED.replace("gpt-4o-2024-08-06", "mine"), "usage.csv")
    told = run("reconcile", other)
    assert told.exit_code == 1 and "only in the invoice" in told.stdout and "only in the journal" in told.stdout
    assert run("reconcile", other, "--alias", "mine=gpt-4o").exit_code == 0
    assert run("reconcile", other, "--alias", "mine=gpt-4o", "--provider", "azure").exit_code == 1


WRONG = {
    "no export": ("what,is,this\n", [], "expected is one of: OpenAI usage"),
    "no text": ("\udcff", [], "not text"),
    "no rows": ("start_time,end_time,start_time_iso,end_time_iso\n", [], "no rows"),
    "a tolerance that is none": (AGREED, ["--tolerance", "much"], "'much' is no percentage"),
    "a tolerance beyond all": (AGREED, ["--tolerance", "101%"], "not between"),
    "an alias that is none": (AGREED, ["--alias", "mine"], "--alias my-deployment=gpt-4o"),
    "a time zone nobody knows": (AGREED, ["--timezone", "Mars"], "'Mars' is not a time zone"),
}


@pytest.mark.parametrize(("text", "words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(run: Run, tmp_path, text: str, words: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "invoice.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    one_line(run("reconcile", str(path), *words), said)


def test_a_file_that_is_not_there(run: Run) -> None:
    one_line(run("reconcile", "nowhere.csv"), "nowhere.csv")
