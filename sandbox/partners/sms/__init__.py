"""The SMS gateway: messages to telephones, with delivery receipts by signed webhook."""
