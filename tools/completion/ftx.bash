# SPDX-License-Identifier: MIT
# Completion of ftx for bash: subcommands, options, names of links, paths. shellcheck shell=bash

_ftx_links() {
    ftx "$@" links --json 2>/dev/null | sed -n 's/.*"name":"\([a-z0-9-]*\)".*/\1/p'
}

_ftx_groups() {
    ftx "$@" group --json 2>/dev/null | sed -n 's/^{"name":"\([a-z0-9-]*\)".*/\1/p'
}

# What send and receive take without a mount.
_ftx_network="--no-mount --store --listen --allow --peer --relay --relay_token --relay_ca --no-lan --no-portmap --connections"

# What may follow a subcommand: its options, and what its operand is.
_ftx_rules() {
    case $1 in
    send) echo "--to --exclude --yes --no-prompt $_ftx_network path" ;;
    receive) echo "--yes $_ftx_network link path" ;;
    take | cancel) echo "path" ;;
    status | priority | accept | reject) echo "link path" ;;
    config) echo "link setting" ;;
    rename | verify-peer | verify | retry | rearm | unpair) echo "link" ;;
    group | ungroup) echo "group link" ;;
    pause | resume | limit) echo "link all" ;;
    watch) echo "--count" ;;
    history | stats) echo "--link --state --since --until --limit" ;;
    help) echo "subcommand" ;;
    esac
}

_ftx() {
    local subcommands="code join send receive take links status watch history stats rename verify-peer verify pause resume retry rearm
        unpair group ungroup cancel accept reject priority limit config doctor help"
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local words="" rule subcommand="" mount=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --mount) mount=(--mount "${COMP_WORDS[++i]}") ;;
        -*) ;;
        *)
            subcommand=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    COMPREPLY=()
    case $previous in
    --mount | --store | --relay_token | --relay_ca)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --to)
        mapfile -t COMPREPLY < <(compgen -W "$(_ftx_links "${mount[@]}") $(_ftx_groups "${mount[@]}")" -- "$current")
        return
        ;;
    --link)
        mapfile -t COMPREPLY < <(compgen -W "$(_ftx_links "${mount[@]}")" -- "$current")
        return
        ;;
    --state)
        mapfile -t COMPREPLY < <(compgen -W "delivered complete refused cancelled failed" -- "$current")
        return
        ;;
    --exclude | --count | --since | --until | --limit | --listen | --allow | --peer | --relay | --connections) return ;;
    esac
    if [ -z "$subcommand" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$subcommands --mount --json --help --version" -- "$current")
        return
    fi
    for rule in $(_ftx_rules "$subcommand"); do
        case $rule in
        --*) words+=" $rule" ;;
        link) words+=" $(_ftx_links "${mount[@]}")" ;;
        group) words+=" $(_ftx_groups "${mount[@]}")" ;;
        all) words+=" *" ;;
        setting) words+=" accept=all accept=ask accept=none max_size= max_files= up= down= allow_ext= deny_ext= allow_mime= deny_mime=" ;;
        subcommand) words+=" $subcommands" ;;
        path) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        esac
    done
    set -f # a * is a word here
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words --mount --json --help" -- "$current")
    set +f
}

complete -o filenames -F _ftx ftx
