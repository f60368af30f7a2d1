"""Migrations of the annotation database: `env` runs them, `versions` holds one module each."""
