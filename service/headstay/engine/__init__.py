"""The engine: the one link to the cloud. Knows no YANG and no NETCONF; imports `wire` and `errors` only.

`settings` and `actions` say what the link shall be, `status` and `events` what it is and what happened to it, `reasons`
why. `machine` decides, `runner` performs.
"""
