"""What several claims measure, apart from the tests that record it."""
