"""How managers talk to the device: NETCONF (RFC 6241) over SSH (RFC 6242) and over a Unix socket.

In the order of the octets: `framing` cuts them into messages, `session` decides what a message means, `operations` does
what it asks, `messages` writes the reply. `server` owns the sockets. Knows the datastores and the model; knows nothing
of the engine or the backend: their state and RPCs come in as functions.
"""
