"""YAML whose mappings name no key twice: PyYAML would silently take the last."""

from collections.abc import Iterator
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            what = f"{key.value!r} is there twice"
            raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
        seen.add(key.value)
    yield from loader.construct_yaml_map(node)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(text: str) -> Any:
    """The document in `text`. Raises `yaml.YAMLError`, for a key that is there twice, too."""
    return yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
