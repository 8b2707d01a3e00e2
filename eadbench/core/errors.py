"""The one exception users meet: what happened, where, and how to mend it."""


class EadbenchError(Exception):
    """A failure with a remedy.

    Args:
        what: What went wrong, one sentence.
        where: File, clip or config key concerned.
        mend: What the user can do about it.
    """

    def __init__(self, what: str, where: object = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, str(where), mend
        parts = [what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if mend:
            parts.append(f"  mend:  {mend}")
        super().__init__("\n".join(parts))
