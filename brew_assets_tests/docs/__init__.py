"""README, docs and CI say what is true of the code."""
