# fish completion for coordctl, which knows the words itself: coordctl complete WORD...

function __coordctl_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($tokens[1] complete $tokens[2..-1] $current 2>/dev/null)
    if test (count $lines) -eq 1; and string match -q -r '^file\t' -- $lines[1]
        __fish_complete_path $current
    else
        printf '%s\n' $lines
    end
end

complete -c coordctl -f -a '(__coordctl_complete)'
