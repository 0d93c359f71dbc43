"""Finding good programs by evaluating many of them."""
