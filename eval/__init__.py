"""Student vs teacher, and what each costs."""
