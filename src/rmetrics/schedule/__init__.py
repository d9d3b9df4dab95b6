"""A daily run by the system's own scheduler: builds readable files as pure text. Nothing here starts a program."""
