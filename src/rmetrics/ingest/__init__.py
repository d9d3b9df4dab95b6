"""From exports to typed rows: recognise the feed, read the text, parse the types. Bad rows are returned, never lost."""
