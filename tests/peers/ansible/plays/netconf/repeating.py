"""For Ansible, a kind of device at which an error about an edit repeats the edit."""

from typing import Any

from ansible_collections.ansible.netcommon.plugins.netconf.default import Netconf as Default


class Netconf(Default):  # type: ignore[misc]  # Ansible is installed beside, not here
    """Named as Ansible wants it."""

    def edit_config(self, *arguments: Any, **named: Any) -> None:
        """Fail in Ansible's own words."""
        raise ValueError(f"Unable to decode JSON from response to edit_config({arguments}, {named}). Received 'None'.")
