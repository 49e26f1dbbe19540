"""An inventory of the cryptography that servers were seen to use: a Cryptography Bill of Materials (CBOM)."""
