"""The store remembers what came of using a key after its import."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no key on record was tried."""
    op.add_column("keys", sa.Column("probe", sa.Text()))
