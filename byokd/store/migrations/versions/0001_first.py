"""The first schema.

A migration is history: it spells its schema out and imports nothing of byokd, so that it does the same for ever. A test
compares what the migrations make with what `byokd.store.tables` says.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _fleet()
    _work()
    _telling()


def _fleet() -> None:
    _table(
        "leases",
        _text("lane", key=True), _text("node"), _seconds("epoch"), _seconds("renewed_at"),
    )  # fmt: skip
    _table("policies", _text("id", key=True), _text("body"))
    _table(
        "keys",
        _text("ref", key=True),
        # What the config says.
        _text("lane"), _text("name"), _text("fleet"), _text("source"), _text("locator"),
        _text("desired_arn", null=True), _text("policy_id", of="policies.id"),
        # What byokd knows.
        _text("seen"), _text("proof"), _text("pinned_arn", null=True), _text("fingerprint", null=True),
        _text("material", null=True), _seconds("last_expiry"), _seconds("last_success_at", null=True),
        _seconds("lost_at", null=True),
        # What is shown, found and sorted by.
        _text("arn", null=True), _text("key_id", null=True), _text("state"), _seconds("expiry"), _text("tier"),
        _text("reason"), _text("message"), _seconds("due_at", null=True), _number("renewals"),
    )  # fmt: skip
    managed = "keys.due_at IS NOT NULL"
    _partial_index("ix_keys_due", "keys", ["lane", "due_at", "ref"], managed)
    _partial_index("ix_keys_by_time_left", "keys", ["expiry", "ref"], managed)
    _partial_index("ix_keys_counted", "keys", ["tier", "state"], managed)
    op.create_index("ix_keys_by_name", "keys", ["name"])
    op.create_index("ix_keys_arn", "keys", ["arn"])
    op.create_index("ix_keys_key_id", "keys", ["key_id"])
    _table(
        "materials",
        _text("ref", key=True, of="keys.ref"), _text("material_id", key=True),
        _text("state"), _flag("imported"), _seconds("expiry"),
    )  # fmt: skip
    op.create_index("ix_materials_expiry", "materials", ["expiry"])


def _work() -> None:
    _table(
        "imports",
        _text("id", key=True), _text("ref", of="keys.ref"), _text("lane"), _text("material"), _text("state"),
        _text("reason"), _text("tier"), _seconds("expiry"), _seconds("deadline"), _seconds("not_before"),
        _number("attempts"), _seconds("created_at"), _seconds("started_at", null=True), _flag("answered"),
        _seconds("finished_at", null=True), _text("outcome"), _text("detail"), _text("order_id", null=True),
    )  # fmt: skip
    still_open = "imports.state IN ('queued', 'running', 'failed')"
    waiting = "imports.state IN ('queued', 'failed')"
    op.create_index("ix_imports_of_key", "imports", ["ref", "state", "id"])
    _partial_index("uq_imports_open", "imports", ["ref", "material"], still_open, unique=True)
    _partial_index("ix_imports_by_deadline", "imports", ["lane", "deadline", "id"], waiting)
    _partial_index("ix_imports_by_not_before", "imports", ["lane", "not_before"], waiting)
    _partial_index("ix_imports_closed", "imports", ["finished_at", "id"], "imports.finished_at IS NOT NULL")
    _table(
        "orders",
        _text("id", key=True), _text("ref", of="keys.ref"), _text("kind"), _text("state"), _text("ordered_by"),
        _text("why"), _seconds("created_at"), _seconds("until_at", null=True), _seconds("closed_at", null=True),
        _text("outcome"),
    )  # fmt: skip
    _partial_index("ix_orders_open", "orders", ["ref", "id"], "orders.state IN ('open')")
    _partial_index("ix_orders_closed", "orders", ["closed_at", "id"], "orders.closed_at IS NOT NULL")
    _table(
        "history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        _seconds("at"), _text("ref", of="keys.ref"), _text("event"), _text("detail"), _text("cause"),
    )  # fmt: skip
    op.create_index("ix_history_at", "history", ["at"])
    op.create_index("ix_history_of_key", "history", ["ref", "id"])


def _telling() -> None:
    _table(
        "conditions",
        _text("id", key=True), _text("subject"), *_told(),
        _seconds("resolved_at", null=True), _seconds("notify_at", null=True),
    )  # fmt: skip
    _partial_index("ix_conditions_open", "conditions", ["subject"], "conditions.resolved_at IS NULL")
    _partial_index("ix_conditions_resolved", "conditions", ["resolved_at", "id"], "conditions.resolved_at IS NOT NULL")
    _partial_index("ix_conditions_to_tell", "conditions", ["notify_at", "id"], "conditions.notify_at IS NOT NULL")
    _table(
        "notices",
        _text("id", key=True), _text("condition_id", of="conditions.id"), _text("channel"), _text("notice_kind"),
        _text("subject"), *_told(), _seconds("created_at"), _seconds("not_before"), _number("attempts"),
        _seconds("sent_at", null=True),
    )  # fmt: skip
    op.create_index("ix_notices_condition_id", "notices", ["condition_id"])
    _partial_index("ix_notices_unsent", "notices", ["created_at", "id"], "notices.sent_at IS NULL")
    _partial_index("ix_notices_by_not_before", "notices", ["not_before"], "notices.sent_at IS NULL")
    _partial_index("ix_notices_sent", "notices", ["sent_at", "id"], "notices.sent_at IS NOT NULL")


# -- words for the above ----------------------------------------------------------------------------------------------


def _table(name: str, *columns: sa.Column[Any]) -> None:
    key = sa.PrimaryKeyConstraint(*(column.name for column in columns if column.primary_key), name=f"pk_{name}")
    of = [
        sa.ForeignKeyConstraint([column.name], [column.info["of"]], name=f"fk_{name}_{column.name}")
        for column in columns
        if "of" in column.info
    ]
    op.create_table(name, *columns, key, *of)


def _told() -> tuple[sa.Column[Any], ...]:
    return _text("kind"), _number("severity"), _text("detail"), _text("stage"), _seconds("since")


def _text(name: str, *, key: bool = False, null: bool = False, of: str = "") -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=key, nullable=null, info={"of": of} if of else {})


def _seconds(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    predicate = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=predicate, postgresql_where=predicate)
