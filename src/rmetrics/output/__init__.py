"""Results to text or JSON. Decides nothing: what is shown was decided below."""
