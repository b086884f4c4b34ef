"""The command and the call from Python; the one room that knows the project's folders."""
