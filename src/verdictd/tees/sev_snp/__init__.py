"""SEV-SNP: attestation reports of AMD's secure processor, appraised under AMD's endorsement keys."""
