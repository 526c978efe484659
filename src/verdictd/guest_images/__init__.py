"""What a confidential VM is measured as, from what it is started with: firmware, kernel, initrd, command line."""
