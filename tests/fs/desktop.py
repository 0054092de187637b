# SPDX-License-Identifier: MIT
"""A screen without a monitor (Xvfb), and a file manager on it that is used and asked as people do: keys, the clipboard, pictures."""
import contextlib
import os
import platform
import struct
import subprocess
import urllib.parse
import zlib

import Xlib.display
import Xlib.ext.xtest
import Xlib.X as X
import Xlib.XK as XK
from Xlib.protocol.event import ClientMessage

from harness import SLOW, wait_until

READS = {"x86_64": (0, 17), "aarch64": (63, 67)}[platform.machine()]  # read, pread64

# What a first start asks for: a plain list, and thumbnails of pictures of any size.
PCMANFM = """[ui]
win_width={width}
win_height={height}
maximized=0
view_mode=list
sort=name;ascending;
columns=name:330;desc:180;size:110;mtime;
side_pane_mode=hidden;places
show_statusbar=1
"""
LIBFM = """[config]
thumbnail_local=1
thumbnail_max=0
[ui]
show_thumbnail=1
"""


def png(width, height, pixels):
    """A PNG of rows of blue, green, red and one byte that is not used."""
    rows = bytearray()
    for y in range(height):
        row = pixels[y * width * 4:(y + 1) * width * 4]
        line = bytearray(width * 3)
        line[0::3], line[1::3], line[2::3] = row[2::4], row[1::4], row[0::4]
        rows += b"\0" + line

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


class Screen:
    """An X server of its own. There is no window manager: windows lie at the top left, and get the keys when they are told."""

    def __init__(self, width=960, height=480):
        self.width, self.height = width, height
        number, told = os.pipe()
        self.server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "Xvfb", "-displayfd", str(told), "-nolisten", "tcp", "-noreset",
             "-screen", "0", f"{width}x{height}x24"],
            pass_fds=[told], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(told)
        with open(number, encoding="ascii") as file:
            self.name = ":" + file.readline().strip()
        assert self.name != ":", "Xvfb did not start"
        self.display = Xlib.display.Display(self.name)
        self.root = self.display.screen().root
        self.root.change_attributes(event_mask=X.SubstructureNotifyMask)
        self.own = self.root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self.seen = []

    def atom(self, name):
        return self.display.intern_atom(name)

    def events(self):
        """Everything that was told so far, oldest first."""
        for _ in range(self.display.pending_events()):
            self.seen.append(self.display.next_event())
        return self.seen

    def window(self, pid):
        """The newest window with a title that is shown by the process; None: there is none yet."""
        found = None
        for window in self.root.query_tree().children:
            with contextlib.suppress(Xlib.error.XError):
                owner = window.get_full_property(self.atom("_NET_WM_PID"), X.AnyPropertyType)
                if owner and owner.value[0] == pid and window.get_wm_name() and window.get_attributes().map_state == X.IsViewable:
                    found = window
        return found

    def press(self, *keys):
        """Presses keys one after the other, lets them go in turn: press("Control_L", "a")."""
        codes = [self.display.keysym_to_keycode(XK.string_to_keysym(key)) for key in keys]
        for code in codes:
            Xlib.ext.xtest.fake_input(self.display, X.KeyPress, code)
        for code in reversed(codes):
            Xlib.ext.xtest.fake_input(self.display, X.KeyRelease, code)
        self.display.sync()

    def picture(self):
        """What is on the screen, as a PNG."""
        image = self.root.get_image(0, 0, self.width, self.height, X.ZPixmap, 0xffffffff)
        return png(self.width, self.height, image.data)

    def close(self):
        """Ends it, and with it the connections of its programs; it takes its socket away itself."""
        self.server.terminate()
        self.server.wait(20 * SLOW)


