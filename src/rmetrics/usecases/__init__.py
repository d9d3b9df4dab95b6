"""What a command does, one file per command, named as it is typed; its result is a frozen value in the same file."""
