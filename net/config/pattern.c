#include "net/config/pattern.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "net/config/schema.h"

/* The larger number in "{m,n}", which begins at `text`; 1 if there is none. */
static unsigned long copies_of(const char *text)
{
    char *end;
    unsigned long least = strtoul(text + 1, &end, 10);
    unsigned long most = *end == ',' ? strtoul(end + 1, NULL, 10) : least;
    most = most > least ? most : least;
    return most == 0 ? 1 : most;
}

const char *pattern_check(const char *pattern)
{
    unsigned long copies = 1;
    if (strlen(pattern) > SCHEMA_PATTERN_BYTES_MAX) {
        return "longer than 256 bytes";
    }
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '\\' && at[1] >= '1' && at[1] <= '9') {
            return "back-references are not possible";
        }
        if (*at == '\\' && at[1] != '\0') {
            at++;
        } else if (*at == '{') {
            unsigned long more = copies_of(at);
            if (more > SCHEMA_PATTERN_COPIES_MAX || copies * more > SCHEMA_PATTERN_COPIES_MAX) {
                return "repetitions {m,n} multiply to more than 256";
            }
            copies *= more;
        }
    }
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return "not a POSIX extended regular expression";
    }
    regfree(&regex);
    return NULL;
}

bool pattern_matches(const char *pattern, const char *text)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return false;
    }
    bool matches = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}
