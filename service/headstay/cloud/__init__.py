"""The cloud server: it knows which serial numbers may connect, accepts their connections and offers services over them.

`authentication`, `grants`, `limits`, `sessions`, `subconnections` and the order keeper of `telemetry` are cores: time
is an argument, nothing waits. `registry` owns the database, `connections` and `server` own sockets. Imports `wire` and
`errors`; never the engine, NETCONF or a datastore: the cloud knows a device only by what it says on the wire.
"""
