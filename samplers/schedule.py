"""When warm-up learns, and from which of its draws."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """At iteration `end` something is learned from the draws [begin, end); nothing but the step size if there are none.

    Attributes:
        fresh: whether the step size, pooled over chains, is adapted afresh from there on.
    """

    begin: int
    end: int
    fresh: bool = True


# Ends of the windows as fractions of the warm-up. After all but the last the scale and the path are learned afresh; the
# last is for the step size alone, at the path used later.
WINDOWS = (0.1, 0.2, 0.4, 0.85, 1.0)
WINDOWS_KEPT = (0.5, 1.0)  # where the scale is kept and only step size and path are to be found

# Stan's buffers and first window, in iterations of a warm-up of a thousand; shorter ones have 15 % and 10 % as buffers.
STAN_FIRST, STAN_WINDOW, STAN_LAST = 75, 25, 50

# nutpie's: often at first, later in windows that grow; the last part is for the step size alone.
OFTEN, EARLY, LATE_WINDOW, GROWTH, STEP_ALONE = 10, 0.3, 80, 1.5, 0.15


def windows(length: int, kept: bool) -> list[Lesson]:
    """Five windows, each from its own draws; of the first the later half, since chains travel. Two if `kept`."""
    ends = sorted({max(1, round(length * fraction)) for fraction in (WINDOWS_KEPT if kept else WINDOWS)})
    begins = [ends[0] // 2, *ends[:-1]]
    return [Lesson(begin, end) for begin, end in zip(begins[:-1], ends[:-1], strict=True)] + last_lesson(length)


def last_lesson(length: int) -> list[Lesson]:
    """The end of warm-up, where the averaged step size is taken."""
    return [Lesson(length, length)] if length else []


def stan_windows(length: int) -> list[Lesson]:
    """Stan's warm-up: a buffer, windows that double, each from its own draws, and a last buffer.

    Source: stan-dev/stan, windowed_adaptation; Stan reference manual, "Automatic parameter tuning".
    """
    first, window, last = STAN_FIRST, STAN_WINDOW, STAN_LAST
    if length < first + window + last:
        first, last = int(0.15 * length), int(0.1 * length)
        window = length - first - last
    lessons, begin = [], first
    while begin < length - last:
        end = begin + window
        if end + 2 * window > length - last:  # the next window would not fit
            end = length - last
        lessons.append(Lesson(begin, end))
        begin, window = end, 2 * window
    return lessons + last_lesson(length)


def nutpie_windows(length: int) -> list[Lesson]:
    """Lessons every few draws from the last two dozen; then windows that grow; then the step size alone.

    Source: Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845, section on adaptation.
    """
    early, late = int(EARLY * length), length - int(STEP_ALONE * length)
    lessons = [Lesson(max(end // 2, end - 2 * OFTEN), end, fresh=False) for end in range(OFTEN, early + 1, OFTEN)]
    begin, window = max(0, early - OFTEN), float(LATE_WINDOW)
    while begin < late:
        end = begin + int(window)
        if end + int(GROWTH * window) > late:
            end = late
        lessons.append(Lesson(begin, end))
        begin, window = end, GROWTH * window
    return lessons + last_lesson(length)
