"""Teacher -> rows."""
