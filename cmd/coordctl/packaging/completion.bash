# bash completion for coordctl: commands, options, and the paths of the tree.

_coordctl_paths() {
    local parent=${1%/*}
    [[ $1 == /* ]] || return
    local name
    coordctl --timeout 1s -o raw ls -- "${parent:-/}" 2>/dev/null | while IFS= read -r name; do
        printf '%s\n' "$parent/$name"
    done
}

_coordctl() {
    local current=${COMP_WORDS[COMP_CWORD]}
    local previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="create get set rm ls tree stat watch history diff txn session lease policy sync status help"
    local -A verbs=([session]="open list keepalive close" [lease]="grant keepalive revoke ttl list"
        [policy]="list set unset retention")
    local command="" verb="" word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -z $command ]]; then
            [[ " $commands " == *" $word "* ]] && command=$word
        elif [[ -n ${verbs[$command]:-} && " ${verbs[$command]} " == *" $word "* ]]; then
            verb=$word
        fi
    done
    case $previous in
    -o | --output) mapfile -t COMPREPLY < <(compgen -W "table json jsonl raw" -- "$current") && return ;;
    --consistency)
        mapfile -t COMPREPLY < <(compgen -W "linearizable session local" -- "$current")
        return
        ;;
    -f | --file)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --types)
        mapfile -t COMPREPLY < <(compgen -W "created set deleted" -- "$current")
        return
        ;;
    --endpoints | --timeout | --note | --version | --session | --session-ttl | --ttl | --lease | --owner | \
        --from-revision | --rev | --depth | --glob | --limit | --bytes | --age | --revisions) return ;;
    esac
    if [[ $current == -* ]]; then
        local options="--endpoints --timeout --consistency --output --note --help"
        case $command${verb:+ $verb} in
        create)
            options+=" --sequential --parents --ephemeral --container --ttl --session --session-ttl --lease"
            options+=" --owner"
            ;;
        get) options+=" --rev" ;;
        set) options+=" --version --session" ;;
        rm) options+=" --recursive --dry-run --version --session" ;;
        ls) options+=" --long --recursive" ;;
        txn) options+=" --file --session" ;;
        watch)
            options+=" --recursive --children --prefix --depth --from-revision --prev --once --list --glob"
            options+=" --types --keys-only"
            ;;
        history) options+=" --recursive --limit --reverse --from-revision --keys-only" ;;
        diff) options+=" --recursive" ;;
        "session open") options+=" --ttl --owner" ;;
        "session keepalive") options+=" --session --once" ;;
        "session close") options+=" --session" ;;
        "lease grant") options+=" --owner --not-renewable" ;;
        "lease keepalive") options+=" --once" ;;
        "lease ttl") options+=" --paths" ;;
        "policy retention") options+=" --bytes --age --revisions" ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    elif [[ -n ${verbs[$command]:-} && -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${verbs[$command]}" -- "$current")
    elif [[ $command != session && $command != lease ]]; then
        mapfile -t COMPREPLY < <(_coordctl_paths "$current" | grep -F -- "$current")
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _coordctl coordctl
