"""Loading denoisers that others trained, from the forms in which people have them."""
