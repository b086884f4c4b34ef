"""Atomic files, journals, hashes, git, storage, transfer between machines, progress."""
