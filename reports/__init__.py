"""Evidence, verdict, report."""
