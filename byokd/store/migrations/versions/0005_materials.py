"""A key may have several materials."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add where the config finds those after the first, and what is known of them; keys on record have one."""
    op.add_column("keys", sa.Column("further", sa.Text(), nullable=True))
    op.add_column("keys", sa.Column("tracks", sa.Text(), nullable=True))
    op.add_column("keys", sa.Column("of_locator", sa.Text(), nullable=True))
    op.execute("UPDATE keys SET of_locator = locator")
