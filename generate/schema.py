"""`make schema`: the page of PostgreSQL's schema, drawn from a database that was just migrated.

Run as a program it starts an embedded PostgreSQL of its own for as long as it takes.
"""

import asyncio
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from generate.schema_drawing import Column, Reference, draw
from storelog.local import postgres
from storelog.local.ports import kept_ports
from storelog.migrations import migrate
from storelog.postgres import connect

PAGE = Path(__file__).parent.parent / "docs" / "schema.md"
DRAWING = PAGE.with_suffix(".svg")
READY_SECONDS = 60.0
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "character varying": "varchar",
    "double precision": "float8",
}
_COLUMNS = """SELECT c.relname AS relation, c.relkind AS kind, a.attname AS name,
    format_type(a.atttypid, NULL) AS type, a.attnotnull AS is_required,
    coalesce(a.attnum = ANY (pk.conkey), false) AS is_key,
    EXISTS (SELECT FROM pg_constraint fk
        WHERE fk.conrelid = c.oid AND fk.contype = 'f' AND a.attnum = ANY (fk.conkey)) AS refers
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint pk ON pk.conrelid = c.oid AND pk.contype = 'p'
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind::text IN ('r', 'v')
    ORDER BY c.relname, a.attnum"""
_REFERENCES = """SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent,
    (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS columns
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
    ORDER BY 1, 2"""
_RULES = """SELECT conrelid::regclass::text AS relation, pg_get_constraintdef(oid) AS rule
    FROM pg_constraint WHERE contype IN ('c', 'u') AND connamespace = 'public'::regnamespace
    ORDER BY 1, 2"""
_HEAD = """# PostgreSQL's schema

Drawn from a migrated database by `make schema`; a test holds that it is current. The tables are in
third normal form: `events` and `log_head` are the log, `customers`, `products`, `orders` and
`order_items` what commands are decided from. Views have readable names for people; no part of
Storelog reads them. Saved queries over them come with `storelog up --pgadmin`.

![The tables, their columns and references, which the list below has as text](schema.svg)

"""


@dataclass(slots=True)
class Schema:
    """What the database says of itself: columns by table and by view, references, rules."""

    tables: dict[str, list[Column]] = field(default_factory=dict)
    views: dict[str, list[str]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    rules: dict[str, list[str]] = field(default_factory=dict)


async def read(postgres_url: str) -> Schema:
    """Read the schema of a migrated database."""
    connection = await connect(postgres_url, timeout=10, command_timeout=30)
    try:
        schema = Schema()
        for row in await connection.fetch(_COLUMNS):
            if row["kind"] == b"v":
                schema.views.setdefault(row["relation"], []).append(row["name"])
            else:
                schema.tables.setdefault(row["relation"], []).append(_column(row))
        for row in await connection.fetch(_REFERENCES):
            schema.references.append(Reference(row["child"], row["columns"], row["parent"]))
        for row in await connection.fetch(_RULES):
            schema.rules.setdefault(row["relation"], []).append(row["rule"])
        return schema
    finally:
        await connection.close()


def _column(row: asyncpg.Record) -> Column:
    kind = _SHORT.get(row["type"], row["type"])
    marks = tuple(mark for mark, holds in (("PK", row["is_key"]), ("FK", row["refers"])) if holds)
    return Column(row["name"], kind, marks, row["is_required"])


def page(schema: Schema) -> str:
    """Return the page: the drawing, the tables and their rules, the views and their columns."""
    to = {(each.child, each.column): each.parent for each in schema.references}
    lines = ["## Tables", "", "| table | columns |", "|---|---|"]
    for name, columns in schema.tables.items():
        listed = ", ".join(_listed(column, to.get((name, column.name))) for column in columns)
        lines.append(f"| `{name}` | {listed} |")
    lines += ["", "## Rules that the database holds", ""]
    for name, rules in schema.rules.items():
        lines += [f"- `{name}`", *(f"    - `{' '.join(rule.split())}`" for rule in rules)]
    lines += ["", "## Views", "", "| view | columns |", "|---|---|"]
    lines += [f"| `{name}` | {', '.join(columns)} |" for name, columns in schema.views.items()]
    return _HEAD + "\n".join(lines) + "\n"


def _listed(column: Column, parent: str | None) -> str:
    about = [column.kind, *(["key"] if "PK" in column.marks else [])]
    about += [*([] if column.is_required else ["or null"]), *([f"of `{parent}`"] if parent else [])]
    return f"`{column.name}` ({', '.join(about)})"


def main() -> None:
    """Start a PostgreSQL, migrate it, write the page and the drawing."""
    with tempfile.TemporaryDirectory(prefix="storelog-schema-") as folder:
        home = Path(folder)
        (home / "logs").mkdir()
        port = kept_ports(home, ("postgresql",))["postgresql"]
        server = postgres.program(home, port)
        server.start()
        try:
            give_up_at = time.monotonic() + READY_SECONDS
            while not server.is_ready():
                assert time.monotonic() < give_up_at, server.last_words()
                threading.Event().wait(0.1)
            asyncio.run(migrate(postgres.url(port), 1))
            schema = asyncio.run(read(postgres.url(port)))
            PAGE.write_text(page(schema), "utf-8")
            DRAWING.write_text(draw(schema.tables, schema.references), "utf-8")
        finally:
            server.ask_to_stop()
            server.wait_stopped()


if __name__ == "__main__":
    main()
