"""Amazon Rekognition: comparison of faces and liveness sessions, on the AWS wire protocol."""
