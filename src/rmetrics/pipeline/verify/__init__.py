"""Checks of a computation before it is published: both engines against each other, and the data."""
