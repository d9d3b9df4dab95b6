"""Why a figure is what it is: its rule, the rows that counted or nearly counted, and the proof."""
