"""Measures of agreement, replication and perceptual distance, one a module."""
