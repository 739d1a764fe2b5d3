"""What Topeza (2025) published, read back into numbers: figures, tiles, printed values, and a page of findings."""
