"""YAML in which no key stands twice; by the standard it may not, PyYAML keeps the last."""

from typing import Any

import yaml
from yaml.composer import ComposerError

MERGE = "tag:yaml.org,2002:merge"  # `<<`, which may


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if key.tag == MERGE or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in first:
                raise ComposerError(
                    None,
                    None,
                    f"the key {key.value!r} stands twice in one mapping: in "
                    f"line {first[key.value].line + 1} and line {key.start_mark.line + 1}",
                )
            first[key.value] = key.start_mark
        return node


def parse(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        yaml.YAMLError: If it is none, or a mapping has a key twice.
    """
    return yaml.load(text, _Loader)
