"""The outbox is read channel by channel, and what waits about one key is found by that key."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the index of unsent notices in the new order, and add the one by what they are about."""
    unsent = sa.text("notices.sent_at IS NULL")
    op.drop_index("ix_notices_unsent", "notices")
    for name, columns in (
        ("ix_notices_unsent", ["channel", "created_at", "id"]),
        ("ix_notices_unsent_about", ["subject", "kind", "channel", "created_at", "id"]),
    ):
        op.create_index(name, "notices", columns, sqlite_where=unsent, postgresql_where=unsent)
