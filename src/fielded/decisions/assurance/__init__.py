"""Evidence, sentences that cite it, and what is said of each control: values, no I/O."""
