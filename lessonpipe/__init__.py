"""lessonpipe teaches a network to undo any damage you can write down."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lessonpipe.app.api import restore

__version__ = "0.2.0"
__all__ = ["__version__", "restore"]


def __getattr__(name: str) -> Any:
    if name == "restore":  # loads torch: not for `import lessonpipe`
        from lessonpipe.app.api import restore

        return restore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
