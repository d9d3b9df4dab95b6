"""One module per page: takes a request, returns HTML."""
