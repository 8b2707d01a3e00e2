"""The small networks of the scores' tests serve here, too."""

from scores.conftest import scores_config, zoo  # noqa: F401
