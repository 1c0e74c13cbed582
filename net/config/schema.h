/* JSON schemas of configuration values: a documented subset (docs/config.md).
 *
 *   type, enum, const                                   of anything
 *   minimum, maximum, exclusiveMinimum, exclusiveMaximum  of numbers
 *   minLength, maxLength, pattern                       of strings
 *   properties, required, additionalProperties, minProperties, maxProperties   of objects
 *   items (one schema), minItems, maxItems, uniqueItems of arrays
 *   anyOf, allOf, oneOf, not, $ref to a place in the same document ("#/$defs/port")
 *   $schema, $id, $comment, $defs, definitions, title, description, default, examples: no rules
 *
 * Any other word is refused when the schema is set, so that no rule is thought to hold that does
 * not. What a check may cost is bounded: depth, steps, the size of patterns and of what they are
 * matched with. Patterns are POSIX extended regular expressions over bytes, without
 * back-references, found anywhere unless they begin with ^ and end with $.
 *
 * To add a rule: a row in the table of schema_rules.c. Any thread: nothing is kept between
 * calls. */
#ifndef NET_CONFIG_SCHEMA_H
#define NET_CONFIG_SCHEMA_H

#include "base/slice.h"
#include "base/status.h"

#define SCHEMA_BYTES_MAX           ((size_t)64 << 10)
#define SCHEMA_DEPTH_MAX           64
#define SCHEMA_STEPS_MAX           100000  /* of one value, each of about 0.1 us */
#define SCHEMA_CALL_STEPS_MAX      2000000 /* of all values of a call, with reading them */
#define SCHEMA_PATTERN_BYTES_MAX   ((size_t)256)
#define SCHEMA_PATTERN_COPIES_MAX  256 /* what {m,n} make of a part of a pattern, multiplied */
#define SCHEMA_PATTERN_LETTERS_MAX ((size_t)2048) /* repetitions written out */
#define SCHEMA_PATTERN_CHOICES_MAX ((size_t)256)
#define SCHEMA_MATCHED_BYTES_MAX   ((size_t)4096)

/* RC_OK, or RC_INVALID (RC_TOO_LARGE): `err` says where in the schema, and what is wrong there. */
enum status schema_check(struct slice schema, struct errmsg *err) MUST_USE;

/* The checks of a call, which cost so much together at most. Zeroed it is ready. */
struct schema_checks {
    size_t steps; /* taken */
    struct slice text;
    void *root; /* parsed from `text`, as long as one schema is of several values */
};

/* RC_OK, or RC_INVALID: `err` names the place in the document, the rule and what it asks for.
 * RC_TOO_LARGE: the steps of a call are used up. Bytes of schemas stay where they are, and as they
 * are, until schema_checks_close(). */
enum status schema_checks_validate(struct schema_checks *checks, struct slice schema,
                                   struct slice document, struct errmsg *err) MUST_USE;
void schema_checks_close(struct schema_checks *checks);
/* The only one of a call. */
enum status schema_validate(struct slice schema, struct slice document,
                            struct errmsg *err) MUST_USE;

#endif
