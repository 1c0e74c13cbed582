/* The flags of a subcommand: its own ones here, the others are coordd's settings. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/coordd/config_internal.h"
#include "cmd/coordd/offline.h"

struct offline_flag *offline_flag(struct offline_flag *flags, const char *name)
{
    while (flags->name != NULL && strcmp(flags->name, name) != 0) {
        flags++;
    }
    return flags->name != NULL ? flags : NULL;
}

const char *offline_value(struct offline_flag *flags, const char *name)
{
    const struct offline_flag *f = offline_flag(flags, name);
    return f->count > 0 ? f->values[0] : NULL;
}

enum status offline_number(struct offline_flag *flags, const char *name, uint64_t *out,
                           struct errmsg *err)
{
    const char *text = offline_value(flags, name);
    char *end;
    *out = 0;
    if (text == NULL) {
        return RC_OK;
    }
    bool is_number =
        text[0] != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 19;
    *out = is_number ? strtoull(text, &end, 10) : 0;
    return *out != 0 ? RC_OK
                     : errmsg_set(err, RC_INVALID, "--%s: '%.60s' is not a number above 0",
                                  name, text);
}

static void print_usage(const struct offline_usage *usage, const struct offline_flag *flags)
{
    printf("%s\n", usage->text);
    for (; flags->name != NULL; flags++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", flags->name,
                 flags->takes != NULL ? flags->takes : "");
        printf("  %-34s %s\n", left, flags->help);
    }
    printf("\nAll settings of coordd may be given too, so that it can be the same --config or\n"
           "environment: --name, --data-dir and --initial-cluster are looked at.\n\n%s",
           usage->examples);
}

/* Takes argv[*at], and its value, if it is one of `flags`. */
static enum status take_flag(int argc, char **argv, int *at, struct offline_flag *flags,
                             bool *taken, struct errmsg *err)
{
    const char *argument = argv[*at];
    *taken = false;
    if (strncmp(argument, "--", 2) != 0) {
        return RC_OK;
    }
    const char *equals = strchr(argument, '=');
    size_t length = equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2);
    for (; flags->name != NULL; flags++) {
        if (strlen(flags->name) != length || memcmp(flags->name, argument + 2, length) != 0) {
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && flags->takes != NULL && *at + 1 < argc &&
            strncmp(argv[*at + 1], "--", 2) != 0) {
            value = argv[++*at];
        }
        if (flags->takes != NULL && (value == NULL || value[0] == '\0')) {
            return errmsg_set(err, RC_INVALID, "--%s needs a value: %s", flags->name,
                              flags->takes);
        }
        if (flags->takes == NULL && equals != NULL) {
            return errmsg_set(err, RC_INVALID, "--%s takes no value", flags->name);
        }
        if (flags->count == flags->max) {
            return errmsg_set(err, RC_INVALID, "--%s is given %zu times, at most %zu",
                              flags->name, flags->count + 1, flags->max);
        }
        flags->values[flags->count++] = value;
        *taken = true;
        return RC_OK;
    }
    return RC_OK;
}

enum status offline_parse(int argc, char **argv, const struct offline_usage *usage,
                          struct offline_flag *flags, struct config *config, struct errmsg *err)
{
    static char insecure[] = "--insecure"; /* nothing listens here */
    char **rest = mem_zalloc(((size_t)argc + 2) * sizeof *rest);
    int count = 0;
    bool is_insecure = false;
    enum status rc = RC_OK;
    rest[count++] = argv[0];
    for (int i = 2; rc == RC_OK && i < argc; i++) {
        bool taken;
        is_insecure = is_insecure || strncmp(argv[i], insecure, sizeof insecure - 1) == 0;
        int at = i;
        rc = take_flag(argc, argv, &i, flags, &taken, err);
        if (rc == RC_OK && !taken) {
            rest[count++] = argv[at];
        }
    }
    if (!is_insecure) {
        rest[count++] = insecure;
    }
    if (rc == RC_OK) {
        rc = config_load(count, rest, getenv, config, err);
    }
    mem_free(rest);
    if (rc == RC_OK && config->help) {
        print_usage(usage, flags);
        return RC_STOPPED;
    }
    return rc;
}
