"""How files of the models' authors are read: their names, and what is in them as plain facts."""
