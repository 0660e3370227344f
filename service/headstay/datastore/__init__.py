"""What is configured: the model, the datastores, transactions, secrets, who may do what. Knows no NETCONF message and
no engine.

A configuration tree is an lxml element `data` whose children are top-level data nodes. A tree that a datastore has
published is a value: nobody changes it or moves its nodes; an edit returns a new one. Trees are canonical: every leaf
has its canonical text (RFC 7950 section 9.1), children stand in schema order, no container without presence is empty.
"""
