#compdef coordctl
# zsh completion for coordctl, which knows the words itself: coordctl complete WORD...

_coordctl() {
    local -a lines described
    local line word text
    lines=("${(@f)$(${words[1]} complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]%%$'\t'*} == file ]]; then
        _files
        return
    fi
    for line in $lines; do
        word=${${line%%$'\t'*}//:/\\:}
        text=${line#*$'\t'}
        [[ -n $word ]] && described+=("$word${text:+:$text}")
    done
    _describe -V coordctl described -S ''
}

_coordctl "$@"
