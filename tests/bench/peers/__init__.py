# SPDX-License-Identifier: MIT
"""All ways to get files to the other end, by the names that --peer takes; ftxfs first, then its peers, then the floor."""
import os

from peers.base import Cannot, Failed, Peer, Place, TooSlow
from peers.floor import Aes, ChaCha, Cp, EmptyFs, Tcp
from peers.ftx import Ftxfs
from peers.ssh import Rclone, Rsync, RsyncZ, Sshfs, Tar
from peers.syncthing import Syncthing
from peers.wormhole import Wormhole

__all__ = ["Cannot", "Failed", "Peer", "Place", "TooSlow", "ALL", "find"]

ALL = {"ftxfs": Ftxfs, "rsync": Rsync, "rsync-z": RsyncZ, "tar": Tar, "sshfs": Sshfs, "wormhole": Wormhole, "rclone": Rclone,
       "syncthing": Syncthing, "cp": Cp, "empty": EmptyFs, "tcp": Tcp, "chacha": ChaCha, "aes": Aes}


def find(name):
    """The peer of that name; `ftxfs@FILE:OPTION,...` is another program or the same with other options. None if there is none."""
    if name.startswith(("ftxfs:", "ftxfs@")):
        peer = Ftxfs.variant(name)
        return peer if peer.binary is None or os.access(peer.binary, os.X_OK) else None
    return ALL.get(name)
