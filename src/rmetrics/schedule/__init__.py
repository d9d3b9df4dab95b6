"""A daily run by what the system has for it: files that people can read, as pure text. Nothing here starts anything."""
