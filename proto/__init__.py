"""What two processes must agree on: messages, subjects, codec, policy, errors. Pure: no clock, no socket, no
environment.
"""
