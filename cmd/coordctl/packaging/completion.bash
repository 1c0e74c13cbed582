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
    local commands="create get set rm ls tree stat txn sync status help"
    local command="" word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ " $commands " == *" $word "* ]] && command=$word && break
    done
    case $previous in
    -o | --output) mapfile -t COMPREPLY < <(compgen -W "table json raw" -- "$current") && return ;;
    --consistency)
        mapfile -t COMPREPLY < <(compgen -W "linearizable session local" -- "$current")
        return
        ;;
    -f | --file)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --endpoints | --timeout | --note | --version) return ;;
    esac
    if [[ $current == -* ]]; then
        local options="--endpoints --timeout --consistency --output --note --help"
        case $command in
        create) options+=" --sequential --parents" ;;
        set) options+=" --version" ;;
        rm) options+=" --recursive --dry-run --version" ;;
        ls) options+=" --long --recursive" ;;
        txn) options+=" --file" ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    else
        mapfile -t COMPREPLY < <(_coordctl_paths "$current" | grep -F -- "$current")
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _coordctl coordctl
