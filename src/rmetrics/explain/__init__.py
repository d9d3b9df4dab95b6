"""Why a number is what it is: its rule, the rows behind it and those that nearly counted, and its proof."""
