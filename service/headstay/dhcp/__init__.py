"""What DHCP tells the device: options 253 (the server's domain name) and 252 (the password) from any DHCP client.

`hooks` and `networkd` decode what each client hands over into a `LeaseEvent`, `values` judges what the options hold,
`lease` keeps what is known of each interface. `pending` and `watch` are the shells: files that events come in by. Knows
no model and no engine: which lease counts, and what follows, is the backend's.
"""
