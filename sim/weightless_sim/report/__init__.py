"""What a study measured, for people: markdown and plots."""
