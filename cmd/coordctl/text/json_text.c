#include "cmd/coordctl/text/json_text.h"

#include <stdbool.h>
#include <stdlib.h>

#define DIGITS_ALWAYS_SAID 15 /* a decimal of so many is told from every other by its double */
#define DIGITS_OF_A_DOUBLE 17 /* and so many tell every double from every other */

static bool says_the_same(const char *text, const json_t *value)
{
    json_t *read = json_loads(text, JSON_DECODE_ANY, NULL);
    bool is_same = read != NULL && json_equal(read, value) != 0;
    json_decref(read);
    return is_same;
}

char *json_text(const json_t *value, size_t flags)
{
    for (size_t digits = DIGITS_ALWAYS_SAID; digits < DIGITS_OF_A_DOUBLE; digits++) {
        char *text = json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        if (text == NULL || says_the_same(text, value)) {
            return text;
        }
        free(text);
    }
    return json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS_OF_A_DOUBLE));
}
