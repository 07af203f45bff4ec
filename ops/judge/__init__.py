"""The judge: one program that reads every store of the bank and names every difference.

It only reads. It takes nobody's word: each store is read whole and compared with the others by id.
"""
