/* What the files of schemas share.
 *
 *   schema.c        whole documents, the walk through them, references, what is wrong and where
 *   schema_rules.c  what each rule says of a value, and the table of all rules
 *   schema_form.c   what the rules themselves must be like
 *   pattern.c       regular expressions, and what they may cost */
#ifndef NET_CONFIG_SCHEMA_INTERNAL_H
#define NET_CONFIG_SCHEMA_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "net/config/schema.h"

#define SCHEMA_PLACE_BYTES 160

/* One check under way: of a document, or of the schema itself. */
struct check {
    const json_t *root; /* the schema, for references */
    struct errmsg *err;
    char place[SCHEMA_PLACE_BYTES]; /* in the document, a JSON pointer; clipped if it is long */
    size_t place_bytes;
    unsigned depth;
    size_t steps_left;
    size_t schema_bytes;
    bool is_exhausted; /* a bound was met: the whole check has failed */
};

/* What a rule is written as. */
enum schema_form {
    FORM_ANY,
    FORM_TYPE, /* a name of a type, or a list of them */
    FORM_NUMBER,
    FORM_COUNT,
    FORM_BOOL,
    FORM_LIST, /* not empty */
    FORM_NAMES,
    FORM_PATTERN,
    FORM_SCHEMA,
    FORM_SCHEMAS,    /* a list of them */
    FORM_SCHEMA_MAP, /* an object of them */
    FORM_REFERENCE,
};

typedef bool (*rule_holds_fn)(struct check *c, const char *word, const json_t *rule,
                              const json_t *schema, const json_t *value);

struct rule {
    const char *word;
    enum schema_form form;
    rule_holds_fn holds; /* NULL: it says nothing of a value */
};

/* schema_rules.c; in the order in which they are looked at. */
extern const struct rule schema_rules[];
extern const size_t schema_rule_count;

/* schema_form.c. False: `c` says what is wrong. */
bool schema_form_check(struct check *c, enum schema_form form, const char *word,
                       const json_t *rule);

/* schema.c. Says what is wrong at the present place, and returns false. */
bool schema_fail(struct check *c, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes steps off what the check may cost; false: they are used up, and `c` says so. */
bool schema_spend(struct check *c, size_t steps);
/* The place one name further down; what it was before, to go back. */
size_t schema_place_push(struct check *c, const char *name);
size_t schema_place_push_index(struct check *c, size_t index);
void schema_place_pop(struct check *c, size_t before);
/* Where a $ref leads. NULL: nowhere in the document. */
const json_t *schema_reference(const struct check *c, const json_t *rule);
/* Whether this is a schema, and all below it. */
bool schema_is_sound(struct check *c, const json_t *schema);
/* Whether a value is as a schema wants it. */
bool schema_holds(struct check *c, const json_t *schema, const json_t *value);

#endif
