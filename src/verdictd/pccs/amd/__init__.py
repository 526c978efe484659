"""AMD's certificates and CRLs in the cache: asked for, verified, stored, and handed out while they are in time."""
