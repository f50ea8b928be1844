"""How the weight of a loss term grows over training; both schedules map progress in [0, 1) to [0, 1]."""


def linear_warmup(progress: float, warmup: float) -> float:
    """0 at the start, 1 from the share `warmup` of the steps on, linear between; 1 throughout for `warmup` 0."""
    return 1.0 if progress >= warmup else progress / warmup


def released_warmup(progress: float, warmup: float) -> float:
    """The schedule of the code released with Burns et al. (openai/weak-to-strong, loss.py), for parity with it.

    It rises as `progress` itself, not as progress / warmup, up to and including `warmup`, and jumps to 1 after it: with
    warmup .1 and weight .5 the coefficient climbs to .05 and then jumps to .5.
    """
    return 1.0 if progress > warmup else progress
