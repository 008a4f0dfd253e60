"""Orders say whether material may be lost that byokd could not bring back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no order on record said so."""
    op.add_column("orders", sa.Column("lose_material", sa.Boolean(), nullable=False, server_default=sa.false()))
