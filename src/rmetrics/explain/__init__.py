"""Why a number is what it is: the rows behind it and those that nearly were, as pure functions of frames and rules."""
