"""Other people's flows beside the papers' own: part E of docs/papers.md."""
