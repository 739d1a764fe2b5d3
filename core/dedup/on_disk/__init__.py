"""The duplicate search in files: within a memory limit, stopped at any moment and resumed."""
