"""The exceptions users meet: what happened, where, and how to mend it."""


class ExplainedError(Exception):
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


class EadbenchError(ExplainedError):
    """What users get to see. Where many clips are worked on, a clip that raises it costs itself and the work goes on."""


class FatalError(ExplainedError):
    """What no clip is to blame for: a file that an earlier job made was changed since, or the disk is full.

    No ``EadbenchError`` on purpose: a handler that lets a bad clip cost only itself must not take it for one, or the tables would come out wrong.
    """
