/* What doctor says of the memory of members: against what each may use, and against each other. */
#ifndef CMD_COORDCTL_TEXT_MEMORY_VERDICT_H
#define CMD_COORDCTL_TEXT_MEMORY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

/* In bytes; NAN where a member does not say. */
struct memory_use {
    const char *name;
    double resident;
    double limit;     /* of its cgroup, or of the machine if that is less */
    double machine;   /* all of it */
    double available; /* of the machine */
};

enum memory_verdict { MEMORY_FINE, MEMORY_SHORT, MEMORY_GONE };

/* Member `i` of `all`. Writes why it is not fine. */
enum memory_verdict memory_judge(const struct memory_use *all, size_t count, size_t i,
                                 char *why, size_t why_bytes);

#endif
