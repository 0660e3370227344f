"""For Ansible, a kind of device at whose configuration Ansible's connection process dies, as when it is killed."""

import os
import signal
from typing import Any

from ansible_collections.ansible.netcommon.plugins.netconf.default import Netconf as Default


class Netconf(Default):  # type: ignore[misc]  # Ansible is installed beside, not here
    """Named as Ansible wants it."""

    def edit_config(self, *arguments: Any, **named: Any) -> None:
        """End at once."""
        os.kill(os.getpid(), signal.SIGKILL)
