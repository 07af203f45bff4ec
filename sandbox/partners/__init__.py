"""The partners on one machine: clearing house, fraud scoring, push, identity provider, SMS.

Each partner is a separate server with its real protocol. Partners and bank import nothing from each
other; they communicate only over the network.
"""
