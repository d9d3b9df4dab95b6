"""The morning brief: facts to lines (pure), lines to words in a language, words to text or HTML."""
