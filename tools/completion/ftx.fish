# SPDX-License-Identifier: MIT
# Completion of ftx for fish: subcommands, options, names of links, paths.

# The names that a subcommand lists.
function __ftx_names -a subcommand
    set -l words (commandline -opc)
    set -l mount
    if set -l at (contains -i -- --mount $words)
        set mount --mount $words[(math $at + 1)]
    end
    ftx $mount $subcommand --json 2>/dev/null | string match -rg '^{"name":"([a-z0-9-]*)"'
end

function __ftx_links
    __ftx_names links
end

function __ftx_groups
    __ftx_names group
end

set -l subcommands code join send receive take links status watch history stats rename verify-peer verify pause resume retry rearm unpair \
    group ungroup cancel accept reject priority limit config doctor help

complete -c ftx -f
complete -c ftx -l mount -rF -d 'which mount'
complete -c ftx -l json -d 'one JSON object a line'
complete -c ftx -l help -d 'show what may be said'
complete -c ftx -n "not __fish_seen_subcommand_from $subcommands" -l version -d 'show the version'

function __ftx_subcommand -a name text
    complete -c ftx -n "not __fish_seen_subcommand_from $argv[3..]" -a $name -d $text
end
__ftx_subcommand code 'make a code to send with' $subcommands
__ftx_subcommand join 'receive with a code' $subcommands
__ftx_subcommand send 'send files and folders' $subcommands
__ftx_subcommand receive 'receive, move to a folder' $subcommands
__ftx_subcommand take 'move what is complete out of the inbox' $subcommands
__ftx_subcommand links 'the links' $subcommands
__ftx_subcommand status 'what goes on' $subcommands
__ftx_subcommand watch 'links and transfers as they go' $subcommands
__ftx_subcommand history 'transfers that ended' $subcommands
__ftx_subcommand stats 'what was transferred, in numbers' $subcommands
__ftx_subcommand rename 'give a link another name' $subcommands
__ftx_subcommand verify-peer 'six words that are the same at both ends' $subcommands
__ftx_subcommand verify 'compare SHA-256 with the other end' $subcommands
__ftx_subcommand pause 'send and receive nothing' $subcommands
__ftx_subcommand resume 'go on' $subcommands
__ftx_subcommand retry 'offer again what did not arrive' $subcommands
__ftx_subcommand rearm 'let a locked code be tried again' $subcommands
__ftx_subcommand unpair 'remove a link' $subcommands
__ftx_subcommand group 'one folder for several links' $subcommands
__ftx_subcommand ungroup 'dissolve a group' $subcommands
__ftx_subcommand cancel 'do not send, or receive' $subcommands
__ftx_subcommand accept 'receive what was offered' $subcommands
__ftx_subcommand reject 'refuse what was offered' $subcommands
__ftx_subcommand priority 'what goes first' $subcommands
__ftx_subcommand limit 'bytes per second' $subcommands
__ftx_subcommand config 'policies of a link' $subcommands
__ftx_subcommand doctor 'look for what may be wrong' $subcommands
__ftx_subcommand help 'of a subcommand' $subcommands

complete -c ftx -n '__fish_seen_subcommand_from send receive take status cancel accept reject priority' -F
complete -c ftx -n '__fish_seen_subcommand_from receive status rename verify-peer verify pause resume retry rearm unpair group accept reject priority limit config' \
    -a '(__ftx_links)' -d link
complete -c ftx -n '__fish_seen_subcommand_from group ungroup' -a '(__ftx_groups)' -d group
complete -c ftx -n '__fish_seen_subcommand_from pause resume limit' -a "'*'" -d 'all links'
complete -c ftx -n '__fish_seen_subcommand_from config' -d setting \
    -a 'accept=all accept=ask accept=none max_size= max_files= up= down= allow_ext= deny_ext= allow_mime= deny_mime='
complete -c ftx -n '__fish_seen_subcommand_from send' -l to -xa '(__ftx_links; __ftx_groups)' -d 'over this link, to this group'
complete -c ftx -n '__fish_seen_subcommand_from send' -l exclude -x -d 'leave out what matches'
complete -c ftx -n '__fish_seen_subcommand_from send receive' -l yes -d 'do not ask'
complete -c ftx -n '__fish_seen_subcommand_from send' -l no-prompt -d 'do not ask, send all'
set -l network '__fish_seen_subcommand_from send receive'
complete -c ftx -n $network -l no-mount -d 'as if nothing were mounted'
complete -c ftx -n $network -l store -rF -d 'where state is kept'
complete -c ftx -n $network -l listen -x -d 'where peers may connect'
complete -c ftx -n $network -l allow -x -d 'who may connect'
complete -c ftx -n $network -l peer -x -d 'where to connect to'
complete -c ftx -n $network -l relay -x -d 'where to meet'
complete -c ftx -n $network -l relay_token -rF -d 'what the relays ask for'
complete -c ftx -n $network -l relay_ca -rF -d 'whom wss trusts'
complete -c ftx -n $network -l no-lan -d 'no local networks'
complete -c ftx -n $network -l no-portmap -d 'ask no router for a port'
complete -c ftx -n $network -l connections -x -d 'of a link'
complete -c ftx -n '__fish_seen_subcommand_from watch' -l count -x -d 'end after N rounds'
complete -c ftx -n '__fish_seen_subcommand_from history stats' -l link -xa '(__ftx_links)' -d 'only of this link'
complete -c ftx -n '__fish_seen_subcommand_from history stats' -l state -xa 'delivered complete refused cancelled failed' -d 'only these'
complete -c ftx -n '__fish_seen_subcommand_from history stats' -l since -x -d 'not before'
complete -c ftx -n '__fish_seen_subcommand_from history stats' -l until -x -d 'not after'
complete -c ftx -n '__fish_seen_subcommand_from history stats' -l limit -x -d 'the last N'
