"""Seconds of the processor: what else a machine does changes them less than those of the wall."""

import resource


def processor(*, own: bool = True) -> float:
    """Of the children that have ended and were waited for, and with `own` of this process."""
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) if own else (resource.RUSAGE_CHILDREN,)
    used = [resource.getrusage(who) for who in of]
    return sum(one.ru_utime + one.ru_stime for one in used)
