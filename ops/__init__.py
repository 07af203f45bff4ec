"""What operators run: bpctl, the judge, and the provisioning of the stores."""
