"""What became of an item: the values of every column ``status``."""

KEPT, DROPPED, FAILED = "kept", "dropped", "failed"
