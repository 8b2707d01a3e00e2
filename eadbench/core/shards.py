"""Stable assignment of recordings to shards."""

import hashlib


def shard_of(key: str, count: int) -> int:
    """Shard number in ``0..count-1`` of a recording id; independent of the other
    recordings.

    Raises:
        ValueError: If ``count`` is smaller than 1.
    """
    if count < 1:
        raise ValueError(f"number of shards must be at least 1, got {count}")
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % count


def parse_shard(text: str) -> tuple[int, int]:
    """Parse ``"2-of-7"`` (counted from 0) to ``(2, 7)``.

    Raises:
        ValueError: If the text has another form or the number is out of range.
    """
    number, _, count = text.partition("-of-")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise ValueError(f"a shard reads like 0-of-4, got {text!r}")
    return int(number), int(count)
