from __future__ import annotations

from collections.abc import Callable

from adapters.commands import POLICIES, Run, answer, one_line


def test_apply_creates_changes_and_leaves_alone(run: Run, file: Callable[..., str]) -> None:
    path = file(POLICIES)
    first = answer(run("policy", "apply", "-f", path, "--json"))
    assert {change["name"]: change["result"] for change in first} == dict.fromkeys(
        ("research-month", "tight", "at-once", "minis"), "created"
    )
    again = answer(run("policy", "apply", "-f", path, "--json"))
    assert {change["result"] for change in again} == {"unchanged"}
    less = file("policies:\n  - {name: tight, match: {team: support}, limit: {usd: 2}, window: lifetime}\n")
    assert answer(run("policy", "apply", "-f", less, "--json")) == [{"name": "tight", "result": "configured"}]
    names = [policy["name"] for policy in answer(run("policy", "list", "--json"))]
    assert names == ["at-once", "minis", "research-month", "tight"]


def test_apply_says_where_an_edit_counts_from_zero(run: Run, file: Callable[..., str]) -> None:
    run("policy", "apply", "-f", file(POLICIES))
    for old, new, words in (
        ("window: month", "window: day", "window month -> day"),
        ("window: month", "window: month\n    timezone: Europe/Zurich", "timezone UTC -> Europe/Zurich"),
        ("window: month", "window: month\n    per: []", "per team -> nothing"),
        ("{usd: 1}", "{tokens: 1}", "unit nano_usd -> tokens"),
    ):
        edited = file(POLICIES.replace(old, new))
        said = run("policy", "apply", "-f", edited, "--dry-run")
        assert said.exit_code == 0 and f"research-month: counts from zero ({words})" in said.stdout
    changes = {change["name"]: change for change in answer(run("policy", "apply", "-f", edited, "--json"))}
    assert "unit nano_usd -> tokens" in changes["research-month"]["warning"]
    assert "warning" not in changes["tight"]
    run("policy", "apply", "-f", file(POLICIES))
    raised = run("policy", "apply", "-f", file(POLICIES.replace("{usd: 1}", "{usd: 2}")))
    assert "counts from zero" not in raised.stdout


def test_apply_from_standard_input_and_dry_run(run: Run) -> None:
    dry = run("policy", "apply", "-f", "-", "--dry-run", stdin=POLICIES)
    assert dry.exit_code == 0 and "created (dry run)" in dry.stdout
    assert answer(run("policy", "list", "--json")) == []
    run("policy", "apply", "-f", "-", stdin=POLICIES)
    assert len(answer(run("policy", "list", "--json"))) == 4


def test_a_file_silent_about_defaults_does_not_reset_them(run: Run, file: Callable[..., str]) -> None:
    run("policy", "apply", "-f", file(POLICIES + "defaults: {clamp_output: false}\n"))
    run("policy", "apply", "-f", file(POLICIES))
    assert answer(run("policy", "show", "defaults", "--json"))["clamp_output"] is False


def test_diff_says_one_when_different(run: Run, file: Callable[..., str]) -> None:
    path = file(POLICIES)
    assert run("policy", "diff", "-f", path).exit_code == 1
    run("policy", "apply", "-f", path)
    same = run("policy", "diff", "-f", path)
    assert (same.exit_code, same.stdout) == (0, "")
    changed = run("policy", "diff", "-f", file(POLICIES.replace("usd: 1", "usd: 7")))
    assert changed.exit_code == 1
    assert "-limit: {usd: 1}" in changed.stdout and "+limit: {usd: 7}" in changed.stdout


def test_a_wrong_file_names_its_line(run: Run, file: Callable[..., str]) -> None:
    path = file("policies:\n  - name: a\n    limit: {usd: -3}\n    window: month\n")
    for command in ("apply", "diff"):
        one_line(run("policy", command, "-f", path), f"{path}:3")
    assert answer(run("policy", "list", "--json")) == []


def test_show_and_delete(run: Run, policies: None) -> None:
    assert "usd: 1" in run("policy", "show", "research-month").stdout
    assert run("policy", "delete", "tight", "minis").exit_code == 0
    one_line(run("policy", "show", "tight"), "research-month")
    assert len(answer(run("policy", "list", "--json"))) == 2


def test_shown_yaml_can_be_applied(run: Run, policies: None) -> None:
    shown = run("policy", "show", "research-month").stdout
    body = "".join(f"    {line}\n" for line in shown.splitlines())
    again = run("policy", "apply", "-f", "-", "--json", stdin=f"policies:\n  -\n{body}")
    assert answer(again) == [{"name": "research-month", "result": "unchanged"}]
