"""Files in directories, archives and packages, found one after the other in bounded memory, and never written out."""
