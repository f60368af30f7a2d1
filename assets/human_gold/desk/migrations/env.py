"""Run by Alembic: migrates over the connection that `database` opened, inside its transaction."""

from alembic import context

from assets.human_gold.desk.database import VERSION_TABLE
from assets.human_gold.desk.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # SQLite changes a column by making the table anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
