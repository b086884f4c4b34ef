"""Projects of one's own that use the installed package: no clone of this repository."""
