"""LiteLLM's Postgres: its keys, teams, users and budgets, read in a transaction that cannot write."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from weighbridge.adapters.cli.extras import needs
from weighbridge.core.errors import ConfigError
from weighbridge.core.migration.holders import Row, Rows

TABLES: Final[Mapping[str, str]] = {
    "budgets": "LiteLLM_BudgetTable",
    "organizations": "LiteLLM_OrganizationTable",
    "teams": "LiteLLM_TeamTable",
    "members": "LiteLLM_TeamMembership",
    "users": "LiteLLM_UserTable",
    "keys": "LiteLLM_VerificationToken",
    "end_users": "LiteLLM_EndUserTable",
    "tags": "LiteLLM_TagTable",
    "projects": "LiteLLM_ProjectTable",
    "access_groups": "LiteLLM_ModelAccessGroupBudgetTable",
}
"""Kind of row -> its table.  Which there are depends on LiteLLM's version."""
COLUMNS: Final = (
    "budget_id", "organization_id", "organization_alias", "team_id", "team_alias", "user_id", "token", "key_alias",
    "project_id", "project_alias", "tag_name", "access_group_name", "expires", "blocked", "models", "allowed_models",
    "max_budget", "soft_budget", "budget_duration", "budget_limits", "model_max_budget", "max_parallel_requests",
    "tpm_limit", "rpm_limit", "tpd_limit", "aliases", "metadata", "spend", "budget_fallbacks", "allowed_routes",
    "allowed_cache_controls", "temp_budget_increase",
)  # fmt: skip
"""What is asked for, of what a table has; passwords and mail addresses are not."""
SCHEMES: Final = ("postgres", "postgresql")
PORT: Final = 5432
SECONDS: Final = 10
KNOWN: Final = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema"


def read(url: str) -> Rows:
    """Kind -> rows, as `core.migration.holders` takes them.  Raises ConfigError: a URL that is none, no
    answer, no table of LiteLLM's; the URL is never told, since it holds a password."""
    with needs("postgres"):
        import pg8000.native
    given, schema = _arguments(url)
    try:
        connection = pg8000.native.Connection(**given)
    except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError) as error:
        raise ConfigError(f"LiteLLM's database does not answer: {_reason(error)}; is --database right?") from None
    try:
        connection.run("START TRANSACTION READ ONLY")
        return _tables(connection, schema)
    except pg8000.native.DatabaseError as error:
        raise ConfigError(f"LiteLLM's database cannot be read: {_reason(error)}") from None
    finally:
        connection.close()


def _tables(connection: Any, schema: str) -> Rows:
    there: dict[str, set[str]] = {}
    for table, column in connection.run(KNOWN, schema=schema):
        there.setdefault(table, set()).add(column)
    found: dict[str, list[Row]] = {}
    for kind, table in TABLES.items():
        columns = [column for column in COLUMNS if column in there.get(table, ())]
        if columns:
            named = ", ".join(f"'{column}', {_quoted(column)}" for column in columns)
            rows = connection.run(f"SELECT json_build_object({named}) FROM {_quoted(schema)}.{_quoted(table)}")
            found[kind] = [row for (row,) in rows]
    if not found:
        raise ConfigError(f"LiteLLM's database has none of its tables in the schema {schema!r}; add ?schema=NAME")
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _arguments(url: str) -> tuple[dict[str, Any], str]:
    """How to connect, and the schema (Prisma's `?schema=`)."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise ConfigError(
            "the database's URL cannot be read; write postgresql://USER:PASSWORD@HOST:5432/NAME"
        ) from None
    if parts.scheme not in SCHEMES or not parts.path.strip("/"):
        raise ConfigError("the database must be Postgres: --database postgresql://USER:PASSWORD@HOST:5432/NAME")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    given: dict[str, Any] = {
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password) if parts.password else None,
        "database": unquote(parts.path.strip("/")),
        "host": query.get("host") or parts.hostname or "localhost",
        "port": port,
        "timeout": SECONDS,
        "ssl_context": _tls(query.get("sslmode", "prefer")),
    }
    if str(given["host"]).startswith("/"):
        given |= {"unix_sock": f"{given.pop('host')}/.s.PGSQL.{given.pop('port')}", "ssl_context": None}
    return given, query.get("schema", "public")


def _tls(mode: str) -> ssl.SSLContext | bool | None:
    """pg8000's word for libpq's: None is "if the server has it"."""
    if mode in ("verify-ca", "verify-full"):
        return ssl.create_default_context()
    return {"disable": False, "require": True}.get(mode)


def _reason(error: Exception) -> str:
    """The server's own sentence, without what it was asked."""
    said = error.args[0] if error.args else ""
    return str(said.get("M", "refused")) if isinstance(said, dict) else str(said) or type(error).__name__
