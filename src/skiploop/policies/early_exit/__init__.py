"""Early exit: a token runs no more layers than the logit lens needs to be sure of the next one."""
