"""Firebase Cloud Messaging, HTTP v1, with Google's OAuth 2.0 token endpoint."""
