"""Images and what is known of them: how a file is read, prepared, kept in order, and joined with its labels."""
