"""Google Sheets, Drive and OAuth on this machine, for tests."""

from . import clients, faults
from .faults import Fault, Faults, Quota
from .server import Asked, Entry, GoogleServer
from .state import Switches

__all__ = ["Asked", "Entry", "Fault", "Faults", "GoogleServer", "Quota", "Switches", "clients", "faults"]
