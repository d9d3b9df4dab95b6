"""What both engines and the data say about a computation before it is published."""
