"""Exports that nobody exports by hand: fetched as declared, proved complete, put into the inbox.

``requests``, ``answers``, ``paging``, ``completeness`` and ``window`` are pure; ``transport``, ``mailbox`` and
``stores`` speak to servers; ``landing`` writes. Nothing of this runs unless a pull is declared.
"""
