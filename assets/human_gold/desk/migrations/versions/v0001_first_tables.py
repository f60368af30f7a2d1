"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "batches",
        sa.Column("round_name", sa.String(length=100), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("info", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("num_open", sa.Integer(), nullable=False),
        sa.Column("num_claimed", sa.Integer(), nullable=False),
        sa.Column("num_answered", sa.Integer(), nullable=False),
        sa.Column("num_withdrawn", sa.Integer(), nullable=False),
        sa.Column("num_repeats_left", sa.Integer(), nullable=False),
        sa.Column("num_pairs_in_pool", sa.Integer(), nullable=False),
        sa.Column("last_answer_id", sa.Integer(), nullable=False),
        sa.Column("last_decision_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("round_name"),
    )
    op.create_table(
        "items",
        sa.Column("pair_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("prompt", sa.JSON(), nullable=False),
        sa.Column("response_1", sa.Text(), nullable=False),
        sa.Column("response_2", sa.Text(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("hidden", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("pair_id"),
    )
    op.create_table(
        "people",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("handle", sa.String(length=100), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=300), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
        sa.UniqueConstraint("handle"),
    )
    op.create_table(
        "audit_log",
        sa.Column("audit_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("audit_of_address", "audit_log", ["action", "address", "at"], unique=False)
    op.create_index("audit_of_subject", "audit_log", ["subject", "action"], unique=False)
    op.create_table(
        "cases",
        sa.Column("case_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pair_id", sa.String(length=32), nullable=False),
        sa.Column("round_name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("adjudicator_id", sa.Integer(), nullable=True),
        sa.Column("left_response", sa.Integer(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_for", sa.String(length=20), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjudicator_id"],
            ["people.person_id"],
        ),
        sa.ForeignKeyConstraint(
            ["pair_id"],
            ["items.pair_id"],
        ),
        sa.ForeignKeyConstraint(
            ["round_name"],
            ["batches.round_name"],
        ),
        sa.PrimaryKeyConstraint("case_id"),
        sa.UniqueConstraint("pair_id", "round_name", name="one_case_per_pair_and_round"),
    )
    op.create_index("cases_of_adjudicator", "cases", ["adjudicator_id", "status"], unique=False)
    op.create_index("cases_to_take", "cases", ["status", "case_id"], unique=False)
    op.create_table(
        "drafts",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("form", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.PrimaryKeyConstraint("key", "person_id"),
    )
    op.create_table(
        "invitations",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["people.person_id"],
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_sessions_person_id", "sessions", ["person_id"], unique=False)
    op.create_table(
        "standings",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("num_answered", sa.Integer(), nullable=False),
        sa.Column("num_waiting", sa.Integer(), nullable=False),
        sa.Column("num_blocked", sa.Integer(), nullable=False),
        sa.Column("after_priority", sa.BigInteger(), nullable=False),
        sa.Column("after_task", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("pair_id", sa.String(length=32), nullable=False),
        sa.Column("round_name", sa.String(length=100), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("reserved", sa.Boolean(), nullable=False),
        sa.Column("left_response", sa.Integer(), nullable=True),
        sa.Column("left_given", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("postponed", sa.Integer(), nullable=False),
        sa.Column("after_num_answers", sa.Integer(), nullable=True),
        sa.Column("shown_after", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_for", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("due", sa.String(length=40), nullable=True),
        sa.Column("known_verdict", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(
            ["pair_id"],
            ["items.pair_id"],
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.ForeignKeyConstraint(
            ["round_name"],
            ["batches.round_name"],
        ),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(
        "repeats_to_come",
        "tasks",
        ["person_id", "status", "shown_after"],
        unique=False,
        sqlite_where=sa.text("purpose = 'repeat'"),
        postgresql_where=sa.text("purpose = 'repeat'"),
    )
    op.create_index(
        "tasks_in_pool",
        "tasks",
        ["priority", "task_id", "pair_id"],
        unique=False,
        sqlite_where=sa.text("status = 'open' AND person_id IS NULL AND purpose <> 'repeat'"),
        postgresql_where=sa.text("status = 'open' AND person_id IS NULL AND purpose <> 'repeat'"),
    )
    op.create_index("tasks_of_pair", "tasks", ["pair_id", "person_id"], unique=False)
    op.create_index(
        "tasks_of_person",
        "tasks",
        ["person_id", "status", "postponed", "priority", "task_id"],
        unique=False,
        sqlite_where=sa.text("person_id IS NOT NULL"),
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.create_index("tasks_of_round", "tasks", ["round_name", "pair_id"], unique=False)
    op.create_index(
        "tasks_on_lease",
        "tasks",
        ["claimed_at"],
        unique=False,
        sqlite_where=sa.text("claimed_at IS NOT NULL"),
        postgresql_where=sa.text("claimed_at IS NOT NULL"),
    )
    op.create_table(
        "answers",
        sa.Column("answer_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("client_key", sa.String(length=64), nullable=False),
        sa.Column("shown_verdict", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("strength", sa.String(length=20), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("edited_attributes", sa.JSON(), nullable=False),
        sa.Column("guideline_version", sa.String(length=40), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.person_id"],
        ),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.task_id"],
        ),
        sa.PrimaryKeyConstraint("answer_id"),
        sa.UniqueConstraint("client_key"),
        sa.UniqueConstraint("task_id", "revision", name="one_answer_per_revision"),
    )
    op.create_index("answers_of_person", "answers", ["person_id", "answer_id"], unique=False)
    op.create_index("answers_of_person_by_time", "answers", ["person_id", "answered_at"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("adjudicator_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("client_key", sa.String(length=64), nullable=False),
        sa.Column("shown_verdict", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("strength", sa.String(length=20), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("edited_attributes", sa.JSON(), nullable=False),
        sa.Column("guideline_version", sa.String(length=40), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=True),
        sa.Column("num_arguments", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjudicator_id"],
            ["people.person_id"],
        ),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.case_id"],
        ),
        sa.PrimaryKeyConstraint("decision_id"),
        sa.UniqueConstraint("case_id", "revision", name="one_decision_per_revision"),
        sa.UniqueConstraint("client_key"),
    )
    op.create_index("decisions_of_adjudicator", "decisions", ["adjudicator_id", "decision_id"], unique=False)
