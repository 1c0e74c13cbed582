# bash completion for coordctl, which knows the words itself: coordctl complete WORD...

_coordctl() {
    local line=${COMP_LINE:0:COMP_POINT} current words candidates
    # By blanks alone: bash would also divide at = and :, which stand inside our words.
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    mapfile -t candidates < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null | cut -f1)
    if [[ ${candidates[*]} == file ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    # What stands before the last = or : is no part of what bash replaces.
    local kept=${current%"${current##*[=:]}"}
    COMPREPLY=("${candidates[@]#"$kept"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && (${COMPREPLY[0]} == /* || ${COMPREPLY[0]} == *=) ]]; then
        compopt -o nospace 2>/dev/null # there may be more below
    fi
}

complete -F _coordctl coordctl
