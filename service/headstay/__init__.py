"""headstay: a network device's cloud connection, managed by NETCONF/YANG.

The README's map says which package owns what, and which may import which.
"""

from importlib.metadata import version

__version__ = version("headstay")
