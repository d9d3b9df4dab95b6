"""Automatic exports: fetched as declared, proved complete, put into the inbox.

``requests``, ``answers``, ``paging``, ``completeness`` and ``window`` are pure; ``transport``, ``mailbox`` and
``stores`` access servers; ``landing`` writes files. None of this runs unless a pull is declared.
"""
