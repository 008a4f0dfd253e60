"""Orders may ask for an end of life, and take effect before they are over."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; orders on record ask for no end of life (the number that stands for an absent expiry)."""
    op.add_column(
        "orders", sa.Column("valid_to", sa.BigInteger(), nullable=False, server_default=sa.text("253402300801"))
    )
    op.add_column("orders", sa.Column("effective_at", sa.BigInteger(), nullable=True))
