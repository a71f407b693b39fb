"""The decoder of the classic layout: three banks, filled before the first beat."""
