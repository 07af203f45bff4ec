"""`python -m sandbox.partners.ach --config FILE.json`: the clearing house as a process."""

from sandbox.partners.ach.api import ach_app
from sandbox.partners.ach.control import ach_control
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.ach.triggers import standing
from sandbox.partners.faults import Faults
from sandbox.partners.server import Partner, main
from sandbox.partners.settings import AchSettings


def build(settings: AchSettings) -> Partner:
    """Wire the clearing house; its state is restored from the journal."""
    faults, network = Faults(standing()), AchNetwork(settings)
    return Partner(
        app=ach_app(settings, network, faults),
        control=ach_control(network, faults),
        background=[network.sender.run, network.tick],
        closers=[network.close],
    )


if __name__ == "__main__":
    main("ach", AchSettings, build)
