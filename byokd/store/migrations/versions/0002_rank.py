"""Rows of the import queue are served by rank before deadline, and keys can be walked lane by lane."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add priority and rank, rank what is there by its tier, and put the index in the new order."""
    op.add_column("imports", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("imports", sa.Column("rank", sa.Integer(), nullable=False, server_default=sa.text("2100")))
    op.execute("UPDATE imports SET rank = 1000 WHERE tier IN ('urgent', 'emergency')")
    op.execute("UPDATE imports SET rank = 100 WHERE tier = 'lapsed'")
    op.drop_index("ix_imports_by_deadline", "imports")
    waiting = sa.text("imports.state IN ('queued', 'failed')")
    op.create_index(
        "ix_imports_by_rank",
        "imports",
        ["lane", "rank", "deadline", "id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("ix_keys_of_lane", "keys", ["lane", "ref"])
