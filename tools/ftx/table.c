/* SPDX-License-Identifier: MIT */
/* The table of subcommands. */
#include "tools/ftx/command.h"

static const struct ftx_flag send_flags[] = {
    {"to", "CODE|GROUP", "over this link, to this group; default: a new code"},
    {"exclude", "PATTERN", "leave out what matches, as a line of .ftxignore; may be repeated"},
    {"yes", NULL, "leave out virtual environments and caches without asking"},
    {"no-prompt", NULL, "leave out nothing of that, and do not ask"},
    {"no-mount", NULL, "as if nothing were mounted: the files are read where they are"},
    {"store", "DIR", "without a mount: where state is kept (default: $XDG_STATE_HOME/ftxfs/send)"},
    {0},
};

static const struct ftx_flag receive_flags[] = {
    {"yes", NULL, "take what is offered without asking"},
    {"no-mount", NULL, "as if nothing were mounted: what comes goes straight into DIR"},
    {"store", "DIR", "without a mount: where state is kept (default: DIR/.ftx)"},
    {0},
};

static const struct ftx_flag history_flags[] = {
    {"link", "CODE", "only of this link"},
    {"state", "STATE", "only delivered, complete, refused, cancelled or failed"},
    {"since", "TIME", "not before: 2026-11-30, 2026-11-30T17:20, or 90m, 12h, 7d ago"},
    {"until", "TIME", "not after"},
    {"limit", "N", "the last N of them"},
    {0},
};

static const struct ftx_flag watch_flags[] = {
    {"count", "N", "end after N rounds, one a second"},
    {0},
};

const struct ftx_command ftx_commands[] = {
    {"code", "[NAME]", "make a code to send with, and show what the other end has to say", 0, 1,
     NULL, ftx_cmd_code},
    {"join", "[CODE]", "receive with a code; asks for it if it is not given", 0, 1, NULL,
     ftx_cmd_join},
    {"send", "PATH...", "send files and folders, wait until the peer has them", 1, -1, send_flags,
     ftx_cmd_send},
    {"receive", "[CODE] [DIR]", "receive with a code, move what is complete to DIR", 0, 2,
     receive_flags, ftx_cmd_receive},
    {"take", "INBOX-PATH DEST", "move what is complete out of the inbox", 2, 2, NULL, ftx_cmd_take},
    {"links", "", "the links, one a line", 0, 0, NULL, ftx_cmd_links},
    {"status", "[PATH|CODE]", "what goes on; or how it stands with a link, file or folder", 0, 1,
     NULL, ftx_cmd_status},
    {"watch", "", "links and transfers as they go", 0, 0, watch_flags, ftx_cmd_watch},
    {"history", "", "transfers that ended", 0, 0, history_flags, ftx_cmd_history},
    {"stats", "", "what was transferred, in numbers", 0, 0, history_flags, ftx_cmd_stats},
    {"group", "[NAME [=|+|- CODE...]]",
     "groups; the members of one; make one, add members, remove some: outbox/NAME goes to all", 0,
     -1, NULL, ftx_cmd_group},
    {"ungroup", "NAME [force]", "dissolve a group; force: before all have everything", 1, 2, NULL,
     ftx_cmd_ungroup},
    {"rename", "CODE NAME", "give a link another name, here", 2, 2, NULL, ftx_cmd_rename},
    {"verify-peer", "CODE", "six words that are the same at both ends", 1, 1, NULL,
     ftx_cmd_verify_peer},
    {"verify", "CODE", "compare the SHA-256 of each file with the other end's", 1, 1, NULL,
     ftx_cmd_verify},
    {"pause", "CODE|*", "send and receive nothing until resume", 1, 1, NULL, ftx_cmd_steer},
    {"resume", "CODE|*", "go on, dial at once", 1, 1, NULL, ftx_cmd_steer},
    {"retry", "CODE", "offer again what was refused, interrupted or cancelled", 1, 1, NULL,
     ftx_cmd_steer},
    {"rearm", "CODE", "let a locked code be tried again", 1, 1, NULL, ftx_cmd_steer},
    {"unpair", "CODE [force]", "remove a link; force: with what is in its folders", 1, 2, NULL,
     ftx_cmd_steer},
    {"cancel", "PATH", "do not send, or do not receive", 1, 1, NULL, ftx_cmd_steer},
    {"accept", "PATH|CODE...", "receive what was offered", 1, -1, NULL, ftx_cmd_steer},
    {"reject", "PATH|CODE...", "refuse what was offered, or is arriving", 1, -1, NULL,
     ftx_cmd_steer},
    {"priority", "PATH|CODE 0..10|-", "what goes first", 2, 2, NULL, ftx_cmd_steer},
    {"limit", "CODE|* up=RATE down=RATE", "bytes per second, as 2M, 08:00-18:00=2M,else=9M; none",
     2, 3, NULL, ftx_cmd_steer},
    {"config", "CODE KEY=VALUE", "accept=ask, max_size=2G, deny_ext=exe ... of a link", 2, 2, NULL,
     ftx_cmd_steer},
    {"doctor", "", "look for what may be wrong, say what to do", 0, 0, NULL, ftx_cmd_doctor},
    {0},
};
