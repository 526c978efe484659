"""Evidence that a confidential guest's Linux kernel hands out: TDX quotes and SEV-SNP reports."""
