/* The only object that sees the build's version stamp. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

const char *version_text(void); /* as `git describe` gave it, such as "v1.0.0-3-gabc" */

#endif
