"""Student + passages: retrieval and the product assistant."""
