"""Splits: how they are built, how lists and tables of them are read, and what leaks between their groups."""
