"""One module a command of the `samenoise` program: a few lines around one function."""
