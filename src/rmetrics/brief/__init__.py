"""The morning brief: facts become lines (pure), lines become words in a language, words become text or HTML."""
