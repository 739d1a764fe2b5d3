"""The claims of four documents, as a pytest suite."""
