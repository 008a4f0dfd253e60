"""What lanes learned about their quotas, kept over restarts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of learned paces."""
    op.create_table(
        "paces",
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("share_limit", sa.Double(), nullable=False),
        sa.Column("limited_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "operation", name="pk_paces"),
    )
