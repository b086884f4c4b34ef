"""What a person types and calls; the one room of the package that knows the project's folders."""
