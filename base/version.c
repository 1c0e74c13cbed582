#include "base/version.h"

/* The Makefile gives COORD_VERSION to this object alone, so that a new commit rebuilds one file. */
#ifndef COORD_VERSION
#define COORD_VERSION "unknown"
#endif

const char *version_text(void)
{
    return COORD_VERSION;
}
