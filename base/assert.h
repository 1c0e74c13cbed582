/* Assertions that stay on in release builds.
 *
 * PRE and POST state a module's contract at its border; INVARIANT cites, by number, the list in
 * docs/architecture.md. A failure prints where and what, then aborts: a replica that has broken
 * its own rules must not go on answering. Never assert on bytes that came from a peer or client:
 * that is an operating error (base/status.h).
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <stdbool.h>
#include <stdint.h>

#define PRE(cond) ((cond) ? (void)0 : assert_failed("precondition", 0, #cond, __FILE__, __LINE__))
#define POST(cond) ((cond) ? (void)0 : assert_failed("postcondition", 0, #cond, __FILE__, __LINE__))
#define INVARIANT(n, cond) \
    ((cond) ? (void)0 : assert_failed("invariant", (n), #cond, __FILE__, __LINE__))
#define UNREACHABLE() assert_failed("unreachable", 0, "reached", __FILE__, __LINE__)

/* Prints the crash report (kind, number, condition, place, version) to stderr and aborts. */
__attribute__((noreturn, cold)) void assert_failed(const char *kind, int number, const char *cond,
                                                   const char *file, int line);

#endif
