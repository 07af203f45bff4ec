"""The clients of auth's partners: SMS gateway, Rekognition, OAuth provider."""
