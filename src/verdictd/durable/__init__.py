"""Files that survive a crash at any instant whole: for everything that is kept on disk."""
