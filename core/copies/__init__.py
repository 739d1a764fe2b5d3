"""Are samples copies of training images? Criteria, and what each can see on the user's own images."""
