"""The ACH clearing house: gateway, validation service, settlement and destination bank in one."""
