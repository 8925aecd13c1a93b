"""The vocabulary of a distillation: recipes, rows, chat requests, run folders. Needs neither torch nor a network."""