class FileManager:
    """pcmanfm with settings of its own in `home`; it shows one folder in one window."""

    def __init__(self, screen, home, path):
        self.screen = screen
        self._configure(home)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("XDG_", "DBUS_", "GTK", "LC_")) and name not in ("LANGUAGE", "XAUTHORITY")}
        environment.update(
            HOME=home, XDG_CONFIG_HOME=os.path.join(home, "config"), XDG_CACHE_HOME=os.path.join(home, "cache"), XDG_RUNTIME_DIR=home,
            GTK2_RC_FILES=os.path.join(home, "gtkrc"), DISPLAY=screen.name, LANG="C.UTF-8", TZ="UTC", NO_AT_BRIDGE="1", GIO_USE_VFS="local",
            GIO_USE_VOLUME_MONITOR="unix", DBUS_SESSION_BUS_ADDRESS="disabled:")
        with open(os.path.join(home, "log"), "ab") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "pcmanfm", "--new-win", path], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.window = wait_until(lambda: self._alive() and screen.window(self.process.pid), "a window of pcmanfm")
        self.window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self.n_asked, self.last_picture = 0, None

    def _configure(self, home):
        for name, text in (("config/pcmanfm/default/pcmanfm.conf", PCMANFM.format(width=self.screen.width, height=self.screen.height)),
                           ("config/libfm/libfm.conf", LIBFM), ("gtkrc", 'gtk-icon-theme-name = "Adwaita"\n')):
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)

    def _alive(self):
        assert self.process.poll() is None, f"pcmanfm ended with {self.process.returncode}"
        return True

    def press(self, *keys):
        self._alive()
        self.screen.press(*keys)

    def answer(self):
        """Asks as window managers do whether the program is alive (_NET_WM_PING): it has then done all that it was told before."""
        self._alive()
        self.n_asked += 1
        ping = self.screen.atom("_NET_WM_PING")
        question = (32, [ping, self.n_asked, self.window.id, 0, 0])
        self.window.send_event(ClientMessage(window=self.window, client_type=self.screen.atom("WM_PROTOCOLS"), data=question))
        self.screen.display.sync()

        def answered():
            return any(event.type == X.ClientMessage and event.window == self.screen.root and
                       event.data[1][:2].tolist() == [ping, self.n_asked] for event in self.screen.events())
        wait_until(answered, "the file manager's answer")
        self.screen.seen.clear()

    def title(self):
        self.answer()
        return self.window.get_wm_name()

    def names(self):
        """What its window shows: all of it is selected and copied, and the clipboard is read."""
        screen, clipboard = self.screen, self.screen.atom("CLIPBOARD")
        screen.own.set_selection_owner(clipboard, X.CurrentTime)
        self.press("Control_L", "a")
        self.press("Control_L", "c")
        self.answer()
        if screen.display.get_selection_owner(clipboard) == screen.own:
            return set()  # there was nothing to copy
        target = screen.atom("text/uri-list")
        screen.own.convert_selection(clipboard, target, target, X.CurrentTime)
        told = wait_until(lambda: next((event for event in screen.events() if event.type == X.SelectionNotify), None), "the clipboard")
        assert told.property == target
        text = bytes(screen.own.get_full_property(target, X.AnyPropertyType).value)
        return {os.path.basename(urllib.parse.unquote(line)) for line in text.rstrip(b"\0").decode().split()}

    def reads(self, path):
        """Whether one of its threads waits in a read of this file."""
        top = f"/proc/{self.process.pid}"
        for task in os.listdir(top + "/task"):
            with contextlib.suppress(OSError, ValueError):
                with open(f"{top}/task/{task}/syscall", encoding="ascii") as file:
                    number, handle = file.read().split()[:2]
                if int(number) in READS and os.readlink(f"{top}/fd/{int(handle, 16)}") == path:
                    return True
        return False

    def steady(self):
        """Whether the screen shows what it showed when this was asked last."""
        self.answer()
        before, self.last_picture = self.last_picture, self.screen.picture()
        return before == self.last_picture

    def close(self):
        """Kills it, as pcmanfm 1.3 may wait for ever at an orderly end while its thumbnailer is at work."""
        self.process.kill()
        self.process.wait(20 * SLOW)
