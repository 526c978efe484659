"""Where Endorsements come from: PCCS, files, the peer; and which of several items is the newest."""
