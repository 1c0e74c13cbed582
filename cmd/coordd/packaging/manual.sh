#!/bin/sh
# Prints a man page: a template, in which two kinds of lines are replaced by what the program itself
# says, so that page and program never differ.
#
#   manual.sh TEMPLATE PROGRAM VERSION
#
#   @options@     the options in PROGRAM --help, and in the last part of it for a command line
#   @commands@    every command in PROGRAM --help, as PROGRAM help COMMAND explains it; there they
#                 stand in groups, up to the line that begins with "help"
#   @version@     the version
set -eu
template=$1
program=$2
version=$3

# Text as roff takes it literally.
escaped() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

# "  --flag WHAT    text" as a tagged paragraph.
options() {
    awk '/^  (-[a-z], )?--/ {
            line = substr($0, 3)
            at = match(line, /  +/)
            printf ".TP\n.B %s\n%s\n", substr(line, 1, at - 1), substr(line, at + RLENGTH)
        }' | sed -e 's/\\/\\e/g' -e 's/-/\\-/g'
}

# The command without its arguments: words in small letters only.
names() {
    awk '/^  help / { exit }
        /^  [a-z]/ { name = ""
            for (i = 1; i <= NF && $i ~ /^[a-z][a-z-]*$/ && i <= 2; i++)
                name = name (i > 1 ? " " : "") $i
            # A text that begins behind one word is no second word of the command.
            print substr($0, 3) "\t" name }'
}

commands() {
    "$program" --help | names | while IFS="$(printf '\t')" read -r line name; do
        # shellcheck disable=SC2086
        text=$("$program" help $name 2>/dev/null) || text=$("$program" help "${name%% *}")
        usage=$(printf '%s\n' "$text" | sed -n '1s/^usage: //p')
        [ -n "$usage" ] || usage=$line
        printf '.SS "%s"\n' "$(printf '%s\n' "$usage" | sed 's/"/""/g' | escaped)"
        printf '%s\n' "$text" | awk '/^Options/ { exit } NR > 2' |
            awk 'BEGIN { blank = 1 }
                /^$/ { if (!blank) print ".PP"; blank = 1; next }
                /^  / { if (!example) print ".nf"; example = 1; print; blank = 0; next }
                { if (example) print ".fi"; example = 0; print; blank = 0 }
                END { if (example) print ".fi" }' |
            sed -e '/^\.\(PP\|nf\|fi\)$/!{s/\\/\\e/g;s/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/" -e '}'
        printf '%s\n' "$text" |
            awk '/^Options of all/ { exit } /^Options:/ { on = 1; next } on' | options
    done
}

while IFS= read -r line; do
    case $line in
    @options@) "$program" --help | options ;;
    @commands@) commands ;;
    *) printf '%s\n' "$line" | sed "s/@version@/$version/g" ;;
    esac
done <"$template"
