"""One file per kind of row that a teacher can write."""
