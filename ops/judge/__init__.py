"""The judge: one program that reads every store of the bank and reports every difference.

It only reads. It trusts no store: it reads each one completely and compares it with the others by
id.
"""
