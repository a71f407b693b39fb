"""What the metadata of a network's file say, in few bytes: its test errors, and the biases that it leaves out."""

from collections.abc import Collection, Mapping

STEPS = ("dense", "simplified", "encoded", "retrained")  # at which wrong answers on the test set are counted
WRONG = "wrong"  # their numbers in this order, a dash for what is not known, and how many answers there were
NOT_KNOWN = "-"

WEIGHT, BIAS = ".weight", ".bias"
ZERO = "zero"  # biases that are not in the file since they are zero: names, or ALL_BIASES
ALL_BIASES = "*.bias"  # of every weight of the file that has no bias there


def errors_metadata(wrong: Mapping[str, int], n: int) -> dict[str, str]:
    """Of ``wrong`` answers by STEPS, of ``n``."""
    return {WRONG: " ".join(str(wrong.get(step, NOT_KNOWN)) for step in STEPS) + f" of {n}"}


def read_errors(metadata: Mapping[str, str]) -> tuple[dict[str, int], int]:
    """(wrong answers by STEPS, answers); nothing where the metadata do not say so, or not in this form."""
    counts, _, n = metadata.get(WRONG, "").partition(" of ")
    texts = counts.split(" ")
    if (
        len(texts) != len(STEPS)
        or not all(t.isdecimal() or t == NOT_KNOWN for t in texts)
        or not n.isdecimal()
    ):
        return {}, 0
    return {step: int(text) for step, text in zip(STEPS, texts, strict=True) if text != NOT_KNOWN}, int(n)


def zeros_metadata(names: Collection[str], zeros: Collection[str]) -> dict[str, str]:
    """The metadata of a file that has the tensors ``names`` and leaves out the biases ``zeros``."""
    if not zeros:
        return {}
    return {ZERO: ALL_BIASES if set(_without(names)) == set(zeros) else " ".join(zeros)}


def zero_biases(names: Collection[str], metadata: Mapping[str, str]) -> dict[str, str]:
    """The biases that a file of tensors ``names`` leaves out, each with its weight, whose first dimension it has."""
    text, without = metadata.get(ZERO, ""), _without(names)
    return (
        without if text == ALL_BIASES else {bias: without[bias] for bias in text.split() if bias in without}
    )


def _without(names: Collection[str]) -> dict[str, str]:
    """The names of biases that are not among ``names``, each with that of its weight, which is."""
    biases = {f"{name.removesuffix(WEIGHT)}{BIAS}": name for name in names if name.endswith(WEIGHT)}
    return {bias: weight for bias, weight in biases.items() if bias not in names}
