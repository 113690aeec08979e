"""Documents that people read and sign, made of evidence."""
