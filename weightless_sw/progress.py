"""How long work tells how far it is: from the encoder to the command line."""

from collections.abc import Callable
from contextlib import AbstractContextManager

# Called now and then with what is done, of how much in all (0: unknown), and a line about the last step.
Progress = Callable[[float, float, str], None]
Step = Callable[[str], AbstractContextManager[Progress]]  # begins a step of that title
