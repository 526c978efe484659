"""The programs: verdict, verdictd, rats-tls-client, rats-tls-server, tee-sim."""
