"""What a lane learned is of the quota that it had then, and says nothing about another."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the quota; what is on record without one is taken for the present one's."""
    op.add_column("paces", sa.Column("per_second", sa.Double))
