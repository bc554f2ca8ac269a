"""What the data is: the tables of an estate, how they are read, written, imported, checked and made."""
