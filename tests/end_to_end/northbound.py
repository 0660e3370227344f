"""The device as ncclient sees it: a session, a commit."""

from __future__ import annotations

from ncclient import manager

from end_to_end.processes import Device

HCM = "urn:headstay:yang:cloud-management"


def connected(device: Device, user: str = "admin", password: str = Device.PASSWORD) -> manager.Manager:
    """Open a session over SSH, as the device's first user if no other is named."""
    return manager.connect(
        host="127.0.0.1",
        port=device.port,
        username=user,
        password=password,
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )


def configure(session: manager.Manager, content: str) -> None:
    """Lock, edit-config on candidate, validate, commit, unlock."""
    config = f'<config><cloud-management xmlns="{HCM}">{content}</cloud-management></config>'
    with session.locked("candidate"):
        session.edit_config(target="candidate", config=config)
        session.validate("candidate")
        session.commit()
