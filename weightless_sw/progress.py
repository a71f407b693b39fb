"""How long work tells how far it is: one type, from the encoder to the command line."""

from collections.abc import Callable

# Called now and then with what is done, of how much in all (0: unknown), and a line about the last step.
Progress = Callable[[float, float, str], None]
