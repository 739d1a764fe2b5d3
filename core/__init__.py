"""The compact implementation: preprocessing, duplicates, splits, denoisers, sampling, metrics, statistics."""
