"""Orders of a key or that are not closed, and imports that are under way, are found without reading the others."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes; that of a key's orders makes the one of its open orders superfluous."""
    op.drop_index("ix_orders_open", "orders")
    op.create_index("ix_orders_of_key", "orders", ["ref", "id"])
    op.create_index("ix_orders_not_closed", "orders", ["id"], sqlite_where=sa.text("orders.closed_at IS NULL"))
    op.create_index(
        "ix_imports_running", "imports", ["lane", "ref"], sqlite_where=sa.text("imports.state IN ('running')")
    )
