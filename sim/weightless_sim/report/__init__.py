"""What a study measured, for people: markdown and plots."""

import os

# A notebook's backend is none that draws files, and matplotlib looks for it as it is imported.
os.environ.pop("MPLBACKEND", None)
